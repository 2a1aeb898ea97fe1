"""The compiled programs of a run: an epoch of training, and reading many images."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Int32, UInt8
from ml_collections import ConfigDict

from mnist3 import tasks
from mnist3.data import composition
from mnist3.data.augmentation import augment
from mnist3.data.dataset import Stream
from mnist3.data.splits import Split
from mnist3.errors import UserError
from mnist3.training.state import TrainState, update_average

PREDICTION_BATCH = 512
AUGMENTATION_CHUNK = 1024


class Examples(NamedTuple):
    """Images and labels of a fixed split, on the device."""

    images: UInt8[Array, "n height width"]
    labels: Int32[Array, "n K"]


class StepMetrics(NamedTuple):
    """What training steps measured on their own batches, each float32 [steps]."""

    loss: jax.Array
    exact_match: jax.Array


def create_mesh() -> Mesh:
    """Returns all local devices on the one axis `data`."""
    return Mesh(np.asarray(jax.local_devices()), ("data",))


def replicate(tree, mesh: Mesh):
    """Puts a copy of every array on every device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, P()))


def as_ink(images: UInt8[Array, "batch height width"]) -> Array:
    """Returns images as float32 with ink from 0 to 1."""
    return images.astype(jnp.float32) / 255


def create_train_epoch(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    config: ConfigDict,
    steps: int,
    layout: composition.Composition | None,
    mesh: Mesh,
) -> Callable[[TrainState, Examples | Stream, jax.Array], tuple[TrainState, StepMetrics]]:
    """Returns the program that takes every step of an epoch.

    The program shuffles the fixed images or composes new ones, augments, and scans over the steps;
    each batch is split over the devices of the mesh. A CPU device takes its share in micro-batches
    that fit its cache and sums their gradients; each has a key of its own, so that the number of
    devices does not matter. Its arguments are the state, which it
    consumes, the training images, and the key of the epoch. Of a stream the digit images are
    augmented, all of them once an epoch, before they are composed: that is less work than to
    augment the larger number images, and gives each digit a distortion of its own.

    Args:
        model: from uint8 images as float32 ink to logits.
        optimizer: of its parameters.
        config: a whole config.
        steps: in an epoch.
        layout: of composed images, where the training images are a stream.
        mesh: with the axis `data`.

    Raises:
        UserError: if the batch cannot be split evenly over the devices.
    """
    micro_batch = _micro_batch(config.training, mesh)
    micro_batches = config.training.batch_size // micro_batch

    def loss_of(params, images, labels, key):
        logits = model.apply({"params": params}, images, train=True, rngs={"dropout": key})
        losses = tasks.loss(logits, labels, config.training.label_smoothing)
        right = tasks.decode(logits, labels.shape[-1]).digits == labels
        return losses.mean(), StepMetrics(losses.mean(), right.all(axis=-1).mean())

    def gradients_of(params, data, rows, key):
        draw_key, augment_key, dropout_key = jax.random.split(key, 3)
        if layout is None:
            images, labels = data.images[rows], data.labels[rows]
            images = augment(augment_key, as_ink(images), config.augmentation)
        else:
            images, labels = composition.sample(
                draw_key, data.pool, data.numbers, layout, micro_batch
            )
            images = as_ink(images)
        return jax.grad(loss_of, has_aux=True)(params, images, labels, dropout_key)

    def take_steps(state, data, order, keys):
        """Takes the steps with this device's share of each batch."""

        def take_step(state, inputs):
            def add(total, inputs):
                return jax.tree.map(jnp.add, total, gradients_of(state.params, data, *inputs)), None

            zero = jax.tree.map(jnp.zeros_like, (state.params, StepMetrics(0.0, 0.0)))
            total, _ = jax.lax.scan(add, zero, inputs)
            gradients, metrics = jax.tree.map(
                lambda leaf: jax.lax.psum(leaf, "data") / micro_batches, total
            )
            updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)
            average = update_average(state.average, params, state.step, config.training.ema_decay)
            return TrainState(state.step + 1, params, average, opt_state), metrics

        return jax.lax.scan(take_step, state, (order, keys))

    def train_epoch(state, data, key):
        order_key, augment_key, step_key = jax.random.split(key, 3)
        shape = (steps, micro_batches, micro_batch)
        if layout is None:
            order = jax.random.permutation(order_key, data.images.shape[0])
            order = order[: math.prod(shape)].reshape(shape)
        else:
            order = jnp.zeros((*shape[:2], 0), jnp.int32)
            images = augment_all(augment_key, data.pool.images, config.augmentation, mesh)
            data = data._replace(pool=data.pool._replace(images=images))
        return jax.shard_map(
            take_steps,
            mesh=mesh,
            in_specs=(P(), P(), P(None, "data"), P(None, "data")),
            out_specs=P(),
            check_vma=False,
        )(state, data, order, jax.random.split(step_key, shape[:2]))

    return jax.jit(train_epoch, donate_argnums=0)


def _micro_batch(config: ConfigDict, mesh: Mesh) -> int:
    """Returns how many images of its share of a batch a device takes at once."""
    if config.batch_size % mesh.size:
        raise UserError(
            f"config.training.batch_size is {config.batch_size}, which {mesh.size} devices cannot "
            f"share evenly; give a multiple of {mesh.size}."
        )
    share = config.batch_size // mesh.size
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    return math.gcd(share, config.cpu_micro_batch) if on_cpu else share


def augment_all(
    key: jax.Array, images: UInt8[Array, "n height width"], config: ConfigDict, mesh: Mesh
) -> UInt8[Array, "n height width"]:
    """Augments images in chunks, so that little memory is needed beside them."""
    if not any(config.values()):
        return images
    n = images.shape[0]
    chunks = jnp.pad(images, ((0, -n % AUGMENTATION_CHUNK), (0, 0), (0, 0)))
    chunks = chunks.reshape(-1, AUGMENTATION_CHUNK, *images.shape[1:])
    chunks = jax.lax.with_sharding_constraint(chunks, NamedSharding(mesh, P(None, "data")))

    def augment_chunk(inputs):
        key, chunk = inputs
        return jnp.round(255 * augment(key, as_ink(chunk), config)).astype(jnp.uint8)

    chunks = jax.lax.map(augment_chunk, (jax.random.split(key, chunks.shape[0]), chunks))
    return chunks.reshape(-1, *images.shape[1:])[:n]


def batched(images: UInt8[np.ndarray, "n height width"], mesh: Mesh) -> jax.Array:
    """Puts images on every device as `[batches, size, height, width]`, the last filled up."""
    n = len(images)
    size = min(PREDICTION_BATCH, n)
    size += -size % mesh.size
    padded = np.pad(images, ((0, -n % size), (0, 0), (0, 0)))
    return replicate(padded.reshape(-1, size, *images.shape[1:]), mesh)


def create_compute_logits(
    model: nn.Module, mesh: Mesh
) -> Callable[[optax.Params, UInt8[Array, "batches size height width"]], tasks.Logits]:
    """Returns the program that computes the logits of batches of uint8 images."""

    def compute_logits(params, batches):
        return jax.lax.map(lambda images: model.apply({"params": params}, as_ink(images)), batches)

    def in_one_row(params, batches):
        logits = jax.shard_map(
            compute_logits,
            mesh=mesh,
            in_specs=(P(), P(None, "data")),
            out_specs=P(None, "data"),
            check_vma=False,
        )(params, batches)
        return logits.reshape(-1, *logits.shape[2:])

    return jax.jit(in_one_row, out_shardings=NamedSharding(mesh, P()))


class Scores(NamedTuple):
    """What a model made of labelled images.

    Attributes:
        prediction: of every image.
        log_likelihood: float32 [n], log probability of the true number.
    """

    prediction: tasks.Prediction
    log_likelihood: jax.Array


@jax.jit
def score(logits: tasks.Logits, labels: Int32[Array, "n K"]) -> Scores:
    """Returns predictions and likelihoods of the first n rows of logits."""
    logits = logits[: labels.shape[0]]
    return Scores(tasks.decode(logits, labels.shape[1]), tasks.log_likelihood(logits, labels))


class SplitOnDevice(NamedTuple):
    """A split ready to be read, on every device.

    Attributes:
        batches: uint8 [batches, size, height, width], the last filled up.
        labels: int32 [n, K].
    """

    batches: jax.Array
    labels: jax.Array


def put_split(split: Split, mesh: Mesh) -> SplitOnDevice:
    """Copies a split to every device."""
    return SplitOnDevice(batched(split.images, mesh), replicate(split.labels, mesh))


def score_split(compute_logits: Callable, params: optax.Params, split: SplitOnDevice) -> Scores:
    """Returns what a model makes of a split, still on the device.

    Args:
        compute_logits: from `create_compute_logits`, or compiled from it.
        params: of the model.
        split: from `put_split`.
    """
    return score(compute_logits(params, split.batches), split.labels)
