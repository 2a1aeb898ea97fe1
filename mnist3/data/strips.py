"""Strips: images of one line of writing, of one height and of a few widths."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

HEIGHT = 32  # px
DIGIT_HEIGHT = 20  # px, of most digits
MARGIN = 8  # px, at least, left and right of the ink
COLUMN = 4  # px, that a column of the logits of a strip stands for
WIDTHS = (64, 128, 256, 512)  # px; a program is compiled for each of them, and for no other
INKED = 64  # grey levels; from here on a pixel belongs to a stroke


def bucket(width: int) -> int:
    """Returns the width that a strip is filled up to, px; the largest of a strip that is wider."""
    return next((each for each in WIDTHS if width <= each), WIDTHS[-1])


def stack(
    strips: Sequence[UInt8[np.ndarray, "32 _"]], width: int, count: int
) -> UInt8[np.ndarray, "{count} 32 {width}"]:
    """Returns strips as one array, filled up on the right and with more strips of 0.

    Args:
        strips: one that is wider is squeezed.
        width: of all of them, px.
        count: of all of them.
    """
    stacked = np.zeros((count, HEIGHT, width), np.uint8)
    for row, strip in zip(stacked, strips, strict=False):
        if strip.shape[1] > width:
            squeezed = Image.fromarray(strip).resize((width, HEIGHT), Image.Resampling.BOX)
            strip = np.asarray(squeezed)
        row[:, : strip.shape[1]] = strip
    return stacked


def digit_boxes(
    strip: UInt8[np.ndarray, "32 width"], spans: Int[np.ndarray, "digits 2"]
) -> Int[np.ndarray, "digits 4"]:
    """Returns the ink of each digit of a strip: left, top, right and bottom, px.

    A network names a digit at a few columns of it. The strip is parted between two of them where
    it has least ink, of several such columns at the middle one.

    Args:
        strip: as wide as it was before it was filled up or squeezed.
        spans: first and one-past-last column at which each digit was read, from the left.
    """
    if not len(spans):
        return np.zeros((0, 4), int)
    width = strip.shape[1]
    middles = spans.mean(axis=1) * max(1.0, width / WIDTHS[-1])
    middles = np.clip(middles, 0, width - 1).astype(int)
    strokes = strip >= INKED
    ink = strip.sum(axis=0, dtype=int)
    edges = [0]
    for left, right in itertools.pairwise(middles):
        between = ink[left : right + 1]
        least = np.flatnonzero(between == between.min())
        edges.append(int(left + least[len(least) // 2]))
    edges.append(width)
    boxes = []
    for left, right in itertools.pairwise(edges):
        rows, columns = np.nonzero(strokes[:, left:right])
        if len(rows):
            own = left + columns.min(), rows.min(), left + columns.max() + 1, rows.max() + 1
        else:
            own = left, 0, max(right, left + 1), HEIGHT
        boxes.append(own)
    return np.array(boxes, int).reshape(-1, 4)
