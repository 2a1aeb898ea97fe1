"""Connected pieces of ink, and which of them may be strokes of a pen."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from mnist3.data.ink import Ink


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
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    inked = np.flatnonzero(mask)
    numbers = labels.ravel()[inked]
    area = np.bincount(numbers, minlength=count + 1)
    total = np.bincount(numbers, contrast.ravel()[inked], minlength=count + 1)
    kept = area >= smallest
    kept &= np.bincount(numbers, strong.ravel()[inked], minlength=count + 1) > 0
    number = np.flatnonzero(kept)
    objects = ndimage.find_objects(labels)
    boxes = np.array(
        [
            (columns.start, rows.start, columns.stop, rows.stop)
            for rows, columns in (objects[index - 1] for index in number)
        ],
        dtype=np.float64,
    ).reshape(-1, 4)
    left, top, right, bottom = boxes.T
    return Shapes(
        labels, number, left, top, right, bottom, area[number], total[number] / area[number]
    )


def chosen(shapes: Shapes, chosen: np.ndarray) -> Shapes:
    """Returns some of the shapes."""
    return Shapes(shapes.labels, *(values[chosen] for values in shapes[1:]))


def strokes(shapes: Shapes, ink: Ink) -> np.ndarray:
    """Returns which shapes are made of strokes: no shadows, whose ends are soft, and no blots."""
    inked = shapes.labels > 0
    rows, columns = np.nonzero(inked & ~inner(inked))
    count = len(shapes.number)
    index = np.full(int(shapes.number.max(initial=0)) + 1, count)
    index[shapes.number] = np.arange(count)
    number = index[np.minimum(shapes.labels[rows, columns], len(index) - 1)]
    known = number < count
    rows, columns, number = rows[known], columns[known], number[known]
    step = np.clip(0.12 * shapes.height[number], 3, 12).astype(int)
    height, width = inked.shape
    centre = ink.contrast[rows, columns]
    darkest, brightest = centre, centre
    for down, across in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        for part in (1, 2):
            beside = ink.contrast[
                np.clip(rows + down * step // part, 0, height - 1),
                np.clip(columns + across * step // part, 0, width - 1),
            ]
            darkest, brightest = np.maximum(darkest, beside), np.minimum(brightest, beside)
    sharp = darkest - brightest > 0.45 * ink.reach[rows, columns]
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
