"""A comparison: results of several candidates, the best of them, and how surely it is.

A candidate may have several replicates, results that differ in the seed alone.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from mnist3 import runtime
from mnist3.data.splits import HELD_OUT
from mnist3.evaluation import selection
from mnist3.evaluation.pooling import pooled
from mnist3.results import Result


@dataclasses.dataclass(frozen=True)
class Compared:
    """Results by candidate, and what was made of them on the examples to choose by.

    Attributes:
        config: of the comparison.
        by: which examples chose: `val` or `cross_validation`.
        results: the replicates of each candidate, with every split that was read.
        folders: of each candidate below the workdir; empty of those without.
        selection: which candidate is best, by how much and how surely.
        failures: why other candidates have no results, by name.
    """

    config: ConfigDict
    by: str
    results: Mapping[str, Sequence[Result]]
    folders: Mapping[str, str]
    selection: selection.Comparison
    failures: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def winner(self) -> Result:
        """The first replicate of the best candidate."""
        return self.results[self.selection.winner][0]

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


def candidate_line(results: Sequence[Result]) -> dict[str, Any]:
    """Returns what metrics.json says of a candidate: means over its replicates."""
    first = results[0]
    line = {
        "parameters": first.learned.parameters,
        "train_examples": first.train_examples,
        **{
            split: pooled([result.measured[split] for result in results], first.task.metrics[0])
            for split in first.measured
        },
        "fit_seconds": sum(result.learned.training["seconds"] for result in results) / len(results),
        "search_seconds": first.learned.training.get("search_seconds", 0.0),
    }
    if len(results) > 1:
        line["seeds"] = [result.config.seed for result in results]
    if "epochs" in first.learned.training:
        line["epochs"] = first.learned.training["epochs"]
    return line
