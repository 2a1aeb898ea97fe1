"""Digits that a source lacks: ones with an upstroke, sevens with a bar, and what is no digit."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, Key, UInt8

from mnist3.data.strip_draws import Draws, near


def _stroke(
    side: int, start: tuple[Array, Array], end: tuple[Array, Array], reach: Array
) -> Float[Array, "batch longest side side"]:
    """Returns a straight stroke; ends are rows and columns, px, each [batch, longest]."""
    row = jnp.arange(side, dtype=jnp.float32)[:, None] + 0.5
    column = jnp.arange(side, dtype=jnp.float32) + 0.5
    (top, left), (down, right) = (
        tuple(each[..., None, None] for each in place)
        for place in (start, (end[0] - start[0], end[1] - start[1]))
    )
    length = jnp.maximum(down**2 + right**2, 1e-3)
    share = jnp.clip(((row - top) * down + (column - left) * right) / length, 0, 1)
    distance = jnp.hypot(row - top - share * down, column - left - share * right)
    return near(distance, reach[..., None, None])


def _drawn(
    digits: UInt8[Array, "batch longest side side"], stroke: Array, chosen: Array
) -> UInt8[Array, "batch longest side side"]:
    ink = jnp.round(255 * stroke * chosen[..., None, None]).astype(jnp.uint8)
    return jnp.maximum(digits, ink)


def _middle_of(
    inked: Bool[Array, "batch longest side side"], row: Int32[Array, "batch longest"]
) -> Float[Array, "batch longest"]:
    """Returns the middle column of the ink in a row, px."""
    of_row = jnp.take_along_axis(inked, row[..., None, None], axis=2)[:, :, 0]
    place = jnp.arange(inked.shape[-1]) + 0.5
    return (of_row * place).sum(axis=-1) / jnp.maximum(of_row.sum(axis=-1), 1)


def _reach(inked: Bool[Array, "batch longest side side"]) -> Float[Array, "batch longest"]:
    """Returns half the width of the stroke of a digit that is one stroke from top to bottom, px."""
    rows = inked.any(axis=-1).sum(axis=-1)
    return jnp.clip(inked.sum(axis=(2, 3)) / jnp.maximum(rows, 1) / 2, 0.6, 2.0) - 0.2


def add_upstrokes(
    key: Key[Array, ""],
    digits: UInt8[Array, "batch longest side side"],
    ones: Bool[Array, "batch longest"],
    draws: Draws,
    share: float,
) -> UInt8[Array, "batch longest side side"]:
    """Begins the ones of a share of the strips with an upstroke, and gives some of them a foot.

    It rises by at least 0.6 of its width, before the strip is bent: flatter ones would be the tops
    of sevens.
    """
    side = digits.shape[-1]
    inked = digits > 127
    rows = inked.any(axis=-1)
    top, bottom = jnp.argmax(rows, axis=-1), side - 1 - jnp.argmax(rows[..., ::-1], axis=-1)
    reach = _reach(inked)
    jitter = jax.random.uniform(key, (2, *ones.shape), minval=-1)
    left = draws.uniform(2, 6.5)[..., 0] + jitter[1]
    down = left * (draws.uniform(0.75, 1.75)[..., 0] + 0.15 * jitter[0])
    start = top + 0.5, _middle_of(inked, top)
    stroke = _stroke(side, start, (start[0] + down, start[1] - left), reach)
    foot = bottom + 0.5, _middle_of(inked, bottom)
    half = draws.uniform(2, 5)[..., 0]
    line = _stroke(side, (foot[0], foot[1] - half), (foot[0], foot[1] + half), reach)
    stroke = jnp.maximum(stroke, line * draws.happens(0.4)[..., None])
    return _drawn(digits, stroke, ones & draws.happens(share)[..., 0])


def add_bars(
    key: Key[Array, ""],
    digits: UInt8[Array, "batch longest side side"],
    sevens: Bool[Array, "batch longest"],
    draws: Draws,
    share: float,
) -> UInt8[Array, "batch longest side side"]:
    """Puts a bar through the sevens of a share of the strips."""
    side = digits.shape[-1]
    inked = digits > 127
    jitter = jax.random.uniform(key, (2, *sevens.shape), minval=-1)
    row = side / 2 + draws.uniform(-1, 2)[..., 0] + jitter[0]
    middle = _middle_of(inked, row.astype(jnp.int32))
    half, tilt = draws.uniform(2.5, 5)[..., 0], draws.either(1.0)[..., 0] + jitter[1]
    reach = jnp.clip(_reach(inked) * 0.7, 0.4, 1.5)
    stroke = _stroke(side, (row + tilt, middle - half), (row - tilt, middle + half), reach)
    return _drawn(digits, stroke, sevens & draws.happens(share)[..., 0])


def no_digits(
    which: Float[Array, "batch 1 1"], digits: UInt8[Array, "batch longest side side"]
) -> UInt8[Array, "batch longest side side"]:
    """Returns a third each: nothing, signs made of halves of turned digits, and scribbles."""
    which = which[..., None]
    turned, others = digits.swapaxes(2, 3), jnp.roll(digits, 1, axis=0)[..., ::-1]
    half = jnp.arange(digits.shape[-1]) < digits.shape[-1] // 2
    signs = jnp.where(half, turned, others)
    scribbles = jnp.maximum(turned, others)
    return jnp.where(which < 1 / 3, 0, jnp.where(which < 2 / 3, signs, scribbles))
