"""Metrics over replicates, runs that differ in their seed alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def pooled(measured: Sequence[Mapping[str, Any]], headline: str | None = None) -> dict[str, Any]:
    """Returns the metrics of a split: means over replicates.

    The ends of an interval are means too: replicates read the same examples.

    Args:
        measured: the metrics of each replicate.
        headline: a metric of which to say also the standard deviation and each replicate's, where
            there are several.
    """
    if len(measured) == 1:
        return dict(measured[0])
    found = {name: _mean([each.get(name) for each in measured]) for name in measured[0]}
    if headline is None:
        return found
    each = [one[headline] for one in measured]
    return found | {
        f"{headline}_std": float(np.std(each, ddof=1)),
        f"{headline}_replicates": each,
    }


def _mean(values: Sequence[Any]) -> Any:
    """Returns the mean of a metric over replicates; the first one's where it is no number."""
    first = values[0]
    if all(isinstance(each, dict) for each in values):
        return {name: _mean([each[name] for each in values]) for name in first}
    numbers = all(
        isinstance(each, float) or (isinstance(each, list | tuple) and each) for each in values
    )
    if not numbers or any(np.shape(each) != np.shape(first) for each in values):
        return first
    with np.errstate(invalid="ignore"):
        return np.mean(np.array(values, float), axis=0).tolist()
