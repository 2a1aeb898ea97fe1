"""Number images composed from digit images: a pure function of a key, made on the device."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int32, Key, UInt8

from mnist3.data import numbers
from mnist3.data.noise import LOUDEST, pixel_noise
from mnist3.errors import UserError

INKS = ("max", "sum", "over")
LEAST_VISIBLE = 0.05  # share of an image that what hides it has to leave, on average


@dataclasses.dataclass(frozen=True)
class Composition:
    """How digit images are laid out in a number image.

    The row of boxes is centred: with the left margin `(width - side - (digits - 1) * spacing) //
    2`, box k starts at column `margin + k * spacing` and row `(height - side) // 2`, each plus a
    whole number of pixels drawn uniformly from `-jitter..jitter`, of which those that would push
    the box off the canvas are left out.

    The defaults are the layout of MultiDigitMNIST's triple MNIST: three 28-pixel columns, and any
    vertical place on the canvas (0 to 56; the published images have 0 to 55).

    Attributes:
        digits: K, digits a number image.
        height: of the canvas, px.
        width: of the canvas, px.
        spacing: from one digit's box to the next, px; below `side` neighbours overlap.
        vertical_jitter: largest distance from the middle, px.
        horizontal_jitter: largest distance from the box's place in the row, px.
        ink: how ink combines where boxes overlap. `max`: the brighter. `sum`: both, up to 255.
            `over`: digits are painted from left to right, the ink of each dimming what lies below
            in proportion (full ink hides it), and the brighter of the two remains.
        patches: occluding squares an image, anywhere on the canvas, of background (0).
        patch_size: side of an occluding square, px.
        noise: standard deviation of the noise on every pixel, grey levels of 0-255.
        side: of a digit image and its box, px; it comes from the source.

    Raises:
        UserError: if the digits or patches do not fit, neighbours could change places, or nothing
            would be left to learn from.
    """

    digits: int = 3
    height: int = 84
    width: int = 84
    spacing: int = 28
    vertical_jitter: int = 28
    horizontal_jitter: int = 0
    ink: str = "max"
    patches: int = 0
    patch_size: int = 10
    noise: float = 0.0
    side: int = 28

    def __post_init__(self):
        row = self.side + (self.digits - 1) * self.spacing
        if self.width < row or self.height < self.side:
            raise UserError(
                f"{self.digits} digits at a spacing of {self.spacing} px need a canvas of "
                f"{self.side}x{row} but it is {self.height}x{self.width} (height x width); enlarge "
                "it, or lower the spacing or the number of digits."
            )
        if self.digits > 1 and self.spacing <= 2 * self.horizontal_jitter:
            raise UserError(
                f"a horizontal jitter of {self.horizontal_jitter} px at a spacing of "
                f"{self.spacing} px lets neighbouring digits change places; keep the jitter below "
                "half the spacing."
            )
        if self.ink not in INKS:
            raise UserError(f"ink is {self.ink!r}; it is one of {', '.join(INKS)}.")
        if self.patches and not 0 < self.patch_size <= min(self.height, self.width):
            raise UserError(
                f"patches of {self.patch_size} px do not fit a canvas of {self.height}x"
                f"{self.width}; give a side from 1 to {min(self.height, self.width)} px."
            )
        hidden = self.patch_size**2 / (self.height * self.width)
        if self.patches and (1 - hidden) ** self.patches < LEAST_VISIBLE:
            raise UserError(
                f"patches of {self.patch_size} px, {self.patches} an image, hide a canvas of "
                f"{self.height}x{self.width} all or nearly all, so nothing is left to learn from; "
                "take fewer or smaller patches."
            )
        if not 0 <= self.noise <= 255 * LOUDEST:
            raise UserError(
                f"a noise of {self.noise} grey levels leaves nothing to learn from; give a "
                f"standard deviation from 0 to {255 * LOUDEST:.0f}, where ink has 255."
            )

    def describe(self) -> dict[str, Any]:
        """Returns which share of a digit's box its right neighbour's covers, without jitter."""
        covered = max(0, self.side - self.spacing) if self.digits > 1 else 0
        return {"overlap": covered / self.side}

    def listed(
        self, allowed: Int32[Array | np.ndarray, "m"], classes: int
    ) -> Int32[np.ndarray, "m K"]:
        """Returns numbers that may be drawn, whose indices are given, digit by digit."""
        return np.asarray(numbers.labels(np.asarray(allowed), classes, self.digits))

    def draw(
        self,
        key: Key[Array, ""],
        pool: "DigitPool",
        allowed: Int32[Array | np.ndarray, "m"] | None,
        batch: int,
    ) -> tuple[
        UInt8[Array, "batch height width"], Int32[Array, "batch K"], Int32[Array, "batch K"]
    ]:
        """Draws numbers uniformly from those allowed and composes an image of each.

        Args:
            key: of all that is random.
            pool: of digit images.
            allowed: indices of numbers that may be drawn, or None for every number of K digits.
            batch: how many.

        Returns:
            The images, their labels, and the rows of the pool that they are made from.
        """
        return _sample(key, pool, allowed, self, batch)


class DigitPool(NamedTuple):
    """Digit images that may be drawn, sorted by class.

    Attributes:
        images: uint8 [n, side, side].
        start: int32 [classes], row of the first image of each class.
        count: int32 [classes], how many there are of each.
        index: int32 [n], where each image stands in its source.
    """

    images: UInt8[Array | np.ndarray, "n side side"]
    start: Int32[Array | np.ndarray, "classes"]
    count: Int32[Array | np.ndarray, "classes"]  # type: ignore[assignment]
    index: Int32[Array | np.ndarray, "n"]  # type: ignore[assignment]


@runtime_checkable
class Layout(Protocol):
    """How images are composed: a `Composition`, or `mnist3.data.writing.Writing`."""

    def describe(self) -> dict[str, Any]:
        """Returns what metrics.json says of it."""

    def listed(self, allowed: Array | np.ndarray, classes: int) -> np.ndarray | None:
        """Returns the numbers that may be drawn, digit by digit; None where they are too many."""

    def draw(
        self, key: Key[Array, ""], pool: DigitPool, allowed: Array | np.ndarray | None, batch: int
    ) -> tuple[Array, Array, Array]:
        """Returns images, labels, and the rows of the pool that they are made from, -1 of none."""


def make_pool(
    images: UInt8[np.ndarray, "n side side"],
    labels: Int[np.ndarray, "n"],
    classes: Sequence[str],
    index: Int[np.ndarray, "n"] | None = None,
) -> DigitPool:
    """Sorts digit images by class.

    Args:
        images: digit images.
        labels: the class on each.
        classes: what the classes are called.
        index: where each stands in its source; without it, its row here.

    Returns:
        The pool, its arrays on the host.

    Raises:
        UserError: if one of the classes has no image.
    """
    count = np.bincount(labels, minlength=len(classes)).astype(np.int32)
    if missing := [classes[int(absent)] for absent in np.flatnonzero(count == 0)]:
        raise UserError(
            f"there is no digit image of {', '.join(missing)} among the {len(images)} to compose "
            "from; take more digit images for this split."
        )
    order = np.argsort(labels, kind="stable").astype(np.int32)
    index = order if index is None else index[order].astype(np.int32)
    return DigitPool(images[order], np.cumsum(count, dtype=np.int32) - count, count, index)


def compose(
    key: Key[Array, ""],
    pool: DigitPool,
    labels: Int32[Array | np.ndarray, "batch K"],
    composition: Composition,
) -> UInt8[Array, "batch height width"]:
    """Composes one image of each number from digit images drawn uniformly from the pool.

    Args:
        key: of all that is random.
        pool: of digit images.
        labels: their digits, from left to right.
        composition: the layout.
    """
    return _compose(key, pool, jnp.asarray(labels), composition)[0]


@functools.partial(jax.jit, static_argnames=("composition", "n", "batch"))
def compose_split(
    key: Key[Array, ""],
    pool: DigitPool,
    allowed: Array | np.ndarray | None,
    composition: Layout,
    n: int,
    batch: int = 1000,
) -> tuple[UInt8[Array, "n height width"], Int32[Array, "n K"], Int32[Array, "n K"]]:
    """Composes the images of a fixed split; those of a smaller n are the first of a larger one.

    Args:
        key: of all that is random.
        pool: of digit images.
        allowed: the numbers that may be drawn, as the layout takes them; None for all.
        composition: the layout.
        n: how many images.
        batch: how many of them are composed at a time.

    Returns:
        The images, their labels, and where the digit images on them stand in their source, -1
        where there is none.
    """
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(-(-n // batch)))
    parts = jax.lax.map(lambda key: composition.draw(key, pool, allowed, batch), keys)
    images, labels, rows = (part.reshape(-1, *part.shape[2:])[:n] for part in parts)
    return images, labels, jnp.where(rows < 0, -1, jnp.asarray(pool.index)[rows])


def draw_split(
    key: Key[Array, ""],
    pool: DigitPool,
    allowed: Array | np.ndarray | None,
    composition: Layout,
    n: int,
    batch: int = 1000,
) -> tuple[Int32[np.ndarray, "n K"], Int32[np.ndarray, "n K"]]:
    """Returns the labels and the digit images of a split, see `compose_split`, but no image."""
    known = pool._replace(images=pool.images[:1], index=pool.index[:1])  # one program, all splits
    parts = [
        _draw_batch(jax.random.fold_in(key, part), known, allowed, composition, batch)
        for part in range(-(-n // batch))
    ]
    labels, rows = (np.concatenate(each)[:n] for each in zip(*parts, strict=True))
    return labels, np.where(rows < 0, -1, np.asarray(pool.index)[rows]).astype(np.int32)


@functools.partial(
    jax.jit,
    static_argnames=("composition", "batch"),
    compiler_options={"xla_backend_optimization_level": "0"},  # of what takes no time to run
)
def _draw_batch(
    key: Key[Array, ""],
    pool: DigitPool,
    allowed: Array | np.ndarray | None,
    composition: Layout,
    batch: int,
) -> tuple[Array, Array]:
    return composition.draw(key, pool, allowed, batch)[1:]


def _sample(
    key: Key[Array, ""],
    pool: DigitPool,
    allowed: Int32[Array | np.ndarray, "m"] | None,
    composition: Composition,
    batch_size: int,
) -> tuple[Array, Array, Array]:
    """Returns images, labels, and the rows of the pool they are made from."""
    number_key, image_key = jax.random.split(key)
    classes = pool.count.shape[0]
    if allowed is None:
        labels = jax.random.randint(number_key, (batch_size, composition.digits), 0, classes)
    else:
        drawn = jax.random.randint(number_key, (batch_size, 1), 0, allowed.shape[0])
        chosen = jnp.asarray(allowed)[drawn[:, 0]]
        labels = jnp.asarray(numbers.labels(chosen, classes, composition.digits))
    images, rows = _compose(image_key, pool, labels, composition)
    return images, labels, rows


def _compose(
    key: Key[Array, ""],
    pool: DigitPool,
    labels: Int32[Array, "batch K"],
    composition: Composition,
) -> tuple[UInt8[Array, "batch height width"], Int32[Array, "batch K"]]:
    batch, digits = labels.shape
    side = composition.side
    if pool.images.shape[1] != side:
        raise ValueError(
            f"the digit images are {pool.images.shape[1]} px wide, not {side} as the layout says"
        )
    digit_key, row_key, column_key, patch_key, noise_key = jax.random.split(key, 5)
    count, start = jnp.asarray(pool.count), jnp.asarray(pool.start)
    rows = start[labels] + jax.random.randint(digit_key, labels.shape, 0, count[labels])
    height, width = composition.height, composition.width
    margin = (width - side - (digits - 1) * composition.spacing) // 2
    middle = np.full(digits, height - side) // 2
    top = _jittered(row_key, batch, middle, composition.vertical_jitter, height - side)
    row = margin + np.arange(digits) * composition.spacing
    left = _jittered(column_key, batch, row, composition.horizontal_jitter, width - side)
    images = jnp.zeros((batch, height, width), jnp.uint8)
    for position in range(digits):
        drawn = jnp.asarray(pool.images)[rows[:, position]]
        images = _paint(images, drawn, top[:, position], left[:, position], composition.ink)
    for patch in range(composition.patches):
        images = _occlude(jax.random.fold_in(patch_key, patch), images, composition.patch_size)
    if composition.noise:
        noise = composition.noise * pixel_noise(noise_key, images.shape)
        images = jnp.clip(jnp.round(images + noise), 0, 255).astype(jnp.uint8)
    return images, rows


def _jittered(
    key: Key[Array, ""], batch: int, place: Int[np.ndarray, "K"], jitter: int, last: int
) -> Int32[Array, "batch K"]:
    """Draws where boxes start along an axis of the canvas, none behind the last place."""
    low = np.maximum(place - jitter, 0)
    high = np.minimum(place + jitter, last)
    return jax.random.randint(key, (batch, len(place)), low, high + 1)


@functools.partial(jax.vmap, in_axes=(0, 0, 0, 0, None))
def _paint(
    canvas: UInt8[Array, "height width"],
    digit: UInt8[Array, "side side"],
    top: Int32[Array, ""],
    left: Int32[Array, ""],
    ink: str,
) -> UInt8[Array, "height width"]:
    """Combines a digit's ink with what is in its box; measured to be the fastest form on a CPU."""
    below = jax.lax.dynamic_slice(canvas, (top, left), digit.shape)
    if ink == "sum":
        digit = below + jnp.minimum(digit, 255 - below)
    else:
        if ink == "over":
            below = (below.astype(jnp.uint16) * (255 - digit) // 255).astype(jnp.uint8)
        digit = jnp.maximum(digit, below)
    return jax.lax.dynamic_update_slice(canvas, digit, (top, left))


def _occlude(
    key: Key[Array, ""], images: UInt8[Array, "batch height width"], size: int
) -> UInt8[Array, "batch height width"]:
    """Hides a square of each image."""
    batch, height, width = images.shape
    limits = jnp.asarray([height - size + 1, width - size + 1])
    corners = jax.random.randint(key, (batch, 2), 0, limits)
    patch = jnp.zeros((size, size), images.dtype)
    return jax.vmap(lambda image, corner: jax.lax.dynamic_update_slice(image, patch, corner))(
        images, corners
    )
