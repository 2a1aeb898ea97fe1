"""Strips of writing composed from digit images: a pure function of a key, made on the device.

A strip shows the digits of a string from left to right as a person may have written them, and what
is left on it once its picture has been brought into the form of a strip (`mnist3.data.locate`):
pieces of lines and boxes, dots and dashes between groups, strokes of the lines above and below,
specks, blur and noise. The digits are painted on a level line, which is then warped as a whole:
size, slant, a rising or falling line and growing digits are of the writer, not of the digit.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, Key, UInt8

from mnist3.data import strips
from mnist3.data.augmentation.geometry import warp
from mnist3.data.composition import DigitPool
from mnist3.data.noise import pixel_noise
from mnist3.data.numbers import NO_DIGIT
from mnist3.errors import UserError

SHARED_LENGTH = 2  # digits; strings as short as that are in every split
_PARTS = 100  # of the hashes, as which the splits take their shares
_CANDIDATES = 64  # drawn for each string, of which the first that its split may hold is taken
_INK = 0.3  # from here on a column has ink
_PAD = 6  # rows above and below the boxes of digits before the warp


@dataclasses.dataclass(frozen=True)
class Writing:
    """How strings look on a strip; what is 0 does not occur.

    Ranges are drawn from uniformly; a share is that of the strips which show a thing at all, and
    how strong it is then varies.

    Attributes:
        shortest: digits.
        longest: digits.
        height: of a strip, px.
        width: of a strip, px; a string that does not fit is written smaller.
        side: of a digit image, px; its digit is 20 px tall.
        gap: from the ink of a digit to that of the next, digit heights; below 0 they may touch or
            overlap.
        gap_jitter: of a single gap, digit heights to either side.
        size: of the digits, relative to 20 px.
        growth: of the last digit against the first, relative, to either side.
        stretch: of the width, relative, to either side.
        slant: degrees to either side.
        slope: of the line, degrees to either side.
        drift: of a digit from the line, px to either side.
        upstrokes: share whose ones begin with an upstroke, some with a foot, as in much of Europe;
            the digit 1 of MNIST has hardly any. For sources of digits.
        bars: share whose sevens have a bar. For sources of digits.
        faint: how much of its ink a string may lack.
        uneven: standard deviation of the ink along the strokes, relative.
        separators: share with dots, commas or dashes between digits.
        rules: share with ruled lines, or pieces of some.
        boxes: share with a box around the string or around each digit, or pieces of some.
        cuts: share whose strokes have gaps along straight lines, as where ruled lines were removed.
        neighbours: share with strokes of the lines above or below.
        specks: share with specks.
        shade: share with a shade of the paper.
        texture: share with noise of the paper and of the camera.
        blur: share out of focus.
        blocks: share with the blocks of strong JPEG compression.
        nothing: share without any digit: blank, or digits turned and piled up, as letters and
            scribbles are; their string is empty.

    Raises:
        UserError: if strings or strips cannot be made so.
    """

    shortest: int = 1
    longest: int = 10
    height: int = strips.HEIGHT
    width: int = 256
    side: int = 28
    gap: tuple[float, float] = (0.3, 0.3)
    gap_jitter: float = 0.0
    size: tuple[float, float] = (1.0, 1.0)
    growth: float = 0.0
    stretch: float = 0.0
    slant: float = 0.0
    slope: float = 0.0
    drift: float = 0.0
    upstrokes: float = 0.0
    bars: float = 0.0
    faint: float = 0.0
    uneven: float = 0.0
    separators: float = 0.0
    rules: float = 0.0
    boxes: float = 0.0
    cuts: float = 0.0
    neighbours: float = 0.0
    specks: float = 0.0
    shade: float = 0.0
    texture: float = 0.0
    blur: float = 0.0
    blocks: float = 0.0
    nothing: float = 0.0

    def __post_init__(self):
        if not 1 <= self.shortest <= self.longest:
            raise UserError(
                f"config.data.digits asks for strings of {self.shortest} to {self.longest} digits; "
                "give the shortest, at least 1, and the longest, as in (1, 10)."
            )
        least = strips.MARGIN * 2 + 4 * self.longest
        if self.height % 8 or self.width % 8 or self.width < least:
            raise UserError(
                f"strips of {self.height}x{self.width} px cannot hold {self.longest} digits; set "
                f"config.data.height and config.data.width to multiples of 8, the width to {least} "
                "at least."
            )
        for name in ("gap", "size"):
            low, high = getattr(self, name)
            if low > high:
                raise UserError(
                    f"config.data.composition.{name} is {(low, high)}; give the lower end first."
                )
        if self.size[0] <= 0 or abs(self.growth) >= 1 or abs(self.stretch) >= 1:
            raise UserError(
                "config.data.composition.size has to be above 0, growth and stretch below 1; "
                f"they are {self.size}, {self.growth} and {self.stretch}."
            )

    def describe(self) -> dict[str, Any]:
        """Returns what metrics.json says of the strings."""
        return {"lengths": [self.shortest, self.longest]}

    def listed(self, allowed: Array | np.ndarray, classes: int) -> None:
        """Returns nothing: strings are too many to be listed."""

    def sample(
        self,
        key: Key[Array, ""],
        pool: DigitPool,
        allowed: Int32[Array | np.ndarray, "2"] | None,
        batch_size: int,
    ) -> tuple[UInt8[Array, "batch height width"], Int32[Array, "batch longest"]]:
        """Draws strings from those allowed and composes a strip of each.

        Args:
            key: of all that is random.
            pool: of digit images.
            allowed: see `split_strings`.
            batch_size: how many.

        Returns:
            The strips, and their strings, filled up with `NO_DIGIT`.
        """
        return _sample(key, pool, allowed, self, batch_size)[:2]


def split_strings(shared: bool, seed: int) -> dict[str, np.ndarray | None]:
    """Returns which strings each split may hold.

    A hash of the digits assigns a string to a split: 64 % of the strings go to train, 16 % to val
    and 20 % to test. Strings of up to `SHARED_LENGTH` digits are in every split: there are too few
    of them to learn digits from some and be asked others.

    Args:
        shared: every split may hold every string.
        seed: of the hash.

    Returns:
        by split None for all, or uint32 [3]: the first hash, the end of the hashes, and the seed.
    """
    ends = {"test": (0, 20), "val": (20, 36), "train": (36, _PARTS)}
    return {
        name: None if shared else np.array([*ends[name], seed], np.uint32)
        for name in ("train", "val", "test")
    }


def string_hash(
    strings: Int32[np.ndarray, "*batch longest"] | Int32[Array, "*batch longest"],
    seed: np.ndarray | Array,
) -> np.ndarray | Array:
    """Returns for each string a number from 0 to 99, the same whatever it is filled up to.

    FNV-1a over the digits (Fowler, Noll and Vo), its bits then mixed, since its lowest ones alone
    would follow those of the last digit.

    Args:
        strings: filled up with `NO_DIGIT`.
        seed: uint32 [], so that another one gives other hashes.
    """
    own = np if isinstance(strings, np.ndarray) else jnp
    value = own.full(strings.shape[:-1], 2166136261, np.uint32) ^ own.asarray(seed, np.uint32)
    for place in range(strings.shape[-1]):
        digit = strings[..., place]
        mixed = (value ^ (digit + 1).astype(np.uint32)) * np.uint32(16777619)
        value = own.where(digit >= 0, mixed, value)
    for _ in range(2):
        value = (value ^ (value >> np.uint32(16))) * np.uint32(0x45D9F3B)
    return (value ^ (value >> np.uint32(16))) % np.uint32(_PARTS)


@functools.partial(jax.jit, static_argnames=("writing", "n", "batch"))
def write_split(
    key: Key[Array, ""],
    pool: DigitPool,
    allowed: Array | np.ndarray | None,
    writing: Writing,
    n: int,
    batch: int = 500,
) -> tuple[UInt8[Array, "n height width"], Int32[Array, "n longest"], Int32[Array, "n longest"]]:
    """Composes the strips of a fixed split; those of a smaller n are the first of a larger one.

    Args:
        key: of all that is random.
        pool: of digit images.
        allowed: see `split_strings`.
        writing: how they look.
        n: how many strips.
        batch: how many of them are composed at a time.

    Returns:
        The strips, their strings, and where the digit images on them stand in their source, both
        filled up with -1.
    """
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(-(-n // batch)))
    parts = jax.lax.map(lambda key: _sample(key, pool, allowed, writing, batch), keys)
    images, labels, rows = (part.reshape(-1, *part.shape[2:])[:n] for part in parts)
    return images, labels, jnp.where(rows < 0, -1, jnp.asarray(pool.index)[rows])


def _sample(
    key: Key[Array, ""],
    pool: DigitPool,
    allowed: Array | np.ndarray | None,
    writing: Writing,
    batch: int,
) -> tuple[Array, Array, Array]:
    """Returns strips, strings, and the rows of the pool that they are made from."""
    string_key, image_key = jax.random.split(key)
    strings = _draw_strings(string_key, pool.count.shape[0], allowed, writing, batch)
    return _compose(image_key, pool, strings, writing)


def _draw_strings(
    key: Key[Array, ""], classes: int, allowed: Any, writing: Writing, batch: int
) -> Int32[Array, "batch longest"]:
    length_key, digit_key = jax.random.split(key)
    lengths = jax.random.randint(
        length_key, (batch, 1), writing.shortest, writing.longest + 1, jnp.int32
    )
    places = jnp.arange(writing.longest)
    candidates = 1 if allowed is None else _CANDIDATES
    drawn = jax.random.randint(
        digit_key, (batch, candidates, writing.longest), 0, classes, jnp.int32
    )
    drawn = jnp.where(places < lengths[:, None], drawn, NO_DIGIT)
    if allowed is None:
        return drawn[:, 0]
    hashes = string_hash(drawn, allowed[2])
    fits = (hashes >= allowed[0]) & (hashes < allowed[1]) | (lengths <= SHARED_LENGTH)
    chosen = jnp.argmax(fits, axis=1)
    strings = jnp.take_along_axis(drawn, chosen[:, None, None], axis=1)[:, 0]
    # Where none fits, which hardly happens, a string stands that may be in every split.
    return jnp.where(fits.any(axis=1)[:, None] | (places < SHARED_LENGTH), strings, NO_DIGIT)


class _Draws:
    """Uniform numbers of each strip, [batch, 1, 1], taken one after the other."""

    def __init__(self, key: Key[Array, ""], batch: int, count: int = 80) -> None:
        self._columns = iter(jnp.split(jax.random.uniform(key, (batch, count, 1, 1)), count, 1))

    def uniform(self, low: int | float = 0, high: int | float = 1) -> Float[Array, "batch 1 1"]:
        return low + (high - low) * next(self._columns)[:, 0]

    def either(self, most: int | float) -> Float[Array, "batch 1 1"]:
        return self.uniform(-most, most)

    def happens(self, share: int | float) -> Bool[Array, "batch 1 1"]:
        return self.uniform() < share


def _compose(
    key: Key[Array, ""], pool: DigitPool, strings: Int32[Array, "batch longest"], writing: Writing
) -> tuple[UInt8[Array, "batch height width"], Array, Array]:
    keys = iter(jax.random.split(key, 16))
    batch = len(strings)
    draws = _Draws(next(keys), batch)
    present = strings >= 0
    count, start = jnp.asarray(pool.count), jnp.asarray(pool.start)
    classes = jnp.maximum(strings, 0)
    rows = start[classes] + jax.random.randint(next(keys), strings.shape, 0, count[classes])
    rows = jnp.where(present, rows, -1)
    digits = jnp.where(present[..., None, None], jnp.asarray(pool.images)[rows], 0)
    if writing.upstrokes:
        digits = _add_upstrokes(next(keys), digits, classes == 1, draws, writing)
    if writing.bars:
        digits = _add_bars(next(keys), digits, classes == 7, draws, writing)
    if writing.nothing:
        nothing = draws.happens(writing.nothing)
        digits = jnp.where(nothing[..., None], _no_digits(draws.uniform(), digits), digits)
        strings = jnp.where(nothing[..., 0], NO_DIGIT, strings)
        rows = jnp.where(nothing[..., 0], -1, rows)
    level, edges = _write(next(keys), digits, present, draws, writing)
    level = level.astype(jnp.float32) / 255
    level = _cut(next(keys), level, draws, writing)
    level = _add_marks(next(keys), level, edges, present, draws, writing)
    # Without the barrier XLA warps anew for every use of a pixel.
    images, inside = jax.lax.optimization_barrier(_bend(level, edges, present, draws, writing))
    images = _add_remains(keys, images, inside, draws, writing)
    return jnp.round(255 * images).astype(jnp.uint8), strings, rows


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
    return _near(distance, reach[..., None, None])


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


def _add_upstrokes(
    key: Key[Array, ""], digits: Array, ones: Array, draws: _Draws, writing: Writing
) -> UInt8[Array, "batch longest side side"]:
    side = digits.shape[-1]
    inked = digits > 127
    rows = inked.any(axis=-1)
    top, bottom = jnp.argmax(rows, axis=-1), side - 1 - jnp.argmax(rows[..., ::-1], axis=-1)
    reach = _reach(inked)
    jitter = jax.random.uniform(key, (2, *ones.shape), minval=-1)
    down = draws.uniform(1, 8)[..., 0] + jitter[0]
    left = draws.uniform(2, 6.5)[..., 0] + jitter[1]
    start = top + 0.5, _middle_of(inked, top)
    stroke = _stroke(side, start, (start[0] + down, start[1] - left), reach)
    foot = bottom + 0.5, _middle_of(inked, bottom)
    half = draws.uniform(2, 5)[..., 0]
    line = _stroke(side, (foot[0], foot[1] - half), (foot[0], foot[1] + half), reach)
    stroke = jnp.maximum(stroke, line * draws.happens(0.25)[..., None])
    return _drawn(digits, stroke, ones & draws.happens(writing.upstrokes)[..., 0])


def _add_bars(
    key: Key[Array, ""], digits: Array, sevens: Array, draws: _Draws, writing: Writing
) -> UInt8[Array, "batch longest side side"]:
    side = digits.shape[-1]
    inked = digits > 127
    jitter = jax.random.uniform(key, (2, *sevens.shape), minval=-1)
    row = side / 2 + draws.uniform(-1, 2)[..., 0] + jitter[0]
    middle = _middle_of(inked, row.astype(jnp.int32))
    half, tilt = draws.uniform(2.5, 5)[..., 0], draws.either(1.0)[..., 0] + jitter[1]
    reach = jnp.clip(_reach(inked) * 0.7, 0.4, 1.5)
    stroke = _stroke(side, (row + tilt, middle - half), (row - tilt, middle + half), reach)
    return _drawn(digits, stroke, sevens & draws.happens(writing.bars)[..., 0])


def _no_digits(
    which: Float[Array, "batch 1 1"], digits: UInt8[Array, "batch longest side side"]
) -> UInt8[Array, "batch longest side side"]:
    """Returns a third each: nothing, signs made of halves of turned digits, and scribbles."""
    which = which[..., None]
    turned, others = digits.swapaxes(2, 3), jnp.roll(digits, 1, axis=0)[..., ::-1]
    half = jnp.arange(digits.shape[-1]) < digits.shape[-1] // 2
    signs = jnp.where(half, turned, others)
    scribbles = jnp.maximum(turned, others)
    return jnp.where(which < 1 / 3, 0, jnp.where(which < 2 / 3, signs, scribbles))


def _canvas(writing: Writing) -> tuple[int, int]:
    """Returns height and width of the level line that any string fits on, px."""
    gap = strips.DIGIT_HEIGHT * (writing.gap[1] + writing.gap_jitter) + 8
    width = 4 * writing.side + writing.longest * 20 + (writing.longest - 1) * max(gap, 0)
    return writing.side + 2 * _PAD, 8 * math.ceil(width / 8)


def _write(
    key: Key[Array, ""],
    digits: UInt8[Array, "batch longest side side"],
    present: Bool[Array, "batch longest"],
    draws: _Draws,
    writing: Writing,
) -> tuple[UInt8[Array, "batch rows columns"], Float[Array, "batch longest 2"]]:
    """Writes digits side by side on a level line; also returns where the ink of each stands."""
    batch, longest = present.shape
    side, unit = writing.side, strips.DIGIT_HEIGHT
    inked = digits.max(axis=2) > 255 * _INK
    first = jnp.where(inked.any(axis=-1), jnp.argmax(inked, axis=-1), 0)
    end = side - jnp.argmax(inked[..., ::-1], axis=-1)
    widths = jnp.where(inked.any(axis=-1), end - first, 0)
    gap_key, drift_key = jax.random.split(key)
    jitter = jax.random.uniform(gap_key, (batch, longest), minval=-1) * writing.gap_jitter
    gaps = unit * (draws.uniform(*writing.gap)[..., 0] + jitter)
    if writing.separators:
        gaps += 8 * draws.uniform()[..., 0]
    narrower = jnp.minimum(widths, jnp.roll(widths, -1, axis=1))
    gaps = jnp.where(widths > 0, jnp.maximum(gaps, -narrower / 3), 0)
    after = jnp.cumsum(widths + gaps, axis=1)
    left = 2 * side + jnp.concatenate([jnp.zeros((batch, 1)), after[:, :-1]], axis=1)
    corner = jnp.round(left).astype(jnp.int32) - first
    drift = writing.drift * jax.random.uniform(drift_key, (batch, longest), minval=-1)
    top = jnp.clip(_PAD + jnp.round(drift).astype(jnp.int32), 0, 2 * _PAD)
    level = jnp.zeros((batch, *_canvas(writing)), jnp.uint8)
    for place in range(longest):
        level = _paint(level, digits[:, place], top[:, place], corner[:, place])
    return level, jnp.stack([left, left + widths], axis=-1)


@jax.vmap
def _paint(
    canvas: UInt8[Array, "rows columns"],
    digit: UInt8[Array, "side side"],
    top: Int32[Array, ""],
    left: Int32[Array, ""],
) -> UInt8[Array, "rows columns"]:
    below = jax.lax.dynamic_slice(canvas, (top, left), digit.shape)
    return jax.lax.dynamic_update_slice(canvas, jnp.maximum(digit, below), (top, left))


def _near(distance: Array, reach: Array | float) -> Array:
    """Returns 1 within a reach, px, 0 beyond, and between them over a pixel."""
    return jnp.clip(reach + 0.5 - jnp.abs(distance), 0, 1)


def _pieces(
    key: Key[Array, ""], shape: tuple[int, int], kept: Float[Array, "batch 1 1"], cell: int
) -> Float[Array, "batch 1 columns"]:
    """Returns 1 along the pieces of a line that are left, and 0 where it is gone."""
    batch, columns = shape
    cells = jax.random.uniform(key, (batch, 1, -(-columns // cell))) < kept
    return jnp.repeat(cells, cell, axis=2)[..., :columns].astype(jnp.float32)


def _bounds(edges: Array, present: Array) -> tuple[Array, Array]:
    """Returns the first and the last column of the ink of strings, float32 [batch, 1, 1]."""
    low = jnp.where(present, edges[..., 0], jnp.inf).min(axis=1)
    high = jnp.where(present, edges[..., 1], -jnp.inf).max(axis=1)
    return low[:, None, None], high[:, None, None]


def _cut(
    key: Key[Array, ""],
    level: Float[Array, "batch rows columns"],
    draws: _Draws,
    writing: Writing,
) -> Float[Array, "batch rows columns"]:
    """Takes away what a level line and upright ones cover, each in pieces."""
    if not writing.cuts:
        return level
    batch, rows, columns = level.shape
    row = jnp.arange(rows, dtype=jnp.float32)[:, None] + 0.5
    piece_key, place_key = jax.random.split(key)
    place = rows / 2 + draws.either(0.6 * strips.DIGIT_HEIGHT)
    gone = _near(row - place, draws.uniform(0.0, 1.2))
    gone *= _pieces(piece_key, (batch, columns), draws.uniform(0.3, 1.0), 6)
    upright = jax.random.uniform(place_key, (batch, 1, columns)) < 0.02
    # Two columns each, so that thin strokes are cut through.
    upright = upright | jnp.pad(upright, ((0, 0), (0, 0), (1, 0)))[..., :-1]
    gone = jnp.where(draws.happens(0.3), upright, gone)
    return level * (1 - gone * draws.happens(writing.cuts))


def _add_marks(
    key: Key[Array, ""],
    level: Float[Array, "batch rows columns"],
    edges: Float[Array, "batch longest 2"],
    present: Bool[Array, "batch longest"],
    draws: _Draws,
    writing: Writing,
) -> Float[Array, "batch rows columns"]:
    """Adds separators between digits, and boxes around them."""
    if not (writing.separators or writing.boxes):
        return level
    batch, rows, columns = level.shape
    row = jnp.arange(rows, dtype=jnp.float32)[:, None] + 0.5
    column = jnp.arange(columns, dtype=jnp.float32) + 0.5
    middle, half = rows / 2, strips.DIGIT_HEIGHT / 2
    followed = present[:, 1:] & present[:, :-1]
    between = (edges[:, :-1, 1] + edges[:, 1:, 0]) / 2
    mark_key, piece_key, bar_key = jax.random.split(key, 3)
    if writing.separators:
        chosen = jax.random.uniform(mark_key, between.shape) < 0.3
        shown = followed & chosen & draws.happens(writing.separators)[..., 0]
        kind, thick = draws.uniform(), draws.uniform(0.6, 1.6)
        dash = kind > 0.6
        wide = jnp.where(dash, draws.uniform(2, 4.5), thick)
        tall = jnp.where(dash, thick, jnp.where(kind > 0.3, thick, draws.uniform(2, 3.5)))
        place = jnp.where(dash, middle, middle + half - 1 + draws.uniform(0, 2))
        along = _near(column - between[..., None], wide) * shown[..., None]
        marks = along.max(axis=1, keepdims=True) * _near(row - place, tall)
        level = jnp.maximum(level, marks * draws.uniform(0.6, 1.0))
    if writing.boxes:
        low, high = _bounds(edges, present)
        low, high = low - draws.uniform(2, 10), high + draws.uniform(2, 10)
        each = draws.happens(0.5)
        thick = draws.uniform(0.0, 0.9)
        top, bottom = middle - half - draws.uniform(0, 6), middle + half + draws.uniform(0, 6)
        bars = (_near(column - between[..., None], thick) * followed[..., None]).max(axis=1)
        upright = jnp.maximum(_near(column - low, thick), _near(column - high, thick))
        upright = jnp.maximum(upright, bars[:, None] * each)
        upright *= _near(row - middle, draws.uniform(0.5, 1.3) * half)
        has_top, has_bottom = draws.happens(0.6), draws.happens(0.8)
        level_lines = jnp.maximum(
            _near(row - top, thick) * has_top, _near(row - bottom, thick) * has_bottom
        )
        level_lines *= (column > low) & (column < high)
        kept = jnp.where(draws.happens(0.4), 1.0, draws.uniform(0.1, 0.8))
        level_lines *= _pieces(piece_key, (batch, columns), kept, 7)
        upright *= _pieces(bar_key, (batch, columns), kept, 7)
        box = jnp.maximum(upright, level_lines) * draws.uniform(0.2, 1.0)
        level = jnp.maximum(level, box * draws.happens(writing.boxes))
    return level


def _bend(
    level: Float[Array, "batch rows columns"],
    edges: Float[Array, "batch longest 2"],
    present: Bool[Array, "batch longest"],
    draws: _Draws,
    writing: Writing,
) -> tuple[Float[Array, "batch height width"], Bool[Array, "batch 1 width"]]:
    """Warps level lines into strips; also returns which columns are near the string."""
    height, width = writing.height, writing.width
    low, high = _bounds(edges, present)
    total = high - low
    across = draws.uniform(*writing.size) * (1 + draws.either(writing.stretch))
    down = draws.uniform(*writing.size) if writing.stretch else across
    # Height and width of the digits differ by the stretch alone.
    down = jnp.clip(down, across * (1 - writing.stretch), across * (1 + writing.stretch))
    room = width - 2 * strips.MARGIN
    smaller = jnp.minimum(1.0, room / (total * across))
    across, down = across * smaller, down * (1 + smaller) / 2
    written = total * across
    left = strips.MARGIN + draws.uniform() * (room - written)
    column = jnp.arange(width, dtype=jnp.float32) + 0.5
    row = jnp.arange(height, dtype=jnp.float32)[:, None] + 0.5
    growth = draws.either(writing.growth)
    share = jnp.clip((column - left) / written, 0, 1)  # of the string, before a column
    beyond = column - left - share * written
    size = 1 / (1 + growth * (1 - 2 * share))
    source_column = low + total * (share + growth * share * (1 - share)) + beyond / across
    slope = jnp.tan(jnp.deg2rad(draws.either(writing.slope)))
    # A long line cannot rise by more than a strip is high: it has been levelled better than that.
    slope = jnp.clip(slope, -6 / written, 6 / written)
    rise = slope * (column - left - written / 2) + draws.either(min(writing.drift, 2.0))
    source_row = (row - height / 2 - rise) / (down * size)
    slant = jnp.tan(jnp.deg2rad(draws.either(writing.slant)))
    source_column = source_column + slant * source_row
    source_row = source_row + level.shape[1] / 2
    bent = warp(level, *jnp.broadcast_arrays(source_row - 0.5, source_column - 0.5))
    ends = draws.uniform(strips.MARGIN, 3 * strips.MARGIN), draws.uniform(8, 24)
    return bent, (column > left - ends[0]) & (column < left + written + ends[1])


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
    return (scale * np.cos((2 * place + 1) * wave * np.pi / 16)).astype(np.float32)


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


def _add_remains(
    keys: Iterator[Key[Array, ""]],
    images: Float[Array, "batch height width"],
    inside: Bool[Array, "batch 1 width"],
    draws: _Draws,
    writing: Writing,
) -> Float[Array, "batch height width"]:
    """Adds what a strip shows besides its string, and what camera and files do to it."""
    batch, height, width = images.shape
    row = jnp.arange(height, dtype=jnp.float32)[:, None] + 0.5
    column = jnp.arange(width, dtype=jnp.float32) + 0.5
    clean = images
    if writing.uneven:
        uneven = 1 + writing.uneven * draws.uniform() * _field(next(keys), batch, height, width, 8)
        images = images * jnp.clip(uneven, 0, 1)
    if writing.faint:
        images = images * (1 - draws.uniform(0, writing.faint))
    if writing.neighbours:
        by = jnp.round(draws.uniform(14, 27) * jnp.where(draws.happens(0.5), 1, -1))
        others = _shifted(jnp.roll(clean, 1, axis=0), by)
        images = jnp.maximum(images, others * draws.happens(writing.neighbours))
    if writing.rules:
        first, apart = draws.uniform(-4, height + 4), draws.uniform(10, 28)
        slope = draws.either(0.05)
        height_of = first + slope * (column - width / 2)
        thick = draws.uniform(0.0, 0.8)
        lines = jnp.maximum(_near(row - height_of, thick), _near(row - height_of - apart, thick))
        kept = jnp.where(draws.happens(0.4), 1.0, draws.uniform(0.1, 0.8))
        lines *= _pieces(next(keys), (batch, width), kept, 9) * draws.uniform(0.15, 0.9)
        images = jnp.maximum(images, lines * draws.happens(writing.rules))
    if writing.specks:
        noise = jax.random.uniform(next(keys), images.shape)
        dots = (noise < draws.uniform(0, 0.006)).astype(jnp.float32)
        dots = jnp.clip(4 * draws.uniform(0.3, 1.0) * _blurred(dots), 0, 1)
        images = jnp.maximum(images, dots * draws.happens(writing.specks))
    if writing.shade:
        field = jnp.clip(_field(next(keys), batch, height, width, 32), 0, 1)
        shade = draws.uniform(0, 0.3) * field * draws.happens(writing.shade)
        images = images + shade * (1 - images)
    if writing.blur:
        strength = draws.uniform(0, 1) * draws.happens(writing.blur)
        for _ in range(2):
            images = images + strength * (_blurred(images) - images)
    if writing.texture:
        strength = draws.uniform(0, 0.12) * draws.happens(writing.texture)
        images = images + strength * pixel_noise(next(keys), images.shape)
    if writing.blocks:
        rough = _compressed(images, draws.uniform(0.01, 0.06))
        images = jnp.where(draws.happens(writing.blocks), rough, images)
    if writing.texture or writing.shade or writing.rules or writing.neighbours:
        images = jnp.where(inside | draws.happens(0.5), images, 0)  # as strips are filled up
    return jnp.clip(images, 0, 1)
