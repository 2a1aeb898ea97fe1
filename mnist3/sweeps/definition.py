"""What a sweep searches: fields of a config and their values, by which method, and for what."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import limits, validation
from mnist3.config import OPEN
from mnist3.errors import UserError, nearest
from mnist3.training.run import AUTOMATIC_EPOCHS

METHODS = ("grid", "random", "tpe")
GOALS = ("maximize", "minimize")
TRIALS = 20  # of a sweep that says no number and has no end
SPLIT = "val/"  # the only one that trials are chosen by
# Of the data only what leaves val as it is, and nothing of the task: values must be comparable.
VARIABLE_DATA = ("data.train_limit", "data.shifted_copies", "data.train_examples")
FIXED = ("data.", "task.", "wandb.", "kind")


@dataclasses.dataclass(frozen=True)
class Choices:
    """A few values of a field; one alone is set in every trial.

    Attributes:
        values: each of the field's type.
    """

    values: Sequence[Any]

    def __post_init__(self):
        object.__setattr__(self, "values", tuple(self.values))


@dataclasses.dataclass(frozen=True)
class Range:
    """All values of a field between two, both included; whole numbers if the field takes those.

    Attributes:
        low: the lowest.
        high: the highest.
        log: whether their logarithm is spread evenly, as of learning rates.
        step: from one value to the next; None for all in between.
    """

    low: float | int
    high: float | int
    log: bool = False
    step: float | int | None = None


@dataclasses.dataclass(frozen=True)
class Hyperband:
    """Stops trials early that fall behind others after as many epochs.

    Source: L. Li et al., Hyperband: A novel bandit-based approach to hyperparameter optimization,
    Journal of Machine Learning Research 18, 2018.

    Attributes:
        min_epochs: after which trials are compared first.
        eta: one of so many goes on, and is compared again after so many times the epochs.
        max_epochs: after which they are not compared any more; None for those of the training.
    """

    min_epochs: int = 1
    eta: int = 3
    max_epochs: int | None = None


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A search over fields of a config.

    Attributes:
        parameters: what to search, by dotted field, `optimizer.learning_rate`.
        method: grid (every combination), random or tpe (J. Bergstra et al., Algorithms for
            hyper-parameter optimization, NeurIPS 2011).
        hyperband: which trials are stopped early; None for none.
        trials: how many; None for every one of a grid, and for 20 of another method.
        metric: of val, that trials are chosen by, `val/nll`; "" for the task's headline.
        goal: maximize or minimize; "" for what the task wants of its headline.
    """

    parameters: Mapping[str, Choices | Range]
    method: str = "tpe"
    hyperband: Hyperband | None = None
    trials: int | None = None
    metric: str = ""
    goal: str = ""

    def describe(self) -> dict[str, Any]:
        """Returns the sweep as JSON has it, without how many trials it has."""
        described = dataclasses.asdict(self)
        del described["trials"]
        return described

    def budget(self, trials: int | None) -> int:
        """Returns how many trials there are to be.

        Args:
            trials: that the command line asks for; None where it does not.
        """
        wanted = trials or self.trials
        if self.method != "grid":
            return wanted or TRIALS
        size = math.prod(map(len, self.axes().values()))
        return min(wanted or size, size)

    def axes(self) -> dict[str, tuple[Any, ...]]:
        """Returns all values of each parameter of a grid."""
        return {name: _points(each) for name, each in self.parameters.items()}

    def grid_point(self, place: int) -> dict[str, Any]:
        """Returns the combination at a place of the grid, whose last parameter changes first."""
        axes = self.axes()
        points = itertools.product(*axes.values())
        return dict(zip(axes, next(itertools.islice(points, place, None)), strict=True))


def _points(parameter: Choices | Range) -> tuple[Any, ...]:
    if isinstance(parameter, Choices):
        return tuple(parameter.values)
    step = parameter.step or 1  # of whole numbers, as `check` has seen to
    count = math.floor((parameter.high - parameter.low) / step + 1e-9) + 1
    return tuple(parameter.low + place * step for place in range(count))


def with_values(config: ConfigDict, values: Mapping[str, Any]) -> ConfigDict:
    """Returns a copy of a config with other values of some fields.

    Args:
        config: of the experiment.
        values: by dotted field.

    Raises:
        UserError: if a field does not take its value.
    """
    changed = config.copy_and_resolve_references()
    with changed.unlocked():
        for name, value in values.items():
            *sections, field = name.split(".")
            section = changed
            for each in sections:
                section = section[each]
            try:
                section[field] = value
            except TypeError as error:
                raise UserError(
                    f"config.{name} of the sweep is {value!r}, of type {type(value).__name__}; it "
                    f"takes a {type(section[field]).__name__} such as {section[field]!r}."
                ) from error
    return changed


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
    changed = dict(configs.fields(with_values(config, {name: value})))[name]
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


def epochs_of(config: ConfigDict) -> int:
    """Returns after how many epochs a run ends that is not stopped; 0 where it has none."""
    return (config.training.epochs or AUTOMATIC_EPOCHS) if "training" in config else 0


def most_epochs(sweep: Sweep, config: ConfigDict) -> int:
    """Returns how many epochs the longest trial may have; 0 where it has none."""
    searched = sweep.parameters.get("training.epochs")
    if isinstance(searched, Choices):
        return max(epochs or AUTOMATIC_EPOCHS for epochs in searched.values)
    return epochs_of(config) if searched is None else int(searched.high)


def labels(values: Sequence[Any]) -> dict[str, Any]:
    """Returns values by what names them, as storages take texts alone."""
    return {str(value): value for value in values}
