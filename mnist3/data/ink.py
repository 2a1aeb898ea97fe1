"""From a picture to ink: the grey that shows it best, the paper divided out, and a threshold.

Paper is whatever changes slowly: shading, vignettes, coloured boxes. Ink is what stands out from
it, darker or brighter, and whichever of both is the long tail of the brightnesses is ink.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from PIL import Image
from scipy import ndimage

BLOCK = 8  # pixels; the paper's brightness and the ink's are found on squares of this side
FAINTEST = 0.05  # share of the paper's brightness; fainter ink is not told from paper
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
MIXES = np.concatenate([LUMA[None], np.eye(3, dtype=np.float32)])
COLOURED = 24  # grey levels between the channels of ink; below, a picture is read as brightness


class Ink(NamedTuple):
    """What stands out from the paper.

    Attributes:
        contrast: how much, from 0 for paper to 1 for black on white.
        reach: the contrast of the strongest ink around each pixel.
        mask: where there is ink.
        faint: where there is ink, or what is fainter than the ink beside it, as rules are.
    """

    contrast: Float32[np.ndarray, "height width"]
    reach: Float32[np.ndarray, "height width"]
    mask: Bool[np.ndarray, "height width"]
    faint: Bool[np.ndarray, "height width"]


def _blocks(
    values: Float32[np.ndarray, "height width"], side: int
) -> Float32[np.ndarray, "rows columns pixels"]:
    """Returns every second pixel of every second row, block by block; edges are continued."""
    height, width = values.shape
    rows, columns = -(-height // side), -(-width // side)
    padded = np.pad(values, ((0, rows * side - height), (0, columns * side - width)), mode="edge")
    halves = padded[::2, ::2].reshape(rows, side // 2, columns, side // 2)
    return halves.transpose(0, 2, 1, 3).reshape(rows, columns, -1)


def _enlarged(
    values: Float[np.ndarray, "rows columns"], shape: tuple[int, ...], side: int
) -> Float32[np.ndarray, "height width"]:
    """Returns values of blocks as a smooth picture."""
    height, width = shape
    image = Image.fromarray(values.astype(np.float32))
    box = (0, 0, width / side, height / side)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))


def _surface(values: Float32[np.ndarray, "rows columns"]) -> Float32[np.ndarray, "rows columns"]:
    """Returns the smooth surface that most of the values lie on (Tukey's weights)."""
    rows, columns = values.shape
    flat = values.ravel().astype(np.float64)
    fitted = np.full_like(flat, np.median(flat))
    if rows < 6 or columns < 6:
        return fitted.reshape(values.shape).astype(np.float32)
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    terms = [np.ones_like(x), x, y, x * x, x * y, y * y, x**4, x * x * y * y, y**4]
    terms = np.stack(terms, axis=-1).reshape(-1, len(terms))
    before = np.median(np.abs(flat - fitted))
    for used in (6, 6, 6, 9, 9, 9):  # a vignette needs the fourth order, but not at once
        scale = 4.7 * max(1.48 * np.median(np.abs(flat - fitted)), 1.0)
        weights = np.clip(1 - ((flat - fitted) / scale) ** 2, 0, None) ** 2
        some = terms[:, :used]
        weighted = (some * weights[:, None]).T
        fitted = some @ np.linalg.lstsq(weighted @ some, weighted @ flat, rcond=None)[0]
    if np.median(np.abs(flat - fitted)) > before:
        fitted = np.full_like(flat, np.median(flat))
    fitted = np.clip(fitted, flat.min(), flat.max())
    return fitted.reshape(values.shape).astype(np.float32)


def grey(
    picture: UInt8[np.ndarray, "height width *channels"], mix: Float32[np.ndarray, "3"]
) -> Float32[np.ndarray, "height width"]:
    """Returns a picture's brightness, its channels weighed by `mix`."""
    if picture.ndim == 2:
        return picture.astype(np.float32)
    return picture @ mix


def best_mix(picture: UInt8[np.ndarray, "height width *channels"]) -> Float32[np.ndarray, "3"]:
    """Returns the weights of red, green and blue that show the ink best.

    The colours that stand out from the paper are parted in two by their hue. If they differ, the
    darker is the pen's and the other is print, and the mix is the one that shows the pen and hides
    the print. Otherwise it is the one that shows most; brightness, if no channel shows more.
    """
    if picture.ndim == 2:
        return LUMA
    height, width, _ = picture.shape
    factor = max(1, max(height, width) // 256)
    colours = np.asarray(Image.fromarray(picture).reduce(factor), dtype=np.float32)
    paper = np.stack(
        [
            _enlarged(
                ndimage.median_filter(np.median(_blocks(colours[..., c], BLOCK), axis=-1), 5),
                colours.shape[:2],
                BLOCK,
            )
            for c in range(3)
        ],
        axis=-1,
    )
    apart = (paper - colours).reshape(-1, 3)
    strength = np.linalg.norm(apart, axis=1)
    strong = apart[strength >= max(np.percentile(strength, 97) * 0.5, 8)]
    if len(strong) < 8:
        return LUMA
    if strong.sum() < 0:
        strong = -strong
    hues = strong / np.linalg.norm(strong, axis=1, keepdims=True)
    spread = hues - hues.mean(axis=0)
    axis = np.linalg.eigh(spread.T @ spread)[1][:, -1]
    along = spread @ axis
    cut = _two_means(along)
    first, second = strong[along > cut], strong[along <= cut]
    pen, prints = strong.mean(axis=0), np.zeros(3, dtype=np.float32)
    if min(len(first), len(second)) > 0.05 * len(strong):
        centres = [np.median(part, axis=0) for part in (first, second)]
        cosine = centres[0] @ centres[1] / np.prod([np.linalg.norm(c) + 1e-6 for c in centres])
        if cosine < 0.9:
            centres.sort(key=lambda centre: float(centre @ LUMA))
            prints, pen = centres
    if np.ptp(pen) < COLOURED and not prints.any():
        return LUMA
    shown = MIXES @ pen - np.abs(MIXES @ prints)
    best = int(np.argmax(shown))
    return MIXES[0] if shown[0] > 0.85 * shown[best] else MIXES[best]


def _two_means(values: Float[np.ndarray, "n"]) -> float:
    """Returns the value that parts numbers in two groups around their means."""
    cut = float(values.mean())
    for _ in range(10):
        above = values > cut
        if above.all() or not above.any():
            break
        cut = float(values[above].mean() + values[~above].mean()) / 2
    return cut


def tails(pixels: Float32[np.ndarray, "height width"]) -> tuple[float, float]:
    """Returns how much stands out from the paper that is darker, and how much that is brighter.

    Ink is the minority around, and what is narrow: both tails count only where they are also
    narrower than a fifth of the picture. So what a stroke encloses is no ink.
    """
    factor = max(1, max(pixels.shape) // 160)
    small = np.asarray(Image.fromarray(pixels).reduce(factor))
    apart = small - _usual_paper(small, max(3, max(small.shape) // 4))
    size = max(3, max(small.shape) // 5)
    size = (min(size, small.shape[0]), min(size, small.shape[1]))
    dark = np.minimum(ndimage.black_tophat(small, size), np.maximum(-apart, 0))
    bright = np.minimum(ndimage.white_tophat(small, size), np.maximum(apart, 0))
    return float((dark**3).sum()), float((bright**3).sum())


def _usual_paper(
    values: Float32[np.ndarray, "height width"], window: int
) -> Float32[np.ndarray, "height width"]:
    """Returns the median around each pixel, found at a quarter of the size."""
    medians = np.median(_blocks(values, 4), axis=-1)
    surface = _surface(medians)
    size = 2 * (window // 8) + 1
    apart = ndimage.median_filter(medians - surface, size, mode="nearest")
    return _enlarged(apart + surface, values.shape, 4)


def find_ink(
    pixels: Float32[np.ndarray, "height width"],
    window: int,
    around: int,
    inside: Bool[np.ndarray, "height width"] | None = None,
) -> Ink:
    """Finds dark ink on bright paper.

    Args:
        pixels: brightness, 0 to 255.
        window: pixels; wider than any stroke, and what is wider is paper.
        around: pixels; ink is faint or strong beside what is so near.
        inside: where the picture is; ink is found nowhere else.
    """
    blocks = _blocks(pixels, BLOCK)
    rank = 3 * blocks.shape[-1] // 4
    upper = np.partition(blocks, rank, axis=-1)[..., rank]
    surface = np.maximum(_surface(upper), 8)
    flat = upper / surface
    size = max(3, 2 * (window // (2 * BLOCK)) + 1)
    closed = ndimage.grey_closing(flat, (size, size), mode="nearest")
    # A closing takes a dark strip along an edge for ink, a median a dense patch of it for paper.
    usual = np.median(_blocks(flat, 4), axis=-1)
    usual = ndimage.median_filter(usual, size // 2 + 1, mode="nearest")
    closed = np.minimum(closed, _enlarged(usual, flat.shape, 4))
    closed = ndimage.gaussian_filter(closed, 0.7, mode="nearest")
    paper = _enlarged(np.maximum(closed * surface, 8), pixels.shape, BLOCK)
    contrast = np.clip(1 - pixels / paper, 0, 1)
    if inside is not None:
        contrast *= inside
    return threshold(contrast, around)


def threshold(contrast: Float32[np.ndarray, "height width"], around: int) -> Ink:
    """Parts ink from paper by the strongest ink within `around` pixels and the paper's noise."""
    some = contrast[::3]
    noise = 1.05 * float(np.median(np.abs(some[:, 2:] - some[:, :-2])))
    common, rare, most = np.percentile(some[:, ::3], [50, 85, 98])
    pattern = min(max(3.5 * common, 1.5 * rare), 0.5 * most, 0.3)
    floor = float(max(FAINTEST, 4 * noise, pattern))
    strongest = np.partition(_blocks(contrast, BLOCK), -3, axis=-1)[..., -3]
    size = max(3, 2 * (around // (2 * BLOCK)) + 1)
    reach = ndimage.maximum_filter(strongest, (size, size), mode="nearest")
    reach = np.maximum(ndimage.uniform_filter(reach, 3, mode="nearest"), floor / 0.6)
    reach = _enlarged(reach, contrast.shape, BLOCK)
    weak = contrast > 0.36 * reach
    strong = contrast > np.maximum(0.5 * reach, floor)
    labels, count = ndimage.label(weak, np.ones((3, 3)))
    kept = np.zeros(count + 1, dtype=bool)
    kept[labels[strong]] = True
    kept[0] = False
    return Ink(contrast, reach, kept[labels], contrast > floor)
