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
LARGEST, LARGEST_LOG = 1e300, 690.0  # ends of ranges, and of those of logarithms
# What PyYAML lets out of values that do not go with their tags, or are nested too deeply.
_OF_TAGS = (ValueError, LookupError, AttributeError, TypeError, RecursionError)
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
    except (yaml.YAMLError, *_OF_TAGS) as error:
        raise UserError(f"{path} is not YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        raise UserError(f"{path} holds no sweep; give it method and parameters.")
    return content


def experiment_of(content: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """Returns the experiment that a sweep file's command names, and the flags that change it.

    Args:
        content: of the file.

    Raises:
        UserError: if its command has flags that are none of the experiment.
    """
    command = content.get("command") or []
    if not isinstance(command, list):
        raise UserError(f"the command of the sweep file is {command!r}; give a list of words.")
    words = [str(word) for word in command]
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
    if not isinstance(method, str) or method not in METHODS:
        raise UserError(
            f"the sweep file's method is {method!r}; it is one of {', '.join(METHODS)}."
        )
    metric = content.get("metric") or {}
    _require_keys("metric of the sweep file", metric, ("name", "goal"))
    for key, value in metric.items():
        if not isinstance(value, str):
            raise UserError(f"{key} of metric of the sweep file is {value!r}; give a text.")
    named = "name" in metric
    trials = content.get("run_cap")
    return Sweep(
        {
            _field(name): _translate(name, parameter)
            for name, parameter in content["parameters"].items()
        },
        method=METHODS[method],
        hyperband=_hyperband(content.get("early_terminate")),
        trials=None if trials is None else _whole("run_cap", trials),
        metric=metric.get("name", ""),
        goal=metric.get("goal", "minimize" if named else ""),
    )


def _require_keys(what: str, found: Any, known: Sequence[str]) -> None:
    if not isinstance(found, Mapping):
        raise UserError(f"{what} is {found!r}; give it {', '.join(known)}, each with its value.")
    for name in found:
        if name not in known:
            raise UserError(
                f"{what} has {name!r}, which --mode=sweep does not read; did you mean "
                f"{nearest(str(name), known)!r}? It reads {', '.join(known)}."
            )


def _whole(what: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(
            f"{what} of the sweep file is {value!r}; give a whole number from {least} on."
        )
    return value


def _field(name: Any) -> str:
    if not isinstance(name, str) or not name.startswith(PREFIX):
        raise UserError(
            f"the sweep file has the parameter {name!r}; begin it with {PREFIX!r}, as a field of "
            "the config has it."
        )
    return name.removeprefix(PREFIX)


def _number(name: str, key: str, parameter: Mapping[str, Any]) -> Any:
    value = parameter.get(key)
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.inf
    if not abs(number) < LARGEST:
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
    return Range(*_ends(name, parameter, lambda end: math.exp(min(end, LARGEST_LOG))), log=True)


def _log_uniform_values(name: str, parameter: Mapping[str, Any]) -> Range:
    return Range(*_ends(name, parameter, float), log=True)


def _constant(name: str, parameter: Mapping[str, Any]) -> Choices:
    return Choices((_value(parameter["value"]),))


def _categorical(name: str, parameter: Mapping[str, Any]) -> Choices:
    values = parameter["values"]
    if not isinstance(values, list):
        raise UserError(f"values of {name} in the sweep file is {values!r}; give a list of them.")
    return Choices(tuple(map(_value, values)))


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
    if not isinstance(distribution, str) or distribution not in _DISTRIBUTIONS:
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


def _hyperband(found: Any) -> Hyperband | None:
    if not found:
        return None
    what = "early_terminate of the sweep file"
    _require_keys(what, found, ("type", "min_iter", "max_iter", "s", "eta"))
    if found.get("type") != "hyperband":
        raise UserError(f"{what} has the type {found.get('type')!r}; it can be hyperband.")
    least = {"min_iter": 1, "max_iter": 1, "s": 0, "eta": 2}
    own = {
        key: _whole(f"{key} of early_terminate", found[key], low)
        for key, low in least.items()
        if key in found
    }
    eta = own.get("eta", 3)
    if "min_iter" in own:
        return Hyperband(own["min_iter"], eta, own.get("max_iter"))
    if "max_iter" not in own or "s" not in own:
        raise UserError(f"{what} says neither min_iter, nor max_iter and s; give one of them.")
    brackets = min(own["s"], 64)  # more divide any number of epochs to nothing
    return Hyperband(max(1, own["max_iter"] // eta**brackets), eta, own["max_iter"])
