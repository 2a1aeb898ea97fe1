"""The files that W&B's agents take, read as sweeps.

Source: W&B's documentation of sweep configurations, docs.wandb.ai/guides/sweeps/define-sweep-
configuration, of parameters that are searched without a server.
"""

import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mnist3.errors import UserError, nearest
from mnist3.sweeps.definition import Choices, Hyperband, Range, Sweep

PREFIX = "config."
METHODS = {"grid": "grid", "random": "random", "bayes": "tpe"}
READ = ("method", "metric", "parameters", "early_terminate", "command", "run_cap")
OF_THE_SERVER = ("program", "project", "entity", "name", "description")


def read(path: str) -> Mapping[str, Any]:
    """Returns the content of a sweep file.

    Args:
        path: of a YAML file.

    Raises:
        UserError: if it cannot be read, or holds no sweep.
    """
    import yaml

    try:
        content = yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"cannot read --sweep={path}: {error.strerror or error}; give a file such as "
            "experiments/sweeps/random.yaml."
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is not YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(content, dict) or "parameters" not in content:
        raise UserError(f"{path} holds no sweep; give it method and parameters.")
    return content


def experiment_of(content: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """Returns the experiment that a sweep file's command names, and the flags that change it.

    Args:
        content: of the file.

    Raises:
        UserError: if its command has flags that are none of the experiment.
    """
    words = [str(word) for word in content.get("command", ())]
    flags = [f"--{word.lstrip('-')}" for word in words if word.startswith("-")]
    given = [word.partition("=")[2] for word in flags if word.startswith("--config=")]
    changes = [word for word in flags if word.startswith("--config.")]
    for word in flags:
        if not word.startswith(("--config=", "--config.")):
            raise UserError(
                f"the command of the sweep file has {word}; give it to --mode=sweep instead."
            )
    return (given[-1] if given else None), changes


def translate(content: Mapping[str, Any]) -> Sweep:
    """Returns the sweep that a file describes.

    Args:
        content: of the file.

    Raises:
        UserError: names what cannot be had without W&B's server.
    """
    _require_keys("the sweep file", content, (*READ, *OF_THE_SERVER))
    method = content.get("method")
    if method not in METHODS:
        raise UserError(
            f"the sweep file's method is {method!r}; it is one of {', '.join(METHODS)}."
        )
    metric = content.get("metric") or {}
    _require_keys("metric of the sweep file", metric, ("name", "goal"))
    named = "name" in metric
    return Sweep(
        {
            _field(name): _translate(name, parameter)
            for name, parameter in content["parameters"].items()
        },
        method=METHODS[method],
        hyperband=_hyperband(content.get("early_terminate")),
        trials=content.get("run_cap"),
        metric=metric.get("name", ""),
        goal=metric.get("goal", "minimize" if named else ""),
    )


def _require_keys(what: str, found: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in found:
        if name not in known:
            raise UserError(
                f"{what} has {name!r}, which --mode=sweep does not read; did you mean "
                f"{nearest(str(name), known)!r}? It reads {', '.join(known)}."
            )


def _field(name: str) -> str:
    if not name.startswith(PREFIX):
        raise UserError(
            f"the sweep file has the parameter {name!r}; begin it with {PREFIX!r}, as a field of "
            "the config has it."
        )
    return name.removeprefix(PREFIX)


def _number(name: str, key: str, parameter: Mapping[str, Any]) -> Any:
    value = parameter.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(
            f"{key} of {name} in the sweep file is {value!r}; give a number, with a point before "
            "an exponent as YAML has it: 1.0e-3."
        )
    return value


def _ends(name: str, parameter: Mapping[str, Any], as_end: Callable[[Any], Any]) -> tuple[Any, Any]:
    return as_end(_number(name, "min", parameter)), as_end(_number(name, "max", parameter))


def _uniform(name: str, parameter: Mapping[str, Any]) -> Range:
    return Range(*_ends(name, parameter, float))


def _int_uniform(name: str, parameter: Mapping[str, Any]) -> Range:
    ends = _ends(name, parameter, lambda end: end)
    if not all(isinstance(end, int) for end in ends):
        raise UserError(f"the ends of {name} in the sweep file are no whole numbers; give such.")
    return Range(*ends)


def _q_uniform(name: str, parameter: Mapping[str, Any]) -> Range:
    step = _number(name, "q", parameter) if "q" in parameter else 1
    return Range(*_ends(name, parameter, lambda end: end), step=step)


def _log_uniform(name: str, parameter: Mapping[str, Any]) -> Range:
    return Range(*_ends(name, parameter, math.exp), log=True)


def _log_uniform_values(name: str, parameter: Mapping[str, Any]) -> Range:
    return Range(*_ends(name, parameter, float), log=True)


def _constant(name: str, parameter: Mapping[str, Any]) -> Choices:
    return Choices((_value(parameter["value"]),))


def _categorical(name: str, parameter: Mapping[str, Any]) -> Choices:
    return Choices(tuple(map(_value, parameter["values"])))


def _value(value: Any) -> Any:
    """Returns a value of YAML as a config has it."""
    return tuple(map(_value, value)) if isinstance(value, list) else value


_DISTRIBUTIONS: dict[str, Callable[[str, Mapping[str, Any]], Choices | Range]] = {
    "constant": _constant,
    "categorical": _categorical,
    "uniform": _uniform,
    "int_uniform": _int_uniform,
    "q_uniform": _q_uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
}


def _translate(name: str, parameter: Any) -> Choices | Range:
    if not isinstance(parameter, Mapping):
        raise UserError(
            f"the sweep file has {parameter!r} for {name}; give it value, values, or min and max."
        )
    _require_keys(
        f"{name} of the sweep file",
        parameter,
        ("distribution", "value", "values", "min", "max", "q"),
    )
    distribution = parameter.get("distribution") or _implied(name, parameter)
    if distribution not in _DISTRIBUTIONS:
        raise UserError(
            f"{name} of the sweep file has the distribution {distribution!r}, which needs W&B's "
            f"server; it can be {', '.join(_DISTRIBUTIONS)}."
        )
    needed = {"constant": ("value",), "categorical": ("values",)}.get(distribution, ("min", "max"))
    for key in needed:
        if key not in parameter:
            raise UserError(f"{name} of the sweep file lacks {key!r} for {distribution}; add it.")
    return _DISTRIBUTIONS[distribution](name, parameter)


def _implied(name: str, parameter: Mapping[str, Any]) -> str:
    if "value" in parameter:
        return "constant"
    if "values" in parameter:
        return "categorical"
    whole = all(isinstance(parameter.get(key), int) for key in ("min", "max"))
    return "int_uniform" if whole else "uniform"


def _hyperband(found: Mapping[str, Any] | None) -> Hyperband | None:
    if not found:
        return None
    what = "early_terminate of the sweep file"
    _require_keys(what, found, ("type", "min_iter", "max_iter", "s", "eta"))
    if found.get("type") != "hyperband":
        raise UserError(f"{what} has the type {found.get('type')!r}; it can be hyperband.")
    eta = found.get("eta", 3)
    if "min_iter" in found:
        return Hyperband(found["min_iter"], eta, found.get("max_iter"))
    if "max_iter" not in found or "s" not in found:
        raise UserError(f"{what} says neither min_iter, nor max_iter and s; give one of them.")
    return Hyperband(max(1, found["max_iter"] // eta ** found["s"]), eta, found["max_iter"])
