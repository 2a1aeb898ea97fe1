"""From a user's picture to strips: where its lines of digits are, and what a network sees of them.

Twice the same steps: ink is parted from paper (`ink`), printed lines are taken away (`rules`), what
is left falls into shapes, and shapes side by side are a line. First on the whole picture at a
small size, to find the lines; then on each line, levelled and scaled to digits of one height, so
that neither margins nor the picture's size change what is cut out.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image
from scipy import ndimage

from mnist3.data import rules
from mnist3.data.ink import Ink, best_channel, find_ink, grey, tails, threshold, without_desk

HEIGHT = 32  # px of a strip
DIGIT = 20  # px; the median height of a line's digits in its strip
TALLEST = 30  # px; all the line's ink fits in so many rows
MARGIN = 8  # px; blank columns at both ends of a strip
WIDEST_GAP = 24  # px; wider gaps between the digits of a strip are cut to this
THINNEST = 2.0  # px; strokes of a strip that are thinner are drawn so wide
LARGEST_SIDE = 1600  # px; a larger picture shows no more
FIRST_SIDE = 800  # px; lines are found at this size,
SMALL_SIDE = 320  # px; and small pictures enlarged to this one
LEVEL = 40  # px; the height of digits when their line is looked at closely
UNCLEAR = 0.03  # share; where so much is also darker, or brighter, ink may be either
STEEPEST = 0.62  # rise of a line of writing: tan 32 degrees


class Line(NamedTuple):
    """A line of writing.

    Attributes:
        strip: ink bright on dark, digits of 20 px around the middle row.
        box: left, top, right and bottom of its ink in the picture, px.
        sideways: whether the line runs up or down the picture. Shapes do not tell up from down,
            so that `strip[::-1, ::-1]` may be the right way up.
    """

    strip: UInt8[np.ndarray, "32 width"]
    box: tuple[int, int, int, int]
    sideways: bool = False


class Shapes(NamedTuple):
    """Connected pieces of ink: a picture of labels, and of each its label, bounding box, pixels
    and mean contrast.
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


class Group(NamedTuple):
    """Shapes that stand in a line.

    Attributes:
        digits: indices of the shapes that may be digits.
        marks: indices of smaller ones among them.
        slope: how much the line falls from a column to the next, px.
        height: px of the median digit.
        score: how much writing this is.
    """

    digits: np.ndarray
    marks: np.ndarray
    slope: float
    height: float
    score: float


class Place(NamedTuple):
    """Where a line is in the picture: its frame turned by `angle`, then cut out; px, radians."""

    angle: float
    left: float
    top: float
    right: float
    bottom: float
    height: float


def locate(
    picture: UInt8[np.ndarray, "height width *channels"], every_line: bool = False
) -> list[Line]:
    """Finds the digits that somebody wrote.

    Args:
        picture: brightness, or red, green and blue; upright, ink dark on light or light on dark.
        every_line: every line from top to bottom, instead of the one with most writing.

    Returns:
        the lines; none if the picture holds no ink.
    """
    return _lines(picture, every_line, may_turn=True)


def _lines(
    picture: UInt8[np.ndarray, "height width *channels"], every_line: bool, may_turn: bool
) -> list[Line]:
    """Finds the lines of a picture, which may be turned by 90 degrees."""
    height, width = picture.shape[:2]
    factor = min(FIRST_SIDE / max(height, width), 1.0)
    if max(height, width) < SMALL_SIDE:
        factor = min(SMALL_SIDE / max(height, width), 6.0)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    filter_ = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    image = Image.fromarray(picture)
    coarse = image if factor == 1 else image.resize(size, filter_)
    channel = best_channel(coarse)
    pixels = grey(coarse, channel)
    page = without_desk(pixels)
    shapes, groups, bright = _either(page)
    if page is not pixels and not groups:
        shapes, groups, bright = _either(pixels)
    if may_turn and _sideways(shapes, groups, pixels.shape):
        return [
            Line(line.strip, (width - line.box[3], line.box[0], width - line.box[1], line.box[2]), True)
            for line in _lines(np.ascontiguousarray(np.rot90(picture)), every_line, may_turn=False)
        ]
    if not every_line:
        groups = sorted(groups, key=lambda group: -group.score)[:1]
    lines = []
    for group in groups:
        place = _place(shapes, group, 0.0, 1 / factor, (0.0, 0.0))
        line = _read(image, channel, bright, place)
        if line:
            lines.append(line)
    return sorted(lines, key=lambda line: line.box[1] + line.box[3])


def _either(pixels: Float32[np.ndarray, "height width"]) -> tuple[Shapes, list[Group], bool]:
    """Returns the lines of a whole picture, and whether their ink is brighter than paper."""
    dark, light = tails(Image.fromarray(pixels.astype(np.uint8)))
    bright = light > dark
    shapes, groups = _found(255 - pixels if bright else pixels)
    if not groups or min(dark, light) > UNCLEAR * max(dark, light):
        others = _found(pixels if bright else 255 - pixels)
        if _best(others[1]) > 4 * _best(groups):
            return *others, not bright
    return shapes, groups, bright


def _found(pixels: Float32[np.ndarray, "height width"]) -> tuple[Shapes, list[Group]]:
    """Returns the lines of dark ink in a whole picture."""
    side = max(pixels.shape)
    ink = find_ink(pixels, side // 7, side // 8)
    shapes = _shapes(_without_rules(ink), ink.strong, ink.contrast, smallest=12)
    shapes = _chosen(shapes, _strokes(shapes, ink))
    free = ~_along_edges(shapes)
    if free.any():
        shapes = _chosen(shapes, free)
    return shapes, _groups(shapes, pixels.shape)


def _along_edges(shapes: Shapes) -> np.ndarray:
    """Returns which shapes lie along the picture's edge, as a desk beside a page does."""
    labels = shapes.labels
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    length = np.bincount(edge, minlength=int(labels.max()) + 1)[shapes.number]
    return length > 0.35 * np.maximum(shapes.height, shapes.width)


def _sideways(shapes: Shapes, groups: list[Group], shape: tuple[int, ...]) -> bool:
    """Returns whether the digits clearly lie on their sides, one above the other."""
    left, top, right, bottom = shapes.left, shapes.top, shapes.right, shapes.bottom
    turned = shapes._replace(left=top, top=left, right=bottom, bottom=right)
    standing = max(groups, key=lambda group: group.score, default=None)
    lying = max(_groups(turned, shape[::-1]), key=lambda group: group.score, default=None)
    if standing is None or lying is None:
        return False
    wide = np.median((shapes.width / shapes.height)[lying.digits]) > 1.1
    return bool(wide and len(lying.digits) >= max(3, 2 * len(standing.digits)))


def _best(groups: list[Group]) -> float:
    return max((group.score for group in groups), default=0.0)


def _without_rules(ink: Ink) -> Bool[np.ndarray, "height width"]:
    """Returns the ink of a whole picture without printed lines, found at half the size."""
    height, width = ink.mask.shape
    mask, faint = _halved(ink.mask), _halved(ink.faint)
    side = min(mask.shape)
    lines = rules.horizontal(faint, mask.shape[1] // 2, max(3, side // 60))
    lines |= rules.vertical(faint, mask.shape[0] // 2, max(3, side // 60))
    shapes = _shapes(mask & ~lines, mask, mask, smallest=6)
    if not len(shapes.area):
        shapes = _shapes(mask, mask, mask, smallest=6)
    if not len(shapes.area):
        return ink.mask
    usual = (shapes.height < 0.95 * mask.shape[0]) & (shapes.width < 4 * shapes.height)
    digit = _usual(shapes.height[usual] if usual.any() else shapes.height)
    printed = rules.printed(faint, max(8, int(digit)))
    printed = printed.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return ink.mask & ~printed


def _halved(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "rows columns"]:
    """Returns a mask at half its size, with all that it holds."""
    height, width = mask.shape
    padded = np.pad(mask, ((0, height % 2), (0, width % 2)))
    return padded[::2, ::2] | padded[1::2, ::2] | padded[::2, 1::2] | padded[1::2, 1::2]


def _usual(heights: np.ndarray) -> float:
    """Returns the height of most ink: the median, taller shapes counting for more."""
    order = np.sort(heights)
    share = np.cumsum(order.astype(np.float64) ** 2)
    return float(order[np.searchsorted(share, share[-1] / 2)])


def _shapes(
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


def _chosen(shapes: Shapes, chosen: np.ndarray) -> Shapes:
    """Returns some of the shapes."""
    return Shapes(shapes.labels, *(values[chosen] for values in shapes[1:]))


def _strokes(shapes: Shapes, ink: Ink) -> np.ndarray:
    """Returns which shapes are made of strokes: no shadows, whose ends are soft, and no blots."""
    inked = shapes.labels > 0
    rows, columns = np.nonzero(inked & ~_inner(inked))
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


def _inner(mask: np.ndarray) -> np.ndarray:
    """Returns the pixels of a mask with all four neighbours in it."""
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    return inner


def _groups(shapes: Shapes, shape: tuple[int, ...]) -> list[Group]:
    """Returns the lines that shapes stand in."""
    if not len(shapes.area):
        return []
    height, width = shapes.height, shapes.width
    across = (height >= 0.95 * shape[0]) | (width >= 0.95 * shape[1])
    bar = (width > 4 * height) & (height < 0.5 * height.max())
    useful = ~bar & ~_around_others(shapes)
    if (useful & ~across).any():
        useful &= ~across
    if not useful.any():
        return []
    usual = _usual(height[useful])
    digits = np.flatnonzero(useful & (height >= 0.35 * usual))
    slope = _slope(shapes, digits)
    x, y = (shapes.left + shapes.right) / 2, (shapes.top + shapes.bottom) / 2
    level = y - slope * x
    order = digits[np.argsort(level[digits] - 0.3 * height[digits])]
    members: list[list[int]] = []
    reached = -np.inf
    for index in order:
        if level[index] - 0.3 * height[index] > reached or not members:
            members.append([])
        members[-1].append(index)
        reached = max(reached, level[index] + 0.3 * height[index])
    groups = []
    others = useful | bar
    for line in members:
        found = np.array(line)
        tilt = _fitted_slope(x[found], y[found], height[found], slope)
        upright = y - tilt * x
        tallest = height[found].max()
        typical = float(np.median(height[found][height[found] >= 0.5 * tallest]))
        top = (upright - height / 2)[found].min() - 0.1 * typical
        bottom = (upright + height / 2)[found].max() + 0.1 * typical
        left, right = shapes.left[found].min(), shapes.right[found].max()
        near = (upright > top) & (upright < bottom) & others
        near &= (x > left - 1.5 * typical) & (x < right + 1.5 * typical)
        near[digits] = False
        edge = (shapes.top[found] <= 1) | (shapes.bottom[found] >= shape[0] - 1)
        score = height[found] ** 2 * shapes.strength[found] * np.where(edge, 0.3, 1)
        score = score * np.where(height > 7 * width, 0.2, 1)[found]
        score = float(score.sum())
        groups.append(Group(found, np.flatnonzero(near), tilt, typical, score))
    return groups


def _around_others(shapes: Shapes) -> np.ndarray:
    """Returns which shapes are frames: thin, with others within."""
    boxes = shapes.height * shapes.width
    large = np.flatnonzero((shapes.area < 0.25 * boxes) & (shapes.height > 8))
    found = np.zeros(len(boxes), dtype=bool)
    x, y = (shapes.left + shapes.right) / 2, (shapes.top + shapes.bottom) / 2
    for index in large:
        inside = (x > shapes.left[index]) & (x < shapes.right[index])
        inside &= (y > shapes.top[index]) & (y < shapes.bottom[index])
        inside &= shapes.height > 0.3 * shapes.height[index]
        inside[index] = False
        found[index] = inside.any() and (
            inside.sum() > 1 or boxes[inside].max() > 0.12 * boxes[index]
        )
    return found


def _slope(shapes: Shapes, digits: np.ndarray) -> float:
    """Returns how the lines fall, from shapes to those on their right."""
    height = shapes.height[digits]
    left, right = shapes.left[digits], shapes.right[digits]
    top, bottom = shapes.top[digits], shapes.bottom[digits]
    x, y = (left + right) / 2, (top + bottom) / 2
    across, down = x[None] - x[:, None], y[None] - y[:, None]
    larger = np.maximum(height[None], height[:, None])
    possible = (across > 0.3 * larger) & (np.abs(down) < 0.75 * across)
    possible &= (left[None] - right[:, None] < 4 * larger) & (
        np.minimum(height[None], height[:, None]) > 0.4 * larger
    )
    distance = np.where(possible, across + 2 * np.abs(down), np.inf)
    nearest = distance.argmin(axis=1)
    pairs = np.flatnonzero(np.isfinite(distance.min(axis=1)))
    if not len(pairs):
        return 0.0
    to = nearest[pairs]
    across = across[pairs, to]
    slopes = np.stack([down[pairs, to], top[to] - top[pairs], bottom[to] - bottom[pairs]]) / across
    if len(pairs) < 3:
        slopes = np.median(np.stack([slopes[1], slopes[2], np.zeros(len(pairs))]), axis=0)
        return float(np.clip(np.mean(slopes), -STEEPEST, STEEPEST))
    return float(np.clip(np.median(slopes[0]), -STEEPEST, STEEPEST))


def _fitted_slope(x: np.ndarray, y: np.ndarray, height: np.ndarray, slope: float) -> float:
    """Returns a line's own slope, outliers left out (Theil and Sen)."""
    if len(x) < 4:
        return slope
    first, second = np.triu_indices(len(x), 1)
    across = x[second] - x[first]
    far = np.abs(across) > np.maximum(height[first], height[second])
    if not far.any():
        return slope
    first, second = first[far], second[far]
    own = float(np.median((y[second] - y[first]) / (x[second] - x[first])))
    return float(np.clip(own, -STEEPEST, STEEPEST))


def _place(
    shapes: Shapes, group: Group, angle: float, scale: float, origin: tuple[float, float]
) -> Place:
    """Returns where a line is in the picture.

    Args:
        shapes: those of an image of the picture turned by `angle`,
        group: the line,
        angle: radians,
        scale: picture's px per px of that image,
        origin: the image's left and top in the turned picture, picture's px.
    """
    more = np.arctan(group.slope)
    cosine, sine = np.cos(more), np.sin(more)
    x = (shapes.left + shapes.right)[group.digits] / 2 * scale + origin[0]
    y = (shapes.top + shapes.bottom)[group.digits] / 2 * scale + origin[1]
    width, height = (
        shapes.width[group.digits] * scale,
        shapes.height[group.digits] * scale,
    )
    along, across = x * cosine + y * sine, y * cosine - x * sine
    upright = (height * cosine - width * abs(sine)) / (cosine**2 - sine**2)
    upright = np.clip(upright, 0.5 * height, height)
    return Place(
        angle + more,
        float((along - width / 2).min()),
        float((across - height / 2).min()),
        float((along + width / 2).max()),
        float((across + height / 2).max()),
        float(np.median(upright[upright >= 0.5 * upright.max()])),
    )


class Level(NamedTuple):
    """A line cut out of the picture, level, digits about LEVEL px tall.

    Attributes:
        pixels: brightness.
        inside: where the picture is.
        left: of the cut-out in the turned picture, picture's px.
        top: likewise.
        scale: picture's px per px.
    """

    pixels: Float32[np.ndarray, "height width"]
    inside: Bool[np.ndarray, "height width"]
    left: float
    top: float
    scale: float


def _levelled(image: Image.Image, channel: str, place: Place) -> Level:
    """Cuts a line out of a picture."""
    scale = place.height / LEVEL
    left, top = place.left - 1.2 * place.height, place.top - 0.7 * place.height
    width = max(8, round((place.right + 1.2 * place.height - left) / scale))
    height = max(8, round((place.bottom + 0.7 * place.height - top) / scale))
    cosine, sine = np.cos(place.angle), np.sin(place.angle)
    x, y = np.array([0, width, 0, width]), np.array([0, 0, height, height])
    along, across = left + x * scale, top + y * scale
    columns, lines = along * cosine - across * sine, along * sine + across * cosine
    reduction = max(1, int(scale))
    box = (
        int(np.clip(columns.min() - 2, 0, image.width - 1)),
        int(np.clip(lines.min() - 2, 0, image.height - 1)),
        int(np.clip(columns.max() + 2, 1, image.width)),
        int(np.clip(lines.max() + 2, 1, image.height)),
    )
    part = image.crop(box)
    if reduction > 1:
        part = part.reduce(reduction)
    pixels = grey(part, channel)
    # From a pixel of the cut-out to one of the part, as Image.transform counts them.
    step = scale / reduction
    matrix = (
        step * cosine,
        -step * sine,
        (left * cosine - top * sine - box[0]) / reduction,
        step * sine,
        step * cosine,
        (left * sine + top * cosine - box[1]) / reduction,
    )
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    column = matrix[0] * x + matrix[1] * y + matrix[2]
    row = matrix[3] * x + matrix[4] * y + matrix[5]
    inside = (column > 0) & (row > 0) & (column < pixels.shape[1]) & (row < pixels.shape[0])
    sampled = ndimage.map_coordinates(
        pixels, [row - 0.5, column - 0.5], order=1, mode="nearest", output=np.float32
    )
    return Level(sampled, inside, left, top, scale)


def _read(image: Image.Image, channel: str, bright: bool, place: Place) -> Line | None:
    """Looks at a line closely, until its digits are level and of the height looked for."""
    for attempt in range(3):
        level = _levelled(image, channel, place)
        pixels = 255 - level.pixels if bright else level.pixels
        ink = _cleaned(find_ink(pixels, LEVEL, 2 * LEVEL, level.inside))
        shapes = _shapes(ink.mask, ink.strong, ink.contrast, smallest=10)
        shapes = _chosen(shapes, _strokes(shapes, ink))
        groups = _groups(shapes, ink.mask.shape)
        if not groups:
            return None
        middle = ink.mask.shape[0] / 2
        y = (shapes.top + shapes.bottom) / 2

        def value(group: Group, y: np.ndarray = y, middle: float = middle) -> float:
            away = abs(float(np.median(y[group.digits])) - middle) / middle
            return group.score * max(1 - away, 0.05)

        group = max(groups, key=value)
        if attempt == 2 or (abs(group.slope) < 0.03 and 0.8 < group.height / LEVEL < 1.25):
            break
        place = _place(shapes, group, place.angle, level.scale, (level.left, level.top))
    return _line(ink, shapes, group, level, place, image.size)


def _cleaned(ink: Ink) -> Ink:
    """Returns a levelled line's ink without printed lines, thresholds found anew without them."""
    printed = rules.printed(ink.faint, LEVEL)
    if not printed.any():
        return ink
    around = ndimage.binary_dilation(printed, np.ones((3, 3))) & ~(ink.mask & ~printed)
    return threshold(np.where(around | printed, 0, ink.contrast).astype(np.float32), 2 * LEVEL)


def _line(
    ink: Ink, shapes: Shapes, group: Group, level: Level, place: Place, size: tuple[int, int]
) -> Line:
    """Draws the strip of a line that was found level."""
    members = np.concatenate([group.digits, group.marks]).astype(int)
    usual = np.median(shapes.strength[group.digits])
    members = members[shapes.strength[members] > 0.4 * usual]
    chosen = np.zeros(int(shapes.labels.max()) + 1, dtype=bool)
    chosen[shapes.number[members]] = True
    mask = chosen[shapes.labels]
    x = (shapes.left + shapes.right) / 2
    y = (shapes.top + shapes.bottom) / 2 - group.slope * x
    tops, bottoms = (y - shapes.height / 2)[members], (y + shapes.height / 2)[members]
    top, bottom = float(tops.min()), float(bottoms.max())
    left, right = int(shapes.left[members].min()), int(shapes.right[members].max())
    scale = max(group.height / DIGIT, (bottom - top) / TALLEST)  # px per px of the strip
    soft = _soft(ink, mask, scale)
    middle = float(np.median(y[group.digits]))
    middle = float(np.clip(middle, bottom - TALLEST / 2 * scale, top + TALLEST / 2 * scale))
    # Twice as fine, then averaged.
    columns = 2 * max(1, int(np.ceil((right - left) / scale)))
    across = left + (np.arange(columns) + 0.5) * scale / 2
    down = middle + (np.arange(2 * HEIGHT) + 0.5 - HEIGHT) * scale / 2
    rows = down[:, None] + group.slope * across[None, :]
    fine = ndimage.map_coordinates(
        soft,
        [rows - 0.5, np.broadcast_to(across - 0.5, rows.shape)],
        order=1,
        output=np.float32,
    )
    strip = fine.reshape(HEIGHT, 2, columns // 2, 2).mean(axis=(1, 3))
    strip = np.rint(np.clip(strip, 0, 1) * 255).astype(np.uint8)
    return Line(
        np.pad(_closer(strip), ((0, 0), (MARGIN, MARGIN))),
        _box(shapes, members, level, place, size),
    )


def _soft(ink: Ink, mask: np.ndarray, scale: float) -> Float32[np.ndarray, "height width"]:
    """Returns the chosen ink from 0 to 1, as strong along faint strokes as along others."""
    border = int((mask & ~_inner(mask)).sum())
    stroke = 2 * float(mask.sum()) / max(border, 1)
    around = ndimage.binary_dilation(mask, np.ones((3, 3)))
    soft = np.where(around, np.clip((ink.contrast / ink.reach - 0.12) / 0.68, 0, 1), 0)
    wider = int(np.ceil((THINNEST * scale - stroke) / 2))
    if wider > 0:
        soft = ndimage.grey_dilation(soft, (2 * wider + 1, 2 * wider + 1))
    return soft.astype(np.float32)


def _closer(strip: UInt8[np.ndarray, "32 width"]) -> UInt8[np.ndarray, "32 less"]:
    """Returns a strip without the middle of very wide gaps."""
    blank = ~(strip > 25).any(axis=0)
    labels, count = ndimage.label(blank)
    kept = np.ones(len(blank), dtype=bool)
    for (gap,) in ndimage.find_objects(labels, count):
        excess = gap.stop - gap.start - WIDEST_GAP
        if excess > 0:
            start = gap.start + WIDEST_GAP // 2
            kept[start : start + excess] = False
    return strip[:, kept]


def _box(
    shapes: Shapes, members: np.ndarray, level: Level, place: Place, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Returns the upright box of a line's ink in the picture."""
    x = np.concatenate([shapes.left, shapes.right, shapes.left, shapes.right]).reshape(4, -1)
    y = np.concatenate([shapes.top, shapes.top, shapes.bottom, shapes.bottom]).reshape(4, -1)
    along = level.left + x[:, members] * level.scale
    across = level.top + y[:, members] * level.scale
    cosine, sine = np.cos(place.angle), np.sin(place.angle)
    columns, rows = along * cosine - across * sine, along * sine + across * cosine
    return (
        int(np.clip(np.floor(columns.min()), 0, size[0] - 1)),
        int(np.clip(np.floor(rows.min()), 0, size[1] - 1)),
        int(np.clip(np.ceil(columns.max()), 1, size[0])),
        int(np.clip(np.ceil(rows.max()), 1, size[1])),
    )
