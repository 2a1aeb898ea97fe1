"""What a sweep searches: fields of a config and their values, by which method, and for what."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

METHODS = ("grid", "random", "tpe")
GOALS = ("maximize", "minimize")
TRIALS = 20  # of a sweep that says no number and has no end
SPLIT = "val/"  # the only one that trials are chosen by


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


def labels(values: Sequence[Any]) -> dict[str, Any]:
    """Returns values by what names them, as storages take texts alone."""
    return {str(value): value for value in values}
