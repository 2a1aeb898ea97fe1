"""The compiled programs of a run: an epoch of training, and reading many images."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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
from mnist3.training import kept
from mnist3.training.population import Numbers
from mnist3.training.state import TrainState
from mnist3.training.step import StepMetrics, as_ink, create_train_step

PREDICTION_BATCH = 512
AUGMENTATION_CHUNK = 1024
_MESHES = 16  # whose programs are kept at a time


class Own(NamedTuple):
    """What a candidate has of its own.

    Attributes:
        model: from images as float32 ink, or feature vectors, to logits.
        optimizer: of its parameters.
        config: with the sections `training` and `augmentation`.
    """

    model: nn.Module
    optimizer: optax.GradientTransformation
    config: ConfigDict


def create_mesh(replicates: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns devices on two axes, `replicate` and `data`.

    Replicates are kept apart as far as the devices allow: with as many devices each has its own,
    and nothing is summed between devices.

    Args:
        replicates: that learn side by side.
        devices: to learn on; None for those of this process.
    """
    every = np.asarray(jax.local_devices() if devices is None else devices)
    return Mesh(every.reshape(math.gcd(len(every), replicates), -1), ("replicate", "data"))


def _put(tree: Any, sharding: NamedSharding) -> Any:
    """Puts arrays that this process has whole on the devices, of other processes' its own part."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def put(leaf: Any) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            words = put(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
        whole = np.asarray(leaf)
        with jax.transfer_guard("allow"):  # which takes this for an accident
            return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(put, tree)


def _here(tree: Any) -> bool:
    """Tells whether this process has all devices on which the arrays of a tree lie."""
    return all(getattr(leaf, "is_fully_addressable", True) for leaf in jax.tree.leaves(tree))


@functools.lru_cache(_MESHES)
def _create_gather(mesh: Mesh) -> Callable[[Any], Any]:
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, P()))


def fetch(tree: Any) -> Any:
    """Returns arrays whole on the host; those of several processes all of them have to fetch."""
    if not _here(tree):
        tree = _create_gather(jax.tree.leaves(tree)[0].sharding.mesh)(tree)
    return jax.device_get(tree)


def put_everywhere(tree, mesh: Mesh):
    """Puts a copy of every array on every device of the mesh."""
    return _put(tree, NamedSharding(mesh, P()))


# Programs of whole trees: an operation on each array would compile, or load, one for each shape.
_stack_trees = kept.Program(
    jax.jit(lambda *trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)),
    "trees as one, with an axis of replicates",
)
_take_tree = kept.Program(
    jax.jit(
        lambda stacked, place: jax.tree.map(
            lambda leaves: jax.lax.dynamic_index_in_dim(leaves, place, keepdims=False), stacked
        )
    ),
    "the tree of one replicate",
)


def stack(trees: Sequence[Any], mesh: Mesh) -> Any:
    """Puts trees of arrays, one a replicate, on their devices, with an axis of replicates first."""
    trees = [tree if _here(tree) else fetch(tree) for tree in trees]
    return put_stacked(_stack_trees(*trees), mesh)


def put_stacked(tree: Any, mesh: Mesh) -> Any:
    """Puts arrays that have an axis of replicates first on the devices of these."""
    return _put(tree, NamedSharding(mesh, P("replicate")))


def put_replicate(stacked: Any, place: int, tree: Any) -> Any:
    """Returns stacked trees with another one at the place of a replicate."""
    whole, tree = (each if _here(each) else fetch(each) for each in (stacked, tree))
    return jax.tree.map(
        lambda leaves, on_host, leaf: _put(
            jnp.asarray(on_host).at[place].set(leaf), leaves.sharding
        ),
        stacked,
        whole,
        tree,
    )


def replicate_of(stacked: Any, place: int) -> Any:
    """Returns the tree of one replicate out of stacked ones, of several processes' on the host."""
    if not _here(stacked):
        stacked = fetch(stacked)
    if any(isinstance(leaves, jax.Array) for leaves in jax.tree.leaves(stacked)):
        return _take_tree(stacked, np.int32(place))
    return jax.tree.map(lambda leaves: leaves[place, ...], stacked)


def _each(function: Callable, mesh: Mesh) -> Callable:
    """Returns the function of the replicates that share a device, with a leading axis everywhere.

    On an accelerator they are computed together. On a CPU they take turns: a convolution of
    several replicates together is a grouped one, which is slow there.
    """
    together = jax.vmap(function)
    if _on_cpu(mesh):

        def together(*trees):
            return jax.lax.map(lambda inputs: function(*inputs), trees)

    def of_each(*trees):
        if jax.tree.leaves(trees)[0].shape[0] > 1:
            return together(*trees)
        alone = function(*jax.tree.map(lambda leaf: leaf[0], trees))
        return jax.tree.map(lambda leaf: leaf[None], alone)

    return of_each


def _on_cpu(mesh: Mesh) -> bool:
    return mesh.devices.flat[0].platform == "cpu"


def compiled(
    function: Any, mesh: Mesh, about: str, *arguments: Any, static: tuple[Any, ...] = ()
) -> Any:
    """Compiles a jitted function for arguments such as these, see `mnist3.training.kept`.

    XLA for CPUs sums long axes in stages in some programs and not in others, so that a replicate on
    a device of its own would differ in the last bits from the run that its seed makes alone. It is
    told to sum in one way.
    """
    options = {"xla_disable_hlo_passes": "tree_reduction_rewriter"} if _on_cpu(mesh) else None
    return kept.compiled(function, about, *arguments, static=static, options=options)


class Epoch(NamedTuple):
    """What is drawn before the steps of an epoch.

    Attributes:
        order: int32 [steps, micro-batches, micro-batch], the rows of examples that each step takes;
            [steps, micro-batches, 0] where images are composed.
        keys: of the steps, [steps, micro-batches].
        images: uint8 [n, height, width], the digit images to compose from, augmented; None where
            they are taken as they are, or examples are.
    """

    order: jax.Array
    keys: jax.Array
    images: jax.Array | None


def create_train_epoch(
    model: nn.Module,
    task: Task,
    optimizer: optax.GradientTransformation,
    config: ConfigDict,
    steps: int,
    layout: Layout | None,
    mesh: Mesh,
) -> Callable[[TrainState, Examples | Stream, jax.Array], tuple[TrainState, StepMetrics]]:
    """Returns the program that takes every step of an epoch of one replicate.

    See `create_begin_epoch` and `create_train_segment`, whose work it does at once; state and key
    are those of one replicate, without the axis.
    """
    own = Own(model, optimizer, config)
    begin = _create_begin(_always(config), config, steps, layout, mesh)
    take_steps = _create_take_steps(_always(own), task, config, layout, mesh)

    def train(state, data, key):
        return take_steps(state, data, begin(data, key))

    # Tests have the check on, of several devices: one gathers and sums nothing, and would not pass.
    everywhere = jax.shard_map(train, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False)
    return jax.jit(everywhere, donate_argnums=0)


def create_begin_epoch(
    config: ConfigDict,
    steps: int,
    layout: Layout | None,
    mesh: Mesh,
    own: Callable[[Numbers], ConfigDict] | None = None,
) -> Callable[..., Epoch]:
    """Returns the program that shuffles examples, or augments the digit images to compose from.

    All digit images are augmented once an epoch, before they are composed: that is less work than
    to augment the larger number images, and gives each digit a distortion of its own. Fixed
    examples may be fewer than the steps of an epoch need; each is then taken as often as any other,
    or once more. Its arguments are the training images, and the key of the epoch of each replicate;
    of several candidates also the numbers of each replicate.

    Args:
        config: with the sections `training`, `augmentation` and `model`.
        steps: in an epoch.
        layout: of composed images, where the training images are a stream.
        mesh: of `create_mesh`.
        own: gives the config of a candidate, by its numbers; None of one candidate.

    Raises:
        UserError: if the batch cannot be split evenly over the devices.
    """
    begin = _create_begin(own or _always(config), config, steps, layout, mesh)

    def begin_replicates(data, *each):
        return _each(lambda *inputs: begin(data, *inputs), mesh)(*each)

    return jax.jit(
        jax.shard_map(
            begin_replicates,
            mesh=mesh,
            in_specs=(P(), *[P("replicate")] * (1 if own is None else 2)),
            out_specs=_EPOCH,
            check_vma=False,
        )
    )


def create_train_segment(
    model: nn.Module,
    task: Task,
    optimizer: optax.GradientTransformation,
    config: ConfigDict,
    steps: int,
    layout: Layout | None,
    mesh: Mesh,
    own: Callable[[Numbers], Own] | None = None,
) -> Callable[..., tuple[TrainState, StepMetrics]]:
    """Returns the program that takes some of the steps of an epoch, of replicates side by side.

    The program takes fixed images or composes new ones, augments, and learns; each batch is split
    over the devices of the mesh. A CPU device takes its share in micro-batches that fit its cache
    and sums their gradients; each has a key of its own, so the number of devices does not matter as
    long as a device's share holds a whole micro-batch. What it computes of one replicate depends on
    none of the others, and the bytes of a step not on the segments that an epoch is split into.

    Its arguments are the state and what the steps of the epoch so far measured, which it consumes,
    both with a leading axis of replicates; the training images; what `create_begin_epoch` drew; and
    the first step to take and the one after the last, int32 [], multiples of `steps_at_once`; of
    several candidates also the numbers of each replicate.

    Args:
        model: from images as float32 ink, or feature vectors, to logits.
        task: that it learns.
        optimizer: of its parameters.
        config: with the sections `training`, `augmentation`, `model` and `optimizer`.
        steps: in an epoch.
        layout: of composed images, where the training images are a stream.
        mesh: of `create_mesh`.
        own: gives what a candidate has of its own, by its numbers; None of one candidate.

    Raises:
        UserError: if the batch cannot be split evenly over the devices.
    """
    same = Own(model, optimizer, config)
    take_steps = _create_take_steps(own or _always(same), task, config, layout, mesh)
    at_once = steps_at_once(steps, mesh)

    def train(data, first, last, state, measured, epoch, *numbers):
        def take(block, carry):
            state, measured = carry
            place = block * at_once
            part = epoch._replace(
                order=jax.lax.dynamic_slice_in_dim(epoch.order, place, at_once),
                keys=jax.lax.dynamic_slice_in_dim(epoch.keys, place, at_once),
            )
            state, taken = take_steps(state, data, part, *numbers)
            put = jax.lax.dynamic_update_slice_in_dim
            return state, jax.tree.map(lambda all, new: put(all, new, place, 0), measured, taken)

        return jax.lax.fori_loop(first // at_once, last // at_once, take, (state, measured))

    def train_replicates(state, measured, data, epoch, first, last, *numbers):
        return _each(lambda *each: train(data, first, last, *each), mesh)(
            state, measured, epoch, *numbers
        )

    apart = P("replicate")
    return jax.jit(
        jax.shard_map(
            train_replicates,
            mesh=mesh,
            in_specs=(apart, apart, P(), _EPOCH, P(), P(), *[apart] * (own is not None)),
            out_specs=apart,
            check_vma=False,
        ),
        donate_argnums=(0, 1),
    )


# What is drawn of an epoch, of replicates: a device has the rows of its share of each batch.
_EPOCH = Epoch._make([P("replicate", None, "data")] * 2 + [P("replicate")])


def steps_at_once(steps: int, mesh: Mesh) -> int:
    """Returns how many steps an accelerator takes before it asks whether to take more.

    It waits for the answer, which a CPU has at once. The number divides the steps of an epoch.
    """
    most = 1 if _on_cpu(mesh) else 32
    return max(each for each in range(1, most + 1) if steps % each == 0)


def _always(value: Any) -> Callable[..., Any]:
    """Returns a function that gives a value, whatever it is asked with."""
    return lambda *_: value


def _create_begin(
    own: Callable[..., ConfigDict],
    config: ConfigDict,
    steps: int,
    layout: Layout | None,
    mesh: Mesh,
) -> Callable[..., Epoch]:
    """Returns the function that draws what a device needs for an epoch of one replicate.

    Args:
        own: gives the config of a candidate, by its numbers or by nothing.
        config: of any candidate.
        steps: in an epoch.
        layout: of composed images, where the training images are a stream.
        mesh: of `create_mesh`.
    """
    micro_batch = images_at_once(config, mesh)
    micro_batches = config.training.batch_size // micro_batch

    def begin(data, key, *numbers):
        augmentation = own(*numbers).augmentation
        order_key, augment_key, step_key = jax.random.split(key, 3)
        shape = (steps, micro_batches, micro_batch)
        images = None
        if layout is None:
            order = draw_order(order_key, data, math.prod(shape)).reshape(shape)
        else:
            order = jnp.zeros((*shape[:2], 0), jnp.int32)
            if is_on(augmentation):
                images = augment_all(augment_key, data.pool.images, augmentation)
        keys = jax.random.split(step_key, shape[:2])
        return Epoch(_share(order, 1), _share(keys, 1), images)

    return begin


def _create_take_steps(
    own: Callable[..., Own], task: Task, config: ConfigDict, layout: Layout | None, mesh: Mesh
) -> Callable[..., tuple[TrainState, StepMetrics]]:
    """Returns the function that takes steps with a device's share of each batch.

    Args:
        own: gives what a candidate has of its own, by its numbers or by nothing.
        task: that is learned.
        config: of any candidate.
        layout: of composed images, where the training images are a stream.
        mesh: of `create_mesh`.
    """
    micro_batch = images_at_once(config, mesh)
    micro_batches = config.training.batch_size // micro_batch

    def take_steps(state, data, epoch, *numbers):
        model, optimizer, config = own(*numbers)
        draw = create_draw(task, config, layout, micro_batch)
        train_step = create_train_step(model, task, optimizer, config, draw, micro_batches)
        if epoch.images is not None:
            data = data._replace(pool=data.pool._replace(images=epoch.images))
        return jax.lax.scan(
            lambda state, inputs: train_step(state, (data, inputs[0]), inputs[1]),
            state,
            (epoch.order, epoch.keys),
        )

    return take_steps


def create_draw(
    task: Task, config: ConfigDict, layout: Layout | None, count: int
) -> Callable[[Examples | Stream, jax.Array, jax.Array], tuple[Array, Array, jax.Array]]:
    """Returns the function that draws so many training images as a network sees them.

    Its arguments are the training data, whose digit images to compose from are augmented already,
    the rows of examples, and a key. It returns inputs and targets, and the key of dropout.

    Args:
        task: that is learned.
        config: with the section `augmentation`.
        layout: of composed images, where the training images are a stream.
        count: images to compose.
    """

    def draw(data, rows, key):
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
            images, targets, _ = layout.draw(draw_key, data.pool, data.numbers, count)
            images = as_ink(images)
        return images, targets, dropout_key

    return draw


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
        mesh: of `create_mesh`.

    Raises:
        UserError: if they cannot.
    """
    batch_size, members = config.training.batch_size, config.model.members
    devices = mesh.shape["data"]
    if batch_size % (devices * members):
        sharing = f"{devices} devices" + f" with {members} members each" * (members > 1)
        raise UserError(
            f"config.training.batch_size is {batch_size}, which {sharing} cannot share evenly; "
            f"give a multiple of {devices * members}."
        )


def images_at_once(config: ConfigDict, mesh: Mesh) -> int:
    """Returns how many images of its share of a batch a device takes at once, of all members.

    Raises:
        UserError: if the batch cannot be split evenly over the devices.
    """
    require_even_shares(config, mesh)
    share = config.training.batch_size // mesh.shape["data"]
    members = config.model.members
    if not _on_cpu(mesh):
        return share
    return members * math.gcd(share // members, config.training.cpu_micro_batch)


def augment_all(
    key: jax.Array, images: UInt8[Array, "n height width"], config: ConfigDict
) -> UInt8[Array, "n height width"]:
    """Augments images in chunks, so that little memory is needed beside them.

    Called on each of the devices on the axis `data`, which share the work and all get the result.
    """
    if not is_on(config):
        return images
    n, devices = images.shape[0], jax.lax.axis_size("data")
    chunks = jnp.pad(images, ((0, -n % (AUGMENTATION_CHUNK * devices)), (0, 0), (0, 0)))
    chunks = chunks.reshape(-1, AUGMENTATION_CHUNK, *images.shape[1:])
    keys = jax.random.split(key, chunks.shape[0])

    def augment_chunk(inputs):
        key, chunk = inputs
        return jnp.round(255 * augment(key, as_ink(chunk), config)).astype(jnp.uint8)

    augmented = jax.lax.map(augment_chunk, (_share(keys, 0), _share(chunks, 0)))
    return _gather(augmented, 0).reshape(-1, *images.shape[1:])[:n]


def _share(array: Array, axis: int) -> Array:
    """Returns a device's share of an array, on the mesh axis `data`."""
    devices = jax.lax.axis_size("data")
    if devices == 1:  # then the program is the one of a single device, to the last bit
        return array
    share = array.shape[axis] // devices
    return jax.lax.dynamic_slice_in_dim(array, jax.lax.axis_index("data") * share, share, axis)


def _gather(array: Array, axis: int) -> Array:
    """Returns the devices' shares side by side, on each of them."""
    if jax.lax.axis_size("data") == 1:
        return array
    return jax.lax.all_gather(array, "data", axis=axis, tiled=True, to="invarying")


def batched(images: Num[np.ndarray, "n *size"], mesh: Mesh, devices: int = 0) -> jax.Array:
    """Puts images on every device as `[batches, size, height, width]`, the last filled up.

    Integers wider than bytes are grey levels too, which may exceed 255: they become float32 ink.

    Args:
        images: or feature vectors.
        mesh: of `create_mesh`.
        devices: each device gets at once what it would get of a batch shared by so many, of which
            the mesh has a part; 0 for as many as it has.
    """
    devices = devices or mesh.size
    if images.dtype.kind == "i":
        images = (images / 255).astype(np.float32)
    n = len(images)
    size = min(PREDICTION_BATCH, n)
    size += -size % devices
    padded = np.pad(images, ((0, -n % size), *[(0, 0)] * (images.ndim - 1)))
    size = size // devices * mesh.size
    return put_everywhere(padded.reshape(-1, size, *images.shape[1:]), mesh)


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
    compute_logits = _create_compute_logits(model, shift)
    together = P(None, ("replicate", "data"))

    def in_one_row(params, batches):
        logits = jax.shard_map(
            compute_logits,
            mesh=mesh,
            in_specs=(P(), together),
            out_specs=together,
            check_vma=False,
        )(params, batches)
        return logits.reshape(-1, *logits.shape[2:])

    return jax.jit(in_one_row, out_shardings=NamedSharding(mesh, P()))


def _create_compute_logits(
    model: nn.Module, shift: int = 0
) -> Callable[[optax.Params, jax.Array], Array]:
    """Returns the function from parameters and batches to logits, [batches, size, ...]."""
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

    return compute_logits


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
        batched(inputs, mesh), None if targets is None else put_everywhere(targets, mesh)
    )


def create_read_split(
    model: nn.Module, task: Task, mesh: Mesh, shift: int = 0
) -> Callable[[optax.Params, SplitOnDevice, int], Predictions]:
    """Returns the program that gives the predictions of replicates for a split.

    Its arguments are the parameters, with a leading axis of replicates, the split, and how many
    examples it has. The predictions have the axis too.

    Args:
        model: from float32 inputs to logits.
        task: that it has learned.
        mesh: of `create_mesh`.
        shift: px, see `create_compute_logits`.
    """
    compute_logits = _create_compute_logits(model, shift)

    def read_split(params, split, n):
        def read_replicates(params, batches, targets):
            def read_replicate(params):
                logits = _gather(compute_logits(params, batches), 1)
                return task.predict(logits.reshape(-1, *logits.shape[2:])[:n], targets)

            return _each(read_replicate, mesh)(params)

        return jax.shard_map(
            read_replicates,
            mesh=mesh,
            in_specs=(P("replicate"), P(None, "data"), P()),
            out_specs=P("replicate"),
            check_vma=False,
        )(params, *split)

    return jax.jit(read_split, static_argnums=2)
