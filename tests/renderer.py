"""Pictures of handwritten numbers as people write, photograph and scan them, to measure reading by.

It shares nothing with the composition that networks train on: no code, no data, no model of paper.
Digits are strokes of its own, or given digit images, whose strokes are thinned and drawn again with
another pen or scaled up smoothly. A page is drawn from sharp ink outwards: digits on a line,
what is printed or written around them, the turn of the page, paper, light, optics, sensor, file.
"""

import io
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

Stroke = tuple[tuple[float, float], ...]  # control points; one that is given twice is a corner

# Each digit in a box of 1 from top to bottom; x to the right, y down.
DIGITS: dict[str, tuple[tuple[Stroke, ...], ...]] = {
    "0": (
        (((0.34, 0.02), (0.12, 0.16), (0.03, 0.5), (0.13, 0.88), (0.32, 0.98), (0.52, 0.84),
          (0.58, 0.48), (0.48, 0.12), (0.32, 0.03)),),
        (((0.38, 0.0), (0.12, 0.2), (0.06, 0.6), (0.2, 0.95), (0.42, 0.92), (0.52, 0.55),
          (0.44, 0.15), (0.26, 0.06)),),
        (((0.3, 0.05), (0.02, 0.3), (0.04, 0.72), (0.3, 0.97), (0.6, 0.75), (0.62, 0.3),
          (0.36, 0.03), (0.24, 0.06)),),
        (((0.22, 0.05), (0.5, 0.08), (0.62, 0.45), (0.5, 0.88), (0.25, 0.97), (0.06, 0.7),
          (0.06, 0.3), (0.24, 0.04)),),
    ),
    "1": (
        (((0.3, 0.0), (0.29, 0.5), (0.28, 1.0)),),
        (((0.36, 0.0), (0.3, 0.5), (0.26, 1.0)),),
        (((0.1, 0.27), (0.24, 0.12), (0.33, 0.0), (0.33, 0.0), (0.32, 0.5), (0.31, 1.0)),),
        (((0.12, 0.24), (0.33, 0.01), (0.33, 0.01), (0.33, 0.98)), ((0.1, 0.99), (0.56, 0.98))),
    ),
    "2": (
        (((0.06, 0.24), (0.16, 0.07), (0.36, 0.02), (0.52, 0.18), (0.46, 0.44), (0.05, 0.97),
          (0.05, 0.97), (0.32, 0.95), (0.6, 0.95)),),
        (((0.08, 0.2), (0.28, 0.02), (0.5, 0.17), (0.44, 0.5), (0.2, 0.86), (0.07, 0.93),
          (0.08, 0.79), (0.26, 0.84), (0.46, 0.96), (0.62, 0.9)),),
        (((0.04, 0.16), (0.3, 0.02), (0.52, 0.2), (0.34, 0.6), (0.06, 0.95), (0.06, 0.95),
          (0.2, 0.9), (0.4, 0.97), (0.62, 0.88)),),
    ),
    "3": (
        (((0.08, 0.13), (0.28, 0.02), (0.5, 0.16), (0.42, 0.38), (0.22, 0.46), (0.22, 0.46),
          (0.48, 0.55), (0.55, 0.77), (0.36, 0.97), (0.05, 0.88)),),
        (((0.06, 0.04), (0.52, 0.03), (0.52, 0.03), (0.24, 0.4), (0.24, 0.4), (0.5, 0.52),
          (0.54, 0.78), (0.3, 0.98), (0.04, 0.88)),),
        (((0.07, 0.18), (0.3, 0.02), (0.48, 0.2), (0.36, 0.42), (0.2, 0.47), (0.26, 0.44),
          (0.46, 0.52), (0.54, 0.74), (0.38, 0.95), (0.14, 0.97), (0.03, 0.84)),),
    ),
    "4": (
        (((0.12, 0.02), (0.08, 0.3), (0.05, 0.56), (0.05, 0.56), (0.34, 0.57), (0.62, 0.54)),
         ((0.46, 0.24), (0.44, 0.6), (0.42, 1.0))),
        (((0.43, 0.0), (0.22, 0.36), (0.03, 0.68), (0.03, 0.68), (0.36, 0.67), (0.64, 0.65)),
         ((0.46, 0.02), (0.45, 0.5), (0.44, 1.0))),
        (((0.44, 0.99), (0.46, 0.5), (0.46, 0.01), (0.46, 0.01), (0.24, 0.32), (0.03, 0.66),
          (0.03, 0.66), (0.36, 0.65), (0.65, 0.64)),),
        (((0.14, 0.05), (0.06, 0.35), (0.14, 0.54), (0.36, 0.54), (0.52, 0.42)),
         ((0.54, 0.03), (0.5, 0.5), (0.46, 1.0))),
    ),
    "5": (
        (((0.14, 0.05), (0.11, 0.42), (0.11, 0.42), (0.32, 0.36), (0.54, 0.58), (0.48, 0.86),
          (0.25, 0.98), (0.03, 0.9)), ((0.13, 0.05), (0.34, 0.04), (0.56, 0.02))),
        (((0.55, 0.03), (0.16, 0.04), (0.16, 0.04), (0.1, 0.43), (0.1, 0.43), (0.34, 0.38),
          (0.54, 0.6), (0.46, 0.88), (0.22, 0.98), (0.02, 0.88)),),
        (((0.56, 0.02), (0.3, 0.03), (0.14, 0.14), (0.16, 0.38), (0.4, 0.48), (0.54, 0.68),
          (0.42, 0.93), (0.18, 0.98), (0.03, 0.88)),),
    ),
    "6": (
        (((0.46, 0.02), (0.2, 0.24), (0.05, 0.62), (0.14, 0.92), (0.34, 0.98), (0.54, 0.8),
          (0.46, 0.58), (0.26, 0.56), (0.08, 0.74)),),
        (((0.34, 0.0), (0.14, 0.4), (0.04, 0.74), (0.18, 0.97), (0.42, 0.93), (0.52, 0.72),
          (0.36, 0.56), (0.16, 0.64), (0.07, 0.8)),),
        (((0.5, 0.08), (0.34, 0.02), (0.12, 0.25), (0.05, 0.65), (0.2, 0.97), (0.46, 0.93),
          (0.54, 0.7), (0.36, 0.54), (0.14, 0.62)),),
    ),
    "7": (
        (((0.04, 0.06), (0.3, 0.05), (0.55, 0.04), (0.55, 0.04), (0.38, 0.5), (0.24, 1.0)),),
        (((0.03, 0.08), (0.3, 0.06), (0.56, 0.04), (0.56, 0.04), (0.36, 0.5), (0.22, 1.0)),
         ((0.12, 0.53), (0.5, 0.48))),
        (((0.04, 0.2), (0.07, 0.06), (0.07, 0.06), (0.3, 0.07), (0.56, 0.03), (0.56, 0.03),
          (0.34, 0.45), (0.28, 1.0)),),
        (((0.03, 0.07), (0.2, 0.02), (0.38, 0.07), (0.54, 0.03), (0.54, 0.03), (0.34, 0.4),
          (0.25, 0.72), (0.24, 1.0)),),
    ),
    "8": (
        (((0.5, 0.14), (0.3, 0.02), (0.1, 0.17), (0.2, 0.38), (0.45, 0.57), (0.53, 0.8),
          (0.3, 0.98), (0.06, 0.8), (0.17, 0.58), (0.42, 0.38), (0.52, 0.2), (0.44, 0.07)),),
        (((0.3, 0.45), (0.1, 0.3), (0.14, 0.08), (0.34, 0.01), (0.5, 0.14), (0.44, 0.36),
          (0.28, 0.47), (0.08, 0.66), (0.1, 0.9), (0.32, 0.99), (0.54, 0.84), (0.48, 0.6),
          (0.28, 0.46)),),
        (((0.46, 0.05), (0.2, 0.04), (0.1, 0.22), (0.26, 0.43), (0.48, 0.62), (0.5, 0.86),
          (0.26, 0.99), (0.06, 0.84), (0.16, 0.58), (0.4, 0.36), (0.5, 0.04)),),
    ),
    "9": (
        (((0.5, 0.16), (0.3, 0.02), (0.08, 0.16), (0.1, 0.4), (0.3, 0.48), (0.5, 0.3),
          (0.53, 0.1), (0.53, 0.1), (0.5, 0.55), (0.46, 1.0)),),
        (((0.52, 0.18), (0.34, 0.02), (0.1, 0.12), (0.06, 0.36), (0.24, 0.5), (0.46, 0.36),
          (0.53, 0.14), (0.52, 0.5), (0.4, 0.84), (0.12, 0.96)),),
        (((0.5, 0.08), (0.26, 0.02), (0.06, 0.24), (0.16, 0.48), (0.4, 0.42), (0.54, 0.06),
          (0.54, 0.06), (0.44, 0.5), (0.3, 1.0)),),
    ),
}  # fmt: skip
LETTERS: dict[str, tuple[Stroke, ...]] = {  # none that a digit looks like
    "A": (((0.02, 1.0), (0.32, 0.0), (0.32, 0.0), (0.64, 1.0)), ((0.14, 0.64), (0.52, 0.62))),
    "E": (((0.52, 0.02), (0.06, 0.02), (0.06, 0.02), (0.06, 0.98), (0.06, 0.98), (0.54, 0.97)),
          ((0.06, 0.48), (0.46, 0.48))),
    "F": (((0.54, 0.02), (0.06, 0.02), (0.06, 0.02), (0.05, 1.0)), ((0.06, 0.48), (0.46, 0.47))),
    "H": (((0.06, 0.0), (0.05, 1.0)), ((0.56, 0.0), (0.56, 1.0)), ((0.06, 0.5), (0.56, 0.48))),
    "K": (((0.06, 0.0), (0.06, 1.0)),
          ((0.54, 0.0), (0.07, 0.54), (0.07, 0.54), (0.58, 1.0))),
    "M": (((0.02, 1.0), (0.1, 0.0), (0.1, 0.0), (0.38, 0.7), (0.38, 0.7), (0.66, 0.0),
           (0.66, 0.0), (0.76, 1.0)),),
    "N": (((0.05, 1.0), (0.06, 0.0), (0.06, 0.0), (0.54, 1.0), (0.54, 1.0), (0.55, 0.0)),),
    "R": (((0.06, 1.0), (0.06, 0.02), (0.06, 0.02), (0.36, 0.02), (0.52, 0.22), (0.36, 0.46),
           (0.08, 0.5), (0.08, 0.5), (0.56, 1.0)),),
    "W": (((0.0, 0.0), (0.18, 1.0), (0.18, 1.0), (0.4, 0.3), (0.4, 0.3), (0.6, 1.0), (0.6, 1.0),
           (0.8, 0.0)),),
    "X": (((0.04, 0.0), (0.58, 1.0)), ((0.56, 0.0), (0.02, 1.0))),
}  # fmt: skip
MARKS: dict[str, tuple[Stroke, ...]] = {  # between groups of digits
    ".": (((0.06, 0.95), (0.09, 0.97)),),
    ",": (((0.1, 0.92), (0.09, 1.02), (0.03, 1.12)),),
    "-": (((0.02, 0.54), (0.3, 0.52)),),
}
PROBABILITIES = {  # of each kind of trouble, where a caller does not say which there are
    "tilt": 0.3,  # the page lies turned, up to 25 degrees
    "slope": 0.3,  # the writing rises or falls on a level page
    "growing": 0.15,  # digits grow or shrink along the line
    "touching": 0.1,
    "margins": 0.2,  # wide empty ones
    "groups": 0.15,  # gaps, dots, commas or dashes between groups of digits
    "ruled": 0.15,
    "squared": 0.12,
    "boxes": 0.1,  # one digit in each
    "comb": 0.06,  # a line with teeth, one digit between two
    "frame": 0.06,
    "underline": 0.1,
    "specks": 0.2,
    "coloured": 0.4,  # ink and paper; else black on white
    "pencil": 0.12,  # grey and grainy
    "board": 0.08,  # light on dark
    "gradient": 0.4,
    "vignette": 0.2,
    "shadow": 0.25,  # with an edge across the page
    "texture": 0.4,  # of paper
    "blur": 0.4,
    "noise": 0.5,
    "jpeg": 0.6,
}
KINDS = tuple(PROBABILITIES)
MORE_KINDS = (  # of trouble, that are there only where a caller asks for them
    "pattern",  # paper with fine waves in colour, as a cheque's
    "dash",  # a dash, a dot or both behind the number
    "corners",  # the picture's are almost black
    "margin",  # a printed line down the page, left of the number
    "neighbours",  # ends of what is written on the lines above and below
    "sideways",  # the page lies on its side
)
NOT_NUMBERS = ("letters", "blank", "scribble", "noise", "texture")
OUTLINES = ("ruled", "squared", "boxes", "comb", "frame")  # at most one where they are drawn

_SUPERSAMPLING = 3
_FIELD = 5  # pixels of the field of distances to a pixel of a digit image
_FINEST, _BROADEST = 1.0, 12.0  # pen, px
_PENS = (1 / 32, 1 / 7)  # digit heights
_OWN_PENS = (1 / 12, 1 / 7)  # the same of digit images, as their strokes are
_BLOT = 1.6  # times the usual width of a stroke: a loop that has run full
_MARK_GAP = 0.16  # digit heights
_LEAST_DIGIT = 16  # px
_TRIES = 100  # images of a digit, to find one that can be drawn


class _Glyph(NamedTuple):
    """What is to be inked, in digit heights from its left end and from the top of the line.

    Attributes:
        width: that it takes along the line.
        ink: draws it: (pen, px; matrix [2, 3] from glyph to px; size (h, w)) -> coverage 0 to 1.
        box: what it inks, (left, top, right, bottom).
    """

    width: float
    ink: Callable[[float, np.ndarray, tuple[int, int]], np.ndarray]
    box: tuple[float, float, float, float]


def _curve(stroke: Sequence[tuple[float, float]], steps: int = 12) -> np.ndarray:
    """Returns points [n, 2] on the Catmull-Rom spline through control points."""
    points = np.asarray(stroke, float)
    points = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    at = (np.arange(steps) / steps)[:, None]
    parts = []
    for before, start, end, after in zip(points, points[1:], points[2:], points[3:], strict=False):
        parts.append(
            start
            + at * (end - before) / 2
            + at**2 * (before - 2.5 * start + 2 * end - after / 2)
            + at**3 * (1.5 * (start - end) + (after - before) / 2)
        )
    return np.concatenate([*parts, points[-2:-1]])


def _jittered(rng: np.random.Generator, stroke: Stroke, amount: float) -> np.ndarray:
    """Returns control points moved at random; those at one place stay together."""
    points = np.asarray(stroke)
    moved = points + rng.normal(0, amount, points.shape)
    for row in range(1, len(points)):
        if (points[row] == points[row - 1]).all():
            moved[row] = moved[row - 1]
    return moved


def _stroke_glyph(
    rng: np.random.Generator, strokes: Sequence[Stroke], hand: dict[str, float], side: float
) -> _Glyph:
    """Returns strokes as a hand draws them.

    Args:
        strokes: in a box of 1 from top to bottom.
        hand: jitter, slant, aspect and pressure.
        side: width that the glyph takes beside its ink, digit heights.
    """
    slant = hand["slant"] + rng.normal(0, 0.04)
    aspect = hand["aspect"] * rng.uniform(0.92, 1.08)
    turn = rng.normal(0, 0.04)
    curves = []
    for stroke in strokes:
        points = _curve(_jittered(rng, stroke, hand["jitter"]))
        x = points[:, 0] * aspect + slant * (1 - points[:, 1])
        y = points[:, 1] + turn * (x - 0.3)
        curves.append(np.stack([x - turn * (y - 0.5), y], axis=1))
    every = np.concatenate(curves)
    left = every[:, 0].min()
    curves = [curve - (left, 0) for curve in curves]
    every = np.concatenate(curves)
    phases = rng.uniform(0, 2 * math.pi, len(curves))

    def ink(pen: float, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        fine = Image.new("L", (size[1] * _SUPERSAMPLING, size[0] * _SUPERSAMPLING))
        draw = ImageDraw.Draw(fine)
        for curve, phase in zip(curves, phases, strict=True):
            at = (curve @ matrix[:, :2].T + matrix[:, 2]) * _SUPERSAMPLING
            along = np.linspace(0, 1, len(at))
            width = pen * (1 + hand["pressure"] * np.sin(phase + 5 * along)) * _SUPERSAMPLING
            for row in range(len(at) - 1):
                draw.line([*at[row], *at[row + 1]], 255, max(round(width[row]), 1))
            if pen >= 1.5:
                for (x, y), radius in zip(at, width / 2, strict=True):
                    draw.ellipse([x - radius, y - radius, x + radius, y + radius], 255)
        return np.asarray(fine.reduce(_SUPERSAMPLING), np.float32)[: size[0], : size[1]] / 255

    box = (0.0, float(every[:, 1].min()), float(every[:, 0].max()), float(every[:, 1].max()))
    return _Glyph(box[2] + side, ink, box)


def _thinned(ink: np.ndarray) -> np.ndarray:
    """Returns the middle lines of a boolean image.

    Source: T. Y. Zhang and C. Y. Suen, A fast parallel algorithm for thinning digital patterns,
    Communications of the ACM 27, 1984.
    """
    ink = np.pad(ink, 1)
    around = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    while True:
        before = ink.copy()
        for corner in (0, 1):
            beside = np.stack([np.roll(ink, (-y, -x), (0, 1)) for y, x in around])
            count = beside.sum(axis=0)
            turns = (~beside & np.roll(beside, -1, axis=0)).sum(axis=0)
            north, east, south, west = beside[::2]
            if corner == 0:
                free = ~(north & east & south) & ~(east & south & west)
            else:
                free = ~(north & east & west) & ~(north & south & west)
            ink &= ~((count >= 2) & (count <= 6) & (turns == 1) & free)
        if (ink == before).all():
            return ink[1:-1, 1:-1]


def _image_glyph(
    rng: np.random.Generator, image: np.ndarray, own_form: bool, hand: dict[str, float], side: float
) -> _Glyph | None:
    """Returns a digit image: drawn again with the pen, or as it is with strokes as broad as it.

    Returns:
        None for an image that is torn, or whose loops have run full of ink so that the middle lines
        of its strokes are not those of the digit.
    """
    fine = ndimage.zoom(np.pad(image, 2).astype(np.float32) / 255, _FIELD, order=3)
    inside = ndimage.gaussian_filter(fine, 0.3 * _FIELD) > 0.45
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    top, left = rows[0], columns[0]
    height = max(rows[-1] + 1 - top, (columns[-1] + 1 - left) // 2)  # of a one that lies: no giant
    depth = ndimage.distance_transform_edt(inside)
    half = inside.sum() / (depth == 1).sum()  # of a stroke's breadth: area over one of its edges
    blot = depth.max() > _BLOT * half
    if ndimage.label(inside, np.ones((3, 3)))[1] > 1 or (blot and not own_form):
        return None
    if own_form:
        distance = ndimage.distance_transform_edt(~inside) - depth
    else:
        distance = ndimage.distance_transform_edt(~_thinned(inside))
    distance = np.pad(distance.astype(np.float32), height, mode="linear_ramp", end_values=height)
    slant = rng.normal(0, 0.06)
    width = (columns[-1] + 1 - left) / height * hand["aspect"]

    def ink(pen: float, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        # From glyph to field: aspect and slant undone, then digit heights to pixels.
        own = np.array([[1 / hand["aspect"], slant], [0, 1]]) * height
        to_glyph = np.linalg.inv(matrix[:, :2])
        steps = (own @ to_glyph)[::-1, ::-1]
        start = own @ (to_glyph @ (0.5 - matrix[:, 2])) + (left - slant * height / 2, top)
        field = ndimage.affine_transform(
            distance,
            steps,
            start[::-1] + height - 0.5,
            output_shape=size,
            order=1,
            mode="nearest",
        )
        scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
        # Strokes of its own form change by no more than closes a loop or tears a line.
        broad = half * scale / height
        grown = np.clip(pen / 2 - broad, -0.5 * broad, 0.02 * scale)
        return np.clip((grown if own_form else pen / 2) + 0.5 - field * scale / height, 0, 1)

    box = (0.0, 0.0, float(width), float((rows[-1] + 1 - top) / height))
    return _Glyph(width + side, ink, box)


def _affine(scale: float, angle: float, x: float, y: float) -> np.ndarray:
    cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
    return np.array([[cosine, -sine, x], [sine, cosine, y]])


class _Page:
    """A picture while it is drawn: float32 [h, w, 3] of 0 to 1, and the light on it."""

    def __init__(self, rng: np.random.Generator, height: int, width: int, kinds: Collection[str]):
        self.rng, self.kinds, self.size = rng, kinds, (height, width)
        self.dark = "board" in kinds
        if self.dark:
            papers = (
                (0.12, 0.25, 0.18),
                (0.13, 0.13, 0.14),
                (0.12, 0.17, 0.32),
                (0.05, 0.05, 0.06),
            )
            self.paper = np.array(papers[rng.integers(len(papers))])
        elif "coloured" in kinds:
            papers = (
                (0.98, 0.95, 0.86),
                (0.86, 0.85, 0.83),
                (0.97, 0.86, 0.84),
                (0.99, 0.93, 0.68),
                (0.82, 0.9, 0.96),
                (0.78, 0.69, 0.55),
            )
            self.paper = np.array(papers[rng.integers(len(papers))])
        else:
            self.paper = np.full(3, rng.uniform(0.92, 1))
        self.picture = np.broadcast_to(self.paper, (height, width, 3)).astype(np.float32)

    def ink_colour(self) -> np.ndarray:
        """Returns what the number is written with."""
        if self.dark:
            chalks = ((0.95, 0.95, 0.93), (0.97, 0.9, 0.6), (0.95, 0.75, 0.75), (0.75, 0.9, 0.97))
            return np.array(chalks[self.rng.choice(4, p=(0.7, 0.1, 0.1, 0.1))])
        if "pencil" in self.kinds:
            return np.full(3, self.rng.uniform(0.25, 0.45))
        if "coloured" in self.kinds:
            inks = ((0.1, 0.15, 0.5), (0.12, 0.25, 0.7), (0.65, 0.1, 0.12), (0.1, 0.1, 0.12),
                    (0.1, 0.4, 0.2), (0.35, 0.12, 0.45))  # fmt: skip
            return np.array(inks[self.rng.choice(6, p=(0.3, 0.25, 0.15, 0.15, 0.08, 0.07))])
        return np.full(3, self.rng.uniform(0.02, 0.2))

    def print_colour(self) -> np.ndarray:
        """Returns what lines and boxes are printed with: fainter than ink, or coloured."""
        if self.dark:
            return self.paper + (1 - self.paper) * self.rng.uniform(0.15, 0.4)
        prints = ((0.6, 0.75, 0.92), (0.7, 0.7, 0.7), (0.95, 0.6, 0.6), (0.95, 0.62, 0.25),
                  (0.55, 0.8, 0.7), (0.45, 0.45, 0.5))  # fmt: skip
        return np.array(prints[self.rng.integers(len(prints))]) * self.paper

    def mix(self, coverage: np.ndarray, colour: np.ndarray) -> None:
        """Lays a colour over the picture where something covers it."""
        self.picture += coverage[..., None] * (colour.astype(np.float32) - self.picture)

    def smooth_noise(self, sigma: float) -> np.ndarray:
        """Returns float32 [h, w] of mean 0 and deviation 1 without detail finer than sigma px."""
        coarse = max(sigma / 2, 1)
        shape = [max(math.ceil(side / coarse), 2) + 4 for side in self.size]
        noise = ndimage.gaussian_filter(self.rng.normal(0, 1, shape), sigma / coarse)
        image = Image.fromarray(noise.astype(np.float32))
        size = (math.ceil(shape[1] * coarse), math.ceil(shape[0] * coarse))
        fine = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
        fine = fine[: self.size[0], : self.size[1]]
        return (fine - fine.mean()) / (fine.std() + 1e-6)

    def finished(self, largest_blur: float) -> tuple[np.ndarray, dict[str, Any]]:
        """Returns the picture in its light, as a camera and a file leave it, and what they did."""
        rng, kinds, (height, width) = self.rng, self.kinds, self.size
        facts: dict[str, Any] = {}
        picture = self.picture
        if "texture" in kinds:
            for sigma, most in ((0.7, 0.02), (3, 0.015), (width / 8, 0.03)):
                picture *= 1 + self.smooth_noise(sigma)[..., None] * rng.uniform(0, most)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        light = np.ones((height, width), np.float32)
        if "gradient" in kinds:
            angle = rng.uniform(0, 2 * math.pi)
            along = x / width * math.cos(angle) + y / height * math.sin(angle)
            along = (along - along.min()) / (along.max() - along.min())
            light *= 1 - rng.uniform(0.15, 0.5) * along
        if "corners" in kinds:
            far = np.hypot(2 * x / width - 1, 2 * y / height - 1) / math.sqrt(2)
            light *= 1 - rng.uniform(0.65, 0.9) * far ** rng.uniform(1.5, 4)
        if "vignette" in kinds:
            centre = rng.uniform(0.35, 0.65, 2)
            far = np.hypot(x / width - centre[0], (y / height - centre[1]) * min(height / width, 1))
            light *= 1 - rng.uniform(0.3, 0.65) * np.clip(far / far.max(), 0, 1) ** 2
        if "shadow" in kinds:
            angle = rng.uniform(0, 2 * math.pi)
            across = (x - width * rng.uniform(0.2, 0.8)) * math.cos(angle)
            across += (y - height * rng.uniform(0.2, 0.8)) * math.sin(angle)
            across += width * 0.03 * self.smooth_noise(width / 5)
            edge = rng.uniform(0.01, 0.15) * width
            light *= 1 - rng.uniform(0.2, 0.5) / (1 + np.exp(-np.clip(across / edge * 4, -50, 50)))
        picture = picture * light[..., None]
        if "blur" in kinds:
            facts["blur"] = float(rng.uniform(0.4, max(largest_blur, 0.5)))
            picture = ndimage.gaussian_filter(picture, (facts["blur"], facts["blur"], 0))
        if "noise" in kinds:
            sigma = rng.uniform(0.004, 0.05)
            noise = rng.normal(0, sigma, (height, width, 1)).astype(np.float32)
            coloured = rng.normal(0, sigma * 0.5, (height, width, 3)).astype(np.float32)
            picture = picture + noise + coloured
        pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        if "jpeg" in kinds:
            facts["jpeg"] = int(rng.integers(30, 96))
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, format="jpeg", quality=facts["jpeg"])
            pixels = np.asarray(Image.open(file).convert("RGB"))
        return pixels, facts


def _lines(size: tuple[int, int], segments: Sequence[Sequence[float]], width: float) -> np.ndarray:
    """Returns the coverage of straight lines of (x, y, x, y) in px."""
    fine = Image.new("L", (size[1] * _SUPERSAMPLING, size[0] * _SUPERSAMPLING))
    draw = ImageDraw.Draw(fine)
    for segment in segments:
        points = [_SUPERSAMPLING * value for value in segment]
        draw.line(points, 255, max(round(width * _SUPERSAMPLING), 1))
    return np.asarray(fine.reduce(_SUPERSAMPLING), np.float32)[: size[0], : size[1]] / 255


def _rectangle(left: float, top: float, right: float, bottom: float) -> list[np.ndarray]:
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    return [np.stack([corners[n], corners[(n + 1) % 4]]) for n in range(4)]


def _hand(rng: np.random.Generator) -> dict[str, float]:
    return {
        "jitter": rng.uniform(0.008, 0.028),
        "slant": rng.uniform(-0.08, 0.3),
        "aspect": rng.uniform(0.85, 1.25),
        "pressure": rng.uniform(0, 0.25),
    }


def _drawn_kinds(rng: np.random.Generator) -> set[str]:
    kinds = {kind for kind, chance in PROBABILITIES.items() if rng.random() < chance}
    outlines = [kind for kind in OUTLINES if kind in kinds]
    if len(outlines) > 1:
        kinds -= set(outlines) - {outlines[rng.integers(len(outlines))]}
    if kinds & {"boxes", "comb"}:
        kinds -= {"touching", "growing", "groups", "slope"}
    return kinds


def _write(
    rng: np.random.Generator,
    glyphs: Sequence[_Glyph],
    kinds: Collection[str],
    width: int | None,
    pen: float | None,
    pens: tuple[float, float] = _PENS,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Returns a picture of glyphs on a line, and what is known of it.

    Args:
        glyphs: from left to right.
        kinds: of trouble.
        width: of the picture, px; None to draw one.
        pen: px; None to draw one from the range of `pens`.
        pens: finest and broadest, digit heights.
    """
    width = width or int(np.exp(rng.uniform(math.log(200), math.log(1600))))
    pitched = "boxes" in kinds or "comb" in kinds
    pitch = rng.uniform(1.0, 1.35)
    grow = rng.choice((-1, 1)) * rng.uniform(0.2, 0.5) if "growing" in kinds else 0.0
    scales = [
        math.exp(grow * (place / max(len(glyphs) - 1, 1) - 0.5) + rng.normal(0, 0.05))
        for place in range(len(glyphs))
    ]
    # Places on the line, in digit heights.
    at, x = [], 0.0
    for place, (glyph, scale) in enumerate(zip(glyphs, scales, strict=True)):
        if pitched:
            own = glyph.box[2] * scale * 0.9
            at.append(place * pitch + (pitch - own) / 2 + rng.normal(0, 0.04))
            x = (place + 1) * pitch
        else:
            at.append(x)
            x += glyph.width * scale
    tallest = max(scales) * (0.9 if pitched else 1)
    length = x if pitched else at[-1] + glyphs[-1].box[2] * scales[-1]
    slope = rng.uniform(-8, 8) if "slope" in kinds else 0.0
    tilt = rng.uniform(-25, 25) if "tilt" in kinds else 0.0
    whole = math.radians(slope + tilt)
    margin = rng.uniform(0.25, 0.42) if "margins" in kinds else rng.uniform(0.03, 0.12)
    around = 0.5 if pitched or kinds & {"frame", "underline"} else 0.15
    across = (length + 2 * around) * abs(math.cos(whole)) + (tallest + 2 * around) * abs(
        math.sin(whole)
    )
    high = (length + 2 * around) * abs(math.sin(whole)) + (tallest + 2 * around) * abs(
        math.cos(whole)
    )
    digit = min(width * (1 - 2 * margin) / across, 0.5 * width, _BROADEST / pens[0])
    digit = max(digit, min(0.94 * width / across, _LEAST_DIGIT))
    lowest = width * rng.uniform(0.2, 1.2) if "margins" in kinds else width / 6
    height = int(max(digit * (high + rng.uniform(0.05, 0.7)), lowest))
    if pen is None:
        finest, broadest = np.clip((digit * pens[0], digit * pens[1]), _FINEST, _BROADEST)
        pen = math.exp(rng.uniform(math.log(finest), math.log(broadest)))
    page = _Page(rng, height, width, kinds)
    # Where the middle of the line is: anywhere that leaves the writing on the page.
    free = np.array([width - across * digit, height - high * digit]) / 2
    middle = np.array([width, height]) / 2 + free * rng.uniform(-0.8, 0.8, 2)
    line = _affine(digit, whole, *middle) @ np.array(
        [[1, 0, -length / 2], [0, 1, -tallest / 2], [0, 0, 1]]
    )
    print_line = _affine(digit, math.radians(tilt), *middle) @ np.array(
        [[1, 0, -length / 2], [0, 1, -tallest / 2], [0, 0, 1]]
    )
    _print(page, print_line, kinds, length, tallest, pitch, len(glyphs), digit)
    coverage = np.zeros(page.size, np.float32)
    boxes = []
    for glyph, scale, place in zip(glyphs, scales, at, strict=True):
        own = scale * (0.9 if pitched else 1)
        lift = (tallest - own) + rng.normal(0, 0.03)
        placed = np.concatenate(
            [line[:, :2] * own, (line[:, :2] @ (place, lift) + line[:, 2])[:, None]], axis=1
        )
        left, top, right, bottom = glyph.box
        corners = np.array([(left, top), (right, top), (left, bottom), (right, bottom)])
        corners = corners @ placed[:, :2].T + placed[:, 2]
        low = np.clip(np.floor(corners.min(axis=0) - pen - 3), 0, page.size[::-1]).astype(int)
        end = np.clip(np.ceil(corners.max(axis=0) + pen + 3), 0, page.size[::-1]).astype(int)
        placed[:, 2] -= low
        inked = glyph.ink(pen, placed, (end[1] - low[1], end[0] - low[0]))
        part = coverage[low[1] : end[1], low[0] : end[0]]
        np.maximum(part, inked, out=part)
        rows, columns = np.nonzero(inked > 0.25)
        x, y = columns + low[0], rows + low[1]
        boxes.append([int(side) for side in (x.min(), y.min(), x.max() + 1, y.max() + 1)])
    if "neighbours" in kinds:
        coverage = np.maximum(coverage, _neighbours(rng, line, length, tallest, page))
    if "underline" in kinds:
        coverage = np.maximum(coverage, _underline(rng, line, length, tallest, page.size, pen))
    if "pencil" in kinds or page.dark:
        grain = page.smooth_noise(0.8)
        coverage = coverage * np.clip(rng.uniform(0.75, 0.95) + 0.2 * grain, 0.3, 1)
    page.mix(coverage * rng.uniform(0.85, 1), page.ink_colour())
    if "specks" in kinds:
        _speckle(page, digit)
    pixels, facts = page.finished(min(max(pen, digit / 20) * 0.5, digit / 25 + 0.5))
    if "sideways" in kinds:
        pixels = np.ascontiguousarray(np.rot90(pixels))
        boxes = [(top, width - right, bottom, width - left) for left, top, right, bottom in boxes]
    return pixels, facts | {
        "kinds": sorted(kinds),
        "pen": pen,
        "digit_height": digit,
        "tilt": slope + tilt,
        "boxes": boxes,
    }


def _print(
    page: _Page,
    line: np.ndarray,
    kinds: Collection[str],
    length: float,
    tallest: float,
    pitch: float,
    count: int,
    digit: float,
) -> None:
    """Draws what is printed on the page before somebody writes on it."""
    rng = page.rng
    far = 2 * max(page.size) / digit
    segments: list[np.ndarray] = []
    if "pattern" in kinds:
        _pattern(page, digit)
    if "margin" in kinds:
        x = -rng.uniform(0.15, 0.6)
        ends = np.array([(x, -far), (x, far)]) @ line[:, :2].T + line[:, 2]
        coverage = _lines(page.size, [ends.ravel()], rng.uniform(0.8, max(1.2, digit / 20)))
        page.mix(coverage * rng.uniform(0.6, 1), page.print_colour())
    if "ruled" in kinds:
        gap = rng.uniform(1.1, 2.2) * tallest
        base = tallest + rng.uniform(0, 0.12)
        for row in range(-int(far / gap), int(far / gap) + 1):
            segments.append(np.array([(-far, base + row * gap), (far, base + row * gap)]))
    if "squared" in kinds:
        gap = rng.uniform(0.45, 1.1) * tallest
        first = rng.uniform(0, gap, 2)
        for step in range(-int(far / gap), int(far / gap) + 1):
            segments.append(np.array([(-far, first[1] + step * gap), (far, first[1] + step * gap)]))
            segments.append(np.array([(first[0] + step * gap, -far), (first[0] + step * gap, far)]))
    above, below = rng.uniform(0.15, 0.35, 2)
    if "boxes" in kinds:
        apart = rng.choice((0, rng.uniform(0.05, 0.2)))
        for place in range(count):
            left, right = place * pitch + apart / 2, (place + 1) * pitch - apart / 2
            segments += _rectangle(left, -above, right, tallest + below)
    if "comb" in kinds:
        bottom = tallest + below * 0.6
        segments.append(np.array([(0, bottom), (count * pitch, bottom)]))
        tooth = rng.uniform(0.3, 1.1) * tallest
        for place in range(count + 1):
            segments.append(np.array([(place * pitch, bottom - tooth), (place * pitch, bottom)]))
    if "frame" in kinds:
        segments += _rectangle(-above - 0.1, -above, length + 0.1 + below, tallest + below)
    if segments:
        drawn = [(points @ line[:, :2].T + line[:, 2]).ravel() for points in segments]
        coverage = _lines(page.size, drawn, rng.uniform(0.8, max(1.2, digit / 25)))
        strong = kinds & {"boxes", "comb", "frame"} and rng.random() < 0.4
        colour = page.ink_colour() if strong else page.print_colour()
        page.mix(coverage * rng.uniform(0.6, 1), colour)


def _pattern(page: _Page, digit: float) -> None:
    """Draws waves over the whole page, as on paper that is hard to copy."""
    rng, (height, width) = page.rng, page.size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / digit
    for _ in range(2):
        angle, period = rng.uniform(0, math.pi), rng.uniform(0.08, 0.4)
        along = x * math.cos(angle) + y * math.sin(angle)
        across = y * math.cos(angle) - x * math.sin(angle)
        bend = rng.uniform(0, 3) * np.sin(across * rng.uniform(2, 9))
        wave = 0.5 + 0.5 * np.sin(2 * math.pi * along / period + bend)
        page.mix(rng.uniform(0.08, 0.25) * wave, page.print_colour())


def _neighbours(
    rng: np.random.Generator, line: np.ndarray, length: float, tallest: float, page: _Page
) -> np.ndarray:
    """Returns the ink of two more lines of writing, so near that their ends are on the page."""
    hand, coverage = _hand(rng), np.zeros(page.size, np.float32)
    pen = rng.uniform(1 / 30, 1 / 10) * float(np.hypot(*line[:, 0]))
    for apart in (-1, 1):
        shift = apart * tallest * rng.uniform(1.08, 1.4)
        x = rng.uniform(-1.5, -0.5)
        while x < length + 1:
            forms = DIGITS[str(rng.integers(10))]
            glyph = _stroke_glyph(rng, forms[rng.integers(len(forms))], hand, 0.2)
            if rng.random() < 0.7:
                moved = line.copy()
                moved[:, 2] += line[:, :2] @ (x, shift)
                np.maximum(coverage, glyph.ink(max(pen, 1), moved, page.size), out=coverage)
            x += glyph.width
    return coverage


def _underline(
    rng: np.random.Generator,
    line: np.ndarray,
    length: float,
    tallest: float,
    size: tuple[int, int],
    pen: float,
) -> np.ndarray:
    hand = {"jitter": 0.02, "slant": 0.0, "aspect": 1.0, "pressure": 0.1}
    coverage = np.zeros(size, np.float32)
    start, end = rng.uniform(-0.15, 0.1), length + rng.uniform(-0.1, 0.15)
    for repeat in range(rng.integers(1, 3)):
        y = tallest + rng.uniform(0.14, 0.22) + 0.12 * repeat
        stroke = ((start, y), ((start + end) / 2, y + rng.normal(0, 0.02)), (end, y))
        drawn = _stroke_glyph(rng, [stroke], hand, 0)
        moved = line.copy()
        moved[:, 2] += line[:, :2] @ (start, 0)
        coverage = np.maximum(coverage, drawn.ink(pen, moved, size))
    return coverage


def _speckle(page: _Page, digit: float) -> None:
    """Draws dirt: dots far smaller than digits, dark and light."""
    rng, (height, width) = page.rng, page.size
    coverage = Image.new("L", (width * 2, height * 2))
    draw = ImageDraw.Draw(coverage)
    for _ in range(rng.integers(3, 40)):
        x, y = rng.uniform(0, 2 * width), rng.uniform(0, 2 * height)
        across = rng.uniform(0.6, max(1.0, digit / 30)) * 2
        draw.ellipse([x, y, x + across, y + across * rng.uniform(0.6, 1.4)], 255)
    colour = np.full(3, rng.uniform(0.1, 0.4) if not page.dark else rng.uniform(0.6, 0.9))
    page.mix(np.asarray(coverage.reduce(2), np.float32) / 255, colour)


def _drawn_image(
    rng: np.random.Generator,
    images: tuple[np.ndarray, np.ndarray],
    digit: int,
    own_form: bool,
    hand: dict[str, float],
    side: float,
) -> _Glyph:
    """Returns one of the images of a digit that can be drawn."""
    of_digit = np.flatnonzero(images[1] == digit)
    for _ in range(_TRIES):
        image = images[0][of_digit[rng.integers(len(of_digit))]]
        glyph = _image_glyph(rng, image, own_form, hand, side)
        if glyph is not None:
            return glyph
    raise ValueError(f"the images of {digit} are torn or blotted; give others")


def render(
    rng: np.random.Generator,
    digits: str,
    kinds: Collection[str] | None = None,
    images: tuple[np.ndarray, np.ndarray] | None = None,
    width: int | None = None,
    pen: float | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Returns a picture of a handwritten number.

    Args:
        rng: of everything that is drawn; the same state gives the same bytes.
        digits: of the number, leading zeros included, at least one.
        kinds: which of `KINDS` and `MORE_KINDS` there are; None to draw them by `PROBABILITIES`.
        images: uint8 [n, 28, 28] digit images, ink bright on dark, and their labels int [n], to
            take the digits from; None for strokes of its own.
        width: of the picture, px; None for 200 to 1600.
        pen: width of its line, px; None for 1 to 12, as fits the height of the digits, and for half
            of the numbers of digit images to keep the form of their strokes.

    Returns:
        the picture, uint8 [h, w, 3], and its facts: number, hand (`strokes` or `images`), kinds,
        pen (px), digit_height (px), tilt (degrees, clockwise), boxes (of each digit, left, top,
        right, bottom, px), and jpeg (quality) and blur (deviation, px) where there is one.
    """
    kinds = _drawn_kinds(rng) if kinds is None else set(kinds)
    if unknown := kinds - {*KINDS, *MORE_KINDS}:
        every = ", ".join(KINDS + MORE_KINDS)
        raise ValueError(f"unknown kinds {sorted(unknown)}; there are {every}")
    hand = _hand(rng)
    own_form = images is not None and pen is None and rng.random() < 0.5
    spacing = rng.uniform(-0.1, 0.0) if "touching" in kinds else rng.uniform(0.08, 0.4)
    cuts: set[int] = set()
    mark = ""
    if "groups" in kinds and len(digits) > 2:
        size = int(rng.integers(1, min(4, len(digits) - 1) + 1))
        cuts = set(range(len(digits) - size, 0, -size))
        mark = str(rng.choice(("", *MARKS)))
    glyphs, marks = [], set()
    variants = {digit: rng.integers(len(DIGITS[digit])) for digit in DIGITS}
    for place, digit in enumerate(digits):
        if place in cuts:
            if mark:
                marks.add(len(glyphs))
                glyphs.append(_stroke_glyph(rng, MARKS[mark], hand, _MARK_GAP))
            else:
                last = glyphs[-1]
                glyphs[-1] = last._replace(width=last.width + rng.uniform(0.3, 0.8))
        side = spacing + rng.normal(0, 0.02)
        if images is None:
            # Mostly a writer's own form of a digit, now and then another one.
            form = variants[digit] if rng.random() < 0.8 else rng.integers(len(DIGITS[digit]))
            glyphs.append(_stroke_glyph(rng, DIGITS[digit][form], hand, side))
        else:
            glyphs.append(_drawn_image(rng, images, int(digit), own_form, hand, side))
    if "dash" in kinds:
        for sign in ("-", ".", "-.", ",-")[rng.integers(4)]:
            marks.add(len(glyphs))
            glyphs.append(_stroke_glyph(rng, MARKS[sign], hand, _MARK_GAP))
    pens = _OWN_PENS if own_form else _PENS
    picture, facts = _write(rng, glyphs, kinds, width, pen, pens)
    facts["boxes"] = [box for place, box in enumerate(facts["boxes"]) if place not in marks]
    return picture, {"number": digits, "hand": "strokes" if images is None else "images"} | facts


def not_numbers(
    rng: np.random.Generator, kind: str | None = None, width: int | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Returns a picture without a number on it.

    Args:
        rng: of everything that is drawn.
        kind: one of `NOT_NUMBERS`; None to draw one.
        width: of the picture, px; None for 200 to 1600.

    Returns:
        the picture, uint8 [h, w, 3], and its facts: kind, and those of `render` where it has them.
    """
    kind = kind or NOT_NUMBERS[rng.integers(len(NOT_NUMBERS))]
    width = width or int(np.exp(rng.uniform(math.log(200), math.log(1600))))
    kinds = _drawn_kinds(rng) - {"boxes", "comb", "groups"}
    if kind == "letters":
        hand, spacing = _hand(rng), rng.uniform(0.1, 0.4)
        text = rng.choice(list(LETTERS), size=rng.integers(1, 9))
        glyphs = [_stroke_glyph(rng, LETTERS[letter], hand, spacing) for letter in text]
        picture, facts = _write(rng, glyphs, kinds, width, None)
        return picture, {"kind": kind, "text": "".join(text)} | facts
    if kind == "scribble":
        hand = {"jitter": 0.0, "slant": 0.0, "aspect": 1.0, "pressure": 0.1}
        glyphs = [
            _stroke_glyph(rng, [_scribble(rng)], hand, 0.3) for _ in range(rng.integers(1, 4))
        ]
        picture, facts = _write(rng, glyphs, kinds - {"underline"}, width, None)
        return picture, {"kind": kind} | facts
    height = int(width * rng.uniform(0.3, 1.2))
    if kind == "blank":
        page = _Page(rng, height, width, kinds)
        line = _affine(width / 8, rng.uniform(-0.2, 0.2), width / 2, height / 2)
        _print(page, line, kinds & {"ruled", "squared"}, 1, 1, 1, 0, width / 8)
        picture, facts = page.finished(2)
        return picture, {"kind": kind, "kinds": sorted(kinds)} | facts
    page = _Page(rng, height, width, kinds)
    page.picture = _noise(rng, page) if kind == "noise" else _texture(rng, page)
    picture, facts = page.finished(2)
    return picture, {"kind": kind} | facts


def _scribble(rng: np.random.Generator) -> Stroke:
    """Returns a tangle that is no sign: a zigzag, loops on loops, or a pen that wanders."""
    turns = int(rng.integers(14, 40))
    along = np.linspace(0, rng.uniform(0.8, 3), turns)
    form = rng.integers(3)
    if form == 0:
        points = np.stack([along, rng.uniform(0, 1, turns)], axis=1)
    elif form == 1:
        at = np.arange(turns) * rng.uniform(1.2, 2.2)
        points = np.stack([along + 0.4 * np.cos(at), 0.5 + 0.45 * np.sin(at)], axis=1)
        points += rng.normal(0, 0.05, points.shape)
    else:
        points = rng.uniform(0, 1, (turns, 2)) * (rng.uniform(0.7, 1.5), 1)
    return tuple((float(x), float(y)) for x, y in points)


def _noise(rng: np.random.Generator, page: _Page) -> np.ndarray:
    shape = (*page.size, 3 if rng.random() < 0.5 else 1)
    form = rng.integers(3)
    if form == 0:
        picture = rng.uniform(0, 1, shape)
    elif form == 1:
        picture = rng.uniform(0.3, 0.7) + rng.normal(0, rng.uniform(0.05, 0.3), shape)
    else:
        picture = rng.choice((0.0, 0.85, 1.0), size=shape, p=(0.05, 0.9, 0.05))
    return np.broadcast_to(picture, (*page.size, 3)).astype(np.float32)


def _texture(rng: np.random.Generator, page: _Page) -> np.ndarray:
    """Returns what a photo of anything may look like: blobs, a slope of light, or stripes."""
    height, width = page.size
    colours = rng.uniform(0.05, 0.95, (3, 3)).astype(np.float32)
    form = rng.integers(4)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    if form == 0:
        weights = [page.smooth_noise(width * rng.uniform(0.01, 0.15)) for _ in range(2)]
    elif form == 1:
        weights = [x / width * 4 - 2, y / height * 4 - 2]
    elif form == 2:
        angle, period = rng.uniform(0, math.pi), width * rng.uniform(0.01, 0.15)
        phase = (x * math.cos(angle) + y * math.sin(angle)) / period * 2 * math.pi
        weights = [4 * np.sin(phase + 0.5 * page.smooth_noise(width / 6)), page.smooth_noise(9)]
    else:  # things with edges on top of each other
        weights = [
            np.where(page.smooth_noise(width * rng.uniform(0.02, 0.1)) > 0.3, 4, -4)
            for _ in range(2)
        ]
    first, second = (1 / (1 + np.exp(-weight[..., None])) for weight in weights)
    picture = colours[0] + first * (colours[1] - colours[0])
    return (picture + 0.6 * second * (colours[2] - picture)).astype(np.float32)
