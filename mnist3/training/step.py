"""One training step: the place to change how a model learns."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.flatten_util import ravel_pytree
from jaxtyping import Array
from ml_collections import ConfigDict

from mnist3.tasks import Task
from mnist3.training.state import TrainState, update_average


class StepMetrics(NamedTuple):
    """What training steps measured, each float32 [] or, of several steps, [steps].

    Attributes:
        loss: mean over the batch.
        right: share of the batch that is predicted right.
        gradient_norm: global norm of the mean gradient, before the optimizer.
        parameter_norm: of the parameters after the step.
        update_norm: of what the optimizer added to them.
    """

    loss: jax.Array
    right: jax.Array
    gradient_norm: jax.Array
    parameter_norm: jax.Array
    update_norm: jax.Array


def as_ink(images: Array) -> Array:
    """Returns uint8 images as float32 with ink from 0 to 1, and all else as it is."""
    return images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images


def sum_over_devices(tree: Any) -> Any:
    """Returns the sums of arrays over the devices of the axis `data`, on each of them.

    CPUs of several processes would sum different parts of an array in different orders. They gather
    them and sum in the order of the devices, as those of one process do, so that the sums are the
    same to the last bit.
    """
    if jax.process_count() == 1 or jax.default_backend() != "cpu":
        return jax.lax.psum(tree, "data")
    flat, unravel = ravel_pytree(tree)
    summed = functools.reduce(jnp.add, jax.lax.all_gather(flat, "data"))
    # Else XLA computes the optimizer's arithmetic in one loop with the sum, and rounds otherwise.
    return jax.lax.optimization_barrier(unravel(summed))


def own_to_each_device(tree: Any) -> Any:
    """Returns arrays that are the same on all devices of the axis `data`, as ones that may differ.

    Nothing is computed. Derivatives by them are then of a device's own share, not of the whole.
    """
    return jax.lax.pcast(tree, "data", to="varying")


def create_train_step(
    model: nn.Module,
    task: Task,
    optimizer: optax.GradientTransformation,
    config: ConfigDict,
    draw: Callable[[Any, Array, jax.Array], tuple[Array, Array, jax.Array]],
    micro_batches: int,
) -> Callable[[TrainState, tuple, jax.Array], tuple[TrainState, StepMetrics]]:
    """Returns the function that takes a step with a device's share of a batch.

    Args:
        model: from images as float32 ink, or feature vectors, to logits.
        task: that it learns.
        optimizer: of its parameters.
        config: with the section `training`.
        draw: from the training data, the rows of a micro-batch and a key to its inputs, its targets
            and the key of dropout.
        micro_batches: of a batch, over all devices.
    """

    def loss_of(params, inputs, targets, key):
        logits = model.apply({"params": params}, inputs, train=True, rngs={"dropout": key})
        losses = task.loss(logits, targets, config.training.label_smoothing)
        return losses.mean(), (losses.mean(), task.right(logits, targets).mean())

    def train_step(state, batch, keys):
        """Takes a step; `batch` is (data, rows [micro-batches, micro-batch]), `keys` one each."""
        data, rows = batch
        # Until they are summed below, each device has the gradients of its own share alone.
        params = own_to_each_device(state.params)

        def add_micro_batch(total, inputs):
            drawn = draw(data, *inputs)
            return jax.tree.map(
                jnp.add, total, jax.grad(loss_of, has_aux=True)(params, *drawn)
            ), None

        zero = own_to_each_device(jax.tree.map(jnp.zeros_like, (state.params, (0.0, 0.0))))
        total, _ = jax.lax.scan(add_micro_batch, zero, (rows, keys))
        if jax.lax.axis_size("data") > 1:
            total = sum_over_devices(total)
        gradients, (loss, right) = jax.tree.map(lambda leaf: leaf / micro_batches, total)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = update_average(state.average, params, state.step, config.training.ema_decay)
        norms = map(optax.tree.norm, (gradients, params, updates))
        return TrainState(state.step + 1, params, average, opt_state), StepMetrics(
            loss, right, *norms
        )

    return train_step
