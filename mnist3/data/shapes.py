"""Connected pieces of ink, and which of them may be strokes of a pen."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from mnist3.data.ink import Ink
from mnist3.data.rules import held


class Shapes(NamedTuple):
    """Connected pieces of ink.

    Attributes:
        labels: of each pixel, 0 for paper.
        number: the label of each piece.
        left: its first column.
        top: its first row.
        right: one past its last column.
        bottom: one past its last row.
        area: its pixels.
        strength: their mean contrast.
    """

    labels: np.ndarray
    number: np.ndarray
    left: np.ndarray
    top: np.ndarray
    right: np.ndarray
    bottom: np.ndarray
    area: np.ndarray
    strength: np.ndarray

    @property
    def height(self) -> np.ndarray:
        """Rows of each."""
        return self.bottom - self.top

    @property
    def width(self) -> np.ndarray:
        """Columns of each."""
        return self.right - self.left


def connected(
    mask: Bool[np.ndarray, "height width"],
    strong: Bool[np.ndarray, "height width"],
    contrast: Float32[np.ndarray, "height width"],
    smallest: int,
) -> Shapes:
    """Returns the connected pieces of at least `smallest` pixels, one of them strong."""
    place = held(mask)  # labels are slow to give where there is nothing
    part, count = ndimage.label(mask[place], np.ones((3, 3)))
    inked = np.flatnonzero(part)
    numbers = part.ravel()[inked]
    area = np.bincount(numbers, minlength=count + 1)
    total = np.bincount(numbers, contrast[place].ravel()[inked], minlength=count + 1)
    kept = area >= smallest
    kept &= np.bincount(numbers, strong[place].ravel()[inked], minlength=count + 1) > 0
    number = np.flatnonzero(kept)
    objects = ndimage.find_objects(part)
    boxes = np.array(
        [
            (columns.start, rows.start, columns.stop, rows.stop)
            for rows, columns in (objects[index - 1] for index in number)
        ],
        dtype=np.float64,
    ).reshape(-1, 4)
    left, right = place[1].start + boxes[:, 0], place[1].start + boxes[:, 2]
    top, bottom = place[0].start + boxes[:, 1], place[0].start + boxes[:, 3]
    labels = np.zeros(mask.shape, part.dtype)
    labels[place] = part
    return Shapes(
        labels, number, left, top, right, bottom, area[number], total[number] / area[number]
    )


def chosen(shapes: Shapes, chosen: np.ndarray) -> Shapes:
    """Returns some of the shapes."""
    return Shapes(shapes.labels, *(values[chosen] for values in shapes[1:]))


def strokes(shapes: Shapes, ink: Ink) -> np.ndarray:
    """Returns which shapes are made of strokes: no shadows, whose ends are soft, and no blots."""
    inked = shapes.labels > 0
    height, width = inked.shape
    border = np.flatnonzero(inked & ~inner(inked))
    count = len(shapes.number)
    index = np.full(int(shapes.number.max(initial=0)) + 1, count)
    index[shapes.number] = np.arange(count)
    number = index[np.minimum(shapes.labels.ravel()[border], len(index) - 1)]
    known = number < count
    border, number = border[known], number[known]
    rows, columns = np.divmod(border, width)
    steps = np.clip(0.12 * shapes.height, 3, 12).astype(int)
    contrast = ink.contrast.ravel()
    darkest = brightest = contrast[border]
    for sign in (1, -1):
        for part in (1, 2):
            step = (sign * steps // part)[number]
            for beside in (
                border - columns + np.minimum(np.maximum(columns + step, 0), width - 1),
                np.minimum(np.maximum(rows + step, 0), height - 1) * width + columns,
            ):
                values = contrast[beside]
                darkest = np.maximum(darkest, values)
                brightest = np.minimum(brightest, values)
    sharp = darkest - brightest > 0.45 * ink.reach.ravel()[border]
    borders = np.bincount(number, minlength=count)
    soft = np.bincount(number, sharp, minlength=count) < 0.6 * borders
    longest = np.maximum(shapes.height, shapes.width)
    blot = 2 * shapes.area > 0.38 * borders * longest
    return ~soft & ~(blot & (longest > 0.3 * longest.max(initial=0)))


def along_edges(shapes: Shapes) -> np.ndarray:
    """Returns which shapes lie along the picture's edge, as a desk beside a page does."""
    labels = shapes.labels
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    length = np.bincount(edge, minlength=int(labels.max()) + 1)[shapes.number]
    return length > 0.35 * np.maximum(shapes.height, shapes.width)


def around_others(shapes: Shapes) -> np.ndarray:
    """Returns which shapes are frames: thin, with others within."""
    boxes = shapes.height * shapes.width
    large = np.flatnonzero((shapes.area < 0.25 * boxes) & (shapes.height > 8))
    found = np.zeros(len(boxes), dtype=bool)
    x, y = (shapes.left + shapes.right) / 2, (shapes.top + shapes.bottom) / 2
    for index in large:
        inside = (x > shapes.left[index]) & (x < shapes.right[index])
        inside &= (y > shapes.top[index]) & (y < shapes.bottom[index])
        inside &= (shapes.height > 0.3 * shapes.height[index]) & (boxes < boxes[index])
        found[index] = inside.any() and (
            inside.sum() > 1 or boxes[inside].max() > 0.12 * boxes[index]
        )
    return found


def inner(mask: np.ndarray) -> np.ndarray:
    """Returns the pixels of a mask with all four neighbours in it."""
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    return inner


def usual_height(heights: np.ndarray) -> float:
    """Returns the height of most ink: the median, taller shapes counting for more."""
    return weighted_median(heights, heights.astype(np.float64) ** 2)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Returns the value below which lies half of all weight."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(share, share[-1] / 2)])
