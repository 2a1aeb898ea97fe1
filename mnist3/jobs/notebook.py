"""What a notebook does in one line: the work of `launch.py`, with the results in memory.

An experiment is named by the same text as on the command line, so that each line of a notebook has
a command that does the same, and more: the command also leaves a report and predictions.
"""

import functools
import os
import tempfile
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging
from jaxtyping import Bool
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import runtime, validation
from mnist3.data import dataset as datasets
from mnist3.data import sources
from mnist3.data.dataset import Dataset
from mnist3.data.sources import has_mnist
from mnist3.data.triple_mnist import has_triple_mnist
from mnist3.evaluation import curves
from mnist3.evaluation.answers import Answer
from mnist3.evaluation.cached import Inputs, fits_cache
from mnist3.jobs import evaluate, experiments, fit_figures, study, train
from mnist3.jobs.reader import Reader
from mnist3.reporting import drawing
from mnist3.tasks import Task
from mnist3.tracking import Tracker
from mnist3.training.checkpoints import Checkpoints
from mnist3.training.run import assemble

_KEPT_DATASETS = 4


class AtHand(NamedTuple):
    """The data that a notebook works on.

    Attributes:
        source: `mnist` where its files are at hand, else `digits`.
        numbers: `triple_mnist` where it is at hand beside them, else `composed` from the source.
        folder: of the files; None without.
    """

    source: str
    numbers: str
    folder: str | None

    def __str__(self) -> str:
        numbers = {
            "triple_mnist": "triple MNIST as published",
            "composed": "composed from digit images of the source",
        }
        return f"source of digit images: {sources.title(self.source)}\n" + (
            f"three-digit numbers: {numbers[self.numbers]}"
        )


class Fitted(NamedTuple):
    """An estimator fitted to a task of one digit an image, and what it says of val and of test.

    Attributes:
        config: of the experiment.
        dataset: with train, val and test.
        task: that was learned.
        examples: by split.
        candidate: the estimator with its parameters.
        answers: what it says of val and of test.
    """

    config: ConfigDict
    dataset: Dataset
    task: Task
    examples: dict[str, study.Examples]
    candidate: study.Candidate
    answers: dict[str, Answer]

    @property
    def about(self) -> str:
        """What it read, for a title."""
        return f"{self.config.estimator.name} on {self.data}, val"

    @property
    def data(self) -> str:
        """What the images are, for a title."""
        return study.data_text(self.task, self.dataset.source)

    @property
    def right(self) -> Bool[np.ndarray, "n"]:
        """Which images of val it has right."""
        return study.right(self.examples["val"].targets, self.answers["val"].predictions)

    def measure(self, split: str = "val") -> dict[str, Any]:
        """Returns the metrics of a split."""
        targets, said = self.examples[split].targets, self.answers[split]
        return study.measure(self.task, targets, said, self.config.seed)

    def precision_recall(self, split: str = "val") -> curves.PrecisionRecall:
        """Returns precision and recall of a detector by threshold."""
        return curves.precision_recall(*self._detector(split))

    def roc(self, split: str = "val") -> curves.Roc:
        """Returns the ROC curve of a detector."""
        return curves.roc(*self._detector(split))

    def draw(self, name: str) -> Figure:
        """Returns one of the figures that a run has, by its name in `fit_figures.DRAWERS`.

        Raises:
            UserError: if there is no such figure.
        """
        view = fit_figures.view_of(
            self.config,
            self.dataset,
            self.task,
            self.examples,
            self.answers["val"],
            self.candidate.search_results,
        )
        return drawing.draw(
            name, {key: functools.partial(draw, view) for key, draw in fit_figures.DRAWERS.items()}
        )

    def _detector(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        said, targets = self.answers[split], self.examples[split].targets
        return next(iter(fit_figures.detector_scores(self.task, said, targets).values()))


def begin() -> AtHand:
    """Prepares the process, makes it quiet but for errors, and returns the data at hand."""
    runtime.prepare_notebook()
    logging.set_verbosity(logging.ERROR)
    return data_at_hand()


def data_at_hand() -> AtHand:
    """Returns the data that the environment variable MNIST3_DATA_DIR leads to."""
    folder = os.environ.get("MNIST3_DATA_DIR")
    if not folder or not has_mnist(folder):
        return AtHand("digits", "composed", None)
    return AtHand("mnist", "triple_mnist" if has_triple_mnist(folder) else "composed", folder)


def load_config(experiment: str) -> ConfigDict:
    """Returns the config of an experiment: what stands behind --config= on a command line."""
    config = experiments.load(experiment)
    validation.validate(config)
    return config


def load(experiment: str, at_hand: AtHand) -> tuple[ConfigDict, Dataset]:
    """Returns the config and the data of an experiment.

    Args:
        experiment: what stands behind --config= on a command line.
        at_hand: where the data are.
    """
    config = load_config(experiment)
    section = ConfigDict({"data": config.data})
    return config, _load_dataset(configs.to_json(section), at_hand.folder)


@functools.lru_cache(_KEPT_DATASETS)
def _load_dataset(section: str, folder: str | None) -> Dataset:
    return datasets.load(configs.from_json(section).data, folder, runtime.cache_dir())


def fit(experiment: str, at_hand: AtHand) -> Fitted:
    """Fits the estimator of an experiment, and asks it about val and test.

    Args:
        experiment: of one digit an image; what stands behind --config= on a command line.
        at_hand: where the data are.
    """
    config, dataset = load(experiment, at_hand)
    task, _ = study.create(config)
    memory = fits_cache()
    examples = study.split_examples(config, dataset, task)
    train_inputs = Inputs(examples["train"].features)
    candidate = study.choose(config, train_inputs, examples["train"].targets, memory)
    answers = study.answer(config, task, candidate, train_inputs, examples, memory)
    return Fitted(config, dataset, task, examples, candidate, answers)


def train_reader(experiment: str, at_hand: AtHand) -> Reader:
    """Trains the model of an experiment on numbers, and reads val and test with it.

    Args:
        experiment: of numbers; what stands behind --config= on a command line.
        at_hand: where the data are.
    """
    config, dataset = load(experiment, at_hand)
    config.wandb.mode = "disabled"
    parts = assemble(config, train.examples_of_epoch(config, dataset))
    history = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(folder)
        try:
            tracker = Tracker(folder, config, resume_epoch=0)
            train.train(parts, dataset, parts.initial_state(), history, checkpoints, tracker)
            checkpoints.wait()
            state = checkpoints.restore(checkpoints.resolve("best"), parts.state_shapes())
        finally:
            checkpoints.close()
    scored = evaluate.score_splits(parts, dataset, state.inference_params)
    metrics = {"dataset": dataset.describe(), "model": {"name": config.model.name}}
    metrics |= evaluate.measure(dataset, scored)
    params = jax.device_get(state.inference_params)
    return Reader(config, dataset, parts.model, params, history, scored, metrics)
