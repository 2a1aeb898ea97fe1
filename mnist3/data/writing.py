"""Strips of writing composed from digit images: a pure function of a key, made on the device.

A strip shows the digits of a string from left to right as a person may have written them, and what
is left on it once its picture has been brought into the form of a strip (`mnist3.data.locate`):
pieces of lines and boxes, dots and dashes between groups, strokes of the lines above and below,
specks, blur and noise. The digits are painted on a level line, which is then warped as a whole:
size, slant, a rising or falling line and growing digits are of the writer, not of the digit.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, Key, UInt8, UInt32

from mnist3.data import strips
from mnist3.data.augmentation.geometry import warp
from mnist3.data.composition import DigitPool
from mnist3.data.numbers import NO_DIGIT
from mnist3.data.strip_digits import add_bars, add_upstrokes, no_digits
from mnist3.data.strip_draws import Draws, bounds
from mnist3.data.strip_marks import add_marks, add_remains, cut
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

    def draw(
        self,
        key: Key[Array, ""],
        pool: DigitPool,
        allowed: UInt32[Array | np.ndarray, "3"] | None,
        batch: int,
    ) -> tuple[
        UInt8[Array, "batch height width"],
        Int32[Array, "batch longest"],
        Int32[Array, "batch longest"],
    ]:
        """Draws strings from those allowed and composes a strip of each.

        Args:
            key: of all that is random.
            pool: of digit images.
            allowed: see `split_strings`.
            batch: how many.

        Returns:
            The strips, their strings, and the rows of the pool that they are made from, both
            filled up with -1, which is `NO_DIGIT`.
        """
        string_key, image_key = jax.random.split(key)
        strings = _draw_strings(string_key, pool.count.shape[0], allowed, self, batch)
        return _compose(image_key, pool, strings, self)


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


@np.errstate(over="ignore")  # of NumPy's scalars, which are meant to wrap
def string_hash(
    strings: Int32[np.ndarray, "*batch longest"] | Int32[Array, "*batch longest"],
    seed: int | np.unsignedinteger | np.ndarray | Array,
) -> Any:
    """Returns for each string a number from 0 to 99, the same whatever it is filled up to.

    FNV-1a over the digits (Fowler, Noll and Vo), its bits then mixed, since its lowest ones alone
    would follow those of the last digit.

    Args:
        strings: filled up with `NO_DIGIT`.
        seed: uint32 [], so that another one gives other hashes.
    """
    own: Any = np if isinstance(strings, np.ndarray) else jnp
    value = own.full(strings.shape[:-1], 2166136261, np.uint32) ^ own.asarray(seed, np.uint32)
    for place in range(strings.shape[-1]):
        digit = strings[..., place]
        mixed = (value ^ (digit + 1).astype(np.uint32)) * np.uint32(16777619)
        value = own.where(digit >= 0, mixed, value)
    for _ in range(2):
        value = (value ^ (value >> np.uint32(16))) * np.uint32(0x45D9F3B)
    return (value ^ (value >> np.uint32(16))) % np.uint32(_PARTS)


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


def _compose(
    key: Key[Array, ""], pool: DigitPool, strings: Int32[Array, "batch longest"], writing: Writing
) -> tuple[UInt8[Array, "batch height width"], Array, Array]:
    keys = iter(jax.random.split(key, 16))
    batch = len(strings)
    draws = Draws(next(keys), batch)
    present = strings >= 0
    count, start = jnp.asarray(pool.count), jnp.asarray(pool.start)
    classes = jnp.maximum(strings, 0)
    rows = start[classes] + jax.random.randint(next(keys), strings.shape, 0, count[classes])
    rows = jnp.where(present, rows, -1)
    digits = jnp.where(present[..., None, None], jnp.asarray(pool.images)[rows], 0)
    if writing.upstrokes:
        digits = add_upstrokes(next(keys), digits, classes == 1, draws, writing.upstrokes)
    if writing.bars:
        digits = add_bars(next(keys), digits, classes == 7, draws, writing.bars)
    if writing.nothing:
        nothing = draws.happens(writing.nothing)
        digits = jnp.where(nothing[..., None], no_digits(draws.uniform(), digits), digits)
        strings = jnp.where(nothing[..., 0], NO_DIGIT, strings)
        rows = jnp.where(nothing[..., 0], -1, rows)
    level, edges = _write(next(keys), digits, present, draws, writing)
    level = level.astype(jnp.float32) / 255
    level = cut(next(keys), level, draws, writing)
    level = add_marks(next(keys), level, edges, present, draws, writing)
    # Without the barrier XLA warps anew for every use of a pixel.
    images, inside = jax.lax.optimization_barrier(_bend(level, edges, present, draws, writing))
    images = add_remains(keys, images, inside, draws, writing)
    return jnp.round(255 * images).astype(jnp.uint8), strings, rows


def _canvas(writing: Writing) -> tuple[int, int]:
    """Returns height and width of the level line that any string fits on, px."""
    gap = strips.DIGIT_HEIGHT * (writing.gap[1] + writing.gap_jitter) + 8
    width = 4 * writing.side + writing.longest * 20 + (writing.longest - 1) * max(gap, 0)
    return writing.side + 2 * _PAD, 8 * math.ceil(width / 8)


def _write(
    key: Key[Array, ""],
    digits: UInt8[Array, "batch longest side side"],
    present: Bool[Array, "batch longest"],
    draws: Draws,
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


def _bend(
    level: Float[Array, "batch rows columns"],
    edges: Float[Array, "batch longest 2"],
    present: Bool[Array, "batch longest"],
    draws: Draws,
    writing: Writing,
) -> tuple[Float[Array, "batch height width"], Bool[Array, "batch 1 width"]]:
    """Warps level lines into strips; also returns which columns are near the string."""
    height, width = writing.height, writing.width
    low, high = bounds(edges, present)
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
