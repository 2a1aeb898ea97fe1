"""Candidates of a comparison that have learned, and the two ways to that: fitting and training.

A task of one digit is learned by an estimator, whose fit the cache keeps; numbers are learned by a
model in a run with a folder of its own, which goes on where it was stopped. A contender of either
way has the same to say: `outcomes` of the images to choose by, targets and predictions of `val`,
and, to be asked once the winner is known, its `result` and predictions of val and of test.
"""

import dataclasses
import functools
import os
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Bool, Float64, Int, Num
from ml_collections import ConfigDict
from sklearn.model_selection import cross_val_predict

from mnist3 import tasks
from mnist3.data.dataset import Dataset
from mnist3.data.splits import HELD_OUT
from mnist3.evaluation import selection
from mnist3.evaluation.answers import Answer
from mnist3.evaluation.cached import CachedEstimator, Inputs, fits_cache
from mnist3.jobs import evaluate, fit_output, output, study, workdir
from mnist3.jobs import train as training
from mnist3.jobs.reader import Reader
from mnist3.training import program
from mnist3.training.run import Run

Outcomes = Bool[np.ndarray, "n"] | Float64[np.ndarray, "n"]
Targets = Num[np.ndarray, "n *outputs"]


@dataclasses.dataclass(frozen=True)
class Fitted:
    """An estimator, fitted to a task of one digit.

    Attributes:
        dataset: that it was fitted to.
        task: that it learned.
        candidate: the estimator with its parameters.
        train_images: that it was fitted to.
        examples: the images of val and of test, without what it saw of them.
        answers: what it says of these.
        outcomes: of each of the images to choose by: whether it is right, or its squared error.
        folds: that hold the images to choose by out, where that is cross-validation.
        seed: of the bootstrap of its metrics.
    """

    dataset: Dataset
    task: tasks.Task
    candidate: study.Candidate
    train_images: int
    examples: dict[str, study.Examples]
    answers: dict[str, Answer]
    outcomes: Outcomes
    folds: Int[np.ndarray, "n"] | None
    seed: int

    @property
    def dependence(self) -> dict[str, np.ndarray | None]:
        """Why the images to choose by are not independent, as `selection.compare` takes it."""
        return {"folds": self.folds}

    @property
    def val(self) -> tuple[Targets, Targets]:
        """The targets of val's images, and what it says of them."""
        return self.examples["val"].targets, self.answers["val"].predictions

    def result(self) -> dict[str, Any]:
        """Returns what metrics.json says of it."""
        measured = {
            split: study.measure(self.task, self.examples[split].targets, said, self.seed)
            for split, said in self.answers.items()
        }
        return {
            "parameters": self.candidate.parameters,
            "train_images": self.train_images,
            **measured,
            "fit_seconds": self.answers["val"].seconds,
            "search_seconds": self.candidate.search_seconds,
        }

    def write_predictions(self, folder: str) -> None:
        """Writes what it says of val and of test into the folder of the comparison."""
        for split, said in self.answers.items():
            path = os.path.join(folder, f"predictions_{split}.csv")
            fit_output.write_predictions(path, self.task, self.examples[split], said)


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model, trained to read numbers.

    Attributes:
        parts: of its run.
        reader: the model with its best checkpoint, which has read val.
        folder: workdir of its run.
    """

    parts: Run
    reader: Reader
    folder: str

    @property
    def dataset(self) -> Dataset:
        """The data that it was trained on."""
        return self.reader.dataset

    @property
    def dependence(self) -> dict[str, np.ndarray | None]:
        """Why the images to choose by are not independent, as `selection.compare` takes it."""
        return {"digit_indices": (self.dataset.digit_indices or {}).get("val")}

    @property
    def outcomes(self) -> Bool[np.ndarray, "n"]:
        """Which numbers of val it reads right."""
        return self.reader.right

    @property
    def val(self) -> tuple[Targets, Targets]:
        """The numbers of val's images, and those that it reads."""
        return self.dataset.splits["val"].labels, self.reader.scored["val"].prediction.digits

    @functools.cached_property
    def scored(self) -> dict[str, program.Scores]:
        """What it makes of val and, where there is one, of test, which is read here."""
        test = evaluate.score_splits(self.parts, self.dataset, self.reader.params, ["test"])
        return self.reader.scored | test

    def result(self) -> dict[str, Any]:
        """Returns what metrics.json says of it."""
        return {
            "parameters": self.reader.metrics["model"]["parameters"],
            "train_images": training.examples_of_epoch(self.parts.config, self.dataset),
            **evaluate.measure(self.dataset, self.scored),
            "fit_seconds": self.reader.metrics["train"]["seconds"],
            "epochs": len(self.reader.history),
            "workdir": self.folder,
        }

    def write_predictions(self, folder: str) -> None:
        """Writes what it reads of val and of test into the folder of the comparison."""
        evaluate.write_predictions(folder, self.dataset, self.scored)


Contender = Fitted | Trained


def fit(config: ConfigDict, dataset: Dataset, comparison: ConfigDict) -> Fitted:
    """Returns an estimator fitted to train, its parameters searched there first if need be.

    Args:
        config: of the candidate.
        dataset: with train, val and test.
        comparison: the config of the comparison: by which images it chooses, folds and seed.

    Raises:
        UserError: if the data do not have what the task needs, or the estimator refuses them.
    """
    memory, folds = fits_cache(), None
    task = tasks.create(config.task)
    examples = study.split_examples(config, dataset, task)
    train_inputs = Inputs(examples["train"].features)
    targets = examples["train"].targets
    candidate = study.choose(config, train_inputs, targets, memory)
    answers = study.answer(config, task, candidate, train_inputs, examples, memory)
    if comparison.compare.by == "val":
        targets, predictions = examples["val"].targets, answers["val"].predictions
    else:
        cached = CachedEstimator(candidate.estimator, train_inputs, memory)
        name, count = config.estimator.name, comparison.search.folds
        with study.working(name, f"{name} in {count} folds"):
            predictions = cross_val_predict(cached, train_inputs.rows, targets, cv=count)
        folds = selection.fold_of_each(targets, count)
    return Fitted(
        dataset=dataset,
        task=task,
        candidate=candidate,
        train_images=len(train_inputs),
        examples={split: _without_features(examples[split]) for split in HELD_OUT},
        answers=answers,
        outcomes=study.outcomes(task, targets, predictions),
        folds=folds,
        seed=comparison.seed,
    )


def _without_features(examples: study.Examples) -> study.Examples:
    """Drops what an estimator saw of images; for many estimators it would fill the memory."""
    return examples._replace(features=np.empty((len(examples.targets), 0), np.float32))


def train(parts: Run, dataset: Dataset, folder: str) -> Trained:
    """Returns a model trained on numbers; where it was stopped before, it goes on.

    Args:
        parts: of its run.
        dataset: with train and val.
        folder: workdir of its run.

    Raises:
        UserError: if the folder cannot be written or has a run with another config, or the loss
            is not finite.
    """
    with workdir.claimed(folder, parts.config):
        logging.info("training in %s", folder)
        output.log_model(parts)
        workdir.write_config(folder, parts.config)
    with training.trained(parts, dataset, folder) as (checkpoints, tracker):
        reader = evaluate.read(parts, dataset, checkpoints, "best", folder, ["val"])
        tracker.summary(reader.metrics)
    return Trained(parts, reader, folder)
