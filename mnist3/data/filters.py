"""Order statistics of small arrays, as NumPy and SciPy have them but without what those prepare.

A picture is looked at in a thousand small steps, whose preparations would take longer than the
steps. All functions give the same bits as what they stand for, of floats and
64-bit integers, at least one; none expects NaN.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped
from scipy import ndimage


def median(values: np.ndarray) -> Any:
    """Returns the median of all values, as `np.median`."""
    ordered = np.sort(values, axis=None)
    count = len(ordered)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def medians(values: Shaped[np.ndarray, "*places n"]) -> Shaped[np.ndarray, "*places"]:
    """Returns the medians along the last axis, as `np.median`."""
    count = values.shape[-1]
    below, above = (count - 1) // 2, count // 2
    ordered = np.partition(values, (below, above), axis=-1)
    return (ordered[..., below] + ordered[..., above]) / 2


def medians_around(values: Shaped[np.ndarray, "h w"], size: int) -> Shaped[np.ndarray, "h w"]:
    """Returns the median in a square around each value, as `ndimage.median_filter`."""
    usual = median(values)
    other = values != usual
    if 2 * np.count_nonzero(other) < other.size:
        near = (np.clip(np.arange(n + size) - size // 2 - 1, 0, n - 1) for n in other.shape)
        sums = other[np.ix_(*near)].astype(np.int32).cumsum(axis=0).cumsum(axis=1)
        counts = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size]
        if (counts + sums[:-size, :-size]).max() < size * size // 2:
            return np.full_like(values, usual)
    return ndimage.median_filter(values, size, mode="nearest")


def percentiles(values: np.ndarray, shares: Sequence[int]) -> np.ndarray:
    """Returns percentiles of all values in ascending order of shares, as `np.percentile`."""
    last = values.size - 1
    places = last * (np.array(shares) / 100)
    below = places.astype(int)
    above = np.minimum(below + 1, last)
    ordered = np.partition(values, np.unique([below, above]), axis=None)
    low, high, part = ordered[below], ordered[above], places - below
    step = high - low
    return np.where(part < 0.5, low + step * part, high - step * (1 - part))


def closed(values: Shaped[np.ndarray, "h w"], size: tuple[int, int]) -> Shaped[np.ndarray, "h w"]:
    """Returns values without what is low and narrower than `size`, as `ndimage.grey_closing`."""
    for axis, side in enumerate(size):
        values = extremes(values, side, (side - 1) // 2, axis, np.maximum)
    for axis, side in enumerate(size):
        values = extremes(values, side, side // 2, axis, np.minimum)
    return values


def opened(values: Shaped[np.ndarray, "h w"], size: tuple[int, int]) -> Shaped[np.ndarray, "h w"]:
    """Returns values without what is high and narrower than `size`, as `ndimage.grey_opening`."""
    for axis, side in enumerate(size):
        values = extremes(values, side, side // 2, axis, np.minimum)
    for axis, side in enumerate(size):
        values = extremes(values, side, (side - 1) // 2, axis, np.maximum)
    return values


def extremes(
    values: Shaped[np.ndarray, "h w"], size: int, before: int, axis: int, chosen: np.ufunc
) -> Shaped[np.ndarray, "h w"]:
    """Returns the highest or lowest value in a window around each, within the array.

    Args:
        values: of at least one row and column.
        size: values in a window.
        before: how many of them stand before the middle one.
        axis: along which the window lies.
        chosen: `np.maximum` or `np.minimum`.
    """
    rows = values if axis == 0 else values.T
    neutral = values.min() if chosen is np.maximum else values.max()
    found = np.full((len(rows) + size - 1, rows.shape[1]), neutral, values.dtype)
    found[before : before + len(rows)] = rows
    reached = 1
    while reached < size:
        step = min(reached, size - reached)
        found = chosen(found[:-step], found[step:])
        reached += step
    return found if axis == 0 else found.T


def around(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Returns a mask with all eight neighbours of its pixels, as a dilation by 3 x 3."""
    rows = mask.copy()
    rows[1:] |= mask[:-1]
    rows[:-1] |= mask[1:]
    found = rows.copy()
    found[:, 1:] |= rows[:, :-1]
    found[:, :-1] |= rows[:, 1:]
    return found
