"""From a config to what can learn: its data, its task, its examples and its learner."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from absl import logging
from ml_collections import ConfigDict

from mnist3 import learners, profiling, runtime, tasks
from mnist3.config import of_replicate, seeds_of
from mnist3.data import augmentation, sources
from mnist3.data import dataset as datasets
from mnist3.data.splits import HELD_OUT, Dataset
from mnist3.errors import UserError
from mnist3.evaluation.calibration import UNCALIBRATED
from mnist3.files import REPLICATES_FILE, read_replicates, replicate_folder, write_json
from mnist3.jobs import workdir
from mnist3.results import Replicated, Result, read
from mnist3.tasks import Examples, Task
from mnist3.tracking import Stopped, Tracker


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

    def prepare_replicates(self, *candidates: ConfigDict) -> learners.LearnReplicates:
        """Returns what trains replicates, of one candidate or of several.

        Errors are those of `learners.prepare_replicates`.
        """
        return learners.prepare_replicates(
            self.config, self.dataset, self.task, self.examples, candidates
        )

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


@profiling.phase(profiling.DATA)
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


def prepared(parts: Parts) -> Callable[[str, Tracker], Result]:
    """Returns what learns in the folder of a run, one replicate or several, and has read val."""
    if len(seeds_of(parts.config)) > 1:
        return functools.partial(learn_replicates, parts, parts.prepare_replicates())
    return functools.partial(learn, parts, parts.prepare())


def require_initial(parts: Parts, folder: str) -> None:
    """Checks what the learners of a run begin with, see `mnist3.learners.require_initial`."""
    config = parts.config
    several = len(seeds_of(config)) > 1
    for own in replicates_of(config, folder) if several else (folder,):
        learners.require_initial(config, parts.task, own)


def replicates_of(config: ConfigDict, folder: str) -> dict[str, ConfigDict]:
    """Returns the config of each replicate of a run with several seeds, by its folder.

    Each folder is that of the run which the seed alone would have made.

    Args:
        config: of the run.
        folder: its workdir.
    """
    return {replicate_folder(folder, seed): of_replicate(config, seed) for seed in seeds_of(config)}


def learn_replicates(
    parts: Parts, learning: learners.LearnReplicates, folder: str, tracker: Tracker
) -> Replicated:
    """Returns what the replicates of a run have learned, which have read val.

    Args:
        parts: of the run.
        learning: what trains its replicates.
        folder: of the run, which this process holds.
        tracker: of the run.

    Raises:
        UserError: if a folder of a replicate cannot be written, or holds another run, or every
            training failed.
        Stopped: if who watches the run has stopped it.
    """
    [result] = learn_candidates([parts], learning, [folder], [tracker])
    assert isinstance(result, Replicated)  # the failure of the only one is raised
    return result


def learn_candidates(
    candidates: Sequence[Parts],
    learning: learners.LearnReplicates,
    folders: Sequence[str],
    trackers: Sequence[Tracker],
) -> list[Result | UserError | Stopped]:
    """Returns what candidates have learned together, which have read val; of others why not.

    Args:
        candidates: the parts of each, whose config may have several seeds.
        learning: what trains all of their replicates.
        folders: of the candidates, which this process holds.
        trackers: of the candidates.

    Raises:
        UserError: if a folder of a replicate cannot be written, or holds another run, or the only
            candidate failed.
        Stopped: if who watches the only candidate has stopped it.
    """
    own_folders: list[str] = []
    own_trackers: list[Tracker] = []
    means: list[tuple[Tracker, range]] = []
    with contextlib.ExitStack() as held:
        for parts, folder, tracker in zip(candidates, folders, trackers, strict=True):
            if len(seeds_of(parts.config)) == 1:
                own_folders.append(folder)
                own_trackers.append(tracker)
                continue
            first = len(own_folders)
            for own_folder, config in replicates_of(parts.config, folder).items():
                held.enter_context(workdir.claimed(own_folder, config))
                workdir.require_same_data(own_folder, parts.dataset)
                workdir.write_start(own_folder, config, parts.dataset)
                own_folders.append(own_folder)
                own_trackers.append(Tracker(own_folder, config))
            means.append((tracker, range(first, len(own_folders))))
        found = iter(learning(own_folders, own_trackers, means))
        return [
            _result(parts, folder, [next(found) for _ in seeds_of(parts.config)])
            for parts, folder in zip(candidates, folders, strict=True)
        ]


def _result(
    parts: Parts, folder: str, found: Sequence[learners.Learned | UserError | Stopped]
) -> Result | UserError | Stopped:
    """Returns the result of a candidate, which has read val, or why it has none.

    Args:
        parts: of the candidate.
        folder: of the candidate.
        found: what each of its replicates has learned, or why it has not.
    """
    if len(found) == 1:
        [only] = found
        if isinstance(only, UserError | Stopped):
            return only
        only.save(folder)
        return parts.result(only, ("val",))
    results: list[Result] = []
    failures: dict[int, UserError | Stopped] = {}
    each = replicates_of(parts.config, folder).items()
    for (own_folder, config), learned in zip(each, found, strict=True):
        if isinstance(learned, UserError | Stopped):
            failures[config.seed] = learned
            continue
        learned.save(own_folder)
        results.append(parts._replace(config=config).result(learned, ("val",)))
    if not results:
        return [*failures.values()][-1]
    reasons = {seed: str(failure) for seed, failure in failures.items()}
    together = Replicated.of(parts.config, results, reasons, _ensemble(parts, results, folder))
    write_json(os.path.join(folder, REPLICATES_FILE), together.described)
    return together


def _ensemble(parts: Parts, results: Sequence[Result], folder: str | None) -> Result | None:
    """Returns what the replicates predict of val together, where their task has probabilities.

    Args:
        parts: of the run.
        results: of its replicates.
        folder: of the run, which is to have the calibration; None to leave it.
    """
    if not parts.task.softmax:
        return None
    together = learners.ensemble([result.learned for result in results])
    learners.calibrate(parts.config, parts.dataset, parts.examples, together)
    if folder is not None:
        together.save(folder)
    return parts.result(together, ("val",))


def load_replicates(parts: Parts, folder: str, checkpoint: str) -> Replicated:
    """Returns what the replicates of a finished run have learned, which have read val and test.

    Args:
        parts: of the run.
        folder: of the run.
        checkpoint: of each replicate: `best`, `latest` or the number of an epoch.

    Raises:
        UserError: if the run did not end, or a replicate has no such checkpoint.
    """
    known = read_replicates(folder)
    if known is None:
        raise UserError(f"the run in {folder} has not come to its end; run its command again.")
    results = []
    for seed in known["seeds"]:
        config, own_folder = of_replicate(parts.config, seed), replicate_folder(folder, seed)
        learned = learners.load(config, parts.task, own_folder, checkpoint)
        if learned.calibrator == UNCALIBRATED:
            learners.calibrate(config, parts.dataset, parts.examples, learned)
        result = parts._replace(config=config).result(learned, HELD_OUT)
        trained_in = workdir.environment_of(own_folder)
        results.append(dataclasses.replace(result, trained_in=trained_in))
    failures = {int(seed): why for seed, why in known.get("failures", {}).items()}
    together = _ensemble(parts, results, None)
    together = together and together.with_splits("test")
    return Replicated.of(parts.config, results, failures, together)
