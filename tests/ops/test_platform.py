"""Plain operations are the same ones, and depend on no platform."""

import jax
import jax.numpy as jnp
import numpy as np

from mnist3 import ops


def trunk(images):
    kernels = jnp.linspace(-1, 1, 3 * 3 * 8 * 4).reshape(3, 3, 8, 4)
    convolved = ops.conv_general_dilated(
        images, kernels, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return ops.max_pool(convolved, (2, 2), strides=(2, 2))


def plain(images):
    with ops.plain_operations():
        return trunk(images)


def test_plain_operations_depend_on_no_platform():
    images = jax.random.normal(jax.random.key(0), (2, 6, 8, 8))
    assert "platform_index" in str(jax.make_jaxpr(trunk)(images))
    traced = str(jax.make_jaxpr(plain)(images))
    assert "platform_index" not in traced and "custom_vjp" not in traced
    assert "platform_index" in str(jax.make_jaxpr(trunk)(images))  # as it was
    np.testing.assert_allclose(plain(images), trunk(images), rtol=1e-4, atol=1e-5)


def test_sizes_of_plain_operations_may_be_symbolic():
    shape = jax.export.symbolic_shape("batch, 6, 2*columns, 8")
    found = jax.eval_shape(plain, jax.ShapeDtypeStruct(shape, jnp.float32))
    assert str(found.shape) == "(batch, 3, columns, 4)"
