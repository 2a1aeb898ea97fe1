"""The convolution of all models."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3 import ops


def convolve(
    features: Float[Array, "batch height width channels"],
    channels: int,
    size: tuple[int, int],
    name: str,
    dtype: jnp.dtype,
    stride: int = 1,
    padding: str | Sequence[tuple[int, int]] = "SAME",
) -> Float[Array, "batch rows columns features"]:
    """Convolves in the fastest form for the platform; called in a module's compact method.

    Args:
        features: of the layer before, or images with one channel.
        channels: of the result.
        size: height and width of the kernels, px.
        name: of the layer, from which the keys of its initial parameters follow.
        dtype: of the arithmetic; parameters are float32.
        stride: along both axes, px.
        padding: SAME, VALID, or a (low, high) pair an axis, px.
    """
    return nn.Conv(
        channels,
        size,
        strides=stride,
        padding=padding,
        dtype=dtype,
        kernel_init=nn.initializers.he_normal(),
        conv_general_dilated=ops.conv_general_dilated,
        name=name,
    )(features)
