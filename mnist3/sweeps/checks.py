"""Whether a sweep can be made over a config, and the configs of its trials."""

import math
from typing import Any

from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import limits, validation
from mnist3.config import OPEN
from mnist3.errors import UserError, nearest
from mnist3.sweeps.definition import GOALS, METHODS, SPLIT, Choices, Hyperband, Range, Sweep
from mnist3.training.run import AUTOMATIC_EPOCHS

# Of the data only what leaves val as it is, and nothing of the task: values must be comparable.
VARIABLE_DATA = ("data.train_limit", "data.shifted_copies", "data.train_examples")
FIXED = ("data.", "task.", "wandb.", "kind")


def check(sweep: Sweep, config: ConfigDict) -> None:
    """Checks that a sweep can be made over a config.

    Args:
        sweep: as it was defined.
        config: of the experiment.

    Raises:
        UserError: names the first thing that cannot be searched, and what can.
    """
    for what, value, known in (
        ("method", sweep.method, METHODS),
        ("goal", sweep.goal or "maximize", GOALS),
    ):
        if value not in known:
            raise UserError(
                f"the sweep's {what} is {value!r}; did you mean {nearest(str(value), known)!r}? "
                f"It is one of {', '.join(known)}."
            )
    if sweep.metric and not sweep.metric.startswith(SPLIT):
        raise UserError(
            f"the sweep's metric is {sweep.metric!r}; trials are chosen by val alone, for instance "
            "by val/exact_match, so that test stays unseen."
        )
    if not sweep.parameters:
        raise UserError("the sweep has no parameters; name the fields of the config to search.")
    for name, parameter in sweep.parameters.items():
        _check_field(name, config)
        _check_parameter(name, parameter, sweep.method)
        for value in _values(parameter):
            _check_value(name, value, config)
    if sweep.hyperband is not None:
        _check_hyperband(sweep.hyperband, config)


def _values(parameter: Choices | Range) -> tuple[Any, ...]:
    """Returns the choices, or the ends of a range."""
    if isinstance(parameter, Range):
        return parameter.low, parameter.high
    return tuple(parameter.values)


def _check_field(name: str, config: ConfigDict) -> None:
    if name.startswith("population."):
        raise UserError(
            f"the sweep has {name!r}, but its trials are runs of one candidate each; search "
            f"{name.removeprefix('population.')!r}."
        )
    if name.startswith(FIXED) and name not in VARIABLE_DATA:
        raise UserError(
            f"the sweep has {name!r}, but its trials must share their val images and their task; "
            f"of the data it may have {', '.join(VARIABLE_DATA)}."
        )
    known = dict(configs.fields(config))
    opened = any(name.startswith(each) and _has(config, each) for each in OPEN)
    if name not in known and not opened:
        raise UserError(
            f"the sweep has {name!r}, which the config has not; did you mean "
            f"{nearest(name, list(known))!r}?"
        )


def _has(config: ConfigDict, section: str) -> bool:
    outer, inner, _ = section.split(".")
    return outer in config and inner in config[outer]


def _check_parameter(name: str, parameter: Any, method: str) -> None:
    if isinstance(parameter, Choices):
        if not parameter.values:
            raise UserError(f"the sweep has no choices of {name}; give some values.")
        if len(set(map(str, parameter.values))) < len(parameter.values):
            raise UserError(
                f"the sweep's choices of {name} have a value twice; leave one of them out."
            )
        return
    if not isinstance(parameter, Range):
        raise UserError(
            f"the sweep has {parameter!r} for {name}; give Choices or a Range, see "
            "experiments/quickstart.py."
        )
    ends = (parameter.low, parameter.high)
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in ends):
        raise UserError(
            f"the sweep's range of {name} goes from {ends[0]!r} to {ends[1]!r}; give two numbers."
        )
    if not parameter.low < parameter.high or (parameter.log and parameter.low <= 0):
        raise UserError(
            f"the sweep's range of {name} goes from {ends[0]} to {ends[1]}; give a lower and a "
            f"higher end{', both above 0 for log' * parameter.log}."
        )
    if parameter.step is not None and (parameter.log or not parameter.step > 0):
        raise UserError(
            f"the sweep's range of {name} has the step {parameter.step}; give one above 0, and "
            "none with log."
        )
    whole = all(isinstance(end, int) for end in ends)
    if method == "grid" and (parameter.log or (parameter.step is None and not whole)):
        raise UserError(
            f"a grid cannot have every value of {name} from {ends[0]} to {ends[1]}; give choices, "
            "or a step."
        )


def _check_value(name: str, value: Any, config: ConfigDict) -> None:
    known = dict(configs.fields(config))
    if name not in known:  # of a learner, which checks it
        return
    changed = dict(configs.fields(configs.with_values(config, {name: value}, "the sweep")))[name]
    names = validation.choices(config.kind)
    if name in names:
        limits.require_known(name, changed, names[name])
    if not name.startswith("model."):  # whose values the models check
        limits.require_type(name, changed, known[name])
        limits.require_range(name, changed)


def _check_hyperband(hyperband: Hyperband, config: ConfigDict) -> None:
    if "training" not in config:
        raise UserError(
            f"Hyperband compares epochs, and the learner {config.learner.name} has none; leave it "
            "out of the sweep."
        )
    whole = all(isinstance(each, int) for each in (hyperband.min_epochs, hyperband.eta))
    if not whole or hyperband.min_epochs < 1 or hyperband.eta < 2:
        raise UserError(
            f"Hyperband has min_epochs={hyperband.min_epochs} and eta={hyperband.eta}; give whole "
            "numbers from 1 and from 2 on."
        )


def trains_together(sweep: Sweep, config: ConfigDict) -> bool:
    """Tells whether some trials of a sweep can train side by side in one program.

    They are those of a network that differ in numbers alone. None is drawn by what others reached,
    and none is stopped early, which would leave its place in the program to nobody.

    Args:
        sweep: what is searched.
        config: of the experiment.
    """
    if "population" not in config or configs.search_method(config) != "none":
        return False
    free = ("seed", *configs.variable())
    return (
        sweep.method in ("grid", "random")
        and sweep.hyperband is None
        and any(name in free for name in sweep.parameters)
    )


def epochs_of(config: ConfigDict) -> int:
    """Returns after how many epochs a run ends that is not stopped; 0 where it has none."""
    return (config.training.epochs or AUTOMATIC_EPOCHS) if "training" in config else 0


def most_epochs(sweep: Sweep, config: ConfigDict) -> int:
    """Returns how many epochs the longest trial may have; 0 where it has none."""
    searched = sweep.parameters.get("training.epochs")
    if isinstance(searched, Choices):
        return max(epochs or AUTOMATIC_EPOCHS for epochs in searched.values)
    return epochs_of(config) if searched is None else int(searched.high)
