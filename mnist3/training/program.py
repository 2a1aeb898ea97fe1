"""The compiled programs of a run: an epoch of training, and reading many images."""

import itertools
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
from jaxtyping import Array, Float32, Int32, UInt8
from ml_collections import ConfigDict

from mnist3 import tasks
from mnist3.data import composition
from mnist3.data.augmentation import augment
from mnist3.data.noise import integer_noise
from mnist3.data.splits import Split, Stream
from mnist3.errors import UserError
from mnist3.training.state import TrainState, update_average

PREDICTION_BATCH = 512
AUGMENTATION_CHUNK = 1024


class Examples(NamedTuple):
    """Inputs and targets of a fixed split, on the device.

    Attributes:
        images: uint8 pixels, or float32 ink from 0 to 1, of images or as vectors, or float32
            feature vectors.
        labels: what the task's loss takes: a label, class or row of labels an image, or an image;
            None where images are their own targets.
        count: int32 [], how many of the rows are examples, the others filling; None for all.
    """

    images: UInt8[Array, "n *size"] | Float32[Array, "n *size"]
    labels: Int32[Array, "n *K"] | UInt8[Array, "n *size"] | Float32[Array, "n *size"] | None
    count: Int32[Array, ""] | None = None


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


def as_ink(images: Array) -> Array:
    """Returns uint8 images as float32 with ink from 0 to 1, and all else as it is."""
    return images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images


def create_train_epoch(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    config: ConfigDict,
    steps: int,
    layout: composition.Composition | None,
    mesh: Mesh,
    noise: int = 0,
) -> Callable[[TrainState, Examples | Stream, jax.Array], tuple[TrainState, StepMetrics]]:
    """Returns the program that takes every step of an epoch.

    The program shuffles the fixed images or composes new ones, augments, and scans over the steps;
    each batch is split over the devices of the mesh. A CPU device takes its share in micro-batches
    that fit its cache and sums their gradients; each has a key of its own, so the number of devices
    does not matter as long as a device's share holds a whole micro-batch. Its arguments are the
    state, which it consumes, the training images, and the key of the epoch. Of a stream the digit
    images are augmented, all of them once an epoch, before they are composed: that is less work
    than to augment the larger number images, and gives each digit a distortion of its own. Fixed
    examples that are counted may be fewer than the steps of an epoch need; each is then taken as
    often as any other, or once more.

    Args:
        model: from images as float32 ink, or feature vectors, to logits.
        optimizer: of its parameters.
        config: a whole config, whose task says the loss.
        steps: in an epoch.
        layout: of composed images, where the training images are a stream.
        mesh: with the axis `data`.
        noise: if above 0, fixed images are their own targets, and what the model sees of them has
            integers from 0 to this added to every pixel, new ones at each step.

    Raises:
        UserError: if the batch cannot be split evenly over the devices.
    """
    task = tasks.create(config.task)
    micro_batch = _micro_batch(config, mesh)
    micro_batches = config.training.batch_size // micro_batch

    def loss_of(params, images, labels, key):
        logits = model.apply({"params": params}, images, train=True, rngs={"dropout": key})
        losses = task.loss(logits, labels, config.training.label_smoothing)
        return losses.mean(), StepMetrics(losses.mean(), task.right(logits, labels).mean())

    def gradients_of(params, data, rows, key):
        draw_key, augment_key, dropout_key = jax.random.split(key, 3)
        if layout is None:
            images = as_ink(data.images[rows])
            if any(config.augmentation.values()):
                images = augment(augment_key, images, config.augmentation)
            labels = images if noise else as_ink(data.labels[rows])
            if noise:
                images = images + integer_noise(draw_key, images.shape, noise) / 255
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
            order = draw_order(order_key, data, math.prod(shape)).reshape(shape)
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


def draw_order(key: jax.Array, data: Examples, draws: int) -> Int32[Array, "draws"]:
    """Returns which example is taken when: any `draws` of all, or all of those that count."""
    if data.count is None:
        return jax.random.permutation(key, data.images.shape[0])[:draws]
    order_key, first_key = jax.random.split(key)
    first = jax.random.randint(first_key, (), 0, data.count)
    return (jax.random.permutation(order_key, draws) + first) % data.count


def require_even_shares(config: ConfigDict, mesh: Mesh) -> None:
    """Checks that devices, and on each the members of a committee, can share a batch evenly.

    Args:
        config: a whole config.
        mesh: with the axis `data`.

    Raises:
        UserError: if they cannot.
    """
    batch_size, members = config.training.batch_size, config.model.members
    if batch_size % (mesh.size * members):
        sharing = f"{mesh.size} devices" + f" with {members} members each" * (members > 1)
        raise UserError(
            f"config.training.batch_size is {batch_size}, which {sharing} cannot share evenly; "
            f"give a multiple of {mesh.size * members}."
        )


def _micro_batch(config: ConfigDict, mesh: Mesh) -> int:
    """Returns how many images of its share of a batch a device takes at once."""
    require_even_shares(config, mesh)
    share = config.training.batch_size // mesh.size
    members = config.model.members
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    return (
        members * math.gcd(share // members, config.training.cpu_micro_batch) if on_cpu else share
    )


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


def batched(
    images: UInt8[np.ndarray, "n *size"] | Float32[np.ndarray, "n *size"], mesh: Mesh
) -> jax.Array:
    """Puts images on every device as `[batches, size, height, width]`, the last filled up."""
    n = len(images)
    size = min(PREDICTION_BATCH, n)
    size += -size % mesh.size
    padded = np.pad(images, ((0, -n % size), *[(0, 0)] * (images.ndim - 1)))
    return replicate(padded.reshape(-1, size, *images.shape[1:]), mesh)


def create_compute_logits(
    model: nn.Module, mesh: Mesh, shift: int = 0
) -> Callable[[optax.Params, jax.Array], Array]:
    """Returns the program that computes the logits of batches of images or feature vectors.

    Args:
        model: from float32 inputs to logits.
        mesh: with the axis `data`.
        shift: px. If not 0, the logits are mean log-probabilities over the image, or each window
            that the model cuts out of it, moved by up to so many pixels, all combinations of down
            or up and left or right (test-time augmentation, as in Krizhevsky et al. 2012, Imagenet
            classification with deep convolutional neural networks).
    """
    cuts = hasattr(model, "cut")
    moves = list(itertools.product(range(-shift, shift + 1), repeat=2))

    def compute_logits(params, batches):
        def of_batch(images):
            if not shift:
                return model.apply({"params": params}, as_ink(images))
            # Windows follow the ink: with the whole image moved they would stay the same.
            windows = model.cut(as_ink(images)) if cuts else as_ink(images)
            padded = jnp.pad(windows, ((0, 0), (shift, shift), (shift, shift)))

            def of_moved(move):
                moved = jax.lax.dynamic_slice(
                    padded, (0, shift + move[0], shift + move[1]), windows.shape
                )
                read = model.read if cuts else None
                return jax.nn.log_softmax(model.apply({"params": params}, moved, method=read))

            return jax.lax.map(of_moved, jnp.asarray(moves)).mean(axis=0)

        return jax.lax.map(of_batch, batches)

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
