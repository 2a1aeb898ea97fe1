"""A sweep as far as it has come: its trials, the best of them, and what the parameters matter."""

import collections
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import runtime
from mnist3.data.splits import Dataset
from mnist3.sweeps.definition import SPLIT, Sweep
from mnist3.sweeps.study import Trial
from mnist3.tasks import Task


@dataclasses.dataclass(frozen=True)
class Swept:
    """Trials of a sweep, and what was made of them.

    Attributes:
        config: of the experiment.
        sweep: what was searched.
        metric: that trials are chosen by, `val/exact_match`.
        goal: `maximize` or `minimize`.
        budget: how many trials the sweep is to have.
        dataset: that all learn from.
        task: that all learn.
        trials: each once, by number.
        best: the complete one with the best value; None before there is one.
        importances: share of the variance that each parameter explains; empty of too few trials.
    """

    config: ConfigDict
    sweep: Sweep
    metric: str
    goal: str
    budget: int
    dataset: Dataset
    task: Task
    trials: Sequence[Trial]
    best: Trial | None
    importances: Mapping[str, float]

    @property
    def metric_name(self) -> str:
        """The metric without its split."""
        return self.metric.removeprefix(SPLIT)

    @functools.cached_property
    def counts(self) -> dict[str, int]:
        """How many trials are in each state, of the states that there are."""
        return dict(collections.Counter(trial.state for trial in self.trials))

    @property
    def difference(self) -> dict[str, tuple[Any, Any]]:
        """Of each field that the best trial changes, the experiment's value and its own."""
        before = dict(configs.fields(self.config))
        found = {} if self.best is None else self.best.values
        return {
            name: (before.get(name), value)
            for name, value in found.items()
            if before.get(name) != value
        }

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        found: dict[str, Any] = {
            "dataset": self.dataset.describe(),
            "task": self.task.name,
            "environment": runtime.environment(),
            "chosen_by": "val",
            "metric": self.metric,
            "goal": self.goal,
            "method": self.sweep.method,
            "counts": self.counts,
        }
        if self.best is not None:
            found["best"] = {
                "trial": self.best.number,
                "workdir": self.best.folder,
                "value": self.best.value,
                "config": self.best.values,
            }
            found["val"] = self.best.outcome["val"]
        if self.importances:
            found["importance"] = dict(self.importances)
        return found | {"trials": [_line(trial) for trial in self.trials]}


def _line(trial: Trial) -> dict[str, Any]:
    """Returns what metrics.json says of a trial; its own folder says more of one that ended."""
    line = trial._asdict()
    outcome = line.pop("outcome")
    outcome.pop("val", None)
    return {**line, **outcome, "workdir": trial.folder}
