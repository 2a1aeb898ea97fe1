"""Training and use of a Flax model on plain arrays, its compiled programs kept for later fits.

A program is compiled for the shapes that it sees. So rows are filled up to a few sizes, and all
that a program depends on is one hashable `Problem`: fits of the same problem, as in a
cross-validation, share their programs.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh
from jaxtyping import Float32, Int32, UInt8
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import models, tasks
from mnist3.training import program
from mnist3.training.optimizer import create_optimizer
from mnist3.training.run import AUTOMATIC_EPOCHS, AUTOMATIC_STEPS, keys_of
from mnist3.training.state import TrainState, create_state
from mnist3.training.step import StepMetrics

Inputs = UInt8[np.ndarray, "n *size"] | Float32[np.ndarray, "n *size"]
Targets = Int32[np.ndarray, "n"] | Int32[np.ndarray, "n labels"] | Inputs

_STEPS_WORTH_A_CALL = 100  # fewer, and starting the program takes longer than running it
_SMALLEST = 32  # rows
_LARGEST = 1024  # rows; up to here the sizes are powers of two
_PROGRAMS = 64  # kept at a time


@dataclasses.dataclass(frozen=True)
class Problem:
    """All that the compiled programs of a fit depend on, but for the number of rows.

    Attributes:
        config: a whole config, as JSON.
        task: that is learned, which says loss, targets and how many logits an input has.
        size: of an input: (height, width) of an image in px, or the length of a feature vector.
        steps: of a call of the epoch program.
        calls: of the epoch program in a fit.
    """

    config: str
    task: tasks.Task
    size: tuple[int, ...]
    steps: int
    calls: int


class Programs(NamedTuple):
    """The compiled programs of a problem."""

    initial_state: Callable[[jax.Array], TrainState]
    train_epoch: Callable[..., tuple[TrainState, StepMetrics]]


def plan(config: ConfigDict, task: tasks.Task, inputs: Inputs, epochs: int | None) -> Problem:
    """Returns the problem of fitting the inputs.

    A small data set has its batch made smaller, to the next power of two from its rows, and all
    its epochs in one call of the program.

    Args:
        config: a whole config; its batch size is the largest.
        task: that is learned.
        inputs: the training inputs.
        epochs: over the inputs; None for as many as make `AUTOMATIC_STEPS` steps, but at least
            `AUTOMATIC_EPOCHS`.
    """
    config = ConfigDict(config)
    devices = program.create_mesh().size
    batch = min(config.training.batch_size, _rows(len(inputs)))
    batch += -batch % devices
    steps = math.ceil(len(inputs) / batch)
    calls = epochs or max(AUTOMATIC_EPOCHS, math.ceil(AUTOMATIC_STEPS / steps))
    if steps < _STEPS_WORTH_A_CALL:
        steps, calls = (max(AUTOMATIC_STEPS, steps * AUTOMATIC_EPOCHS), 1)
        if epochs:
            steps = epochs * math.ceil(len(inputs) / batch)
    config.training.batch_size = batch
    config.training.cpu_micro_batch = 32 if inputs.ndim == 3 else batch
    return Problem(configs.to_json(config), task, inputs.shape[1:], steps, calls)


def fit(
    problem: Problem, inputs: Inputs, targets: Targets | None, seed: int
) -> tuple[optax.Params, list[float]]:
    """Trains a model.

    Args:
        problem: what `plan` made of the inputs.
        inputs: uint8 images or float32 images with ink from 0 to 1, or float32 feature vectors.
        targets: what the loss of the problem's task takes; None of images that are their own.
        seed: of everything random.

    Returns:
        The parameters of the model, numpy arrays, and the mean loss of each pass over the data,
        taken while it trained.
    """
    mesh = program.create_mesh()
    programs = _compiled(problem)
    init_key, epochs_key = keys_of(seed)
    state = program.put_everywhere(programs.initial_state(init_key), mesh)
    rows = _rows(len(inputs))
    count = np.asarray(len(inputs), np.int32)
    data = tasks.Examples(_fill(inputs, rows), _fill(targets, rows), count=count)
    data, keys = program.put_everywhere((data, jax.random.split(epochs_key, problem.calls)), mesh)
    measured = []
    for key in keys:
        state, metrics = programs.train_epoch(state, data, key)
        measured.append(metrics.loss)
    params, losses = jax.device_get((state.inference_params, measured))
    batch = configs.from_json(problem.config).training.batch_size
    losses = np.concatenate(losses)
    passes = np.arange(0, len(losses), math.ceil(len(inputs) / batch))
    curve = [float(each.mean()) for each in np.split(losses, passes[1:])]
    return jax.tree.map(np.asarray, params), curve


def logits(problem: Problem, params: optax.Params, inputs: Inputs) -> Float32[np.ndarray, "n ..."]:
    """Returns the logits of inputs, as the model gives them."""
    mesh = program.create_mesh()
    rows = min(_rows(len(inputs)), program.PREDICTION_BATCH)
    filled = np.asarray(_fill(inputs, rows) if len(inputs) < rows else inputs)
    params = program.put_everywhere(params, mesh)
    computed = _compute_logits(create_model(problem), mesh)(params, program.batched(filled, mesh))
    return np.asarray(computed)[: len(inputs)]


def _rows(count: int) -> int:
    """Returns how many rows an array of so many is filled up to."""
    if count <= _LARGEST:
        return max(_SMALLEST, 1 << (count - 1).bit_length())
    return count + -count % (_LARGEST // 8)


def _fill(array: np.ndarray | None, rows: int) -> np.ndarray | None:
    if array is None or len(array) == rows:
        return array
    return np.pad(array, [(0, rows - len(array))] + [(0, 0)] * (array.ndim - 1))


def create_model(problem: Problem) -> nn.Module:
    """Returns the model that a problem trains."""
    config = configs.from_json(problem.config)
    return models.create(config.model, 1, problem.task.outputs, config.training.dtype)


@functools.lru_cache(_PROGRAMS)
def _compiled(problem: Problem) -> Programs:
    config = configs.from_json(problem.config)
    model = create_model(problem)
    optimizer = create_optimizer(config.optimizer, problem.steps * problem.calls)
    averaged = config.training.ema_decay > 0

    def initial_state(key: jax.Array) -> TrainState:
        return create_state(key, model, optimizer, problem.size, averaged)

    train_epoch = program.create_train_epoch(
        model, problem.task, optimizer, config, problem.steps, None, program.create_mesh()
    )
    return Programs(jax.jit(initial_state), train_epoch)


@functools.lru_cache(_PROGRAMS)
def _compute_logits(model: nn.Module, mesh: Mesh) -> Callable[..., jax.Array]:
    return program.create_compute_logits(model, mesh)
