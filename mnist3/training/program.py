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
from jaxtyping import Array, Int32, Num, UInt8
from ml_collections import ConfigDict

from mnist3.data.augmentation import augment, is_on
from mnist3.data.composition import Layout
from mnist3.data.splits import Stream
from mnist3.errors import UserError
from mnist3.tasks import Examples, Predictions, Task
from mnist3.training.state import TrainState
from mnist3.training.step import StepMetrics, as_ink, create_train_step

PREDICTION_BATCH = 512
AUGMENTATION_CHUNK = 1024


def create_mesh() -> Mesh:
    """Returns all devices on the one axis `data`.

    Raises:
        UserError: if several processes share the work, which is not supported yet.
    """
    if (processes := jax.process_count()) > 1:
        raise UserError(
            f"JAX runs here in {processes} processes, which is not supported yet; start one "
            "process alone, on one host."
        )
    return Mesh(np.asarray(jax.devices()), ("data",))


def replicate(tree, mesh: Mesh):
    """Puts a copy of every array on every device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, P()))


def create_train_epoch(
    model: nn.Module,
    task: Task,
    optimizer: optax.GradientTransformation,
    config: ConfigDict,
    steps: int,
    layout: Layout | None,
    mesh: Mesh,
) -> Callable[[TrainState, Examples | Stream, jax.Array], tuple[TrainState, StepMetrics]]:
    """Returns the program that takes every step of an epoch.

    The program shuffles the fixed images or composes new ones, augments, and scans over the steps;
    each batch is split over the devices of the mesh. A CPU device takes its share in micro-batches
    that fit its cache and sums their gradients; each has a key of its own, so the number of devices
    does not matter as long as a device's share holds a whole micro-batch. Its arguments are the
    state, which it consumes, the training images, and the key of the epoch. Of a stream the digit
    images are augmented, all of them once an epoch, before they are composed: that is less work
    than to augment the larger number images, and gives each digit a distortion of its own. Fixed
    examples may be fewer than the steps of an epoch need; each is then taken as often as any
    other, or once more.

    Args:
        model: from images as float32 ink, or feature vectors, to logits.
        task: that it learns.
        optimizer: of its parameters.
        config: with the sections `training`, `augmentation`, `model` and `optimizer`.
        steps: in an epoch.
        layout: of composed images, where the training images are a stream.
        mesh: with the axis `data`.

    Raises:
        UserError: if the batch cannot be split evenly over the devices.
    """
    micro_batch = _micro_batch(config, mesh)
    micro_batches = config.training.batch_size // micro_batch

    def draw(data, rows, key):
        """Returns inputs and targets of a micro-batch, augmented, and the key of dropout."""
        draw_key, augment_key, dropout_key = jax.random.split(key, 3)
        if layout is None:
            images = as_ink(data.inputs[rows])
            if is_on(config.augmentation):
                images = augment(augment_key, images, config.augmentation)
            targets = images if data.targets is None else data.targets[rows]
            if targets.ndim == images.ndim:  # images too
                targets = as_ink(targets)
            images, targets = task.corrupt(draw_key, images, targets)
        else:
            images, targets, _ = layout.draw(draw_key, data.pool, data.numbers, micro_batch)
            images = as_ink(images)
        return images, targets, dropout_key

    train_step = create_train_step(model, task, optimizer, config, draw, micro_batches)

    def take_steps(state, data, order, keys):
        """Takes the steps with this device's share of each batch."""
        return jax.lax.scan(
            lambda state, inputs: train_step(state, (data, inputs[0]), inputs[1]),
            state,
            (order, keys),
        )

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
    """Returns which example is taken when.

    Of uncounted examples each once, in any order, and again where more are drawn than there are;
    of those that are counted any of the draws, each equally often or once more.
    """
    if data.count is None:
        n = data.inputs.shape[0]
        if draws <= n:
            return jax.random.permutation(key, n)[:draws]
        keys = jax.random.split(key, -(-draws // n))
        return jax.vmap(lambda key: jax.random.permutation(key, n))(keys).reshape(-1)[:draws]
    order_key, first_key = jax.random.split(key)
    first = jax.random.randint(first_key, (), 0, data.count)
    return (jax.random.permutation(order_key, draws) + first) % data.count


def require_even_shares(config: ConfigDict, mesh: Mesh) -> None:
    """Checks that devices, and on each the members of an ensemble, can share a batch evenly.

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
    if not is_on(config):
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


def batched(images: Num[np.ndarray, "n *size"], mesh: Mesh) -> jax.Array:
    """Puts images on every device as `[batches, size, height, width]`, the last filled up.

    Integers wider than bytes are grey levels too, which may exceed 255: they become float32 ink.
    """
    if images.dtype.kind == "i":
        images = (images / 255).astype(np.float32)
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


def create_decode(
    task: Task,
) -> Callable[[Array, Array | None, float], Predictions]:
    """Returns the program that gives the predictions of logits at a temperature.

    Its arguments are the logits, their targets or None, and the temperature that they are divided
    by, see `mnist3.evaluation.calibration`; another value of that compiles nothing.
    """
    return jax.jit(lambda logits, targets, temperature: task.predict(logits / temperature, targets))


def create_log_likelihoods(task: Task) -> Callable[[Array, Array, float], Array]:
    """Returns the program that gives the likelihoods alone of what `create_decode` gives."""
    decode = create_decode(task)
    return jax.jit(lambda *inputs: decode(*inputs).log_likelihood)


class SplitOnDevice(NamedTuple):
    """A split ready to be read, on every device.

    Attributes:
        batches: [batches, size, height, width], the last filled up.
        targets: of the n examples; None where they are not known.
    """

    batches: jax.Array
    targets: jax.Array | None


def put_split(inputs: np.ndarray, targets: np.ndarray | None, mesh: Mesh) -> SplitOnDevice:
    """Copies inputs, and targets where they are known, to every device."""
    return SplitOnDevice(
        batched(inputs, mesh), None if targets is None else replicate(targets, mesh)
    )


def create_read_split(
    model: nn.Module, task: Task, mesh: Mesh, shift: int = 0
) -> Callable[[optax.Params, SplitOnDevice, int], Predictions]:
    """Returns the program that gives the predictions of the first n examples of batches.

    Args:
        model: from float32 inputs to logits.
        task: that it has learned.
        mesh: with the axis `data`.
        shift: px, see `create_compute_logits`.
    """
    compute_logits = create_compute_logits(model, mesh, shift)

    def read_split(params, split, n):
        return task.predict(compute_logits(params, split.batches)[:n], split.targets)

    return jax.jit(read_split, static_argnums=2)
