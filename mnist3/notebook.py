"""What a notebook does in one line: the work of `launch.py`, with the result in memory.

An experiment is named by the same text as on the command line, so that each line of a notebook has
a command that does the same, and more: the command also leaves a page and predictions.
"""

import functools
import os
import tempfile
from collections.abc import Mapping
from typing import Any, NamedTuple

from absl import logging
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import experiments, runtime, validation
from mnist3.comparisons import Compared
from mnist3.data import dataset as datasets
from mnist3.data import sources
from mnist3.data.sources import has_mnist
from mnist3.data.splits import Dataset
from mnist3.data.triple_mnist import has_triple_mnist
from mnist3.errors import UserError
from mnist3.evaluation import curves, selection
from mnist3.jobs import candidates, parts
from mnist3.jobs import compare as jobs_compare
from mnist3.reporting import pictures
from mnist3.results import Result
from mnist3.tracking import Tracker

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


def run(experiment: str, at_hand: AtHand) -> Result:
    """Learns an experiment, and returns the result with val read; `with_splits` reads test too.

    Of several seeds the result is that of all replicates.

    Args:
        experiment: what stands behind --config= on a command line.
        at_hand: where the data are.

    Raises:
        UserError: if the experiment has several candidates, or cannot be learned.
    """
    config, dataset = load(experiment, at_hand)
    if fields := configs.population_of(config):
        raise UserError(
            f"{experiment} has values of {', '.join(fields)} in config.population, and a notebook "
            "learns one candidate at a time; give each its value, or train them with launch.py."
        )
    config.wandb.mode = "disabled"
    made = parts.load(config, at_hand.folder, dataset)
    with tempfile.TemporaryDirectory() as folder:
        tracker = Tracker(folder, config)
        if len(configs.seeds_of(config)) > 1:
            return parts.learn_replicates(made, made.prepare_replicates(), folder, tracker)
        return made.result(made.prepare()(folder, tracker), ("val",))


def compare(results: Mapping[str, Result]) -> selection.Comparison:
    """Compares results on the same images of val: which is best, by how much and how surely."""
    first = next(iter(results.values()))
    return selection.compare(
        {name: result.outcomes("val") for name, result in results.items()},
        share=first.task.outcome,
        digit_indices=first.dataset.digit_indices_of("val"),
    )


def compare_table(experiment: str) -> Compared:
    """Tunes and compares the learners of a table by cross-validation, then reads test with each.

    Args:
        experiment: of a table; what stands behind --config= on a command line.
    """
    config = load_config(experiment)
    results, _ = jobs_compare.learn(candidates.of_table(config, candidates.load_table(config)))
    return jobs_compare.compare(config, results, {})


def draw(result: Result, name: str) -> Figure:
    """Returns one of the pictures that a run has, by its file name.

    Raises:
        UserError: if there is no such picture, or it has nothing to show.
    """
    return pictures.draw(name, result)


def detector(result: Result, split: str = "val") -> tuple[Any, Any]:
    """Returns truth and score of the first detector in a result."""
    examples, predictions = result.examples[split], result.predictions[split]
    return next(iter(result.task.detectors(examples.targets, predictions).values()))


def precision_recall(result: Result, split: str = "val") -> curves.PrecisionRecall:
    """Returns precision and recall of a detector by threshold."""
    return curves.precision_recall(*detector(result, split))


def roc(result: Result, split: str = "val") -> curves.Roc:
    """Returns the ROC curve of a detector."""
    return curves.roc(*detector(result, split))
