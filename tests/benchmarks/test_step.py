"""The count of a model's floating-point operations, against counts by hand."""

import jax
import numpy as np

from benchmarks import step
from mnist3 import models
from mnist3.config import numbers as base


def forward(**fields):
    config = base().model
    config.update(fields)
    images = jax.ShapeDtypeStruct((5, 28, 84), np.float32)
    return step.forward_operations(models.create(config, 3, 10), images)


def test_every_layer_with_a_kernel_is_counted():
    counted = forward(stem=4, stem_stride=2, channels=(6,), convolutions=1, attention=2)
    assert counted == {
        "trunk/stem": 2 * 5 * (14 * 42) * (5 * 5 * 1 * 4),
        "trunk/stage0_conv0": 2 * 5 * (7 * 21) * (3 * 3 * 4 * 6),
        "heads": 2 * 5 * 3 * (2 * 6 * 10),
    }


def test_cut_out_digits_are_counted_as_what_the_trunk_sees():
    fields = {"stem": 4, "stem_stride": 1, "channels": (6,), "convolutions": 1}
    counted = forward(crop_height=20, **fields)
    assert counted["trunk/stem"] == 2 * 5 * 3 * (20 * 28) * (5 * 5 * 1 * 4)


def test_the_first_layer_needs_no_gradient_of_the_image():
    assert step.training_operations({"stem": 10, "a": 3, "b": 4}) == 20 + 21
