"""Rotation, scale, shear, shift and elastic displacement, in one warp."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Key
from ml_collections import ConfigDict

from mnist3.data.augmentation.fields import Augmentation, Field, Size
from mnist3.varied import Scalar, Varied, largest, side_by_side

_SMOOTHNESS = 4.0  # px, of the elastic displacement: the standard deviation of its Gaussians
_KNOTS = 6.0  # px, between them
_WARPING = ("rotation", "scale", "shear", "elastic")  # fields; without them whole pixels move
_LEVELS = 65535  # of ink while images are warped; a multiple of 255, so uint8 images stay exact


def distort(
    key: Key[Array, ""], images: Float[Array, "batch height width"], config: ConfigDict
) -> Float[Array, "batch height width"]:
    """Distorts images by one bilinear warp about their middle; a shift alone moves whole pixels.

    What leaves an image is lost, and what enters it is 0.
    """
    if any(config[name] for name in _WARPING):
        batch, height, width = images.shape
        return warp(images, *_draw_coordinates(key, (batch, height, width), config))
    return _move(images, _draw_shift(key, len(images), config.shift), int(largest(config.shift)))


def _shift_leaves(shift: int, size: Size) -> str:
    return "moves images out of sight" if shift >= min(size) else ""


def _scale_leaves(scale: float, size: Size) -> str:
    del size
    return "shrinks images to nothing" if scale >= 1 else ""


def _shear_leaves(shear: float, size: Size) -> str:
    del size
    return "lays images flat" if shear >= 90 else ""


def _elastic_leaves(elastic: float, size: Size) -> str:
    return "scatters images beyond their border" if elastic >= min(size) else ""


AUGMENTATION = Augmentation(
    {
        "shift": Field(0, "whole px to either side, along each axis", _shift_leaves),
        "rotation": Field(0.0, "degrees to either side"),
        "scale": Field(0.0, "relative: 0.1 = from 0.9 to 1.1", _scale_leaves),
        "shear": Field(0.0, "degrees of slant to either side", _shear_leaves),
        "elastic": Field(
            # Simard et al. (2003) recommend an alpha of 34 at a sigma of 4 px, which is 1.4 here.
            0.0,
            "px, standard deviation of the smooth random displacement along each axis",
            _elastic_leaves,
        ),
    },
    distort,
)


def warp(
    images: Float[Array, "batch height width"],
    rows: Float32[Array, "batch rows columns"],
    columns: Float32[Array, "batch rows columns"],
) -> Float[Array, "batch rows columns"]:
    """Reads images between their pixels, bilinearly; they are 0 outside.

    Look-ups cost most of the time on a CPU, so two neighbouring pixels are packed into one word.

    Args:
        images: with ink from 0 to 1.
        rows: where each pixel of the result comes from, px; 0 is the middle of the first row.
        columns: likewise.
    """
    height, width = images.shape[1:]
    # Without the barriers XLA computes coordinates and look-ups again wherever they are used, which
    # takes two to three times as long on a CPU.
    rows, columns = jax.lax.optimization_barrier(
        (jnp.clip(rows + 1, 0, height + 1), jnp.clip(columns + 1, 0, width + 1))
    )
    row, column = rows.astype(jnp.int32), columns.astype(jnp.int32)
    levels = (images.astype(jnp.float32) * _LEVELS + 0.5).astype(jnp.uint32)
    levels = jnp.pad(levels, ((0, 0), (1, 2), (1, 2)))
    pairs = levels[:, :, :-1] | levels[:, :, 1:] << 16
    look_up = jax.vmap(lambda pairs, *at: pairs.at[at].get(mode="promise_in_bounds"))
    upper, lower = jax.lax.optimization_barrier(
        (look_up(pairs, row, column), look_up(pairs, row + 1, column))
    )

    def between_columns(pair):
        left, right = (pair & 0xFFFF).astype(jnp.float32), (pair >> 16).astype(jnp.float32)
        return left + (columns - column) * (right - left)

    upper, lower = between_columns(upper), between_columns(lower)
    return ((upper + (rows - row) * (lower - upper)) / _LEVELS).astype(images.dtype)


def _draw_coordinates(
    key: Key[Array, ""], shape: tuple[int, int, int], config: ConfigDict
) -> Float32[Array, "2 batch height width"]:
    """Draws the row and the column that each pixel comes from.

    The elastic displacement is a sum of Gaussians on a grid with random weights: the smoothed
    noise of Simard et al. (2003, Best practices for convolutional neural networks applied to
    visual document analysis). Like the affine part, it is a sum of products of a term of the row
    and a term of the column, so one matrix product gives the coordinates. XLA keeps its result,
    where it would compute a formula anew for each look-up.
    """
    batch, height, width = shape
    affine_key, shift_key, elastic_key = jax.random.split(key, 3)
    if not any(config[name] for name in _WARPING if not isinstance(config[name], Varied)):
        # Candidates alone warp: one of them that does not moves as it would without the others.
        values = [config[name].value for name in _WARPING if isinstance(config[name], Varied)]
        shift_key = jnp.where(jnp.stack(values).any(), shift_key, key)
    inverse = _draw_inverse(affine_key, batch, config)
    shift = _draw_shift(shift_key, batch, config.shift)
    middle = np.array([height - 1, width - 1], np.float32) / 2
    row, column = (
        np.arange(size, dtype=np.float32) - half
        for size, half in zip(shape[1:], middle, strict=True)
    )
    start = (
        inverse[:, 0, :, None] * (row - shift[:, :1])
        - inverse[:, 1, :, None] * shift[:, 1:]
        + middle[:, None, None]
    )
    slope = jnp.broadcast_to(inverse[:, 1, :, None], start.shape)
    row_terms = jnp.stack([start, slope], axis=-1)
    column_terms = np.stack([np.ones_like(column), column])
    if config.elastic:
        over_rows, over_columns = _gaussians(height), _gaussians(width)
        weights = jax.random.normal(elastic_key, (len(over_rows), 2, batch, len(over_columns)))
        elastic = jnp.einsum(
            "rabc,rh->abhc", config.elastic * weights, over_rows, precision="highest"
        )
        row_terms = jnp.concatenate([row_terms, elastic], axis=-1)
        column_terms = np.concatenate([column_terms, over_columns])
    return jnp.einsum("abhc,cw->abhw", row_terms, column_terms, precision="highest")


def _draw_inverse(
    key: Key[Array, ""], batch: int, config: ConfigDict
) -> Float32[Array, "2 2 batch"]:
    """Draws maps from (row, column) to source: scaled, slanted, rotated, the other way round."""
    limits = side_by_side([config.rotation, config.shear, config.scale]).reshape(-1, 1)
    rotation, shear, scale = limits * jax.random.uniform(key, (3, batch), minval=-1)
    slant = jnp.tan(jnp.deg2rad(shear))
    sine, cosine = jnp.sin(jnp.deg2rad(rotation)), jnp.cos(jnp.deg2rad(rotation))
    return jnp.array([[cosine, -sine], [sine - slant * cosine, cosine + slant * sine]]) / (
        1 + scale
    )


def _gaussians(size: int) -> Float32[np.ndarray, "knots size"]:
    """Gaussians along an axis, their squares summing to 1 at every pixel."""
    knots = int(np.ceil(size / _KNOTS)) + 2
    places = (np.arange(knots) - (knots - 1) / 2) * _KNOTS + (size - 1) / 2
    values = np.exp(-(((np.arange(size) - places[:, None]) / _SMOOTHNESS) ** 2) / 2)
    return (values / np.sqrt((values**2).sum(axis=0))).astype(np.float32)


def _draw_shift(key: Key[Array, ""], batch: int, shift: Scalar) -> Array:
    """Draws whole pixels down and to the right, int32 [batch, 2]."""
    return jax.random.randint(key, (batch, 2), -shift, shift + 1)


def _move(
    images: Float[Array, "batch height width"], shift: Array, limit: int
) -> Float[Array, "batch height width"]:
    """Moves each image down and to the right by whole pixels, int32 [batch, 2], up to a limit."""
    height, width = images.shape[1:]
    canvas = jnp.zeros((height + 2 * limit, width + 2 * limit), images.dtype)

    def move(image, corner):
        moved = jax.lax.dynamic_update_slice(canvas, image, corner)
        return moved[limit : limit + height, limit : limit + width]

    return jax.vmap(move)(images, limit + shift)
