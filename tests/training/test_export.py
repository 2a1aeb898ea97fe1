"""The programs of a run lowered for accelerators, on a machine that has none."""

import re

import jax
import jax.numpy as jnp
import pytest

from mnist3 import tasks
from mnist3.config import numbers
from mnist3.data import augmentation
from mnist3.data import dataset as datasets
from mnist3.models import multihead
from mnist3.training import program
from mnist3.training.run import assemble

PLATFORMS = ("cuda", "tpu")
DOT = re.compile(r"stablehlo\.dot_general .*")


def products(function, *arguments) -> list[str]:
    """The matrix products of a function, as they are lowered for accelerators."""
    exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    return DOT.findall(exported.mlir_module())


def assert_exact(found):
    assert found
    for product in found:
        assert product.count("HIGHEST") == 2, product


def test_what_a_product_decides_is_computed_exactly_on_accelerators():
    images = jax.ShapeDtypeStruct((4, 28, 56), jnp.float32)
    assert_exact(products(lambda images: multihead.cut_digits(images, 2, 28), images))
    config = numbers().augmentation
    config.rotation, config.elastic = 10.0, 1.0
    key = jax.eval_shape(lambda: jax.random.key(0))
    assert_exact(products(lambda *inputs: augmentation.augment(*inputs, config), key, images))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_windows_are_cut_at_the_centre_of_the_ink_in_any_dtype(dtype):
    images = jnp.zeros((1, 400, 28), dtype).at[:, 301:310].set(1)
    window = multihead.cut_digits(images, 1, 21)[0, 0]
    assert window.any(axis=1).nonzero()[0].tolist() == list(range(6, 15))


def test_an_epoch_and_the_reading_lower_for_accelerators():
    config = numbers()
    config.data.digits, config.data.height, config.data.width = 2, 28, 56
    config.data.val_examples = config.data.test_examples = 32
    config.data.composition.noise = 10.0
    config.augmentation.update({"rotation": 5.0, "elastic": 1.0, "noise": 0.1, "cutout": 4})
    config.model.update({"stem": 4, "channels": (8,), "crop_height": 28})
    config.training.batch_size = 16
    dataset = datasets.load(config.data, None, "unused")
    task = tasks.create(config.task, positions=2)
    parts = assemble(config, task, 32)
    shapes = jax.eval_shape(lambda tree: tree, (parts.initial_state(), dataset.stream))
    epoch = program.create_train_epoch(
        parts.model, task, parts.optimizer, config, parts.steps, dataset.composition, parts.mesh
    )
    key = jax.eval_shape(lambda: jax.random.key(0))
    reading = program.create_compute_logits(parts.model, parts.mesh, shift=1)
    batches = jax.ShapeDtypeStruct((2, 4 * parts.mesh.size, 28, 56), jnp.uint8)
    for exported in (
        jax.export.export(epoch, platforms=PLATFORMS)(*shapes, key),
        jax.export.export(reading, platforms=PLATFORMS)(shapes[0].params, batches),
    ):
        assert exported.platforms == PLATFORMS
        assert exported.nr_devices == parts.mesh.size
        assert len(exported.mlir_module_serialized) > 1000
