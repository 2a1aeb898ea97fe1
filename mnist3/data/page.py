"""What surrounds a page: a desk to leave out, a frame to peel off, a margin to add."""

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from scipy import ndimage

from mnist3.data import filters
from mnist3.data.ink import BLOCK, blocks_of, two_means

UNIFORM = 16  # grey levels; what differs by less is one colour
SMALL_SIDE = 320  # px; smaller pictures always get a margin


def with_margin(
    picture: UInt8[np.ndarray, "height width *channels"],
) -> tuple[UInt8[np.ndarray, "rows columns *channels"], tuple[int, int]]:
    """Returns a picture with room around digits that fill it or touch its edge.

    Where paper lies along most of the edge, of one colour or evenly brighter to one side, it is
    continued; a frame of one colour goes first.

    Returns:
        the picture, and the column and the row at which the given one begins in it, px.
    """
    peeled, frame = _peeled(picture)
    height, width = peeled.shape[:2]
    if max(height, width) >= SMALL_SIDE:
        return peeled, (-frame, -frame)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    factors, like = _plane(_ring(x, 0)[:, 0], _ring(y, 0)[:, 0], _ring(peeled, 0))
    if like.mean() < 0.6:
        return peeled, (-frame, -frame)
    margin = max(height, width) // 2
    x, y = np.meshgrid(np.arange(-margin, width + margin), np.arange(-margin, height + margin))
    # Further out than the picture is wide the plane would leave what light does.
    x, y = (
        np.clip(x, -width // 4, width + width // 4),
        np.clip(y, -height // 4, height + height // 4),
    )
    paper = np.stack([np.ones_like(x), x, y], axis=-1) @ factors
    found = np.clip(np.rint(paper), 0, 255).astype(np.uint8).reshape(*x.shape, *peeled.shape[2:])
    found[margin : margin + height, margin : margin + width] = peeled
    return found, (margin - frame, margin - frame)


def _plane(
    x: Float32[np.ndarray, "count"],
    y: Float32[np.ndarray, "count"],
    values: Float32[np.ndarray, "count channels"],
) -> tuple[Float[np.ndarray, "3 channels"], Bool[np.ndarray, "count"]]:
    """Returns the plane that most values lie on, and which of them do (Tukey's weights)."""
    terms = np.stack([np.ones_like(x), x, y], axis=-1).astype(np.float64)
    factors = np.zeros((3, values.shape[1]))
    factors[0] = np.median(values, axis=0)
    for _ in range(6):
        away = np.abs(values - terms @ factors).max(axis=1)
        scale = 4.7 * max(1.48 * float(np.median(away)), 2.0)
        weights = np.clip(1 - (away / scale) ** 2, 0, None) ** 2
        weighted = (terms * weights[:, None]).T
        factors = np.linalg.lstsq(weighted @ terms, weighted @ values, rcond=None)[0]
    return factors, np.abs(values - terms @ factors).max(axis=1) < UNIFORM


def _ring(picture: np.ndarray, depth: int) -> Float32[np.ndarray, "count channels"]:
    """Returns the pixels that are `depth` away from the edge."""
    height, width = picture.shape[:2]
    inner = picture[depth : height - depth, depth : width - depth]
    sides = [inner[0], inner[-1], inner[:, 0], inner[:, -1]]
    return np.concatenate(sides).astype(np.float32).reshape(sum(map(len, sides)), -1)


def _peeled(picture: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns a picture without a thin frame of one colour along all its edges, and its px."""
    shortest = min(picture.shape[:2])
    outer = _ring(picture, 0)
    colour = np.median(outer, axis=0)
    if shortest < 12 or (np.abs(outer - colour) >= UNIFORM).any():
        return picture, 0
    deepest = max(2, shortest // 20)
    borders = (slice(deepest + 1), slice(-deepest - 1, None))
    sides = [part for side in borders for part in (picture[side], picture[:, side])]
    if all((np.abs(part - colour) <= 3 * UNIFORM).all() for part in sides):
        return picture, 0
    for depth in range(1, deepest + 1):
        ring = np.abs(_ring(picture, depth) - colour).max(axis=-1)
        if (ring > 3 * UNIFORM).mean() > 0.6:
            return picture[depth:-depth, depth:-depth], depth
    return picture, 0


def without_desk(
    pixels: Float32[np.ndarray, "height width"],
) -> Float32[np.ndarray, "height width"]:
    """Returns a picture of a bright page on something dark with paper all around it.

    A page is wider than any stroke, and ends abruptly, as the light on a page does not.
    """
    level = filters.medians(blocks_of(pixels, BLOCK)[..., ::3])
    cut = two_means(level.ravel())
    bright = level > cut
    if min(level.shape) < 12 or not bright.any():
        return pixels
    if level[bright].mean() < 2 * level[~bright].mean() + 20:
        return pixels
    labels, _ = ndimage.label(bright)
    page = labels == np.bincount(labels[bright]).argmax()
    if all(edge.all() for edge in (page[0], page[-1], page[:, 0], page[:, -1])):
        return pixels  # nothing is around it
    page = ndimage.binary_fill_holes(page)
    steps = [ndimage.binary_erosion(page, iterations=times, border_value=1) for times in (1, 3)]
    around = [ndimage.binary_dilation(page, iterations=times) for times in (1, 3)]
    inner, outer = level[steps[0] & ~steps[1]], level[around[1] & ~around[0]]
    wide = ndimage.binary_erosion(page & bright, iterations=max(level.shape) // 8).any()
    if (
        not wide
        or page.mean() < 0.2
        or not inner.size
        or not outer.size
        or np.median(inner) < 1.6 * np.median(outer)
    ):
        return pixels
    inside = steps[0].repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    inside = inside[: pixels.shape[0], : pixels.shape[1]]
    return np.where(inside, pixels, np.median(level[page]))
