"""Shapes that stand side by side: lines of writing."""

from typing import NamedTuple

import numpy as np

from mnist3.data import filters
from mnist3.data.shapes import Shapes, around_others, usual_height, weighted_median

STEEPEST = 0.62  # rise of a line of writing: tan 32 degrees
FAINT = 0.45  # times the strength of most ink; what is fainter is no digit
CROWD = 24  # shapes; a line of more is less likely writing than grain
MOST = 400  # shapes of a picture; where there are more they are mostly the paper's grain


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


def groups_of(shapes: Shapes, shape: tuple[int, ...], margin: int = 0) -> list[Group]:
    """Returns the lines that shapes stand in.

    Args:
        shapes: of ink.
        shape: of their image, px.
        margin: that was added around it, px.
    """
    if not len(shapes.area):
        return []
    height, width = shapes.height, shapes.width
    across = (height >= 0.95 * shape[0]) | (width >= 0.95 * shape[1])
    bar = (width > 4 * height) & (height < 0.5 * height.max())
    useful = ~bar & ~around_others(shapes)
    if (useful & ~across).any():
        useful &= ~across
    if not useful.any():
        return []
    weight = (height * shapes.strength) ** 2
    useful &= shapes.strength >= FAINT * weighted_median(shapes.strength[useful], weight[useful])
    usual = usual_height(height[useful])
    digits = np.flatnonzero(useful & (height >= 0.35 * usual))
    if len(digits) > MOST:
        digits = np.sort(digits[np.argsort(-weight[digits], kind="stable")[:MOST]])
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
        typical = float(filters.median(height[found][height[found] >= 0.5 * tallest]))
        top = (upright - height / 2)[found].min() - 0.1 * typical
        bottom = (upright + height / 2)[found].max() + 0.1 * typical
        left, right = shapes.left[found].min(), shapes.right[found].max()
        near = (upright > top) & (upright < bottom) & others
        near &= (x > left - 1.5 * typical) & (x < right + 1.5 * typical)
        near[digits] = False
        edge = (shapes.top[found] <= margin + 1) | (shapes.bottom[found] >= shape[0] - margin - 1)
        score = weight[found] * np.where(edge, 0.3, 1)
        score = score * np.where(height > 7 * width, 0.2, 1)[found]
        away = np.abs(upright[found] - filters.median(upright[found])) / typical
        score = float(score.sum()) / max(1.0, 2 * float(np.mean(away)), len(found) / CROWD) ** 2
        groups.append(Group(found, np.flatnonzero(near), tilt, typical, score))
    return groups


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
    return float(np.clip(filters.median(slopes[0]), -STEEPEST, STEEPEST))


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
    own = float(filters.median((y[second] - y[first]) / (x[second] - x[first])))
    return float(np.clip(own, -STEEPEST, STEEPEST))


def sideways(shapes: Shapes, groups: list[Group], shape: tuple[int, ...]) -> bool:
    """Returns whether the digits clearly lie on their sides, one above the other."""
    left, top, right, bottom = shapes.left, shapes.top, shapes.right, shapes.bottom
    turned = shapes._replace(left=top, top=left, right=bottom, bottom=right)
    standing = max(groups, key=lambda group: group.score, default=None)
    if standing is None or len(left) < max(3, len(standing.digits) + 1):
        return False
    lying = max(groups_of(turned, shape[::-1]), key=lambda group: group.score, default=None)
    if lying is None:
        return False
    wide = filters.median((shapes.width / shapes.height)[lying.digits]) > 0.95
    more = len(lying.digits) >= max(3, len(standing.digits) + 1)
    return bool(wide and more and lying.score > 1.5 * standing.score)


def best_score(groups: list[Group]) -> float:
    """Returns how much writing the best of the lines is."""
    return max((group.score for group in groups), default=0.0)
