"""The convolution gives what lax gives, in value and gradient, wherever it is used."""

import os
import subprocess
import sys
import textwrap

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from mnist3.ops import conv_general_dilated, max_pool

CHANNELS_LAST = ("NHWC", "HWIO", "NHWC")


def relative_error(actual, expected):
    """Largest difference in units of the expected array's largest value."""
    actual, expected = (np.asarray(a, np.float64) for a in (actual, expected))
    assert actual.shape == expected.shape
    return np.abs(actual - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-9)


def output_and_gradients(convolution, images, kernels, **options):
    def f(images, kernels):
        output = convolution(images, kernels, **options)
        # A cotangent that differs everywhere, as a loss would give.
        return (output * jnp.cos(jnp.arange(output.size)).reshape(output.shape)).sum(), output

    gradients, output = jax.jit(jax.grad(f, argnums=(0, 1), has_aux=True))(images, kernels)
    return output, *gradients


def random_operands(seed, images_shape, kernels_shape, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return [
        jnp.asarray(rng.standard_normal(shape), dtype) for shape in (images_shape, kernels_shape)
    ]


def assert_same(images, kernels, tolerance=1e-5, **options):
    ours = output_and_gradients(conv_general_dilated, images, kernels, **options)
    theirs = output_and_gradients(lax.conv_general_dilated, images, kernels, **options)
    for actual, expected in zip(ours, theirs, strict=True):
        assert actual.dtype == expected.dtype
        assert relative_error(actual, expected) < tolerance


pads = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=8)  # each is compiled
@given(
    batch=st.integers(1, 9),
    size=st.tuples(st.integers(5, 14), st.integers(5, 14)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    channels=st.sampled_from([1, 2, 8, 20]),
    features=st.sampled_from([1, 3, 16, 40]),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.one_of(st.sampled_from(["SAME", "VALID"]), st.tuples(pads, pads)),
)
def test_plain_convolutions(batch, size, kernel, channels, features, strides, padding):
    images, kernels = random_operands(0, (batch, *size, channels), (*kernel, channels, features))
    assert_same(
        images, kernels, window_strides=strides, padding=padding, dimension_numbers=CHANNELS_LAST
    )


@pytest.mark.parametrize(
    ("images_shape", "kernels_shape", "options"),
    [
        ((2, 9, 9, 6), (3, 3, 3, 4), {"feature_group_count": 2}),
        ((2, 9, 9, 3), (3, 3, 3, 4), {"rhs_dilation": (2, 1)}),
        ((2, 9, 9, 3), (3, 3, 3, 4), {"lhs_dilation": (1, 2), "padding": ((1, 1), (1, 1))}),
        ((2, 9, 9, 3), (3, 3, 3, 4), {"precision": "highest"}),
        ((2, 9, 9, 3), (3, 3, 3, 4), {"padding": ((-1, 2), (0, -2))}),
        ((2, 9, 9, 3), (3, 3, 3, 4), {"padding": ((4, 0), (0, 5))}),
        ((2, 2, 9, 3), (3, 3, 3, 4), {"padding": "VALID"}),
        ((0, 9, 9, 3), (3, 3, 3, 4), {}),
        ((2, 3, 9, 9), (4, 3, 3, 3), {"dimension_numbers": ("NCHW", "OIHW", "NCHW")}),
        ((2, 9, 3), (3, 3, 4), {"dimension_numbers": ("NWC", "WIO", "NWC"), "window_strides": [2]}),
    ],
)
def test_other_convolutions(images_shape, kernels_shape, options):
    images, kernels = random_operands(1, images_shape, kernels_shape)
    defaults = {"window_strides": (1, 1), "padding": "SAME", "dimension_numbers": CHANNELS_LAST}
    assert_same(images, kernels, **(defaults | options))


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.bfloat16, 2e-2), (jnp.float16, 2e-3)])
def test_narrow_dtypes_are_kept(dtype, tolerance):
    images, kernels = random_operands(2, (4, 9, 9, 8), (3, 3, 8, 16), dtype)
    options = {"padding": "SAME", "window_strides": (1, 1), "dimension_numbers": CHANNELS_LAST}
    assert_same(images, kernels, tolerance=tolerance, **options)


def test_float64():
    with jax.enable_x64(True):
        images, kernels = random_operands(3, (4, 9, 9, 8), (3, 3, 8, 16), np.float64)
        options = {"padding": "SAME", "window_strides": (1, 1), "dimension_numbers": CHANNELS_LAST}
        assert_same(images, kernels, tolerance=1e-12, **options)


class Network(nn.Module):
    """Two layers as the models have them."""

    fast: bool

    @nn.compact
    def __call__(self, images):
        convolution, pool = (
            (conv_general_dilated, max_pool)
            if self.fast
            else (lax.conv_general_dilated, nn.max_pool)
        )
        hidden = nn.Conv(16, (3, 3), conv_general_dilated=convolution)(images)
        hidden = nn.relu(pool(hidden, (2, 2), strides=(2, 2)))
        hidden = nn.Conv(24, (3, 3), conv_general_dilated=convolution)(hidden)
        return nn.relu(pool(hidden, (2, 2), strides=(2, 2))).mean((1, 2))


def trained(fast, images, steps=3):
    """Parameters after gradient steps in one program."""
    network = Network(fast)
    parameters = network.init(jax.random.key(0), images[:1])

    def step(parameters, _):
        gradients = jax.grad(lambda p: (network.apply(p, images) ** 2).mean())(parameters)
        return jax.tree.map(lambda p, g: p - g, parameters, gradients), None

    return jax.jit(lambda p: lax.scan(step, p, length=steps)[0]), parameters


def test_a_flax_network_trained_in_a_scan():
    images = jax.random.uniform(jax.random.key(1), (16, 14, 13, 1))
    (fast, parameters), (slow, _) = trained(True, images), trained(False, images)
    errors = jax.tree.map(relative_error, fast(parameters), slow(parameters))
    assert max(jax.tree.leaves(errors)) < 1e-5


def test_the_compiled_program_holds_one_platform_and_no_slow_convolution():
    program, parameters = trained(True, jnp.ones((16, 28, 28, 1)))
    text = program.lower(parameters).compile().as_text()
    assert "conditional(" not in text
    assert "select-and-scatter(" not in text
    layouts = [line for line in text.splitlines() if " convolution(" in line]
    assert layouts
    assert all("dim_labels=b01f_01io->b01f" in line for line in layouts)


def test_the_gradient_of_unused_images_is_dropped():
    images, kernels = random_operands(4, (8, 28, 28, 1), (3, 3, 1, 16))

    def f(kernels):
        return conv_general_dilated(
            images, kernels, (1, 1), "SAME", dimension_numbers=CHANNELS_LAST
        ).sum()

    text = jax.jit(jax.grad(f)).lower(kernels).compile().as_text()
    assert text.count(" convolution(") == 1


def test_second_gradient():
    images, kernels = random_operands(5, (3, 6, 6, 2), (3, 3, 2, 4))

    def curvature(convolution):
        def f(kernels):
            options = {"dimension_numbers": CHANNELS_LAST}
            return (convolution(images, kernels, (1, 1), "SAME", **options) ** 3).sum()

        return jax.grad(lambda kernels: (jax.grad(f)(kernels) ** 2).sum())(kernels)

    assert relative_error(curvature(conv_general_dilated), curvature(lax.conv_general_dilated)) < (
        1e-5
    )


SHARDED = """
    import sys
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    sys.path.insert(0, {folder!r})
    from test_convolution import Network, relative_error

    images = jax.random.uniform(jax.random.key(1), (32, 14, 14, 1))
    network = Network(True)
    parameters = network.init(jax.random.key(0), images[:1])
    def gradient(parameters, images):
        return jax.grad(lambda p: (network.apply(p, images) ** 2).mean())(parameters)
    expected = jax.jit(gradient)(parameters, images)

    assert jax.device_count() == 8
    mesh = Mesh(np.array(jax.devices()), ("data",))
    split = NamedSharding(mesh, PartitionSpec("data"))
    placed = jax.device_put(images, split)
    whole = NamedSharding(mesh, PartitionSpec())
    by_compiler = jax.jit(gradient)(jax.device_put(parameters, whole), placed)
    by_hand = jax.jit(jax.shard_map(
        lambda p, i: jax.lax.pmean(gradient(p, i), "data"),
        mesh=mesh,
        in_specs=(whole.spec, split.spec),
        out_specs=whole.spec,
        check_vma=False,
    ))(parameters, placed)
    for found in (by_compiler, by_hand):
        errors = jax.tree.map(relative_error, found, expected)
        assert max(jax.tree.leaves(errors)) < 1e-5, errors
"""


def test_batch_sharded_over_eight_devices(request):
    folder = str(request.path.parent)
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SHARDED.format(folder=folder))],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
