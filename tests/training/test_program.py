"""The one-program epoch: learning, its copies and compilations, and its devices."""

import os
import pathlib
import socket
import subprocess
import sys
from unittest import mock

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from mnist3 import models, tasks
from mnist3.config import digits, numbers
from mnist3.data import dataset as datasets
from mnist3.data import draws
from mnist3.data.augmentation import augment
from mnist3.errors import UserError
from mnist3.tasks.images import Denoise
from mnist3.training import program
from mnist3.training.optimizer import OPTIMIZERS, SCHEDULES, create_optimizer
from mnist3.training.run import assemble
from mnist3.training.state import create_state
from tests.data.test_augmentation import ALL

ROOT = pathlib.Path(__file__).parents[2]


def tiny_config():
    config = numbers()
    config.data.digits, config.data.height, config.data.width = 2, 28, 56
    config.data.composition.vertical_jitter = 0
    config.data.val_examples = config.data.test_examples = 32
    config.model.stem, config.model.channels = 4, (8,)
    config.training.batch_size = 16
    config.training.epochs = 2
    config.optimizer.name, config.optimizer.learning_rate = "adamw", 0.01
    return config


@pytest.fixture(scope="module")
def dataset():
    return datasets.load(tiny_config().data, None, "unused")


def fixed(dataset):
    """The val split, as one to train on."""
    return tasks.Examples(dataset.splits["val"].images, dataset.splits["val"].labels)


def parts_of(config, images=32, devices=None):
    task = tasks.create(config.task, positions=config.data.digits)
    return assemble(config, task, images, devices=devices)


def run_epochs(config, dataset, data, epochs=1, devices=None):
    parts = parts_of(config, devices=devices)
    layout = dataset.composition if data is dataset.stream else None
    train_epoch = program.create_train_epoch(
        parts.model, parts.task, parts.optimizer, config, parts.steps, layout, parts.mesh
    )
    state = parts.initial_state()
    data = program.put_everywhere(data, parts.mesh)
    losses = []
    for epoch in range(epochs):
        key = program.put_everywhere(jax.random.fold_in(parts.keys()[1], epoch), parts.mesh)
        with jax.transfer_guard("disallow"):
            state, steps = train_epoch(state, data, key)
        losses.append(np.asarray(steps.loss))
    return state, np.concatenate(losses), train_epoch


def test_epochs_learn_without_copies_and_compile_once(dataset):
    config = tiny_config()
    config.training.epochs = 40
    _, losses, train_epoch = run_epochs(config, dataset, fixed(dataset), 40)
    assert losses.shape == (80,)
    assert losses[-4:].mean() < 0.5 * losses[:4].mean()
    assert train_epoch._cache_size() == 1


def test_composed_images_differ_from_epoch_to_epoch(dataset):
    config = tiny_config()
    config.optimizer.learning_rate = 1e-12
    _, losses, _ = run_epochs(config, dataset, dataset.stream, 2)
    assert len(set(losses.tolist())) == 4


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_and_schedule_takes_steps(dataset, optimizer, schedule):
    config = tiny_config()
    config.model.name = "logistic"
    config.optimizer.name, config.optimizer.schedule = optimizer, schedule
    config.optimizer.gradient_clip = 1.0
    config.training.ema_decay = 0.9
    config.training.label_smoothing = 0.1
    before = jax.device_get(parts_of(config).initial_state().params)
    state, losses, _ = run_epochs(config, dataset, fixed(dataset), 2)
    assert np.isfinite(losses).all()
    moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), before, jax.device_get(state.params))
    assert all(change > 0 for change in jax.tree.leaves(moved))
    behind = jax.tree.map(lambda a, b: float(abs(a - b).max()), state.params, state.average)
    assert all(change > 0 for change in jax.tree.leaves(behind))


def test_micro_batches_sum_to_the_gradient_of_the_batch(dataset):
    def losses(micro_batch):
        config = tiny_config()
        config.training.cpu_micro_batch = micro_batch
        return run_epochs(config, dataset, fixed(dataset), 3)[1]

    np.testing.assert_allclose(losses(16), losses(4), rtol=1e-4)


def test_every_member_of_an_ensemble_learns(dataset):
    config = tiny_config()
    config.model.members = 2
    config.training.epochs = 40
    parts = parts_of(config)
    before = jax.device_get(parts.initial_state().params)
    state, losses, train_epoch = run_epochs(config, dataset, fixed(dataset), 40)
    assert losses[-4:].mean() < 0.7 * losses[:4].mean()
    assert train_epoch._cache_size() == 1
    moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), before, jax.device_get(state.params))
    assert moved.keys() == {"members_0", "members_1"}
    assert all(change > 0 for change in jax.tree.leaves(moved))


def test_a_batch_that_members_cannot_share_is_refused(dataset):
    config = tiny_config()
    config.model.members = 3
    with pytest.raises(UserError, match=r"batch_size is 16, which .* with 3 members each cannot"):
        run_epochs(config, dataset, fixed(dataset))


def test_bfloat16_learns_the_same_task(dataset):
    config = tiny_config()
    config.training.epochs = 40
    config.training.dtype = "bfloat16"
    state, losses, _ = run_epochs(config, dataset, fixed(dataset), 40)
    assert losses[-4:].mean() < 0.5 * losses[:4].mean()
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state.params)} == {"float32"}


def test_the_order_is_another_each_epoch_and_covers_every_image(dataset):
    config = tiny_config()
    config.optimizer.learning_rate = 1e-12
    _, losses, _ = run_epochs(config, dataset, fixed(dataset), 2)
    assert losses[:2].mean() == pytest.approx(losses[2:].mean(), rel=1e-5)
    assert losses[0] != losses[2]


def test_logits_of_batches_are_those_of_single_images(dataset):
    parts = parts_of(tiny_config())
    params = parts.initial_state().params
    images = dataset.splits["test"].images
    compute_logits = program.create_compute_logits(parts.model, parts.mesh)
    together = compute_logits(params, program.batched(images, parts.mesh))
    alone = compute_logits(params, program.batched(images[7:8], parts.mesh))
    np.testing.assert_allclose(together[7], alone[0], rtol=1e-4, atol=1e-5)


def test_moved_images_are_read_together(dataset):
    parts = parts_of(tiny_config())
    params = parts.initial_state().params
    images = dataset.splits["test"].images[:4]
    batches = program.batched(images, parts.mesh)
    together = program.create_compute_logits(parts.model, parts.mesh, shift=1)(params, batches)

    def of_moved(down, right):
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
        moved = padded[:, 1 + down : 29 + down, 1 + right : 57 + right]
        compute_logits = program.create_compute_logits(parts.model, parts.mesh)
        return jax.nn.log_softmax(compute_logits(params, program.batched(moved, parts.mesh)))

    alone = [of_moved(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    np.testing.assert_allclose(together, np.mean(alone, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("members", [1, 2])
def test_windows_are_moved_where_digits_are_cut_out(dataset, members):
    config = tiny_config()
    config.model.members = members
    config.model.crop_height = 24
    parts = parts_of(config)
    params = parts.initial_state().params
    images = dataset.splits["test"].images[:4]
    batches = program.batched(images, parts.mesh)
    together = program.create_compute_logits(parts.model, parts.mesh, shift=1)(params, batches)
    windows = np.asarray(parts.model.cut(program.as_ink(jax.numpy.asarray(images))))
    height, width = windows.shape[1:]
    padded = jax.numpy.pad(windows, ((0, 0), (1, 1), (1, 1)))
    read = [
        parts.model.apply(
            {"params": params},
            padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width],
            method=parts.model.read,
        )
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    ]
    assert np.ptp(np.asarray(read), axis=0).max() > 1e-3
    np.testing.assert_allclose(
        together,
        np.mean([jax.nn.log_softmax(logits) for logits in read], axis=0),
        rtol=1e-4,
        atol=1e-5,
    )


def augment_all(images, config):
    """As each of the devices does it."""
    return jax.shard_map(
        lambda images: program.augment_all(jax.random.key(0), images, config.augmentation),
        mesh=program.create_mesh(),
        in_specs=PartitionSpec(),
        out_specs=PartitionSpec(),
        check_vma=False,
    )(images)


def test_digit_images_are_augmented_once_an_epoch(dataset):
    config = tiny_config()
    config.augmentation.shift = 3
    images = jax.numpy.asarray(dataset.stream.pool.images[:100])
    moved = augment_all(images, config)
    assert moved.dtype == np.uint8
    assert moved.shape == images.shape
    assert (np.asarray(moved) != images).any(axis=(1, 2)).sum() > 50
    assert (augment_all(images, numbers()) == images).all()


@pytest.mark.parametrize("count", [1, 5, 32])
def test_counted_examples_are_drawn_equally_often_and_no_others(count):
    data = tasks.Examples(jax.numpy.zeros((64, 3)), None, count=jax.numpy.int32(count))
    order = np.asarray(program.draw_order(jax.random.key(0), data, 128))
    drawn = np.bincount(order)
    assert len(drawn) == count
    assert drawn.max() - drawn.min() <= 1
    assert (order != program.draw_order(jax.random.key(1), data, 128)).any() or count == 1


def test_few_examples_are_taken_again_each_equally_often():
    data = tasks.Examples(jax.numpy.zeros((5, 3)), None)
    order = np.asarray(program.draw_order(jax.random.key(0), data, 13))
    drawn = np.bincount(order)
    assert len(drawn) == 5
    assert drawn.max() - drawn.min() <= 1
    assert sorted(order[:5].tolist()) == [0, 1, 2, 3, 4]


def learn(task, name, data, size, epochs, **changes):
    """Trains a model of one output row an image, and returns the losses of the steps."""
    config = tiny_config()
    config.model.update(name=name, hidden=(16,), **changes)
    model = models.create(config.model, 1, task.outputs)
    optimizer = create_optimizer(config.optimizer, 4 * epochs)
    mesh = program.create_mesh()
    train_epoch = program.create_train_epoch(model, task, optimizer, config, 4, None, mesh)
    state = create_state(jax.random.key(0), model, optimizer, size, False)
    state, data = program.put_everywhere((state, data), mesh)
    losses = []
    for epoch in range(epochs):
        state, steps = train_epoch(state, data, jax.random.key(epoch))
        losses += steps.loss.tolist()
    return losses


@pytest.mark.parametrize("name", ["multiclass", "multilabel"])
def test_feature_vectors_are_learnt(name):
    labels = np.arange(40, dtype=np.int32) % 10
    section = digits("digits").task
    section.name = name
    task = tasks.create(section)
    features = np.eye(10, dtype=np.float32)[labels]
    targets = np.asarray(task.table, np.int32)[labels]
    data = tasks.Examples(features, targets, count=np.int32(40))
    losses = learn(task, "mlp", data, (10,), 20)
    assert np.mean(losses[-4:]) < 0.5 * np.mean(losses[:4])


@pytest.mark.parametrize("noise", [0, 99])
def test_images_are_cleaned(dataset, noise):
    images = dataset.splits["val"].images
    data = tasks.Examples(images, None if noise else images, count=np.int32(len(images)))
    task = Denoise("denoise", ("ink",), noise)
    losses = learn(task, "denoiser", data, images.shape[1:], 20, stem_stride=2)
    assert np.mean(losses[-4:]) < 0.5 * np.mean(losses[:4])


BATCH = 48  # which 8 devices share evenly, and 3


def computed_by(devices):
    """Returns what so many devices of this process compute together, by name."""
    devices = jax.local_devices()[:devices]
    config = tiny_config()
    dataset = datasets.load(config.data, None, "unused")
    config.augmentation.shift, config.model.dropout = 2, 0.2
    config.training.batch_size, config.training.cpu_micro_batch = BATCH, 2
    parts, val = parts_of(config, devices=devices), dataset.splits["val"]
    key = jax.random.key(0)
    shared = NamedSharding(parts.mesh, PartitionSpec("data"))
    images, labels = jax.jit(
        lambda key: dataset.composition.draw(key, dataset.stream.pool, None, BATCH)[:2],
        out_shardings=shared,
    )(key)
    distort = jax.jit(lambda images: augment(key, program.as_ink(images), ConfigDict(ALL)))
    params = parts.initial_state().params
    split = program.put_split(val.images, val.labels, parts.mesh)
    logits = program.create_compute_logits(parts.model, parts.mesh)(params, split.batches)
    decoded = program.create_decode(parts.task)(logits[: len(val.images)], split.targets, 2.0)
    read_split = program.create_read_split(parts.model, parts.task, parts.mesh)
    read = read_split(program.stack([params], parts.mesh), split, len(val.images))
    return {
        "images": images,
        "labels": labels,
        "distorted": distort(images),
        "losses of composed images": run_epochs(config, dataset, dataset.stream, 2, devices)[1],
        "losses of examples": run_epochs(config, dataset, fixed(dataset), 2, devices)[1],
        **{f"decoded {name}": each for name, each in decoded._asdict().items() if each is not None},
        **{f"read {name}": each for name, each in read._asdict().items() if each is not None},
    }


OF_EIGHT_DEVICES = """
import sys
import jax, numpy as np
from tests.training.test_program import computed_by
assert jax.device_count() == 8
found = {f"8 {name}": each for name, each in computed_by(8).items()}
shard_map = jax.shard_map
jax.shard_map = lambda *words, **named: shard_map(*words, **named | {"check_vma": True})
found |= {f"3 {name}": each for name, each in computed_by(3).items()}
np.savez(sys.argv[1], **found)
"""


def test_eight_devices_and_three_compute_what_one_does(tmp_path):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-c", OF_EIGHT_DEVICES, tmp_path / "found.npz"],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert jax.device_count() == 1
    of_one = computed_by(1)
    with np.load(tmp_path / "found.npz") as found:
        assert {*found} == {f"{count} {name}" for count in (8, 3) for name in of_one}
        for name in found:
            expected = of_one[name.partition(" ")[2]]
            np.testing.assert_allclose(found[name], expected, atol=1e-5, err_msg=name)


def test_a_batch_that_devices_cannot_share_is_refused(dataset):
    config = tiny_config()
    mesh = mock.Mock(spec=jax.sharding.Mesh, shape={"data": 3})  # of devices that are not there
    parts = parts_of(config)
    with pytest.raises(UserError, match="multiple of 3"):
        program.create_train_epoch(
            parts.model, parts.task, parts.optimizer, config, 2, dataset.composition, mesh
        )


PROCESS_OF_TWO = """
import sys
import jax
jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
from mnist3.training import program
print(jax.device_count(), program.create_mesh().size, flush=True)
"""


def test_of_several_processes_each_reads_and_fits_on_devices_of_its_own():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS_OF_TWO, coordinator, str(number)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for process in processes:
        said, problem = process.communicate()
        assert said.split() == ["2", "1"], problem


def test_training_draws_from_other_keys_than_the_fixed_splits():
    config = tiny_config()
    config.seed = config.data.seed = 0
    init_key, epochs_key = parts_of(config, 256).keys()
    epoch_keys = [jax.random.fold_in(epochs_key, epoch) for epoch in range(50)]
    training = {
        tuple(jax.random.key_data(key).tolist()) for key in (init_key, epochs_key, *epoch_keys)
    }
    for split in range(2):
        key = draws.data_key(0, split)
        fixed_keys = [key, *(jax.random.fold_in(key, batch) for batch in range(50))]
        assert training.isdisjoint(tuple(jax.random.key_data(key).tolist()) for key in fixed_keys)
