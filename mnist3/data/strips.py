"""Strips: images of one line of writing, of one height and of a few widths."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

HEIGHT = 32  # px
DIGIT_HEIGHT = 20  # px, of most digits
MARGIN = 8  # px, at least, left and right of the ink
COLUMN = 4  # px, that a column of the logits of a strip stands for
WIDTHS = (64, 128, 256, 512)  # px; a program is compiled for each of them, and for no other


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
