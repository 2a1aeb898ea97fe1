"""Metrics over replicates, runs that differ in their seed alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def pooled(
    measured: Sequence[Mapping[str, Any]], headline: str | None = None, shown: int = 0
) -> dict[str, Any]:
    """Returns the metrics of a split: means over replicates.

    The ends of an interval are means too: replicates read the same examples.

    Args:
        measured: the metrics of each replicate.
        headline: a metric of which to say also the standard deviation and each replicate's, where
            there are several.
        shown: which of them stands for all in what has no mean, such as examples.
    """
    if len(measured) == 1:
        return dict(measured[0])
    found = {name: _mean([each.get(name) for each in measured], shown) for name in measured[shown]}
    if headline is None:
        return found
    each = [one[headline] for one in measured]
    return found | {
        f"{headline}_std": float(np.std(each, ddof=1)),
        f"{headline}_replicates": each,
    }


def _mean(values: Sequence[Any], shown: int) -> Any:
    """Returns the mean of a metric over replicates; that of one where it is no number."""
    if all(isinstance(each, dict) for each in values):
        return {name: _mean([each.get(name) for each in values], shown) for name in values[shown]}
    numbers = all(map(_is_numeric, values))
    alike = len({np.shape(each) for each in values}) == 1 if numbers else False
    if not alike or all(each == values[0] for each in values):
        return values[shown]
    with np.errstate(invalid="ignore"):
        return np.mean(np.array(values, float), axis=0).tolist()


def _is_numeric(value: Any) -> bool:
    """Tells whether a value is a number, or a list of them that are not all missing."""
    if isinstance(value, list | tuple):
        return bool(value) and all(each is None or _is_numeric(each) for each in value)
    return isinstance(value, int | float) and not isinstance(value, bool)
