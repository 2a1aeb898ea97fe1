"""From a picture's file to the lines of writing on it; imports nothing of what reads them."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from mnist3.data.images import Picture, Source, read_picture

if TYPE_CHECKING:
    import mnist3.data.locate

Box = tuple[int, int, int, int]


class Seen(NamedTuple):
    """An image as a learner sees it.

    Attributes:
        image: ink bright on dark.
        box: left, top, right and bottom of its ink in the picture, px; None of whole pictures.
        track: for each column of the image x and y of its top and of its bottom in the picture,
            px; None of whole pictures.
    """

    image: UInt8[np.ndarray, "height width"]
    box: Box | None = None
    track: Float32[np.ndarray, "width 2 2"] | None = None


Lines = list[list[Seen]]  # of each line the ways that it may be held


def lines_of(source: Source, every_line: bool, most_pixels: int | None = None) -> Lines:
    """Returns the lines of writing on the picture in a file, the best one or all from the top.

    Of each line the ways that it may be held: a line that runs up or down the picture is either
    way up, and the one that is read with more confidence is right.

    Raises:
        UnreadableImage: if the file cannot be decoded.
    """
    from mnist3.data.locate import LARGEST_SIDE, USUAL  # with SciPy's image functions

    return _lines_on(read_picture(source, LARGEST_SIDE, most_pixels), every_line, USUAL)


def other_sights(source: Source) -> list[Lines | None]:
    """Returns the best line of a picture as each of the other sights finds it.

    None stands for what the usual sight finds, where the other cannot but find the same.

    Raises:
        UnreadableImage: if the file cannot be decoded.
    """
    from mnist3.data.locate import LARGEST_SIDE, OTHERS, USUAL

    picture = read_picture(source, LARGEST_SIDE)
    grey = picture.pixels.ndim == 2
    return [
        None if grey and sight._replace(colours=True) == USUAL else _lines_on(picture, False, sight)
        for sight in OTHERS
    ]


def _lines_on(picture: Picture, every_line: bool, sight: "mnist3.data.locate.Sight") -> Lines:
    from mnist3.data.locate import locate

    lines = []
    for line in locate(picture.pixels, every_line, sight):
        left, top, right, bottom = (round(picture.scale * edge) for edge in line.box)
        box, track = (left, top, right, bottom), np.float32(picture.scale) * line.track
        ways = [Seen(line.strip, box, track)]
        if line.sideways:
            ways.append(Seen(line.strip[::-1, ::-1], box, track[::-1, ::-1]))
        lines.append(ways)
    return lines
