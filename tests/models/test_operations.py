"""The count of a model's floating-point operations, against counts by hand."""

import jax
import numpy as np
import pytest

from mnist3 import models
from mnist3.config import numbers as base
from mnist3.models import operations


def model_of(**fields):
    config = base().model
    config.update(fields)
    return models.create(config, 3, 10)


def forward(**fields):
    images = jax.ShapeDtypeStruct((5, 28, 84), np.float32)
    return operations.forward_operations(model_of(**fields), images)


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
    assert operations.training_operations({"stem": 10, "a": 3, "b": 4}) == 20 + 21


def test_layers_come_in_the_order_in_which_they_are_computed():
    images = jax.ShapeDtypeStruct((5, 28, 84), np.float32)
    found = operations.layers(model_of(name="mlp", hidden=(7, 8)), images)
    inputs = 28 * 84
    assert [(each.output, each.parameters, each.operations) for each in found] == [
        ((5, 7), inputs * 7 + 7, 2 * 5 * inputs * 7),
        ((5, 8), 7 * 8 + 8, 2 * 5 * 7 * 8),
        ((5, 30), 8 * 30 + 30, 2 * 5 * 8 * 30),
    ]


@pytest.mark.parametrize("name", sorted(models.REGISTRY))
def test_the_layers_hold_all_parameters_of_a_model(name):
    images = jax.ShapeDtypeStruct((2, 40, 84), np.float32)
    model = model_of(name=name)
    found = operations.layers(model, images)
    params = jax.eval_shape(model.init, jax.random.key(0), images)
    assert sum(each.parameters for each in found) == models.parameter_count(params["params"])


def test_members_share_a_batch():
    one = operations.step_operations(model_of(), 6, (28, 84))
    assert operations.step_operations(model_of(members=3), 6, (28, 84)) == one
