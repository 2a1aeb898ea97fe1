"""Max-pooling whose gradient is cheap on a CPU; XLA's own elsewhere."""

import functools
import itertools
from collections.abc import Sequence

import flax.linen
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int8

from mnist3.ops.platform import is_plain


def max_pool(
    inputs: Float[Array, "*batch height width channels"],
    window_shape: tuple[int, int],
    strides: tuple[int, int] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
) -> Float[Array, "*batch rows columns channels"]:
    """Takes the maximum of every window, as `flax.linen.max_pool` does.

    Windows that neither overlap nor leave gaps nor need padding have a gradient of their own on
    CPU: XLA's, a select-and-scatter, is over ten times slower. On a tie the first maximum in
    reading order takes the whole gradient, on every platform.

    Args:
        inputs: images, channels last.
        window_shape: (height, width) of a window, in pixels.
        strides: steps between windows, in pixels; (1, 1) if not given.
        padding: 'SAME', 'VALID' or a (low, high) pair an axis.

    Returns:
        The maxima, channels last.
    """
    xla = functools.partial(
        flax.linen.max_pool, window_shape=window_shape, strides=strides, padding=padding
    )
    if is_plain() or inputs.ndim != 4 or window_shape != strides or padding != "VALID":
        return xla(inputs)
    return lax.platform_dependent(
        inputs, cpu=functools.partial(_max_of_tiles, window_shape), default=xla
    )


def _max_of_tiles(
    tile: tuple[int, int], inputs: Float[Array, "batch height width channels"]
) -> Float[Array, "batch rows columns channels"]:
    covered = [size // side * side for size, side in zip(inputs.shape[1:3], tile, strict=True)]
    return _maximum(tile, inputs[:, : covered[0], : covered[1]])


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _maximum(
    tile: tuple[int, int], inputs: Float[Array, "batch height width channels"]
) -> Float[Array, "batch rows columns channels"]:
    return _forward(tile, inputs)[0]


def _forward(
    tile: tuple[int, int], inputs: Float[Array, "batch height width channels"]
) -> tuple[Float[Array, "batch rows columns channels"], Int8[Array, "batch rows columns channels"]]:
    """Keeps the place of every tile's first maximum for the gradient."""
    batch, height, width, channels = inputs.shape
    tiles = inputs.reshape(batch, height // tile[0], tile[0], width // tile[1], tile[1], channels)
    pixels = [tiles[:, :, i, :, j] for i, j in itertools.product(*map(range, tile))]
    maximum = pixels[0]
    place = jnp.zeros(maximum.shape, jnp.int8)
    for index, pixel in enumerate(pixels[1:], start=1):
        place = jnp.where(pixel > maximum, jnp.int8(index), place)
        maximum = jnp.maximum(maximum, pixel)
    return maximum, place


def _backward(
    tile: tuple[int, int],
    place: Int8[Array, "batch rows columns channels"],
    gradient: Float[Array, "batch rows columns channels"],
) -> tuple[Float[Array, "batch height width channels"]]:
    """Asks every pixel whether its place in the tile is the one that was kept."""
    batch, rows, columns, channels = gradient.shape
    places = jnp.arange(tile[0] * tile[1], dtype=jnp.int8).reshape(1, 1, tile[0], 1, tile[1], 1)
    chosen = place[:, :, None, :, None] == places
    spread = jnp.where(chosen, gradient[:, :, None, :, None], 0)
    spread = spread.reshape(batch, rows * tile[0], columns * tile[1], channels)
    # Without the barrier XLA computes this once for every use.
    return (lax.optimization_barrier(spread),)


_maximum.defvjp(_forward, _backward)
