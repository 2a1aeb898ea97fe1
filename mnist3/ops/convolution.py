"""Convolution in the forms that XLA runs fast on a CPU; XLA's own elsewhere."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mnist3.ops.platform import is_plain

_CHANNELS_LAST = ("NHWC", "HWIO", "NHWC")
_CACHE_BYTES = 1 << 20  # a core's second-level cache; what a weight gradient works on fits in
_FEW_CHANNELS = 8  # below this a convolution is bound by its output, not by its arithmetic
_FEATURES = 64  # a few vector registers full

_Pair = tuple[int, int]
_Window = tuple[_Pair, tuple[_Pair, _Pair]]  # strides, (low, high) padding of height and width


def conv_general_dilated(
    lhs: Float[Array, "..."],
    rhs: Float[Array, "..."],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> Float[Array, "..."]:
    """Convolves as `jax.lax.conv_general_dilated` does, with the same arguments.

    Made for `flax.linen.Conv(..., conv_general_dilated=conv_general_dilated)`. Plain
    two-dimensional convolutions of channels-last images take forms of their own on CPU, forward
    and backward; there they compute in float32 at least. Groups, dilations, other layouts and
    other options are left to XLA. Gradients are reverse-mode.

    Args:
        lhs: images, [batch, height, width, channels] in the plain case.
        rhs: kernels, [height, width, channels, features] in the plain case.
        window_strides: steps between windows, in pixels.
        padding: 'SAME', 'VALID' or a (low, high) pair an axis, in pixels.
        options: the other arguments of `jax.lax.conv_general_dilated`.

    Returns:
        The convolved images, [batch, rows, columns, features] in the plain case.
    """
    if is_plain() or not _is_common(lhs, rhs, **options):
        return lax.conv_general_dilated(lhs, rhs, window_strides, padding, **options)
    strides = tuple(window_strides)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], strides, padding)
    window: Any = (strides, tuple(map(tuple, padding)))
    has_output = lhs.size and min(_output_size(window, lhs.shape, rhs.shape)) > 0
    return (_convolve if has_output else _xla)(window, lhs, rhs)


def _output_size(window: _Window, images: tuple[int, ...], kernels: tuple[int, ...]) -> _Pair:
    rows, columns = (
        (size + sum(pad) - length) // stride + 1
        for stride, pad, size, length in zip(*window, images[1:3], kernels[:2], strict=True)
    )
    return rows, columns


def _is_common(
    lhs: Float[Array, "..."],
    rhs: Float[Array, "..."],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    **options: Any,
) -> bool:
    if lhs.ndim != 4 or any(option not in (None, 1) for option in options.values()):
        return False
    layouts = [
        lax.conv_dimension_numbers(lhs.shape, rhs.shape, numbers)
        for numbers in (dimension_numbers, _CHANNELS_LAST)
    ]
    dilations = {*(lhs_dilation or ()), *(rhs_dilation or ())}
    return layouts[0] == layouts[1] and dilations <= {1} and feature_group_count == 1


def _xla(
    window: _Window,
    images: Float[Array, "batch height width channels"],
    kernels: Float[Array, "kernel_height kernel_width channels features"],
    dilation: _Pair = (1, 1),
) -> Float[Array, "batch rows columns features"]:
    return lax.conv_general_dilated(
        images, kernels, *window, rhs_dilation=dilation, dimension_numbers=_CHANNELS_LAST
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(
    window: _Window,
    images: Float[Array, "batch height width channels"],
    kernels: Float[Array, "kernel_height kernel_width channels features"],
) -> Float[Array, "batch rows columns features"]:
    def on_cpu(*operands: Array) -> Array:
        return _convolve_on_cpu(window, *map(_at_least_float32, operands)).astype(images.dtype)

    return lax.platform_dependent(
        images, kernels, cpu=on_cpu, default=functools.partial(_xla, window)
    )


def _at_least_float32(array: Float[Array, "..."]) -> Float[Array, "..."]:
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def _forward(window: _Window, images: Array, kernels: Array) -> tuple[Array, tuple[Array, Array]]:
    return _convolve(window, images, kernels), (images, kernels)


def _backward(
    window: _Window, operands: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    def on_cpu(*operands: Array) -> tuple[Array, Array]:
        images, kernels, gradient = map(_at_least_float32, operands)
        gradients = (
            _images_gradient(window, images.shape, kernels, gradient),
            _kernels_gradient(window, kernels.shape, images, gradient),
        )
        return jax.tree.map(lambda array: array.astype(operands[0].dtype), gradients)

    def elsewhere(images: Array, kernels: Array, gradient: Array) -> tuple[Array, Array]:
        return jax.vjp(functools.partial(_xla, window), images, kernels)[1](gradient)

    return lax.platform_dependent(*operands, gradient, cpu=on_cpu, default=elsewhere)


_convolve.defvjp(_forward, _backward)


def _convolve_on_cpu(
    window: _Window,
    images: Float[Array, "batch height width channels"],
    kernels: Float[Array, "kernel_height kernel_width channels features"],
) -> Float[Array, "batch rows columns features"]:
    rows, columns = _output_size(window, images.shape, kernels.shape)
    images, padding = _crop(images, window[1])
    strides, kernel, (channels, features) = window[0], kernels.shape[:2], kernels.shape[2:]
    if (kernel, strides, padding) == ((1, 1), (1, 1), ((0, 0), (0, 0))):
        convolved = lax.dot_general(images, kernels[0, 0], (((3,), (0,)), ((), ())))
    elif channels < _FEW_CHANNELS:
        # Neighbouring outputs of a row become features of one: the same bytes, but whole vectors.
        merged = math.gcd(columns, max(_FEATURES // features, 1))
        step = strides[1]
        moved = [
            jnp.pad(kernels, ((0, 0), (i * step, (merged - 1 - i) * step), (0, 0), (0, 0)))
            for i in range(merged)
        ]
        wide = ((strides[0], step * merged), padding)
        convolved = _xla(wide, images, jnp.concatenate(moved, axis=3))
    else:
        # Without any padding XLA takes a slow path: give it a row, and drop what comes of it.
        (top, bottom), sides = padding
        spare = 0 if any((top, bottom, *sides)) else strides[0]
        convolved = _xla((strides, ((top, bottom + spare), sides)), images, kernels)[:, :rows]
    return convolved.reshape(images.shape[0], rows, columns, features)


def _crop(
    images: Float[Array, "batch height width channels"], padding: tuple[_Pair, _Pair]
) -> tuple[Float[Array, "batch cropped_height cropped_width channels"], tuple[_Pair, _Pair]]:
    """Does what padding below zero asks for: XLA's convolution can then read out of bounds."""
    negative = [(min(low, 0), min(high, 0), 0) for low, high in padding]
    (top, bottom), (left, right) = (tuple(max(side, 0) for side in pair) for pair in padding)
    cropped = lax.pad(images, jnp.zeros((), images.dtype), [(0, 0, 0), *negative, (0, 0, 0)])
    return cropped, ((top, bottom), (left, right))


def _images_gradient(
    window: _Window,
    shape: tuple[int, ...],
    kernels: Float[Array, "kernel_height kernel_width channels features"],
    gradient: Float[Array, "batch rows columns features"],
) -> Float[Array, "batch height width channels"]:
    """Convolves the gradient, spread by the strides, with the kernels turned around.

    XLA does the same, but brings kernels and images into the order that its fast convolution
    needs only outside of loops: in the body of a `lax.scan` it is fifty times slower.
    """
    strides, padding = window
    interior = [(0, 0, stride - 1) for stride in (1, *strides, 1)]
    spread = lax.pad(gradient, jnp.zeros((), gradient.dtype), interior)
    edges: Any = tuple(
        (length - 1 - low, size + low - count)
        for length, (low, _), size, count in zip(
            kernels.shape[:2], padding, shape[1:3], spread.shape[1:3], strict=True
        )
    )
    turned = jnp.flip(kernels, (0, 1)).swapaxes(2, 3)
    return _convolve_on_cpu(((1, 1), edges), spread, turned)


def _kernels_gradient(
    window: _Window,
    shape: tuple[int, ...],
    images: Float[Array, "batch height width channels"],
    gradient: Float[Array, "batch rows columns features"],
) -> Float[Array, "kernel_height kernel_width channels features"]:
    """Convolves images with the gradient, a few images at a time.

    Rows are convolved. The kernels' columns stand beside the channels, in an axis where nothing is
    summed, and the images' columns in the axis over which channels are summed elsewhere. So
    patches are built for the width of the kernels alone, and those of a few images stay in the
    cache.
    """
    (row_stride, column_stride), ((top, _), sides) = window
    kernel_height, kernel_width, channels, features = shape
    batch, rows, columns, _ = gradient.shape
    bottom = (rows - 1) * row_stride + kernel_height - images.shape[1] - top
    images, (vertical, sides) = _crop(images, ((top, bottom), sides))
    height = images.shape[1]
    image_bytes = (height * kernel_width * channels + rows * features) * columns * 4
    few = math.gcd(batch, 1 << (max(_CACHE_BYTES // image_bytes, 1).bit_length() - 1))

    def add(total: Array, start: Array) -> tuple[Array, None]:
        some = lax.dynamic_slice_in_dim(images, start, few)
        edges = [(0, 0, 0), (0, 0, 0), (*sides, 0), (0, 0, 0)]
        some = lax.pad(some, jnp.zeros((), some.dtype), edges).transpose(1, 3, 0, 2)
        last = (columns - 1) * column_stride + 1
        shifted = [some[..., j : j + last : column_stride] for j in range(kernel_width)]
        patches = jnp.stack(shifted, axis=1).reshape(1, height, kernel_width * channels, -1)
        turned = lax.dynamic_slice_in_dim(gradient, start, few).swapaxes(0, 1)
        turned = turned.reshape(rows, 1, few * columns, features)
        # XLA would fuse the rearrangement into the convolution, and leave its fast path.
        patches, turned = lax.optimization_barrier((patches, turned))
        along_rows = ((1, 1), (vertical, (0, 0)))
        return total + _xla(along_rows, patches, turned, dilation=(row_stride, 1)), None

    zero = jnp.zeros_like(gradient, shape=(1, kernel_height, kernel_width * channels, features))
    return lax.scan(add, zero, jnp.arange(0, batch, few))[0].reshape(shape)
