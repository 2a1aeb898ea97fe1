"""From a config to what can learn: its data, its task, its examples and its learner."""

from typing import NamedTuple

from absl import logging
from ml_collections import ConfigDict

from mnist3 import learners, runtime, tasks
from mnist3.data import augmentation, sources
from mnist3.data import dataset as datasets
from mnist3.data.splits import Dataset
from mnist3.results import Result, read
from mnist3.tasks import Examples, Task
from mnist3.tracking import Tracker


class Parts(NamedTuple):
    """What a config of kind numbers or digits makes.

    Attributes:
        config: the whole config.
        dataset: to learn from.
        task: to learn.
        examples: of the task, by split.
    """

    config: ConfigDict
    dataset: Dataset
    task: Task
    examples: dict[str, Examples]

    def prepare(self) -> learners.Learn:
        """Returns what learns; errors are those of `learners.prepare`."""
        return learners.prepare(self.config, self.dataset, self.task, self.examples)

    def result(self, learned: learners.Learned, splits: tuple[str, ...]) -> Result:
        """Returns the result with the predictions of splits, of those that there are."""
        return Result(
            self.config,
            self.dataset,
            self.task,
            self.examples,
            learned,
            read(learned, self.examples, splits),
        )


def load(
    config: ConfigDict,
    data_dir: str | None,
    dataset: Dataset | None = None,
    examples: dict[str, Examples] | None = None,
) -> Parts:
    """Returns what a config of kind numbers or digits makes.

    Args:
        config: the whole config.
        data_dir: folder with the data.
        dataset: of the config, where it is at hand; None to load it.
        examples: of its sections data and task, where they are at hand; None to make them.

    Raises:
        UserError: if files are missing or broken, or the config does not fit the data.
    """
    if dataset is None:
        dataset = datasets.load(config.data, data_dir, runtime.cache_dir())
        log_dataset(dataset)
    if "augmentation" in config:
        augmentation.require_learnable(config.augmentation, dataset.augmented_size)
    task = task_of(config)
    if examples is None:
        examples = learners.examples_of(config, dataset, task)
    return Parts(config, dataset, task, examples)


def task_of(config: ConfigDict) -> Task:
    """Returns the task of a config, over the classes of its source."""
    classes = sources.REGISTRY[config.data.source].classes
    return tasks.create(config.task, classes, config.data.digits)


def log_dataset(dataset: Dataset) -> None:
    """Logs what the data are, and which split is not there."""
    logging.info(
        "dataset %s from source %s, numbers %s, digit images %s, fingerprint %s",
        dataset.name,
        dataset.source,
        dataset.protocol["numbers"],
        dataset.protocol["digit_images"],
        dataset.fingerprint[:12],
    )
    if dataset.composition is not None:
        for name, value in dataset.composition.describe().items():
            logging.info("  %s: %s", name, value)
    for name in ("train", "val", "test"):
        if name in dataset.splits:
            logging.info("  %s: %d images", name, len(dataset.splits[name]))
        elif name == "train" and dataset.stream:
            logging.info("  train: composed on the device as it trains")
        else:
            logging.info("  %s: not there, so nothing will be said of it", name)


def learn(parts: Parts, learning: learners.Learn, folder: str, tracker: Tracker) -> Result:
    """Returns what is learned in the folder of a run, which has read val."""
    learned = learning(folder, tracker)
    learned.save(folder)
    return parts.result(learned, ("val",))
