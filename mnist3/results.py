"""A result: what was learned from what, and its predictions by split.

metrics.json, predictions, pictures, page, console table and tracker are functions of results.
"""

import csv
import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from mnist3 import profiling, runtime
from mnist3.data.splits import HELD_OUT
from mnist3.data.table_dataset import AnyDataset
from mnist3.evaluation import selection
from mnist3.evaluation.calibration import Calibrator, confidence_metrics
from mnist3.evaluation.pooling import pooled
from mnist3.files import replacing
from mnist3.learners import Learned
from mnist3.tasks import Examples, Predictions, Task

IMPORTANCE_REPEATS = 5


@dataclasses.dataclass(frozen=True)
class Result:
    """What a learner learned from a dataset, and what it predicts.

    Attributes:
        config: the whole config.
        dataset: with the splits.
        task: that was learned.
        examples: of the task, by split.
        learned: what the learner left.
        predictions: by split, of those that were read.
        trained_in: the environment that the learner learned in, where it was another process.
    """

    config: ConfigDict
    dataset: AnyDataset
    task: Task
    examples: dict[str, Examples]
    learned: Learned
    predictions: dict[str, Predictions]
    trained_in: dict[str, Any] | None = None

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return {
            "dataset": self.dataset.describe(),
            "task": self.task.name,
            "model": {"name": self.learned.name, "parameters": self.learned.parameters},
            "environment": self.trained_in or runtime.environment(),
            **({"evaluated_in": runtime.environment()} if self.trained_in else {}),
            "train": self.learned.training,
            **self.calibration,
            **self.measured,
        }

    @functools.cached_property
    def measured(self) -> dict[str, dict[str, Any]]:
        """The metrics of each split that was read."""
        found = {}
        for split, predictions in self.predictions.items():
            examples = self.examples[split]
            shared = self.dataset.digit_indices_of(split)
            found[split] = self.task.measure(
                examples.targets, predictions, self.config.seed, shared
            )
            if predictions.confidence is not None:
                found[split] |= self.reliance(split)
            if split == "val":  # who looks for mistakes must not look at test
                found[split] |= self.task.notes(examples, predictions)
        return found

    @property
    def calibrator(self) -> Calibrator:
        """Of the confidence of what was learned."""
        return self.learned.calibrator

    @property
    def calibration(self) -> dict[str, Any]:
        """The entry `calibration` of metrics.json; nothing where val calibrated nothing."""
        return {"calibration": self.calibrator.describe()} if self.calibrator.n else {}

    def reliance(self, split: str) -> dict[str, Any]:
        """Returns how far the confidence of a split can be relied on.

        The examples that fitted the temperature have the calibration error of the cross-fit.
        """
        predictions = self.predictions[split]
        confidences = np.clip(predictions.confidence, 0, 1)
        found = confidence_metrics(confidences, self.outcomes(split), predictions.sure)
        if split == "val" and self.calibrator.fingerprint == self.dataset.fingerprint:
            found["ece"] = self.calibrator.ece
        return found

    @functools.cached_property
    def importances(self) -> Float[np.ndarray, "columns repeats"] | None:
        """By how much accuracy falls where a column of a table is shuffled; None without columns.

        Source: L. Breiman, Random forests, Machine Learning 45, 2001.
        """
        if not self.dataset.columns:
            return None
        from sklearn.inspection import permutation_importance

        shown = self.shown[0]
        learned: Any = self.learned  # of columns, an estimator
        return permutation_importance(
            learned.fit(),
            shown.inputs,
            shown.targets,
            n_repeats=IMPORTANCE_REPEATS,
            random_state=self.config.seed,
            scoring="accuracy",
        ).importances

    @property
    def runs(self) -> tuple["Result", ...]:
        """The results of its replicates; of a single run itself."""
        return (self,)

    @property
    def train_examples(self) -> int:
        """How many training examples there are, of composed ones in an epoch."""
        if "train" in self.examples:
            return len(self.examples["train"].targets)
        return self.config.data.train_examples

    @property
    def split(self) -> str:
        """Where mistakes are looked for: val, where there is one."""
        return next(iter(self.predictions))

    @property
    def shown(self) -> tuple[Examples, Predictions]:
        """The examples to look for mistakes in, and their predictions."""
        return self.examples[self.split], self.predictions[self.split]

    @property
    def data(self) -> str:
        """What the examples are, for a title."""
        return self.task.data_text(self.dataset)

    @property
    def about(self) -> str:
        """What was predicted, for a title."""
        return f"{self.learned.name} on {self.data}, {self.split}"

    def outcomes(self, split: str = "val") -> Any:
        """Returns what learners are compared by: right or not, or the error, of each example."""
        return self.task.outcomes(self.examples[split].targets, self.predictions[split])

    def with_splits(self, *splits: str) -> "Result":
        """Returns the result with the predictions of more splits, of those that there are."""
        more = read(self.learned, self.examples, splits)
        return dataclasses.replace(self, predictions=self.predictions | more)


@dataclasses.dataclass(frozen=True)
class Replicated(Result):
    """The results of replicates, which differ in their seed alone.

    What it shows of single examples is of the replicate that is the best on val; its metrics are
    means over all.

    Attributes:
        replicates: the results, in the order of their seeds.
        failures: why other replicates have none, by seed.
        ensemble: of the replicates, with their predictions together; None where there is none.
        best: the place of the replicate that is the best on val.
    """

    replicates: tuple[Result, ...] = ()
    best: int = 0
    failures: dict[int, str] = dataclasses.field(default_factory=dict)
    ensemble: Result | None = None

    @classmethod
    def of(
        cls,
        config: ConfigDict | None,
        replicates: Sequence[Result],
        failures: dict[int, str],
        ensemble: Result | None = None,
    ) -> "Replicated":
        """Returns the results of replicates together.

        Args:
            config: of the run of all of them; None where each is a run alone: the best one's.
            replicates: those whose training came to its end, at least one, which have read val
                where there is one.
            failures: why the others did not, by seed.
            ensemble: of the replicates.
        """
        sign = 1 if replicates[0].task.higher_is_better else -1
        name = replicates[0].task.metrics[0]
        scores = [
            sign * each.measured["val"][name] for each in replicates if "val" in each.predictions
        ]
        best = int(np.argmax(scores)) if scores else 0
        own = {
            each.name: getattr(replicates[best], each.name) for each in dataclasses.fields(Result)
        }
        every = {"replicates": tuple(replicates), "best": best}
        more = {"failures": failures, "ensemble": ensemble, "config": config or own["config"]}
        return cls(**own | every | more)

    @property
    def runs(self) -> tuple[Result, ...]:
        """The results of its replicates."""
        return self.replicates

    @property
    def seeds(self) -> list[int]:
        """Of the replicates."""
        return [each.config.seed for each in self.replicates]

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        train = dict(self.learned.training)
        every = [each.learned.training for each in self.replicates]
        for name in ("seconds", "compile_seconds"):  # of which each has its share
            train[name] = sum(each[name] for each in every)
        found = super().metrics | {"train": train, "replicates": self.described}
        if self.ensemble is not None:
            found["ensemble"] = self.ensemble.measured
        return found

    @property
    def described(self) -> dict[str, Any]:
        """Which replicates there are: the entry `replicates` of metrics.json."""
        found: dict[str, Any] = {"seeds": self.seeds, "best_on_val": self.seeds[self.best]}
        if self.failures:
            found["failures"] = {str(seed): why for seed, why in self.failures.items()}
        return found

    @functools.cached_property
    def measured(self) -> dict[str, dict[str, Any]]:
        """The metrics of each split: means over replicates, their deviation and each one's."""
        headline = self.task.metrics[0]
        found = {}
        for split in self.predictions:
            each = [one.measured[split] for one in self.replicates]
            found[split] = pooled(each, headline, self.best)
            outcomes = np.stack([one.outcomes(split) for one in self.replicates])
            if len(each) > 1 and outcomes.dtype == bool:  # else the headline is not their mean
                shared = self.dataset.digit_indices_of(split)
                found[split][f"{headline}_ci95"] = list(selection.interval(outcomes, shared))
        return found

    def with_splits(self, *splits: str) -> "Replicated":
        """Returns the results with the predictions of more splits, of those that there are."""
        return Replicated.of(
            self.config,
            [each.with_splits(*splits) for each in self.replicates],
            self.failures,
            None if self.ensemble is None else self.ensemble.with_splits(*splits),
        )


@profiling.phase(profiling.READING)
def read(
    learned: Learned, examples: dict[str, Examples], splits: Sequence[str] = HELD_OUT
) -> dict[str, Predictions]:
    """Returns the predictions of splits, of those that there are."""
    return {
        split: learned.predict(examples[split].inputs, examples[split].targets)
        for split in splits
        if split in examples
    }


def write_predictions(result: Result, folder: str, on: str = "") -> None:
    """Writes predictions_{split}.csv of each split that was read into the folder of a run.

    Those of replicates have the column `replicate`, its seed.

    Args:
        result: with the predictions.
        folder: of the run.
        on: what stands before the split, of splits that are not the run's own.
    """
    for split in result.predictions:
        index = result.dataset.index(split)
        path = os.path.join(folder, f"predictions_{on}{split}.csv")
        with replacing(path, newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            seed = ["replicate"] if isinstance(result, Replicated) else []
            writer.writerow([*seed, "index", *result.task.columns])
            for each in result.runs:
                seed = [str(each.config.seed)] if isinstance(result, Replicated) else []
                rows = each.task.rows(each.examples[split], each.predictions[split])
                for row, cells in enumerate(rows):
                    writer.writerow([*seed, row if index is None else index[row], *cells])
