"""How well people's pictures are read: by length, by group, and of those that are called sure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from mnist3.evaluation.calibration import confidence_metrics
from mnist3.evaluation.intervals import require_images, wilson_interval

MOST_GROUPS = 24  # values of a column that still make groups; more are remarks


def picture_metrics(
    right: Bool[np.ndarray, "n"],
    lengths: Int[np.ndarray, "n"],
    read_lengths: Int[np.ndarray, "n"],
    confidences: Float[np.ndarray, "n"] | None = None,
    sure: Bool[np.ndarray, "n"] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Returns how well pictures were read as plain Python values.

    Args:
        right: whether the whole number was read right.
        lengths: digits of each number.
        read_lengths: digits that were read.
        confidences: in what was read, 0 to 1, 0 of what could not be read; None of a learner
            without probabilities.
        sure: whether to rely on it; None where none is claimed to be.
        groups: by name a value a picture, see `grouping`.

    Returns:
        n: pictures.
        exact_match: share of pictures whose whole number is right.
        exact_match_ci95: [low, high], its Wilson score interval.
        right_length: share with the right number of digits.
        sure: n of the sure ones, their share, the share of errors among them and its interval,
            `error_ci95`, both None of none; where any is claimed to be.
        ece, coverage, aurc: of `confidence_metrics`, where there are confidences.
        by_length: the first five of the pictures of each length, by the length as text.
        by: the same by name of a group, then by its values in their order.

    Raises:
        UserError: without any picture.
    """
    require_images(len(right))

    def row(chosen: Bool[np.ndarray, "n"]) -> dict[str, Any]:
        hits = right[chosen]
        found: dict[str, Any] = {
            "n": len(hits),
            "exact_match": float(hits.mean()),
            "exact_match_ci95": list(wilson_interval(int(hits.sum()), len(hits))),
            "right_length": float((lengths == read_lengths)[chosen].mean()),
        }
        if sure is not None:
            found["sure"] = _sure(hits, sure[chosen])
        return found

    found = row(np.ones(len(right), bool))
    if confidences is not None:
        found |= confidence_metrics(confidences, right)
    found["by_length"] = {str(each): row(lengths == each) for each in np.unique(lengths).tolist()}
    found["by"] = {
        name: {value: row(np.asarray(values) == value) for value in sorted(set(values))}
        for name, values in (groups or {}).items()
    }
    return found


def _sure(right: Bool[np.ndarray, "n"], sure: Bool[np.ndarray, "n"]) -> dict[str, Any]:
    n, errors = int(sure.sum()), int((sure & ~right).sum())
    return {
        "n": n,
        "share": float(sure.mean()),
        "error": errors / n if n else None,
        "error_ci95": list(wilson_interval(errors, n)) if n else None,
    }


def grouping(columns: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """Returns the names of the columns that make groups, and of those with too many values."""
    groups, remarks = [], []
    for name, values in columns.items():
        (groups if len(set(values)) <= MOST_GROUPS else remarks).append(name)
    return groups, remarks
