"""A comparison: results of several candidates, the best of them, and how surely it is.

A candidate may have several replicates, results that differ in the seed alone.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from mnist3 import runtime
from mnist3.data.splits import HELD_OUT
from mnist3.evaluation import selection
from mnist3.results import Replicated, Result


@dataclasses.dataclass(frozen=True)
class Compared:
    """Results by candidate, and what was made of them on the examples to choose by.

    Attributes:
        config: of the comparison.
        by: which examples chose: `val` or `cross_validation`.
        results: of each candidate, with every split that was read.
        folders: below the workdir, of what each candidate predicts with; empty of those without.
        selection: which candidate is best, by how much and how surely.
        failures: why other candidates have no results, by name.
    """

    config: ConfigDict
    by: str
    results: Mapping[str, Result]
    folders: Mapping[str, str]
    selection: selection.Comparison
    failures: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def winner(self) -> Result:
        """The result of the best candidate."""
        return self.results[self.selection.winner]

    @functools.cached_property
    def lines(self) -> dict[str, dict[str, Any]]:
        """What metrics.json says of each candidate, the best first."""
        return {
            each.name: {
                "chosen_by": each.measures(),
                **candidate_line(self.results[each.name]),
                **({"workdir": self.folders[each.name]} if each.name in self.folders else {}),
            }
            for each in self.selection.candidates
        }

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        best = self.lines[self.selection.winner]
        found = {
            "dataset": self.winner.dataset.describe(),
            "task": self.winner.task.name,
            "model": {"name": self.selection.winner, "parameters": best["parameters"]},
            "environment": runtime.environment(),
            "train": {"n": best["train_examples"], "seconds": best["fit_seconds"]},
            **self.winner.calibration,
            **{split: best[split] for split in HELD_OUT if split in best},
            "chosen_by": self.by,
            "metric": self.selection.metric,
            "compared_with": self.selection.test,
            "subject": self.selection.subject,
            "tied": list(self.selection.tied),
            "candidates": self.lines,
            **({"failures": dict(self.failures)} if self.failures else {}),
        }
        if self.winner.importances is not None:
            found["importance"] = {
                name: {"mean": float(falls.mean()), "std": float(falls.std())}
                for name, falls in zip(
                    self.winner.dataset.columns, self.winner.importances, strict=True
                )
            }
        return found


def candidate_line(result: Result) -> dict[str, Any]:
    """Returns what metrics.json says of a candidate: means over its replicates."""
    training = [run.learned.training for run in result.runs]
    line = {
        "parameters": result.learned.parameters,
        "train_examples": result.train_examples,
        **result.measured,
        "fit_seconds": sum(each["seconds"] for each in training) / len(training),
        "search_seconds": training[0].get("search_seconds", 0.0),
    }
    if isinstance(result, Replicated):
        line |= result.described
    if "epochs" in training[0]:
        line["epochs"] = training[0]["epochs"]
    return line
