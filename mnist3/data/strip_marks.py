"""What a strip shows besides its digits: marks, boxes, lines, neighbours, specks, blur and noise.

`written` is a `mnist3.data.writing.Writing`, whose shares are read.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from mnist3.data import strips
from mnist3.data.noise import pixel_noise
from mnist3.data.strip_draws import Draws, bounds, near, pieces


def cut(
    key: Key[Array, ""],
    level: Float[Array, "batch rows columns"],
    draws: Draws,
    written: Any,
) -> Float[Array, "batch rows columns"]:
    """Takes away what a level line and upright ones cover, each in pieces."""
    if not written.cuts:
        return level
    batch, rows, columns = level.shape
    row = jnp.arange(rows, dtype=jnp.float32)[:, None] + 0.5
    piece_key, place_key = jax.random.split(key)
    place = rows / 2 + draws.either(0.6 * strips.DIGIT_HEIGHT)
    gone = near(row - place, draws.uniform(0.0, 1.2))
    gone *= pieces(piece_key, (batch, columns), draws.uniform(0.3, 1.0), 6)
    upright = jax.random.uniform(place_key, (batch, 1, columns)) < 0.02
    # Two columns each, so that thin strokes are cut through.
    upright = upright | jnp.pad(upright, ((0, 0), (0, 0), (1, 0)))[..., :-1]
    gone = jnp.where(draws.happens(0.3), upright, gone)
    return level * (1 - gone * draws.happens(written.cuts))


def add_marks(
    key: Key[Array, ""],
    level: Float[Array, "batch rows columns"],
    edges: Float[Array, "batch longest 2"],
    present: Bool[Array, "batch longest"],
    draws: Draws,
    written: Any,
) -> Float[Array, "batch rows columns"]:
    """Adds separators between digits, and boxes around them."""
    if not (written.separators or written.boxes):
        return level
    batch, rows, columns = level.shape
    row = jnp.arange(rows, dtype=jnp.float32)[:, None] + 0.5
    column = jnp.arange(columns, dtype=jnp.float32) + 0.5
    middle, half = rows / 2, strips.DIGIT_HEIGHT / 2
    followed = present[:, 1:] & present[:, :-1]
    between = (edges[:, :-1, 1] + edges[:, 1:, 0]) / 2
    mark_key, piece_key, bar_key = jax.random.split(key, 3)
    if written.separators:
        chosen = jax.random.uniform(mark_key, between.shape) < 0.3
        shown = followed & chosen & draws.happens(written.separators)[..., 0]
        kind, thick = draws.uniform(), draws.uniform(0.6, 1.6)
        dash = kind > 0.6
        wide = jnp.where(dash, draws.uniform(2, 4.5), thick)
        tall = jnp.where(dash, thick, jnp.where(kind > 0.3, thick, draws.uniform(2, 3.5)))
        place = jnp.where(dash, middle, middle + half - 1 + draws.uniform(0, 2))
        along = near(column - between[..., None], wide) * shown[..., None]
        marks = along.max(axis=1, keepdims=True) * near(row - place, tall)
        level = jnp.maximum(level, marks * draws.uniform(0.6, 1.0))
    if written.boxes:
        low, high = bounds(edges, present)
        low, high = low - draws.uniform(2, 10), high + draws.uniform(2, 10)
        each = draws.happens(0.5)
        thick = draws.uniform(0.0, 0.9)
        top, bottom = middle - half - draws.uniform(0, 6), middle + half + draws.uniform(0, 6)
        bars = (near(column - between[..., None], thick) * followed[..., None]).max(axis=1)
        upright = jnp.maximum(near(column - low, thick), near(column - high, thick))
        upright = jnp.maximum(upright, bars[:, None] * each)
        # A bar as tall as a digit is a 1: sides of boxes are taller, and what separates the places
        # of a form, or is left of a side, is shorter and at one end of the digits.
        tall, low_end = draws.happens(0.5), draws.happens(0.7)
        reach = jnp.where(tall, draws.uniform(1.25, 1.7), draws.uniform(0.1, 0.35)) * half
        end = half + draws.uniform(-3, 2)
        of_short = middle + jnp.where(low_end, end, -end)
        upright *= near(row - jnp.where(tall, middle, of_short), reach)
        has_top, has_bottom = draws.happens(0.6), draws.happens(0.8)
        level_lines = jnp.maximum(
            near(row - top, thick) * has_top, near(row - bottom, thick) * has_bottom
        )
        level_lines *= (column > low) & (column < high)
        kept = jnp.where(draws.happens(0.4), 1.0, draws.uniform(0.1, 0.8))
        level_lines *= pieces(piece_key, (batch, columns), kept, 7)
        upright *= pieces(bar_key, (batch, columns), kept, 7)
        box = jnp.maximum(upright, level_lines) * draws.uniform(0.2, 1.0)
        level = jnp.maximum(level, box * draws.happens(written.boxes))
    return level


def _field(
    key: Key[Array, ""], batch: int, height: int, width: int, cell: int
) -> Float[Array, "batch height width"]:
    """Draws a smooth field of variance 1 at its knots, which are a cell apart, px."""
    rows, columns = -(-height // cell) + 1, -(-width // cell) + 1
    knots = jax.random.normal(key, (batch, rows, columns))
    over_rows, over_columns = (
        jnp.clip(1 - jnp.abs(jnp.arange(size)[:, None] / cell - jnp.arange(count)), 0, 1)
        for size, count in ((height, rows), (width, columns))
    )
    return jnp.einsum("hr,brc,wc->bhw", over_rows, knots, over_columns)


# Of images as small as these a product with a matrix is several times faster on a CPU than slices.
def _shifted(
    images: Float[Array, "batch height width"], rows: Float[Array, "batch 1 1"]
) -> Float[Array, "batch height width"]:
    """Moves each image down by some whole rows."""
    place = jnp.arange(images.shape[1])
    moves = (place[:, None] - rows == place).astype(images.dtype)
    return jnp.einsum("bgh,bhw->bgw", moves, images)


def _blurred(images: Float[Array, "batch height width"]) -> Float[Array, "batch height width"]:
    """Returns images with each pixel a mean of its neighbours, weighted 1, 2, 1 along both axes."""
    height, width = (
        (np.eye(size, k=-1) + 2 * np.eye(size) + np.eye(size, k=1)).astype(np.float32) / 4
        for size in images.shape[1:]
    )
    return jnp.einsum("gh,bhw,wv->bgv", height, images, width)


def _cosines() -> np.ndarray:
    """Returns the cosine transform of 8 values as a matrix, orthonormal."""
    place, wave = np.arange(8)[None], np.arange(8)[:, None]
    scale = np.where(wave == 0, np.sqrt(1 / 8), np.sqrt(2 / 8))
    return np.asarray(scale * np.cos((2 * place + 1) * wave * np.pi / 16), np.float32)


def _compressed(
    images: Float[Array, "batch height width"], step: Float[Array, "batch 1 1"]
) -> Float[Array, "batch height width"]:
    """Rounds the waves of 8x8 blocks as JPEG does, the shorter ones more coarsely."""
    batch, height, width = images.shape
    both = np.kron(_cosines(), _cosines())
    blocks = images.reshape(batch, height // 8, 8, width // 8, 8).swapaxes(2, 3)
    waves = jax.lax.optimization_barrier(blocks.reshape(-1, 64)) @ both.T
    coarse = step[..., None] * (1 + np.arange(8)[:, None] + np.arange(8)).ravel()
    waves = waves.reshape(batch, -1, 64)
    waves = (jnp.round(waves / coarse[:, 0]) * coarse[:, 0]).reshape(-1, 64)
    blocks = jax.lax.optimization_barrier(waves) @ both
    return blocks.reshape(batch, height // 8, width // 8, 8, 8).swapaxes(2, 3).reshape(images.shape)


def add_remains(
    keys: Iterator[Key[Array, ""]],
    images: Float[Array, "batch height width"],
    inside: Bool[Array, "batch 1 width"],
    draws: Draws,
    written: Any,
) -> Float[Array, "batch height width"]:
    """Adds what a strip shows besides its string, and what camera and files do to it."""
    batch, height, width = images.shape
    row = jnp.arange(height, dtype=jnp.float32)[:, None] + 0.5
    column = jnp.arange(width, dtype=jnp.float32) + 0.5
    clean = images
    if written.uneven:
        uneven = 1 + written.uneven * draws.uniform() * _field(next(keys), batch, height, width, 8)
        images = images * jnp.clip(uneven, 0, 1)
    if written.faint:
        images = images * (1 - draws.uniform(0, written.faint))
    if written.neighbours:
        by = jnp.round(draws.uniform(14, 27) * jnp.where(draws.happens(0.5), 1, -1))
        others = _shifted(jnp.roll(clean, 1, axis=0), by)
        images = jnp.maximum(images, others * draws.happens(written.neighbours))
    if written.rules:
        first, apart = draws.uniform(-4, height + 4), draws.uniform(10, 28)
        slope = draws.either(0.08)
        height_of = first + slope * (column - width / 2)
        thick = draws.uniform(0.0, 1.4)
        lines = jnp.maximum(near(row - height_of, thick), near(row - height_of - apart, thick))
        kept = jnp.where(draws.happens(0.4), 1.0, draws.uniform(0.1, 0.8))
        lines *= pieces(next(keys), (batch, width), kept, 9) * draws.uniform(0.15, 0.9)
        images = jnp.maximum(images, lines * draws.happens(written.rules))
    if written.specks:
        noise = jax.random.uniform(next(keys), images.shape)
        dots = (noise < draws.uniform(0, 0.006)).astype(jnp.float32)
        dots = jnp.clip(4 * draws.uniform(0.3, 1.0) * _blurred(dots), 0, 1)
        images = jnp.maximum(images, dots * draws.happens(written.specks))
    if written.shade:
        field = jnp.clip(_field(next(keys), batch, height, width, 32), 0, 1)
        shade = draws.uniform(0, 0.3) * field * draws.happens(written.shade)
        images = images + shade * (1 - images)
    if written.blur:
        strength = draws.uniform(0, 1) * draws.happens(written.blur)
        for _ in range(2):
            images = images + strength * (_blurred(images) - images)
    if written.texture:
        strength = draws.uniform(0, 0.12) * draws.happens(written.texture)
        images = images + strength * pixel_noise(next(keys), images.shape)
    if written.blocks:
        rough = _compressed(images, draws.uniform(0.01, 0.06))
        images = jnp.where(draws.happens(written.blocks), rough, images)
    if written.texture or written.shade or written.rules or written.neighbours:
        images = jnp.where(inside | draws.happens(0.5), images, 0)  # as strips are filled up
    return jnp.clip(images, 0, 1)
