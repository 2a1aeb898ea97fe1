"""A network as a learner: trained in the folder of a run, where it goes on after it was stopped."""

import contextlib
import dataclasses
import functools
import os
from collections import deque
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from flax import linen as nn
from jax.sharding import Mesh
from jaxtyping import Float
from ml_collections import ConfigDict

from mnist3 import hosts, models
from mnist3.config import of_replicate, seeds_of
from mnist3.data.splits import HELD_OUT, Dataset
from mnist3.errors import UserError
from mnist3.evaluation.calibration import UNCALIBRATED, Calibrator
from mnist3.files import read_replicates, replicate_folder
from mnist3.learners import calibrated, tuned
from mnist3.learners.learned import NetworkView
from mnist3.tasks import Examples, Predictions, Task
from mnist3.tracking import Silent, Stopped, Tracker, read_history
from mnist3.training import kept, loop, program
from mnist3.training.checkpoints import Checkpoints, SharedCheckpoints
from mnist3.training.initial import describe, take_parameters
from mnist3.training.run import Run, assemble, assemble_population
from mnist3.training.state import TrainState

# Networks of one model and task, as replicates are, share their programs.
_PROGRAMS = 16  # kept at a time, of each kind


@functools.lru_cache(_PROGRAMS)
def _create_compute_logits(model: nn.Module, mesh: Mesh, shift: int) -> kept.Program:
    about = f"logits of {model}, {dict(mesh.shape)}, moved by {shift}"
    return kept.Program(program.create_compute_logits(model, mesh, shift), about)


@functools.lru_cache(_PROGRAMS)
def _create_first(n: int) -> kept.Program:
    return kept.Program(jax.jit(lambda logits: logits[:n]), f"the first {n} logits")


@functools.lru_cache(_PROGRAMS)
def _create_decode(task: Task) -> kept.Program:
    return kept.Program(program.create_decode(task), f"predictions of {task}")


@functools.lru_cache(_PROGRAMS)
def _create_log_likelihoods(task: Task) -> kept.Program:
    return kept.Program(program.create_log_likelihoods(task), f"likelihoods of {task}")


@dataclasses.dataclass
class Network:
    """A trained network; see `mnist3.learners.learned.Learned`.

    Attributes:
        run: the parts of its training.
        params: to predict with, on the host.
        history: a line an epoch.
        epoch: of the checkpoint.
        search_results: what the search for its settings tried; None without one.
        search_seconds: that it took.
        calibrator: of its confidence.
    """

    run: Run
    params: optax.Params
    history: list[dict[str, Any]]
    epoch: int
    search_results: dict[str, Any] | None = None
    search_seconds: float = 0.0
    calibrator: Calibrator = UNCALIBRATED

    loss_curve = ()
    _logits: deque[tuple[np.ndarray, jax.Array]] = dataclasses.field(
        default_factory=lambda: deque(maxlen=len(HELD_OUT)), init=False, repr=False
    )

    @property
    def task(self) -> Task:
        """That was learned."""
        return self.run.task

    @property
    def name(self) -> str:
        """Of the model."""
        return self.run.config.model.name

    @property
    def parameters(self) -> int:
        """How many numbers the parameters hold."""
        return models.parameter_count(self.params)

    @property
    def training(self) -> dict[str, Any]:
        """The entry `train` of metrics.json."""
        last = self.history[-1]
        images_seen = last["step"] * self.run.config.training.batch_size
        return {
            "seconds": last["seconds"],
            "compile_seconds": last["compile_seconds"],
            "examples_per_second": images_seen / last["train_seconds"],
            "epochs": len(self.history),
            "steps": last["step"],
            "checkpoint_epoch": self.epoch,
            **({"search_seconds": self.search_seconds} if self.search_results else {}),
        }

    @functools.cached_property
    def _placed_params(self) -> optax.Params:
        return program.put_everywhere(self.params, self.run.mesh)

    def raw(self, inputs: np.ndarray) -> jax.Array:
        """Returns logits, on the devices; of the splits that were held out they are kept."""
        for known, logits in self._logits:
            if known is inputs:
                return logits
        batches = program.batched(inputs, self.run.mesh, self.run.sharing)
        run = self.run
        compute_logits = _create_compute_logits(run.model, run.mesh, run.config.evaluation.shift)
        logits = compute_logits(self._placed_params, batches)
        if len(logits) > len(inputs):
            logits = _create_first(len(inputs))(logits)
        self._logits.append((inputs, logits))
        return logits

    def decode(
        self, raw: jax.Array, targets: np.ndarray | None = None, temperature: float = 1.0
    ) -> Predictions:
        """Returns the predictions that logits stand for, on the host."""
        return jax.device_get(_create_decode(self.task)(raw, targets, temperature))

    def log_likelihoods(
        self, raw: jax.Array, targets: np.ndarray, temperature: float
    ) -> Float[np.ndarray, "n"]:
        """Returns how probable logits make the targets, nats."""
        return np.asarray(_create_log_likelihoods(self.task)(raw, targets, temperature))

    def predict(self, inputs: np.ndarray, targets: np.ndarray | None = None) -> Predictions:
        """Returns the calibrated predictions of images, on the host."""
        return calibrated.predict(self, inputs, targets)

    def save(self, folder: str) -> None:
        """Saves the calibrator; the checkpoints and what a search found are there already."""
        calibrated.save(folder, self.calibrator)

    def network(self, inputs: np.ndarray) -> NetworkView:
        """Returns one network, the first of an ensemble, and images as it sees them."""
        ink = np.asarray(inputs / np.float32(255), np.float32)
        part = ", the first member" * (self.run.config.model.members > 1)
        return NetworkView(*models.first_member(self.run.model, self.params), ink, part)


def create(
    config: ConfigDict,
    task: Task,
    dataset: Dataset,
    train: Examples | None,
    candidates: Sequence[ConfigDict] = (),
) -> Run:
    """Returns the parts of a training.

    Args:
        config: the whole config; of several candidates that of one.
        task: that is learned.
        dataset: to learn from.
        train: fixed training examples, of which an epoch is; None where images are composed.
        candidates: the config of each, where several are to train in one program, alike as
            `mnist3.training.population` says; () for the one.

    Raises:
        UserError: if the data lack what training needs, or the devices cannot share a batch.
    """
    for needed in ("train", "val"):
        if needed not in dataset.splits and not (needed == "train" and dataset.stream):
            raise UserError(
                f"{dataset.name} has no {needed} split here, which training needs; add the folder "
                f"{needed}/ to its images or choose another config.data.name."
            )
    examples = config.data.train_examples if train is None else len(train.inputs)
    if examples < config.training.batch_size:
        raise UserError(
            f"config.training.batch_size is {config.training.batch_size} but an epoch has only "
            f"{examples} images; give a batch size of at most that."
        )
    run = assemble(config, task, examples, seeds_of(config), jax.devices())
    if candidates:
        every = [of_replicate(each, seed) for each in candidates for seed in seeds_of(each)]
        run = assemble_population(every, task, examples)
    program.require_even_shares(config, run.mesh)
    return run


def learn(
    run: Run, dataset: Dataset, train: Examples | None, val: Examples, folder: str, tracker: Tracker
) -> Network:
    """Trains for the epochs that a run has left, and returns the best checkpoint.

    Args:
        run: the parts of the training, of one replicate.
        dataset: with what training images are composed from, where they are.
        train: fixed training examples; None where they are composed.
        val: to choose the checkpoint by.
        folder: workdir of the run, which has its config.
        tracker: of the run.

    Raises:
        UserError: if the loss is not finite.
    """
    [learned] = learn_replicates(run, dataset, train, val, [folder], [tracker])
    assert isinstance(learned, Network)  # the failure of the only one is raised
    return learned


def learn_replicates(
    run: Run,
    dataset: Dataset,
    train: Examples | None,
    val: Examples,
    folders: Sequence[str],
    trackers: Sequence[Tracker],
    means: Sequence[tuple[Tracker, Sequence[int]]] = (),
) -> list["Network | UserError | Stopped"]:
    """Trains replicates for the epochs that they have left; returns their best checkpoints.

    Of one whose training failed, as its loss was not finite, or was stopped, it returns why.

    Args:
        run: the parts of the training.
        dataset: with what training images are composed from, where they are.
        train: fixed training examples; None where they are composed.
        val: to choose the checkpoints by.
        folders: workdirs of the replicates, each with its config.
        trackers: of the replicates.
        means: trackers that get the mean of some replicates, and the places of these.

    Raises:
        UserError: if there is one candidate, and the loss of each of its replicates is not finite.
        Stopped: if who watches that candidate has stopped it.
    """
    with contextlib.ExitStack() as stack:
        replicates = _train(run, dataset, train, val, folders, trackers, means, stack)
        found: list[Network | UserError | Stopped] = []
        for place, (folder, each) in enumerate(zip(folders, replicates, strict=True)):
            each.checkpoints.wait()
            alone = run.replicate(place)
            found.append(
                each.failure
                or _restore(alone, each.checkpoints, folder, "best", tuned.read(folder))
            )
        return found


def follow(run: Run, dataset: Dataset, train: Examples | None, val: Examples) -> None:
    """Trains along with the first of several processes, which has the folders of the run.

    Args:
        run: the parts of the training.
        dataset: with what training images are composed from, where they are.
        train: fixed training examples; None where they are composed.
        val: to choose the checkpoints by.

    Raises:
        UserError: if the loss of every replicate is not finite.
    """
    with contextlib.ExitStack() as stack:
        nowhere, silent = [None] * len(run.seeds), [Silent()] * len(run.seeds)
        _train(run, dataset, train, val, nowhere, silent, (), stack)


def _train(
    run: Run,
    dataset: Dataset,
    train: Examples | None,
    val: Examples,
    folders: Sequence[str | None],
    trackers: Sequence[Tracker],
    means: Sequence[tuple[Tracker, Sequence[int]]],
    stack: contextlib.ExitStack,
) -> list[loop.Replicate]:
    """Trains replicates for the epochs that they have left, and returns what they have left behind.

    Their checkpoints are closed with the stack; see `learn_replicates` and `follow`, whose errors
    these are.
    """
    replicates = []
    for folder, own in zip(folders, trackers, strict=True):
        checkpoints = _checkpoints(run, folder)
        stack.callback(checkpoints.close)
        epoch = checkpoints.latest() or 0
        history = hosts.from_first(functools.partial(read_history, folder or "", epoch))
        if epoch:
            logging.info("going on after epoch %d of %d", epoch, run.epochs)
        _tell_devices(run, checkpoints.devices())
        own.resume(epoch)
        replicates.append(loop.Replicate(history, checkpoints, own))
    told = []
    for tracker, places in means:
        histories = [replicates[place].history for place in places]
        left = [len(each) for each in histories if not loop.finished(run, each)]
        epochs = min(left, default=max(map(len, histories)))
        tracker.resume(epochs)
        told.append(loop.Mean(places, tracker.log_epoch, epochs))
    if any(not loop.finished(run, each.history) for each in replicates):
        states = [
            each.checkpoints.restore(len(each.history), run.state_shapes())
            if each.history
            else _initial_state(run, place)
            for place, each in enumerate(replicates)
        ]
        data: Any = dataset.stream  # where training images are composed
        if train is not None and data is None:
            data = run.task.network_examples(train)
        loop.train(
            run,
            data,
            val,
            dataset.composition,
            dataset.digit_indices_of("val"),
            states,
            replicates,
            told,
        )
    failures = [each.failure for each in replicates if each.failure is not None]
    if not run.configs and len(failures) == len(replicates):
        raise failures[-1]
    return replicates


def _devices(run: Run) -> tuple[int, int]:
    """Returns how many devices share a batch, and the processes that train."""
    return run.mesh.shape["data"], hosts.place().processes


def _checkpoints(run: Run, folder: str | None) -> Checkpoints:
    """Returns the checkpoints of a replicate; the folder is None where another process has it."""
    if hosts.several():
        return SharedCheckpoints(folder, _devices(run))
    return Checkpoints(str(folder), devices=_devices(run))


def _tell_devices(run: Run, before: tuple[int, ...] | None) -> None:
    """Says what it means that a run goes on on other devices than those that it was trained on."""
    now = _devices(run)
    if before is None or before == now:
        return
    text = "{} devices of {} processes".format
    if before[0] == now[0] and run.mesh.devices.flat[0].platform == "cpu":
        logging.info(
            "trained on %s until now, on %s from here: as many devices, so that the result is the "
            "same to the last bit",
            text(*before),
            text(*now),
        )
        return
    logging.warning(
        "trained on %s until now, on %s from here: batches are summed in another order, so that "
        "the result differs from that of either in the last bits",
        text(*before),
        text(*now),
    )


def ensemble(members: Sequence[Network]) -> Network:
    """Returns networks of one kind as one network, uncalibrated, see `mnist3.models.ensemble`.

    Args:
        members: of a task whose logits are those of a softmax.
    """
    first = members[0]
    task, config = first.task, first.run.config.copy_and_resolve_references()
    own = config.model.members
    config.model.members = own * len(members)
    parts = [
        each.params[f"members_{place}"] if own > 1 else each.params
        for each in members
        for place in range(own)
    ]
    params = {f"members_{place}": each for place, each in enumerate(parts)}
    model = models.create(config.model, task.positions, task.outputs, config.training.dtype)
    run = dataclasses.replace(first.run, config=config, model=model)
    return Network(run, params if len(parts) > 1 else parts[0], first.history, first.epoch)


def load(config: ConfigDict, task: Task, folder: str, checkpoint: str) -> Network:
    """Returns the network of a run.

    Args:
        config: of the run.
        task: that it learned.
        folder: workdir of the run.
        checkpoint: `best`, `latest` or the number of an epoch.

    Raises:
        UserError: if there is no such checkpoint, or what a search chose cannot be read.
    """
    checkpoints = Checkpoints(folder, read_only=True)
    try:
        found = tuned.read(folder)
        config = config if found is None else found.config
        run = assemble(config, task, config.training.batch_size)
        return _restore(run, checkpoints, folder, checkpoint, found)
    finally:
        checkpoints.close()


def _restore(
    run: Run, checkpoints: Checkpoints, folder: str, checkpoint: str, found: tuned.Found | None
) -> Network:
    epoch = checkpoints.resolve(checkpoint)
    history = read_history(folder, checkpoints.resolve("latest"))
    params = models.rename_parameters(jax.device_get(checkpoints.read_params(epoch)))
    results, seconds = (None, 0.0) if found is None else (found.results, found.seconds)
    calibrator = calibrated.read(folder, epoch)
    return Network(run, params, history, epoch, results, seconds, calibrator)


def _initial_state(run: Run, replicate: int) -> TrainState:
    """Returns a replicate's first state, with parameters of another run where wanted.

    Raises:
        UserError: if `config.training.init_from` holds no run of a network, or none of its
            parameters fits.
    """
    state, source = run.initial_state(replicate), run.config.training.init_from
    if not source:
        return state
    skip = run.config.training.init_skip
    other = hosts.from_first(lambda: _params_of(source))
    taken = take_parameters(jax.device_get(state.params), other, skip)
    logging.info("%s", describe(taken, source))
    params = program.put_everywhere(taken.params, run.mesh)
    average = None if state.average is None else jax.tree.map(jnp.copy, params)
    return state._replace(params=params, average=average)


def require_initial(config: ConfigDict, task: Task, folder: str) -> None:
    """Checks, before a run leaves anything, that it can begin with another run's parameters.

    A run that goes on does not read them again, so they may be gone.

    Args:
        config: of the run.
        task: to learn.
        folder: workdir of the run.

    Raises:
        UserError: if `config.training.init_from` holds no run of a network, or none of its
            parameters fits.
    """
    source = config.training.init_from
    if not source or _has_checkpoints(folder):
        return
    shapes = assemble(config, task, config.training.batch_size).state_shapes().params
    take_parameters(shapes, _params_of(source), config.training.init_skip)


def _has_checkpoints(folder: str) -> bool:
    if not os.path.isdir(os.path.join(folder, "checkpoints")):
        return False
    checkpoints = Checkpoints(folder, read_only=True)
    try:
        return checkpoints.latest() is not None
    finally:
        checkpoints.close()


def _params_of(folder: str) -> optax.Params:
    """Returns the best parameters of another run, whatever it learned; of its best replicate."""
    if (known := read_replicates(folder)) is not None:
        folder = replicate_folder(folder, known["best_on_val"])
    if not _has_checkpoints(folder):
        raise UserError(
            f"config.training.init_from={folder} holds no trained network; give the folder of a "
            "run, the one with checkpoints/ in it."
        )
    checkpoints = Checkpoints(folder, read_only=True)
    try:
        params = checkpoints.read_params(checkpoints.resolve("best"))
        return models.rename_parameters(jax.device_get(params))
    finally:
        checkpoints.close()


def log_layers(run: Run) -> None:
    """Logs the layers of the model and how many parameters it has."""

    def layers() -> str:
        table = run.model.tabulate(
            jax.random.key(0),
            jnp.zeros((1, *run.size)),
            console_kwargs={"width": 100, "force_terminal": False},
        )
        return f"{models.parameter_count(run.state_shapes().params)} parameters{table}"

    text = kept.text(f"layers of {run.about}", layers)
    logging.info("%s: %s", run.config.model.name, text)
