"""Printed lines in a mask of ink: rules, frames and combs, told from the strokes upon them.

A printed line is long, straight and thin. Long means longer than any straight stroke of a digit;
thin, that the ink across it ends after a few pixels. Where a stroke crosses or meets the line, the
ink across is longer, so that the stroke stays whole.

The line is followed by dynamic programming as in path openings (Heijmans, Buckley and Talbot, Path
openings and closings, 2005), a block of columns at a time, so that it may be tilted and a little
bent.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Int32
from scipy import ndimage

from mnist3.data import filters

THICKER = 1.4  # times the usual; where a line is more, a stroke may run along it
STRAIGHT = 0.88  # share of a line's columns that must lie on its parabola
FITTED = 500  # pixels of a line that its parabola is fitted to
PAIRED = 40  # of these, of which each two give the slope that it begins with
GAP = -3  # what a block without ink is worth to a line, a thin one 1
NO_WAY = -20000  # what no line goes on after
STEP = 4  # columns of a block; from one to the next a line rises or falls by at most a row


def eroded(mask: Bool[np.ndarray, "height width"], rows: int) -> Bool[np.ndarray, "less width"]:
    """Returns where `rows` pixels one below the other are set, by the uppermost of them."""
    found, reached = mask, 1
    while reached < rows:
        step = min(reached, rows - reached)
        found = found[:-step] & found[step:]
        reached += step
    return found


def dilated(mask: Bool[np.ndarray, "height width"], rows: int) -> Bool[np.ndarray, "more width"]:
    """Returns the mask with each pixel drawn down over `rows` rows; `rows - 1` rows are added."""
    found = np.zeros((len(mask) + rows - 1, mask.shape[1]), bool)
    found[: len(mask)] = mask
    reached = 1
    while reached < rows:
        step = min(reached, rows - reached)
        longer = found.copy()
        longer[step:] |= found[:-step]
        found = longer
        reached += step
    return found


def thick(mask: Bool[np.ndarray, "height width"], rows: int) -> Bool[np.ndarray, "height width"]:
    """Returns the pixels of vertical runs that are longer than `rows`."""
    if rows + 1 > len(mask):
        return np.zeros_like(mask)
    return dilated(eroded(mask, rows + 1), rows + 1)


def _near(rows: np.ndarray) -> np.ndarray:
    """Returns the maximum of each value and its two neighbours along the last axis."""
    found = rows.copy()
    np.maximum(found[..., 1:], rows[..., :-1], out=found[..., 1:])
    np.maximum(found[..., :-1], rows[..., 1:], out=found[..., :-1])
    return found


def _followed(ink: np.ndarray, thin: np.ndarray) -> np.ndarray:
    """Returns how many thin blocks the best path through each block has, gaps subtracted."""
    blocks, rows = ink.shape
    # From the left and from the right side by side, with what no path goes through between them.
    ways = np.full((blocks, 2 * rows + 1), NO_WAY, np.int16)
    ways[:, :rows] = np.where(ink, thin, np.int16(GAP))
    ways[:, rows + 1 :] = ways[::-1, :rows]
    lengths = np.zeros((blocks + 1, 2 * rows + 3), np.int16)
    none = np.zeros(2 * rows + 1, np.int16)
    for before, way, after in zip(lengths, ways, lengths[1:, 1:-1], strict=False):
        np.maximum(before[:-2], before[2:], out=after)
        np.maximum(after, before[1:-1], out=after)
        np.add(after, way, out=after)
        np.maximum(after, none, out=after)
    return lengths[1:, 1 : rows + 1] + lengths[:0:-1, rows + 2 : -1] - thin


def _longest(ink: np.ndarray, thin: np.ndarray) -> int:
    """Returns no less than `_followed` does anywhere, as if all blocks of a column were one."""
    steps = np.where(ink.any(axis=1), thin.any(axis=1), GAP)
    reached = np.append(0, np.cumsum(steps))
    return int((reached - np.minimum.accumulate(reached)).max())


def horizontal(
    mask: Bool[np.ndarray, "height width"], length: int, thickness: int
) -> Bool[np.ndarray, "height width"]:
    """Returns the pixels of roughly horizontal lines, without those of strokes upon them.

    Args:
        mask: ink.
        length: pixels; shorter ones are no printed lines.
        thickness: pixels; thicker ones are none either.
    """
    height, width = mask.shape
    blocks = -(-width // STEP)
    if blocks * STEP < length or height < 3:
        return np.zeros_like(mask)
    padded = np.zeros((height, blocks * STEP), bool)
    padded[:, :width] = mask
    near = padded.copy()
    near[1:] |= padded[:-1]
    near[:-1] |= padded[1:]
    ink = np.ascontiguousarray(_all_columns(near).T)
    if _longest(ink, ink) * STEP < length:
        return np.zeros_like(mask)
    thin = padded & ~thick(padded, thickness)
    thin_blocks = ink & _any_column(thin).T
    if _longest(ink, thin_blocks) * STEP < length:
        return np.zeros_like(mask)
    lines = ink & (_followed(ink, thin_blocks) * STEP >= length)
    if not lines.any():
        return np.zeros_like(mask)
    lines = _near(lines)
    found = thin & np.repeat(lines.T, STEP, axis=1)
    starts = found.copy()
    starts[1:] &= ~found[:-1]
    usual = found.sum() / max(int(starts.sum()), 1)
    return (found & ~thick(padded, int(2 * usual + 1)))[:, :width]


def _all_columns(mask: np.ndarray) -> np.ndarray:
    found = mask[:, ::STEP].copy()
    for column in range(1, STEP):
        found &= mask[:, column::STEP]
    return found


def _any_column(mask: np.ndarray) -> np.ndarray:
    found = mask[:, ::STEP].copy()
    for column in range(1, STEP):
        found |= mask[:, column::STEP]
    return found


def vertical(
    mask: Bool[np.ndarray, "height width"], length: int, thickness: int
) -> Bool[np.ndarray, "height width"]:
    """Returns the pixels of roughly vertical lines; see `horizontal`."""
    return horizontal(np.ascontiguousarray(mask.T), length, thickness).T


class Pieces(NamedTuple):
    """Lines as one label each, with their bounding boxes."""

    labels: Int32[np.ndarray, "height width"]
    left: Int[np.ndarray, "count"]
    top: Int[np.ndarray, "count"]
    right: Int[np.ndarray, "count"]
    bottom: Int[np.ndarray, "count"]
    area: Int[np.ndarray, "count"]


def _pieces(lines: Bool[np.ndarray, "height width"], gap: int) -> Pieces:
    """Returns vertical lines, each in one piece although strokes cross it, `gap` pixels long."""
    if not lines.any():
        none = np.zeros(0, int)
        return Pieces(np.zeros(lines.shape, np.int32), none, none, none, none, none)
    labels, count = ndimage.label(dilated(lines, gap)[: len(lines)], np.ones((3, 3)))
    labels = np.where(lines, labels, 0).astype(np.int32)
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    boxes = np.zeros((count, 4), dtype=int)
    for number, found in enumerate(ndimage.find_objects(labels, count)):
        if found is not None:
            rows, columns = found
            boxes[number] = columns.start, rows.start, columns.stop, rows.stop
    left, top, right, bottom = boxes.T
    return Pieces(labels, left, top, right, bottom, area)


def _turned(pieces: Pieces) -> Pieces:
    """Returns the pieces with rows and columns exchanged."""
    labels, left, top, right, bottom, area = pieces
    return Pieces(labels.T, top, left, bottom, right, area)


def _covered(across: Pieces) -> Int[np.ndarray, "count"]:
    """Returns how many columns of each horizontal line hold ink."""
    if not len(across.left):
        return np.zeros(0, int)
    rows, columns = np.nonzero(across.labels)
    width = across.labels.shape[1]
    held = np.unique((across.labels[rows, columns].astype(np.int64) - 1) * width + columns)
    return np.bincount(held // width, minlength=len(across.left))


def _meeting(down: Pieces, across: Pieces, near: int) -> Bool[np.ndarray, "ends down across"]:
    """Returns which horizontal lines the upper and the lower end of each vertical one meets."""
    met = np.zeros((2, len(down.left), len(across.left) + 1), dtype=bool)
    for end, rows in enumerate((down.top, down.bottom)):
        for number, row in enumerate(rows):
            window = across.labels[
                max(row - near, 0) : row + near,
                max(down.left[number] - near, 0) : down.right[number] + near,
            ]
            met[end, number, window] = True
    return met[..., 1:]


def held(mask: Bool[np.ndarray, "height width"]) -> tuple[slice, slice]:
    """Returns the rows and columns of whole blocks that hold all of a mask, with some around."""
    rows, columns = (
        slice(max(ink[0] - 2, 0) // STEP * STEP, ink[-1] + 3) if len(ink) else slice(0, STEP)
        for ink in (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    )
    return rows, columns


def printed(mask: Bool[np.ndarray, "height width"], digit: int) -> Bool[np.ndarray, "height width"]:
    """Returns the pixels of rules, frames and combs around digits of a known height.

    Lines much longer than a digit are printed. Shorter ones are if they end on others as the sides
    of a box do; and so are at least four of one height that stand on a line, as a comb's teeth do.

    Args:
        mask: ink.
        digit: pixels.
    """
    place = held(mask)
    found = np.zeros_like(mask)
    found[place] = _printed(np.ascontiguousarray(mask[place]), digit)
    return found


def _printed(
    mask: Bool[np.ndarray, "height width"], digit: int
) -> Bool[np.ndarray, "height width"]:
    thickness = max(4, digit // 6)
    across = _turned(_pieces(horizontal(mask, int(1.1 * digit), thickness).T, digit // 2))
    down = _pieces(vertical(mask, int(0.7 * digit), thickness), digit // 2)
    length, width = down.bottom - down.top, down.right - down.left
    stroke = down.area / np.maximum(length, 1)
    reach = across.right - across.left
    # A chain of strokes of neighbouring digits has gaps between them, a line has none.
    solid = _covered(across) >= 0.6 * reach
    printed_across = (reach >= 2.5 * digit) & solid
    printed_down = length >= 1.7 * digit
    upper, lower = _meeting(down, across, max(3, digit // 10))
    upper, lower = upper & solid, lower & solid
    thickness = across.area / np.maximum(reach, 1)
    tilts = (across.bottom - across.top - thickness) / np.maximum(reach, 1)
    tilt = np.max(tilts, initial=0)
    if printed_across.any():
        tilt = filters.median(tilts[printed_across])
    straight = width <= (max(tilt, 0) + 0.06) * length + stroke + 1
    if printed_across.any():  # sides are as thick as what they end on
        straight &= stroke <= 1.6 * filters.median(thickness[printed_across]) + 1
    printed_across |= (
        solid & (reach >= 1.5 * digit) & _between(down, across, straight, upper | lower)
    )
    printed_down |= straight & _sides(upper, lower)
    if printed_across.any():  # one side alone of a box that goes on beyond the picture
        between = (upper & printed_across).any(axis=1) & (lower & printed_across).any(axis=1)
        even = width <= (max(tilt, 0) + 0.03) * length + stroke + 1
        printed_down |= (
            between & even & (stroke <= 1.3 * filters.median(thickness[printed_across]) + 0.5)
        )
    printed_across |= (upper | lower)[printed_down].sum(axis=0) >= 2
    lines = _straightened(across.labels, printed_across)
    lines |= _straightened(down.labels.T, printed_down).T
    if printed_across.any():
        standing = np.append(False, printed_across)[across.labels]
        lines |= _teeth(mask, standing, digit, float(filters.median(thickness[printed_across])))
    # A pen's underline is as thick as its strokes, but longer and without gaps. In the noise of a
    # dim photo one finds such lines everywhere, so that together they are much thicker.
    thick = _turned(_pieces(horizontal(mask, int(2 * digit), max(4, digit // 4)).T, digit // 4))
    reach = thick.right - thick.left
    underlines = (reach >= 2.2 * digit) & (_covered(thick) >= 0.85 * reach)
    underlines &= thick.area <= digit / 3 * reach
    lines |= _straightened(thick.labels, underlines)
    return lines | _corners(mask & ~lines, lines, int(0.3 * digit)) if lines.any() else lines


def _straightened(
    labels: Int32[np.ndarray, "height width"], printed: Bool[np.ndarray, "count"]
) -> Bool[np.ndarray, "height width"]:
    """Returns the pixels of horizontal lines, without those of strokes that run along them.

    What lies off the parabola through most of a line stays, and what covers it; and all of what is
    no parabola: a chain of strokes of neighbouring digits.
    """
    if not printed.any():
        return np.zeros(labels.shape, bool)
    found = np.append(False, printed)[labels]
    for number, place in enumerate(ndimage.find_objects(labels, len(printed)), 1):
        if place is None or not printed[number - 1]:
            continue
        part = labels[place] == number
        rows, columns = np.nonzero(part.T)[::-1]
        counts = part.sum(axis=0)
        thickness = float(filters.median(counts[counts > 0]))
        if counts.max() <= THICKER * thickness + 1 and part.shape[0] <= 2 * thickness:
            continue
        some = slice(None, None, 1 + len(rows) // FITTED)
        middle = _parabola(columns[some], rows[some], max(thickness, 2.0), part.shape[1])
        down = np.arange(part.shape[0])[:, None] - middle
        reach = thickness / 2 + 0.75
        line = part & (np.abs(down) <= reach)
        on_line = (line.sum(axis=0) >= 0.6 * thickness).sum() >= STRAIGHT * (counts > 0).sum()
        covered = (part & (down < -reach)).any(axis=0) & (part & (down > reach)).any(axis=0)
        found[place] &= ~part | (line & ~covered & on_line)
    return found


def _parabola(
    x: Int[np.ndarray, "n"], y: Int[np.ndarray, "n"], near: float, width: int
) -> Float[np.ndarray, "width"]:
    """Returns the height of the parabola along which most pixels lie, column by column.

    It begins as the line through the medians of pairs of columns (Theil and Sen), and is fitted
    with Tukey's weights to pixels that are at most a few times `near` away.

    Args:
        x: columns of pixels, in order.
        y: rows of them.
        near: pixels.
        width: columns.
    """
    some = np.unique(np.arange(PAIRED + 1) * (len(x) - 1) // PAIRED)
    first, second = np.triu_indices(len(some), 1)
    across = x[some[second]] - x[some[first]]
    far = across > width / 8
    slopes = (y[some[second]] - y[some[first]])[far] / across[far]
    slope = float(filters.median(slopes)) if far.any() else 0.0
    at = 2 * x / max(width - 1, 1) - 1
    terms = np.stack([np.ones(len(x)), at, at * at], axis=-1)
    fitted = slope * x + filters.median(y - slope * x)
    factors = np.zeros(3)
    for times in (6, 4, 3):
        weights = np.clip(1 - ((y - fitted) / (times * near)) ** 2, 0, None) ** 2
        weighted = (terms * weights[:, None]).T
        factors = np.linalg.lstsq(weighted @ terms, weighted @ y, rcond=None)[0]
        fitted = terms @ factors
    at = 2 * np.arange(width) / max(width - 1, 1) - 1
    return factors[0] + factors[1] * at + factors[2] * at * at


def _teeth(
    mask: Bool[np.ndarray, "height width"],
    lines: Bool[np.ndarray, "height width"],
    digit: int,
    thickness: float,
) -> Bool[np.ndarray, "height width"]:
    """Returns the teeth of combs: alike, as thick as the line that they stand on.

    There are at least four of them, or two at the ends of the line.
    """
    down = _pieces(vertical(mask, max(6, digit // 4), max(4, digit // 6)), digit // 4)
    length = down.bottom - down.top
    stroke = down.area / np.maximum(length, 1)
    teeth = (stroke <= 1.6 * thickness + 1) & (down.right - down.left <= 0.06 * length + stroke + 1)
    near = max(3, digit // 10)
    for number in np.flatnonzero(teeth):
        columns = slice(max(down.left[number] - near, 0), down.right[number] + near)
        rows = slice(max(down.bottom[number] - near, 0), down.bottom[number] + near)
        teeth[number] = lines[rows, columns].any()
    if not teeth.any():
        return np.zeros_like(mask)
    alike = teeth & (np.abs(length - filters.median(length[teeth])) < 0.12 * digit)
    alike &= np.abs(down.top - filters.median(down.top[teeth])) < 0.15 * digit
    if not alike.any():
        return np.zeros_like(mask)
    bottom = int(filters.median(down.bottom[alike]))
    foot = np.flatnonzero(lines[max(bottom - near, 0) : bottom + near].any(axis=0))
    at_ends = len(foot) > 0 and (
        abs(int(down.left[alike].min()) - int(foot[0])) <= near
        and abs(int(down.right[alike].max()) - 1 - int(foot[-1])) <= near
    )
    enough = alike.sum() >= (2 if at_ends else 4)
    return np.append(False, alike & enough)[down.labels]


def _between(
    down: Pieces,
    across: Pieces,
    straight: Bool[np.ndarray, "down"],
    met: Bool[np.ndarray, "down across"],
) -> Bool[np.ndarray, "across"]:
    """Returns which horizontal lines have a vertical one at either end, as a comb's foot has."""
    met = met & straight[:, None]
    near = np.maximum(3, (across.right - across.left) // 20)
    left = (met & (np.abs(down.left[:, None] - across.left) <= near)).any(axis=0)
    right = (met & (np.abs(down.right[:, None] - across.right) <= near)).any(axis=0)
    return left & right


def _sides(
    upper: Bool[np.ndarray, "down across"], lower: Bool[np.ndarray, "down across"]
) -> Bool[np.ndarray, "down"]:
    """Returns which vertical lines are sides of boxes: of two that end on the same two lines."""
    beside = ((upper.astype(int) @ upper.T) > 0) & ((lower.astype(int) @ lower.T) > 0)
    return beside.sum(axis=1) >= 2


def _corners(
    rest: Bool[np.ndarray, "height width"], lines: Bool[np.ndarray, "height width"], side: int
) -> Bool[np.ndarray, "height width"]:
    """Returns the small pieces and bars of ink beside lines, left where lines cross or join."""
    labels, count = ndimage.label(rest, np.ones((3, 3)))
    area = np.bincount(labels.ravel(), minlength=count + 1)
    beside = np.zeros(count + 1, dtype=bool)
    beside[labels[filters.around(lines)]] = True
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        bar = 2 * height < min(width, 3.2 * side) and area[number] > 0.65 * height * width
        if max(height, width) > side and not bar:
            beside[number] = False
    beside[0] = False
    return beside[labels]
