"""From a picture to ink: the grey that shows it best, the paper divided out, and a threshold.

Paper is whatever changes slowly: shading, vignettes, coloured boxes. Ink is what stands out from
it, darker or brighter, and whichever of both is the long tail of the brightnesses is ink.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32
from PIL import Image
from scipy import ndimage

from mnist3.data import filters

BLOCK = 8  # pixels; the paper's brightness and the ink's are found on squares of this side
NOISIEST = 3.0  # times the usual noise of a picture
FAINTEST = 0.05  # share of the paper's brightness; fainter ink is not told from paper
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
CHANNELS = "LRGB"
MIXES = np.concatenate([LUMA[None], np.eye(3, dtype=np.float32)])
COLOURED = 24  # grey levels between the channels of ink; below, a picture is read as brightness


class Ink(NamedTuple):
    """What stands out from the paper.

    Attributes:
        contrast: how much, from 0 for paper to 1 for black on white.
        reach: the contrast of the strongest ink around each pixel.
        mask: where there is ink, if connected to what is strong.
        strong: where there is surely ink.
        faint: where there is ink, or what is fainter than the ink beside it, as rules are.
    """

    contrast: Float32[np.ndarray, "height width"]
    reach: Float32[np.ndarray, "height width"]
    mask: Bool[np.ndarray, "height width"]
    strong: Bool[np.ndarray, "height width"]
    faint: Bool[np.ndarray, "height width"]


def blocks_of(
    values: Float32[np.ndarray, "height width"], side: int
) -> Float32[np.ndarray, "rows columns pixels"]:
    """Returns every second pixel of every second row, block by block; edges are continued."""
    height, width = values.shape
    rows, columns = -(-height // side), -(-width // side)
    down, across = -(-height // 2), -(-width // 2)
    halves = np.empty((rows * side // 2, columns * side // 2), values.dtype)
    halves[:down, :across] = values[::2, ::2]
    halves[:down, across:] = values[::2, -1:]
    halves[down:, :across] = values[-1:, ::2]
    halves[down:, across:] = values[-1, -1]
    halves = halves.reshape(rows, side // 2, columns, side // 2)
    return halves.transpose(0, 2, 1, 3).reshape(rows, columns, -1)


def _enlarged(
    values: Float[np.ndarray, "rows columns"], shape: tuple[int, ...], side: int
) -> Float32[np.ndarray, "height width"]:
    """Returns values of blocks as a smooth picture."""
    height, width = shape
    values = values.astype(np.float32, copy=False)
    if (values == values[0, 0]).all():
        return np.broadcast_to(values[:1, :1], (height, width))
    image = Image.fromarray(values)
    box = (0, 0, width / side, height / side)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))


def _surface(values: Float32[np.ndarray, "rows columns"]) -> Float32[np.ndarray, "rows columns"]:
    """Returns the smooth surface that most of the values lie on (Tukey's weights)."""
    # Some 32 values along the longer side, and several along the other however low a line is.
    steps = [max(1, min(max(values.shape) // 32, side // 4)) for side in values.shape]
    down, across = (slice(step // 2, None, step) for step in steps)
    some = values[down, across].ravel().astype(np.float64)
    usual = filters.median(some)
    before = filters.median(np.abs(some - usual))
    # Most are the same already where somebody drew on a screen.
    if min(values.shape) < 6 or before == 0:
        return np.full_like(values, usual)
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in values.shape)
    terms = _terms(x[across], y[down]).reshape(len(some), -1)
    fitted = np.full_like(some, usual)
    factors = np.zeros(terms.shape[1])
    for used in (6, 6, 6, 9, 9, 9):  # a vignette needs the fourth order, but not at once
        scale = 4.7 * max(1.48 * filters.median(np.abs(some - fitted)), 1.0)
        weights = np.clip(1 - ((some - fitted) / scale) ** 2, 0, None) ** 2
        weighted = (terms[:, :used] * weights[:, None]).T
        factors[:used] = np.linalg.lstsq(weighted @ terms[:, :used], weighted @ some, rcond=None)[0]
        fitted = terms[:, :used] @ factors[:used]
    if filters.median(np.abs(some - fitted)) > before:
        return np.full_like(values, usual)
    surface = _terms(x, y) @ factors.astype(np.float32)
    return np.clip(surface, values.min(), values.max())


def _terms(
    x: Float32[np.ndarray, "columns"], y: Float32[np.ndarray, "rows"]
) -> Float32[np.ndarray, "rows columns 9"]:
    """Returns the terms of a surface, those of second order first."""
    x, y = np.meshgrid(x, y)
    return np.stack(
        [np.ones_like(x), x, y, x * x, x * y, y * y, x**4, x * x * y * y, y**4], axis=-1
    )


def grey(image: Image.Image, channel: str) -> Float32[np.ndarray, "height width"]:
    """Returns a channel of a picture: R, G or B, or its brightness L."""
    if image.mode == "L" or channel == "L":
        return np.asarray(image.convert("L"), dtype=np.float32)
    return np.asarray(image.getchannel(channel), dtype=np.float32)


def best_channel(image: Image.Image) -> str:
    """Returns the channel of a picture that shows the ink best: R, G, B or brightness L.

    The colours that stand out from the paper are parted in two by their hue. If they differ,
    the darker is the pen's and the other is print, and the channel is the one that shows the pen
    and hides the print. Otherwise it is the one that shows most; brightness, if none shows more.
    """
    if image.mode == "L":
        return "L"
    colours = np.asarray(image.reduce(max(1, max(image.size) // 160)), dtype=np.float32)
    paper = np.stack(
        [
            _enlarged(
                ndimage.median_filter(filters.medians(blocks_of(colours[..., c], BLOCK)), 5),
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
        return "L"
    if strong.sum() < 0:
        strong = -strong
    hues = strong / np.linalg.norm(strong, axis=1, keepdims=True)
    spread = hues - hues.mean(axis=0)
    axis = np.linalg.eigh(spread.T @ spread)[1][:, -1]
    along = spread @ axis
    cut = two_means(along)
    first, second = strong[along > cut], strong[along <= cut]
    pen, prints = strong.mean(axis=0), np.zeros(3, dtype=np.float32)
    if min(len(first), len(second)) > 0.05 * len(strong):
        centres = [np.median(part, axis=0) for part in (first, second)]
        cosine = centres[0] @ centres[1] / np.prod([np.linalg.norm(c) + 1e-6 for c in centres])
        if cosine < 0.9:
            centres.sort(key=lambda centre: float(centre @ LUMA))
            prints, pen = centres
    if np.ptp(pen) < COLOURED and not prints.any():
        return "L"
    shown = MIXES @ pen - np.abs(MIXES @ prints)
    best = int(np.argmax(shown))
    return "L" if shown[0] > 0.85 * shown[best] else CHANNELS[best]


def two_means(values: Float[np.ndarray, "n"]) -> float:
    """Returns the value that parts numbers in two groups around their means."""
    cut = float(values.mean())
    for _ in range(10):
        above = values > cut
        if above.all() or not above.any():
            break
        before, cut = cut, float(values[above].mean() + values[~above].mean()) / 2
        if cut == before:
            break
    return cut


def tails(image: Image.Image) -> tuple[float, float]:
    """Returns how much of a grey picture is darker than the paper, and how much is brighter.

    Ink is the minority around, and what is narrow: both tails count only where they are also
    narrower than a fifth of the picture. So what a stroke encloses is no ink.
    """
    levels = np.asarray(image.reduce(max(1, max(image.size) // 160)))
    small = levels.astype(np.float32)
    apart = small - _usual_paper(small, max(3, max(small.shape) // 4))
    size = max(3, max(small.shape) // 5)
    size = (min(size, small.shape[0]), min(size, small.shape[1]))
    dark = bright = 0.0
    if apart.min() < 0:
        hat = filters.closed(levels, size) - levels
        dark = float((np.minimum(hat, np.maximum(-apart, 0)) ** 3).sum())
    if apart.max() > 0:
        hat = levels - filters.opened(levels, size)
        bright = float((np.minimum(hat, np.maximum(apart, 0)) ** 3).sum())
    return dark, bright


def _usual_paper(
    values: Float32[np.ndarray, "height width"], window: int
) -> Float32[np.ndarray, "height width"]:
    """Returns the median around each pixel, found at a quarter of the size."""
    medians = filters.medians(blocks_of(values, 4))
    surface = _surface(medians)
    size = 2 * (window // 8) + 1
    apart = filters.medians_around(medians - surface, size)
    return _enlarged(apart + surface, values.shape, 4)


def _closed(values: Float32[np.ndarray, "rows columns"], size: int) -> np.ndarray:
    """Returns values of blocks without what is dark and narrower than `size` of them."""
    return filters.closed(values, (size, size))


def find_ink(
    pixels: Float32[np.ndarray, "height width"],
    window: int,
    around: int,
    inside: Bool[np.ndarray, "height width"] | None = None,
    faintest: float = FAINTEST,
) -> Ink:
    """Finds dark ink on bright paper.

    Args:
        pixels: brightness, 0 to 255.
        window: pixels; wider than any stroke, and what is wider is paper.
        around: pixels; ink is faint or strong beside what is so near.
        inside: where the picture is; ink is found nowhere else.
        faintest: share of the paper's brightness; fainter ink is not told from paper.
    """
    blocks = blocks_of(pixels, BLOCK)
    rank = 3 * blocks.shape[-1] // 4
    upper = np.partition(blocks, rank, axis=-1)[..., rank]
    surface = np.maximum(_surface(upper), 8)
    flat = upper / surface
    size = max(3, 2 * (window // (2 * BLOCK)) + 1)
    # Without the surface a dark edge is taken for ink, with it what lies beside a hard shadow.
    closed = np.minimum(_closed(flat, size), _closed(upper, size) / surface)
    # A closing takes a dark strip along an edge for ink, a median a dense patch of it for paper.
    usual = filters.medians(blocks_of(flat, 4))
    usual = filters.medians_around(usual, size // 2 + 1)
    closed = np.minimum(closed, _enlarged(usual, flat.shape, 4))
    closed = ndimage.gaussian_filter(closed, 0.7, mode="nearest")
    paper = _enlarged(np.maximum(closed * surface, 8), pixels.shape, BLOCK)
    contrast = pixels / paper
    np.subtract(1, contrast, out=contrast)
    np.maximum(contrast, 0, out=contrast)
    if inside is not None and not inside.all():
        contrast *= inside
    return threshold(contrast, around, faintest)


def _noise(
    steps: Float32[np.ndarray, "rows columns"], shape: tuple[int, ...]
) -> Float32[np.ndarray, "height width"]:
    """Returns the deviation of the paper's noise around each pixel, from some steps of contrast.

    Where light is low it is more, but never so much as the steps where strokes are dense. Where
    there is none, as on what was drawn on a screen, a single 0 stands for all.
    """
    if np.count_nonzero(steps) < steps.size / 2:
        return np.zeros((1, 1), np.float32)
    usual = float(filters.median(steps))
    blocks = filters.medians(blocks_of(steps, BLOCK))
    local = filters.medians_around(blocks, 5)
    return 1.05 * _enlarged(np.clip(local, usual, NOISIEST * usual), shape, 3 * BLOCK)


def threshold(
    contrast: Float32[np.ndarray, "height width"], around: int, faintest: float = FAINTEST
) -> Ink:
    """Parts ink from paper by the strongest ink within `around` pixels and the paper's noise."""
    some = contrast[::3]
    steps = np.abs(some[:, 2::3] - some[:, :-2:3])
    noise = _noise(np.concatenate([steps, steps[:, -1:]], axis=1), contrast.shape)
    common, rare, most = filters.percentiles(some[:, ::3], [50, 85, 98])
    pattern = min(max(3.5 * common, 1.5 * rare), 0.5 * most, 0.3)
    floor = np.maximum(4 * noise, float(max(faintest, pattern)))
    strongest = np.partition(blocks_of(contrast, BLOCK), -3, axis=-1)[..., -3]
    size = max(3, 2 * (around // (2 * BLOCK)) + 1)
    for axis in (0, 1):
        strongest = filters.extremes(strongest, size, size // 2, axis, np.maximum)
    reach = _enlarged(ndimage.uniform_filter(strongest, 3, mode="nearest"), contrast.shape, BLOCK)
    reach = np.maximum(reach, floor / 0.6)
    level = 0.5 * reach
    strong = contrast > np.maximum(level, floor, out=level)
    mask = contrast > np.multiply(reach, 0.36, out=level)
    return Ink(contrast, reach, mask, strong, contrast > floor)
