"""What learns a task from a dataset: a network, or one of scikit-learn's estimators by name."""

import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ml_collections import ConfigDict

from mnist3 import profiling
from mnist3.config import NETWORK, of_replicate, search_method, seeds_of
from mnist3.data import variants
from mnist3.data.splits import HELD_OUT, Dataset
from mnist3.errors import UserError
from mnist3.files import MODEL_FILE, read_replicates, replicate_folder
from mnist3.learners import calibrated, network, tuned
from mnist3.learners.learned import Learned, NetworkView
from mnist3.tasks import Examples, Task
from mnist3.tracking import Tracker

__all__ = [
    "Learned",
    "NetworkView",
    "calibrate",
    "ensemble",
    "examples_of",
    "load",
    "prepare",
    "prepare_replicates",
    "require_initial",
]

Learn = Callable[[str, Tracker], Learned]
LearnReplicates = Callable[
    [Sequence[str], Sequence[Tracker], Tracker | None], list[Learned | UserError]
]


SPLITS = ("train", *HELD_OUT)


def examples_of(
    config: ConfigDict, dataset: Dataset, task: Task, splits: Collection[str] = SPLITS
) -> dict[str, Examples]:
    """Returns what takes part in a task, by split, of the fixed splits that the dataset has.

    Training images come with their shifted copies if the config says so.

    Raises:
        UserError: if train has nothing to learn from.
    """
    found = {}
    for position, name in enumerate(SPLITS):
        split = dataset.splits.get(name)
        if name not in splits or split is None or not len(split):
            continue
        if name == "train" and config.data.get("shifted_copies"):
            split = variants.split_with_shifted_copies(split)
        found[name] = task.examples(split, config.data.seed, position)
    if "train" in found:
        task.require_learnable(found["train"].targets)
    return found


def prepare(
    config: ConfigDict,
    dataset: Dataset,
    task: Task,
    examples: dict[str, Examples],
) -> Learn:
    """Returns what learns in the folder of a run, and goes on there after it was stopped.

    What estimators and searches of settings predict is kept in the user's cache folder.

    Args:
        config: of kind numbers or digits.
        dataset: to learn from.
        task: to learn.
        examples: of the task, by split.

    Raises:
        UserError: if the data lack what the learner needs, or it does not fit the task.
    """
    if config.learner.name != NETWORK:
        from mnist3.estimators import registry  # scikit-learn takes seconds to import
        from mnist3.learners import estimator
        from mnist3.learners.cached import fits_cache

        made = registry.create(config.learner, task, config.seed)
        for name in SPLITS:
            if name not in examples:
                raise UserError(
                    f"{dataset.name} has no {name} images here, which the task {task.name} needs; "
                    "set config.data.val_fraction above 0."
                )

        def fit(folder: str, tracker: Tracker | None) -> Learned:
            learned = estimator.learn(config, task, made, examples, fits_cache())
            calibrate(config, dataset, examples, learned)
            return learned

        return fit
    train = examples.get("train")
    run = network.create(config, task, dataset, train)

    def learn(folder: str, tracker: Tracker) -> Learned:
        found = tuned.read(folder)
        if found is None and search_method(config) != "none":
            from mnist3.learners import tuning
            from mnist3.learners.cached import fits_cache

            found = tuning.tune(config, task, examples, fits_cache())
            tuned.save(folder, found)
        chosen = run if found is None else network.create(found.config, task, dataset, train)
        network.log_layers(chosen)
        learned = network.learn(chosen, dataset, train, examples["val"], folder, tracker)
        calibrate(config, dataset, examples, learned)
        return learned

    return learn


def prepare_replicates(
    config: ConfigDict, dataset: Dataset, task: Task, examples: dict[str, Examples]
) -> LearnReplicates:
    """Returns what trains the replicates of a network in folders of their own, in one program.

    It takes these folders, their trackers and the tracker of the whole run. Of a replicate whose
    training failed it returns why.

    Args:
        config: of kind numbers or digits, with several seeds.
        dataset: to learn from.
        task: to learn.
        examples: of the task, by split.

    Raises:
        UserError: if the data lack what training needs.
    """
    train = examples.get("train")
    run = network.create(config, task, dataset, train)

    def learn(
        folders: Sequence[str], trackers: Sequence[Tracker], tracker: Tracker | None
    ) -> list[Learned | UserError]:
        network.log_layers(run)
        val = examples["val"]
        found = network.learn_replicates(run, dataset, train, val, folders, trackers, tracker)
        for learned in found:
            if isinstance(learned, Learned):
                calibrate(config, dataset, examples, learned)
        return list(found)

    return learn


def follow(config: ConfigDict, dataset: Dataset, task: Task, examples: dict[str, Examples]) -> None:
    """Trains a network along with the first of several processes, which has the run's folder.

    Args:
        config: of kind numbers or digits, whose learner is a network.
        dataset: to learn from.
        task: to learn.
        examples: of the task, by split.

    Raises:
        UserError: if the data lack what training needs.
    """
    train = examples.get("train")
    run = network.create(config, task, dataset, train)
    network.follow(run, dataset, train, examples["val"])


@profiling.phase(profiling.READING)
def calibrate(
    config: ConfigDict, dataset: Dataset, examples: dict[str, Examples], learned: Learned
) -> None:
    """Lets val calibrate what was learned, see `mnist3.learners.calibrated`.

    Args:
        config: with the section `evaluation`.
        dataset: that it learned from.
        examples: of the task, by split; without val nothing is calibrated.
        learned: gets a calibrator.
    """
    if "val" in examples:
        wanted = config.evaluation.wanted_error
        calibrated.calibrate(learned, examples["val"], wanted, dataset.fingerprint)


def require_initial(config: ConfigDict, task: Task, folder: str) -> None:
    """Checks, before a run leaves anything in its folder, what its learner begins with.

    Raises:
        UserError: if a network is to begin with parameters that are not there or do not fit.
    """
    if config.learner.name == NETWORK:
        network.require_initial(config, task, folder)


def ensemble(members: Sequence[Learned]) -> Learned:
    """Returns the networks of replicates as one, which averages their log-probabilities.

    Raises:
        UserError: if their task has none to average.
    """
    networks: list[Any] = [*members]  # which replicates are
    if not networks[0].task.softmax:
        raise UserError(
            f"the task {networks[0].task.name} has no probabilities of classes to average, so its "
            "replicates are no ensemble; name one of them."
        )
    return network.ensemble(networks)


def load(
    config: ConfigDict,
    task: Task,
    folder: str,
    checkpoint: str = "best",
    allow_pickle: bool = False,
) -> Learned:
    """Returns what a run has learned; of one with several seeds their ensemble.

    Args:
        config: of the run.
        task: that it learned.
        folder: workdir of the run.
        checkpoint: of a network: `best`, `latest` or the number of an epoch.
        allow_pickle: whether to read the model of an older run, a pickle that can run any code.

    Raises:
        UserError: if it is not there or cannot be read.
    """
    if len(seeds := seeds_of(config)) > 1:
        known = read_replicates(folder)
        together = ensemble(
            [
                load(of_replicate(config, seed), task, replicate_folder(folder, seed), checkpoint)
                for seed in (known["seeds"] if known else seeds)  # without those that failed
            ]
        )
        if checkpoint == "best":  # of others it is not known
            epoch = together.training["checkpoint_epoch"]
            together.calibrator = calibrated.read(folder, epoch)
        return together
    if config.learner.name != NETWORK or os.path.exists(os.path.join(folder, MODEL_FILE)):
        from mnist3.learners import estimator

        return estimator.load(task, folder, allow_pickle)
    return network.load(config, task, folder, checkpoint)
