"""What a training would be, told before it: config, layers, cost, data, and a batch of images."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from jaxtyping import UInt8
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import models, profiling, runtime
from mnist3.config import NETWORK
from mnist3.data import dataset as datasets
from mnist3.data.composition import DigitPool, make_pool
from mnist3.data.splits import Stream
from mnist3.evaluation.words import settings_text
from mnist3.files import require_unread, require_writable, write_json
from mnist3.jobs import parts
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.parts import Parts
from mnist3.jobs.predict import make_folder
from mnist3.learners import network
from mnist3.models import operations
from mnist3.reporting import pages
from mnist3.reporting.console import aligned
from mnist3.tasks import Examples
from mnist3.training import program
from mnist3.training.run import Run

if TYPE_CHECKING:
    import matplotlib.figure

FILES = ("inspect.json", "batch.png")
SHOWN = 48  # images of a batch, most that are drawn
DRAWN_FROM = 24  # digit images of a class, most that the drawn batch is composed from
# Share of the rate of a matrix product at which a training step runs: what that of
# experiments/triple_mnist.py reached on two cores, and on one H200 (see benchmarks/).
CPU_SHARE, ACCELERATOR_SHARE = 0.7, 0.04


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Prints what a training with this config would be, and trains nothing.

    The folder of --output, or else that of --workdir, gets it as inspect.json, and where images are
    learned a batch of them as batch.png.

    Raises:
        UserError: if the folder cannot be written or a file in it would replace one that is read,
            or for what a training would refuse: data that are missing, a learner that does not fit.
    """
    folder = arguments.output or arguments.workdir
    if folder:
        _require_folder(folder, config, arguments)
    if config.kind == "table":
        found, text = _inspect_table(config)
    else:
        dataset = datasets.load(config.data, arguments.data_dir, runtime.cache_dir(), images=False)
        parts.log_dataset(dataset)
        made = parts.load(config, arguments.data_dir, dataset)
        learns = config.learner.name == NETWORK
        found, text = (_inspect_network if learns else _inspect_estimator)(made)
    print(f"config (* differs from the default of its kind)\n{_config_text(config)}\n\n{text}")
    if folder:
        about_config = {"config": config.to_dict(), "changed": changed_fields(config)}
        write_json(os.path.join(folder, FILES[0]), about_config | found)
        if config.kind != "table":
            from mnist3.reporting import drawing

            drawing.save(_draw(made), os.path.join(folder, FILES[1]))
        print(f"\nfiles in {folder}")
    return 0


def _require_folder(folder: str, config: ConfigDict, arguments: Arguments) -> None:
    make_folder(folder, FILES[0], "output" if arguments.output else "workdir")
    if config.kind == "table":
        read = [config.data.path] if config.data.path else []
    else:
        read = datasets.files(config.data, arguments.data_dir)
    for name in FILES:
        path = os.path.join(folder, name)
        require_writable(path)
        require_unread(path, [runtime.cache_dir(), *read], arguments.workdir)


def changed_fields(config: ConfigDict) -> dict[str, dict[str, Any]]:
    """Returns value and default of each field that differs from the config of its kind.

    A field that the kind leaves open, as an estimator's parameters, has the default None.
    """
    defaults = dict(configs.fields(configs.reference(config)))
    return {
        name: {"value": value, "default": defaults.get(name)}
        for name, value in configs.fields(config)
        if name not in defaults or value != defaults[name]
    }


def _inspect_network(made: Parts) -> tuple[dict[str, Any], str]:
    """Returns what is to be said of a network and its training, as values and as text."""
    config, run = made.config, _run_of(made)
    member, members = operations.members_of(run.model)
    batch = config.training.batch_size
    share = jax.ShapeDtypeStruct((batch // members, *run.size), np.float32)
    layers = operations.layers(member, share)
    step = operations.step_operations(run.model, batch, run.size)
    val = made.examples["val"]
    reading = sum(each.operations for each in layers) // share.shape[0] * members * len(val.inputs)
    outputs = sum(math.prod(each.output) for each in layers) // share.shape[0]
    epoch = len(run.seeds) * (step * run.steps + reading)
    rate = profiling.matrix_product_rate(run.mesh, config.training.dtype)
    on_cpu = run.mesh.devices.flat[0].platform == "cpu"
    assumed = CPU_SHARE if on_cpu else ACCELERATOR_SHARE
    seconds = epoch / (rate * assumed)
    found = {
        "data": _describe(made),
        "model": {
            "name": config.model.name,
            "parameters": models.parameter_count(run.state_shapes().params),
            "members": members,
            "layers": [each._asdict() for each in layers],
        },
        "training": {
            "seeds": run.seeds,
            "replicates_a_device": _replicates_a_device(run),
            "devices": runtime.environment()["devices"],
            "batch_size": batch,
            "steps_an_epoch": run.steps,
            "epochs": run.epochs,
            "operations_a_step": step,
            "operations_an_epoch": epoch,
        },
        "bytes_a_device": _bytes_a_device(run, _training_data(made), val, outputs),
        "estimate": {
            "matrix_product_rate": rate,
            "assumed_share": assumed,
            "seconds_an_epoch": seconds,
            "seconds": seconds * run.epochs,
        },
    }
    return found, f"{_network_text(found)}\n\n{_data_text(found['data'])}"


def _inspect_estimator(made: Parts) -> tuple[dict[str, Any], str]:
    """Returns what is to be said of an estimator, as values and as text."""
    from mnist3.estimators import registry  # scikit-learn takes seconds to import

    made.prepare()  # which refuses what does not fit
    config, train = made.config, made.examples["train"]
    found = {
        "data": _describe(made),
        "learner": {
            "name": config.learner.name,
            "parameters": config.learner.parameters.to_dict(),
            "scale": config.learner.scale,
            "search": config.search.method,
            "train": len(train.inputs),
            "train_bytes": train.inputs.nbytes,
            "quick_up_to": made.task.train_limit(registry.REGISTRY[config.learner.name]),
        },
    }
    return found, f"{_estimator_text(found['learner'])}\n\n{_data_text(found['data'])}"


def _inspect_table(config: ConfigDict) -> tuple[dict[str, Any], str]:
    """Returns what is to be said of a table, as values and as a sentence."""
    from mnist3.jobs import candidates  # which knows scikit-learn

    dataset = candidates.load_table(config)
    sizes = {name: len(rows) for name, rows in dataset.rows.items()}
    text = (
        f"{dataset.name} has {len(dataset.columns)} columns to predict {dataset.table.target} "
        f"({', '.join(dataset.classes)}) from, and {_sizes_text(sizes)} rows, on which "
        f"{', '.join(config.compare.learners)} are compared by cross-validation."
    )
    return {"data": dataset.describe() | {"splits": sizes}}, text


def _describe(made: Parts) -> dict[str, Any]:
    """Returns what the data are, and how many images of each split take part, of train an epoch."""
    composed = made.dataset.stream is not None
    sizes = {"train": made.config.data.train_examples} if composed else {}
    sizes |= {name: len(each.inputs) for name, each in made.examples.items()}
    return made.dataset.describe() | {"splits": sizes}


def _run_of(made: Parts) -> Run:
    config, train = made.config, made.examples.get("train")
    population = configs.population_of(config)
    candidates = [*configs.candidates_of(config).values()] if population else ()
    return network.create(config, made.task, made.dataset, train, candidates)


def _replicates_a_device(run: Run) -> int:
    return len(run.seeds) // run.mesh.shape["replicate"]


def _training_data(made: Parts) -> Stream | Examples:
    """Returns what a network is trained on, on the host."""
    if made.dataset.stream is not None:
        return made.dataset.stream
    return made.task.network_examples(made.examples["train"])._replace(labels=None)


def _bytes_a_device(
    run: Run, data: Stream | Examples, val: Examples, outputs: int
) -> dict[str, int]:
    """Returns how many bytes each device has while a network is trained, by what they hold.

    Args:
        run: the parts of the training.
        data: training images.
        val: to choose the checkpoint by.
        outputs: numbers that the layers of a single network return for an image.
    """

    def size(tree: Any) -> int:
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

    state = run.state_shapes()
    each = _replicates_a_device(run)
    images = each * program.images_at_once(run.config, run.mesh)
    return {
        "parameters": each * size(state.params),
        "average": each * size(state.average),
        "optimizer": each * size(state.opt_state),
        "train": size(data),
        "val": size((val.inputs, val.targets)),
        "gradients": each * size(state.params),
        "layers": images * outputs * jnp.dtype(run.config.training.dtype).itemsize,
    }


def _draw(made: Parts) -> "matplotlib.figure.Figure":
    """Draws training images as the learner sees them, and what it is to predict of them."""
    from mnist3.reporting import drawing

    if made.config.learner.name == NETWORK:
        images, targets = _draw_batch(made)
    else:
        train = made.examples["train"]
        rows = np.random.default_rng(made.config.seed).permutation(len(train.inputs))[:SHOWN]
        images, targets = np.clip(train.inputs[rows], 0, 255).astype(np.uint8), train.targets[rows]
    title = f"Training images as the learner sees them: {made.dataset.name}, {made.dataset.source}"
    return drawing.image_grid(images, made.task.texts(targets), title)


def _draw_batch(made: Parts) -> tuple[UInt8[np.ndarray, "n height width"], np.ndarray]:
    """Returns images of a batch as the network sees them, augmented, and their targets."""
    config, mesh, data = made.config, _run_of(made).mesh, _training_data(made)
    count = min(SHOWN, config.training.batch_size)
    rng = np.random.default_rng(config.seed)
    layout = None
    if isinstance(data, Stream):
        layout = made.dataset.composition
        data = data._replace(pool=_thinned(data.pool, made.dataset.classes, rng))
    else:
        rows = rng.permutation(len(data.inputs))[:count]
        data = Examples(*(None if each is None else each[rows] for each in data))
    draw = program.create_draw(made.task, config, layout, count)

    def draw_augmented(key, data):
        augment_key, key = jax.random.split(key)
        if isinstance(data, Stream):
            images = program.augment_all(augment_key, data.pool.images, config.augmentation)
            data = data._replace(pool=data.pool._replace(images=images))
        return draw(data, jnp.arange(count), key)[:2]

    everywhere = jax.shard_map(
        draw_augmented, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False
    )
    arguments = program.put_everywhere((jax.random.key(config.seed), data), mesh)
    quickly: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}  # of what runs once
    compiled = jax.jit(everywhere).lower(*arguments).compile(compiler_options=quickly)
    images, targets = jax.device_get(compiled(*arguments))
    return _as_grey(images), _as_grey(targets) if targets.ndim == images.ndim else targets


def _as_grey(ink: np.ndarray) -> UInt8[np.ndarray, "n height width"]:
    return np.rint(255 * np.clip(ink, 0, 1)).astype(np.uint8)


def _thinned(pool: DigitPool, classes: Sequence[str], rng: np.random.Generator) -> DigitPool:
    """Returns a pool with some of the images of each class, which are augmented in no time."""
    rows = [
        start + rng.permutation(count)[:DRAWN_FROM]
        for start, count in zip(pool.start, pool.count, strict=True)
    ]
    labels = np.repeat(np.arange(len(rows)), [len(each) for each in rows])
    chosen = np.concatenate(rows)
    return make_pool(
        np.asarray(pool.images)[chosen], labels, classes, np.asarray(pool.index)[chosen]
    )


def _config_text(config: ConfigDict) -> str:
    rows, differing = [], changed_fields(config)
    for name, value in configs.fields(config):
        changed = differing.get(name)
        default = "" if changed is None else f"(default {changed['default']!r})"
        rows.append(("" if changed is None else "*", name, repr(value), default))
    return aligned(rows, left=4)


def _network_text(found: Mapping[str, Any]) -> str:
    model, training, memory = found["model"], found["training"], found["bytes_a_device"]
    rows = [("layer", "output", "parameters", "operations, forward")]
    rows += [
        (
            each["name"],
            " x ".join(map(str, each["output"])),
            f"{each['parameters']:,}",
            _operations_text(each["operations"]),
        )
        for each in model["layers"]
    ]
    members = model["members"]
    of_each = f" of each of {members} members" if members > 1 else ""
    held = ", ".join(f"{name} {_bytes_text(size)}" for name, size in memory.items())
    estimate = found["estimate"]
    return (
        f"{model['name']}, {model['parameters']:,} parameters; layers{of_each}\n{aligned(rows)}\n\n"
        f"a step: {_operations_text(training['operations_a_step'])} for a batch of "
        f"{training['batch_size']}; an epoch: {training['steps_an_epoch']:,} steps\n"
        f"held on a device: at least {_bytes_text(sum(memory.values()))} ({held}); layers is what "
        "they return for the images of a step that a device takes at once\n"
        f"an epoch: at least about {estimate['seconds_an_epoch']:.3g} s, all {training['epochs']}: "
        f"{estimate['seconds']:.3g} s, without compiling; {training['devices']} multiplied "
        f"matrices at {estimate['matrix_product_rate'] / 1e9:,.0f} GFLOP/s just now, and "
        f"{100 * estimate['assumed_share']:.0f} % of that is assumed\n"
        f"{_seeds_text(training)}"
    )


def _seeds_text(training: Mapping[str, Any]) -> str:
    seeds = training["seeds"]
    if len(seeds) == 1:
        return f"one replicate, of seed {seeds[0]}"
    different = ", ".join(map(str, dict.fromkeys(seeds)))  # of several candidates each has them
    return (
        f"{len(seeds)} replicates, of seeds {different}, train in one program, "
        f"{training['replicates_a_device']} a device; an epoch is of all of them"
    )


def _estimator_text(learner: Mapping[str, Any]) -> str:
    scaled = ", on scaled features" if learner["scale"] else ""
    searched = "" if learner["search"] == "none" else f", found by {learner['search']} search"
    limit = learner["quick_up_to"]
    slow = f"; beyond {limit:,} a fit takes minutes" if 0 < limit < learner["train"] else ""
    return (
        f"{learner['name']} with {settings_text(learner['parameters'])}{scaled}{searched}, fitted "
        f"to {learner['train']:,} images ({_bytes_text(learner['train_bytes'])}) on the host{slow}"
    )


def _data_text(data: Mapping[str, Any]) -> str:
    fingerprint = data["fingerprint"][:12]
    return (
        f"data: {pages.data_text(data)}; {_sizes_text(data['splits'])} images; "
        f"fingerprint {fingerprint}"
    )


def _sizes_text(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size:,}" for name, size in sizes.items())


def _operations_text(count: int) -> str:
    return f"{count / 1e6:,.1f} MFLOP"


def _bytes_text(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
