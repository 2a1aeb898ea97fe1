"""From a user's picture to strips: where its lines of digits are, and what a network sees of them.

Twice the same steps: ink is parted from paper (`ink`), printed lines are taken away (`rules`), what
is left falls into shapes, and shapes side by side are a line. First on the whole picture at a
small size, to find the lines; then on each line, levelled and scaled to digits of one height, so
that neither margins nor the picture's size change what is cut out.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from PIL import Image
from scipy import ndimage

from mnist3.data import filters, rules
from mnist3.data.groups import Group, best_score, groups_of, sideways
from mnist3.data.ink import FAINTEST, Ink, best_channel, find_ink, grey, tails, threshold
from mnist3.data.page import SMALL_SIDE, with_margin, without_desk
from mnist3.data.shapes import Shapes, along_edges, chosen, connected, inner, strokes, usual_height
from mnist3.data.strips import DIGIT_HEIGHT, HEIGHT, MARGIN

TALLEST = 30  # px; all the line's ink fits in so many rows
WIDEST_GAP = 24  # px; wider gaps between the digits of a strip are cut to this
THINNEST = 2.0  # px; strokes of a strip that are thinner are drawn so wide
LARGEST_SIDE = 1600  # px; a larger picture shows no more
FIRST_SIDE = 640  # px; lines are found at this size
LEVEL = 40  # px; the height of digits when their line is looked at closely
ATTEMPTS = 4  # looks at a line, the last two whatever it goes on to
CLEAR = 33  # times; where less is darker than brighter, or the other way, ink may be either


class Line(NamedTuple):
    """A line of writing.

    Attributes:
        strip: ink bright on dark, digits of 20 px around the middle row.
        box: left, top, right and bottom of its ink in the picture, px.
        track: for each column of the strip x and y of its top and of its bottom in the picture, px.
        sideways: whether the line runs up or down the picture. Shapes do not tell up from down,
            so that `strip[::-1, ::-1]` may be the right way up.
    """

    strip: UInt8[np.ndarray, "32 width"]
    box: tuple[int, int, int, int]
    track: Float32[np.ndarray, "width 2 2"]
    sideways: bool = False


class Sight(NamedTuple):
    """How a picture is looked at.

    Attributes:
        faintest: share of the paper's brightness; fainter ink is not told from paper.
        rules: whether printed lines are taken away.
        colours: whether the channel is looked at that shows the ink best, and not brightness.
        turned: whether the picture is taken to lie on its side.
    """

    faintest: float = FAINTEST
    rules: bool = True
    colours: bool = True
    turned: bool = False


USUAL = Sight()
OTHERS = (  # where one is in doubt
    Sight(faintest=0.18),
    Sight(rules=False),
    Sight(colours=False),
    Sight(turned=True),
)


class Place(NamedTuple):
    """Where a line is in the picture: its frame turned by `angle`, then cut out; px, radians."""

    angle: float
    left: float
    top: float
    right: float
    bottom: float
    height: float


def locate(
    picture: UInt8[np.ndarray, "height width *channels"],
    every_line: bool = False,
    sight: Sight = USUAL,
) -> list[Line]:
    """Finds the digits that somebody wrote.

    Args:
        picture: brightness, or red, green and blue; upright, ink dark on light or light on dark.
        every_line: every line from top to bottom, instead of the one with most writing.
        sight: how the picture is looked at.

    Returns:
        the lines; none if the picture holds no ink.
    """
    height, width = picture.shape[:2]
    wider, (left, top) = with_margin(picture)
    look = _turned_lines if sight.turned else _lines
    return [
        line._replace(
            box=(
                max(line.box[0] - left, 0),
                max(line.box[1] - top, 0),
                min(line.box[2] - left, width),
                min(line.box[3] - top, height),
            ),
            track=line.track - np.array([left, top], np.float32),
        )
        for line in look(wider, every_line, sight, max(left, top, 0))
    ]


def _turned_lines(
    picture: UInt8[np.ndarray, "height width *channels"],
    every_line: bool,
    sight: Sight,
    margin: int,
) -> list[Line]:
    """Finds the lines of a picture that lies on its side."""
    width = picture.shape[1]
    turned = np.ascontiguousarray(np.rot90(picture))
    return [
        Line(
            line.strip,
            (width - line.box[3], line.box[0], width - line.box[1], line.box[2]),
            np.stack([width - line.track[..., 1], line.track[..., 0]], axis=-1),
            True,
        )
        for line in _lines(turned, every_line, sight._replace(turned=True), margin)
    ]


def _lines(
    picture: UInt8[np.ndarray, "height width *channels"],
    every_line: bool,
    sight: Sight,
    margin: int,
) -> list[Line]:
    """Finds the lines of a picture with a margin, px, which may be turned by 90 degrees."""
    height, width = picture.shape[:2]
    factor = min(FIRST_SIDE / max(height, width), 1.0)
    if max(height, width) < SMALL_SIDE:
        factor = min(SMALL_SIDE / max(height, width), 6.0)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    filter_ = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    image = Image.fromarray(picture)
    coarse = image if factor == 1 else image.resize(size, filter_)
    channel = best_channel(coarse) if sight.colours else "L"
    pixels = grey(coarse, channel)
    page = without_desk(pixels)
    margin = round(margin * factor)
    shapes, groups, bright = _either(page, sight, margin)
    if page is not pixels and not groups:
        shapes, groups, bright = _either(pixels, sight, margin)
    if not sight.turned and sideways(shapes, groups, pixels.shape):
        return _turned_lines(picture, every_line, sight, margin)
    if not every_line:
        groups = sorted(groups, key=lambda group: -group.score)[:1]
    lines = []
    for group in groups:
        place = _place(shapes, group, 0.0, 1 / factor, (0.0, 0.0))
        line = _read(image, channel, bright, place, sight)
        if line:
            lines.append(line)
    return sorted(lines, key=lambda line: line.box[1] + line.box[3])


def _either(
    pixels: Float32[np.ndarray, "height width"], sight: Sight, margin: int
) -> tuple[Shapes, list[Group], bool]:
    """Returns the lines of a whole picture, and whether their ink is brighter than paper."""
    dark, light = tails(Image.fromarray(pixels.astype(np.uint8)))
    bright = light > dark
    shapes, groups = _found(255 - pixels if bright else pixels, sight, margin)
    clearness = max(dark, light) / max(min(dark, light), 1e-3 * max(dark, light), 1e-6)
    if not groups or clearness < CLEAR:
        others = _found(pixels if bright else 255 - pixels, sight, margin)
        if best_score(others[1]) > max(4, 2 * clearness) * best_score(groups):
            return *others, not bright
    return shapes, groups, bright


def _found(
    pixels: Float32[np.ndarray, "height width"], sight: Sight, margin: int
) -> tuple[Shapes, list[Group]]:
    """Returns the lines of dark ink in a whole picture."""
    side = max(pixels.shape)
    ink = find_ink(pixels, side // 7, side // 8, faintest=sight.faintest)
    mask = _without_rules(ink) if sight.rules else ink.mask
    shapes = connected(mask, ink.strong, ink.contrast, smallest=12)
    shapes = chosen(shapes, strokes(shapes, ink))
    free = ~along_edges(shapes)
    if free.any():
        shapes = chosen(shapes, free)
    return shapes, groups_of(shapes, pixels.shape, margin)


def _without_rules(ink: Ink) -> Bool[np.ndarray, "height width"]:
    """Returns the ink of a whole picture without printed lines, found at half the size."""
    mask, faint = _halved(ink.mask), _halved(ink.faint)
    height, width = mask.shape
    place = rules.held(mask | faint)
    mask, faint = mask[place].copy(), faint[place].copy()
    side, weights = min(height, width), mask.astype(np.float32)
    for thickness in (side // 60, side // 40):
        lines = rules.horizontal(faint, width // 2, max(3, thickness))
        lines |= rules.vertical(faint, height // 2, max(3, thickness))
        shapes = connected(mask & ~lines, mask, weights, smallest=6)
        # A net over the whole picture is left of squares whose lines are thicker.
        net = (shapes.height > 0.9 * height) & (shapes.width > 0.9 * width)
        if not net.any():
            break
    if not len(shapes.area):
        shapes = connected(mask, mask, weights, smallest=6)
    if not len(shapes.area):
        return ink.mask
    usual = (shapes.height < 0.95 * height) & (shapes.width < 4 * shapes.height)
    digit = usual_height(shapes.height[usual] if usual.any() else shapes.height)
    printed = rules.printed(faint, int(max(digit, max(height, width) // 20, 8)))
    if not printed.any():
        return ink.mask
    rows, columns = (slice(2 * side.start, 2 * side.stop) for side in place)
    left = ink.mask.copy()
    part = left[rows, columns]
    part &= ~printed.repeat(2, axis=0).repeat(2, axis=1)[: len(part), : part.shape[1]]
    return left


def _halved(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "rows columns"]:
    """Returns a mask at half its size, with all that it holds."""
    height, width = mask.shape
    rows = mask[::2].copy()
    rows[: height // 2] |= mask[1::2]
    found = rows[:, ::2].copy()
    found[:, : width // 2] |= rows[:, 1::2]
    return found


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
        float(filters.median(upright[upright >= 0.5 * upright.max()])),
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
    x, y = np.arange(width) + 0.5, (np.arange(height) + 0.5)[:, None]
    column = matrix[0] * x + matrix[1] * y + matrix[2]
    row = matrix[3] * x + matrix[4] * y + matrix[5]
    ends = np.array([[column[y, x], row[y, x]] for y in (0, -1) for x in (0, -1)])
    if (ends > 0).all() and (ends < pixels.shape[::-1]).all():
        inside = np.ones(column.shape, bool)
    else:
        inside = (column > 0) & (row > 0) & (column < pixels.shape[1]) & (row < pixels.shape[0])
    sampled = ndimage.map_coordinates(
        pixels, [row - 0.5, column - 0.5], order=1, mode="nearest", output=np.float32
    )
    return Level(sampled, inside, left, top, scale)


def _read(
    image: Image.Image, channel: str, bright: bool, place: Place, sight: Sight
) -> Line | None:
    """Looks at a line closely, until its digits are level and of the height looked for."""
    for attempt in range(ATTEMPTS):
        level = _levelled(image, channel, place)
        pixels = 255 - level.pixels if bright else level.pixels
        ink = find_ink(pixels, LEVEL, 2 * LEVEL, level.inside, sight.faintest)
        if sight.rules:
            ink = _cleaned(ink, sight)
        shapes = connected(ink.mask, ink.strong, ink.contrast, smallest=10)
        sharp = strokes(shapes, ink)
        shapes = chosen(shapes, sharp | _like_others(shapes, sharp))
        groups = groups_of(shapes, ink.mask.shape)
        if not groups:
            return None
        middle = ink.mask.shape[0] / 2
        y = (shapes.top + shapes.bottom) / 2

        def value(group: Group, y: np.ndarray = y, middle: float = middle) -> float:
            away = abs(float(filters.median(y[group.digits])) - middle) / middle
            return group.score * max(1 - away, 0.05)

        group = max(groups, key=value)
        fits = abs(group.slope) < 0.03 and 0.8 < group.height / LEVEL < 1.25
        fits &= attempt >= ATTEMPTS - 2 or not _is_cut(shapes, group, level)
        if fits or attempt == ATTEMPTS - 1:
            break
        place = _place(shapes, group, place.angle, level.scale, (level.left, level.top))
    return _line(ink, shapes, group, level, place, image.size)


def _is_cut(shapes: Shapes, group: Group, level: Level) -> bool:
    """Returns whether a line goes on in the picture beyond the left or right end of a cut-out."""
    used = np.asarray(level.inside.any(axis=0))
    left, right = used[0], used[-1]
    first, last = shapes.left[group.digits].min(), shapes.right[group.digits].max()
    near = LEVEL // 4
    return bool((left and first < near) or (right and last > level.inside.shape[1] - near))


def _like_others(shapes: Shapes, sharp: Bool[np.ndarray, "count"]) -> Bool[np.ndarray, "count"]:
    """Returns which shapes are as high, as dark and as thin as most of those that are sharp."""
    tall = sharp & (shapes.height > 0.5 * LEVEL)
    if tall.sum() < 2:
        return np.zeros_like(sharp)
    thinness = shapes.area / np.maximum(shapes.height, shapes.width)
    return (
        (np.abs(np.log(shapes.height / filters.median(shapes.height[tall]))) < np.log(1.8))
        & (shapes.strength > 0.7 * filters.median(shapes.strength[tall]))
        & (thinness < 1.5 * filters.median(thinness[tall]))
    )


def _cleaned(ink: Ink, sight: Sight) -> Ink:
    """Returns a levelled line's ink without printed lines, thresholds found anew without them."""
    printed = rules.printed(ink.faint, LEVEL)
    if not printed.any():
        return ink
    # A line that strokes interrupt is one.
    labels, _ = ndimage.label(ndimage.maximum_filter(printed, (1, LEVEL // 2 + 1)), np.ones((3, 3)))
    labels = np.where(printed, labels, 0)
    # A line between two rows of pixels is half as dark in each, but not over three.
    spread = ndimage.uniform_filter(ink.contrast, 3)
    darker = _darker(ink.contrast, labels, 1.35) & _darker(spread, labels, 1.15)
    printed &= ~darker
    around = filters.around(printed) & ~(ink.mask & ~printed)
    contrast = np.where(around | printed, 0, ink.contrast).astype(np.float32)
    return threshold(contrast, 2 * LEVEL, sight.faintest)


def _darker(
    contrast: Float32[np.ndarray, "height width"],
    labels: Int[np.ndarray, "height width"],
    times: float,
) -> Bool[np.ndarray, "height width"]:
    """Returns what is some times darker than the line it lies on, or a short piece than most."""
    places = ndimage.find_objects(labels)
    usual = np.zeros(len(places) + 1, dtype=np.float32)
    for number, place in enumerate(places, 1):
        part = np.where(labels[place] == number, contrast[place], 0)
        usual[number] = np.percentile(part.max(axis=int(part.shape[0] > part.shape[1])), 70)
    extents = np.array([max(side.stop - side.start for side in place) for place in places])
    order = np.argsort(usual[1:])
    share = np.cumsum(extents[order])
    most = usual[1:][order][np.searchsorted(share, share[-1] / 2)]
    short = np.array([columns.stop - columns.start for _, columns in places]) < 2 * LEVEL
    usual[1:][short] = np.minimum(usual[1:], most)[short]
    return contrast >= times * usual[labels]


def _line(
    ink: Ink, shapes: Shapes, group: Group, level: Level, place: Place, size: tuple[int, int]
) -> Line:
    """Draws the strip of a line that was found level."""
    members = np.concatenate([group.digits, group.marks]).astype(int)
    usual = filters.median(shapes.strength[group.digits])
    members = members[shapes.strength[members] > 0.4 * usual]
    shown = np.zeros(int(shapes.labels.max()) + 1, dtype=bool)
    shown[shapes.number[members]] = True
    mask = shown[shapes.labels]
    x = (shapes.left + shapes.right) / 2
    y = (shapes.top + shapes.bottom) / 2 - group.slope * x
    height = shapes.height
    left, right = int(shapes.left[members].min()), int(shapes.right[members].max())
    middle = float(filters.median(y[group.digits]))
    growth = _growth(x[group.digits], height[group.digits])
    local = np.exp(growth * (x - left))  # how large the writing is there
    tops, bottoms = (y - height / 2 - middle) / local, (y + height / 2 - middle) / local
    top, bottom = float(tops[members].min()), float(bottoms[members].max())
    even = (height / local)[group.digits]
    usual = float(filters.median(even[even >= 0.5 * even.max()]))
    scale = max(usual / DIGIT_HEIGHT, (bottom - top) / TALLEST)  # px per px of the strip
    soft = _soft(ink, mask, scale * float(local[group.digits].min()))
    offset = float(np.clip(0, bottom - TALLEST / 2 * scale, top + TALLEST / 2 * scale))
    # Twice as fine, then averaged.
    end = right - left if growth == 0 else (1 - np.exp(-growth * (right - left))) / growth
    columns = 2 * max(1, int(np.ceil(end / scale)))
    across = (np.arange(columns) + 0.5) * scale / 2
    if growth != 0:
        across = -np.log(np.maximum(1 - growth * across, 1e-3)) / growth
    down = offset + (np.arange(2 * HEIGHT) + 0.5 - HEIGHT) * scale / 2
    rows = down[:, None] * np.exp(growth * across) + middle + group.slope * (left + across)
    fine = ndimage.map_coordinates(
        soft,
        [rows - 0.5, np.broadcast_to(left + across - 0.5, rows.shape)],
        order=1,
        output=np.float32,
    )
    strip = fine.reshape(HEIGHT, 2, columns // 2, 2).mean(axis=(1, 3))
    strip = np.rint(np.clip(strip, 0, 1) * 255).astype(np.uint8)
    kept = _without_wide_gaps(strip)
    half = np.array([[-1.0], [1.0]]) * HEIGHT / 2  # rows from the middle to top and bottom
    ends = (offset + half * scale) * np.exp(growth * across) + middle
    x = np.broadcast_to(left + across, ends.shape)
    track = _in_picture(x, ends + group.slope * x, level, place)
    track = track.reshape(2, columns // 2, 2, 2).mean(axis=2).transpose(1, 0, 2)[kept]
    margins = (MARGIN, MARGIN)
    return Line(
        np.pad(strip[:, kept], ((0, 0), margins)),
        _box(shapes, members, level, place, size),
        np.pad(track, (margins, (0, 0), (0, 0)), mode="edge").astype(np.float32),
    )


def _in_picture(
    x: Float[np.ndarray, "*places"], y: Float[np.ndarray, "*places"], level: Level, place: Place
) -> Float[np.ndarray, "*places 2"]:
    """Returns where places of a levelled line are in the picture, px."""
    along, across = level.left + x * level.scale, level.top + y * level.scale
    cosine, sine = np.cos(place.angle), np.sin(place.angle)
    return np.stack([along * cosine - across * sine, along * sine + across * cosine], axis=-1)


def _growth(x: np.ndarray, height: np.ndarray) -> float:
    """Returns how digits grow along their line: the slope of the logarithm of their heights.

    It is 0 unless they clearly do, as on a page seen from its side.
    """
    if len(x) < 4:
        return 0.0
    logarithm = np.log(height)
    first, second = np.triu_indices(len(x), 1)
    across = x[second] - x[first]
    far = np.abs(across) > height.min()
    if not far.any() or np.ptp(logarithm) == 0:
        return 0.0
    growth = float(filters.median((logarithm[second] - logarithm[first])[far] / across[far]))
    steady = abs(float(np.corrcoef(x, logarithm)[0, 1])) > 0.85
    return growth if steady and abs(growth) * np.ptp(x) > np.log(1.5) else 0.0


def _soft(ink: Ink, mask: np.ndarray, scale: float) -> Float32[np.ndarray, "height width"]:
    """Returns the chosen ink from 0 to 1, as strong along faint strokes as along others."""
    border = int((mask & ~inner(mask)).sum())
    stroke = 2 * float(mask.sum()) / max(border, 1)
    around = filters.around(mask)
    soft = np.where(around, np.clip((ink.contrast / ink.reach - 0.12) / 0.68, 0, 1), 0)
    wider = int(np.ceil((THINNEST * scale - stroke) / 2))
    if wider > 0:
        soft = ndimage.grey_dilation(soft, (2 * wider + 1, 2 * wider + 1))
    return soft.astype(np.float32)


def _without_wide_gaps(strip: UInt8[np.ndarray, "32 width"]) -> Bool[np.ndarray, "width"]:
    """Returns which columns of a strip are not in the middle of a very wide gap."""
    blank: np.ndarray = strip.max(axis=0) <= 25
    labels, count = ndimage.label(blank)
    kept = np.ones(len(blank), dtype=bool)
    for (gap,) in ndimage.find_objects(labels, count):
        excess = gap.stop - gap.start - WIDEST_GAP
        if excess > 0:
            start = gap.start + WIDEST_GAP // 2
            kept[start : start + excess] = False
    return kept


def _box(
    shapes: Shapes, members: np.ndarray, level: Level, place: Place, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Returns the upright box of a line's ink in the picture."""
    x = np.concatenate([shapes.left, shapes.right, shapes.left, shapes.right]).reshape(4, -1)
    y = np.concatenate([shapes.top, shapes.top, shapes.bottom, shapes.bottom]).reshape(4, -1)
    columns, rows = np.moveaxis(_in_picture(x[:, members], y[:, members], level, place), -1, 0)
    return (
        int(np.clip(np.floor(columns.min()), 0, size[0] - 1)),
        int(np.clip(np.floor(rows.min()), 0, size[1] - 1)),
        int(np.clip(np.ceil(columns.max()), 1, size[0])),
        int(np.clip(np.ceil(rows.max()), 1, size[1])),
    )
