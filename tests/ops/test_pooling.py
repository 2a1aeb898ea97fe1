"""Max-pooling gives what Flax gives, in value and gradient, ties included."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist3.ops import max_pool


def output_and_gradient(pool, images, **options):
    def f(images):
        output = pool(images, **options)
        return (output * jnp.cos(jnp.arange(output.size)).reshape(output.shape)).sum(), output

    return jax.jit(jax.grad(f, has_aux=True))(images)


@settings(max_examples=8)  # each is compiled
@given(
    batch=st.integers(1, 4),
    size=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    channels=st.sampled_from([1, 3, 16]),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    grey_levels=st.sampled_from([2, 1000]),
    dtype=st.sampled_from([jnp.float32, jnp.bfloat16]),
)
def test_tiles(batch, size, channels, window, grey_levels, dtype):
    window = tuple(min(w, s) for w, s in zip(window, size, strict=True))
    # Two grey levels make ties everywhere: the first maximum in reading order has the gradient.
    images = np.random.default_rng(0).integers(0, grey_levels, (batch, *size, channels))
    options = {"window_shape": window, "strides": window}
    for actual, expected in zip(
        output_and_gradient(max_pool, jnp.asarray(images, dtype), **options),
        output_and_gradient(nn.max_pool, jnp.asarray(images, dtype), **options),
        strict=True,
    ):
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 9, 9, 3), {"window_shape": (3, 3), "strides": (2, 2)}),
        ((2, 9, 9, 3), {"window_shape": (2, 2)}),
        ((2, 9, 9, 3), {"window_shape": (2, 2), "strides": (2, 2), "padding": "SAME"}),
        ((2, 9, 9, 3), {"window_shape": (3, 3), "strides": (3, 3), "padding": ((1, 1), (0, 0))}),
        ((9, 9, 3), {"window_shape": (2, 2), "strides": (2, 2)}),
        ((2, 2, 9, 9, 3), {"window_shape": (2, 2), "strides": (2, 2)}),
    ],
)
def test_other_windows(shape, options):
    images = jax.random.normal(jax.random.key(0), shape)
    for actual, expected in zip(
        output_and_gradient(max_pool, images, **options),
        output_and_gradient(nn.max_pool, images, **options),
        strict=True,
    ):
        np.testing.assert_array_equal(actual, expected)


def test_the_compiled_gradient_has_no_select_and_scatter():
    images = jnp.ones((4, 8, 8, 16))
    gradient = jax.jit(jax.grad(lambda x: max_pool(x, (2, 2), strides=(2, 2)).sum()))
    text = gradient.lower(images).compile().as_text()
    assert "select-and-scatter(" not in text
    assert "conditional(" not in text
