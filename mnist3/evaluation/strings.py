"""How well strings of any length were read: metrics of one split.

Strings are digits from the left and then `NO_DIGIT`.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int32

from mnist3.data.numbers import NO_DIGIT
from mnist3.evaluation.clusters import share_interval
from mnist3.evaluation.curves import calibration
from mnist3.evaluation.intervals import require_images


def lengths(labels: Int32[np.ndarray, "n longest"]) -> Int[np.ndarray, "n"]:
    """Returns how many digits each string has."""
    return (labels != NO_DIGIT).sum(axis=1)


def edit_distances(
    labels: Int32[np.ndarray, "n longest"], predictions: Int32[np.ndarray, "n longest"]
) -> Int[np.ndarray, "n"]:
    """Returns how many digits have to be put in, left out or changed to make each string another.

    Source: V. I. Levenshtein, Binary codes capable of correcting deletions, insertions, and
    reversals, Soviet Physics Doklady 10, 1966.
    """
    n, longest = labels.shape
    table = np.zeros((longest + 1, longest + 1, n), np.int64)
    table[0] = np.arange(longest + 1)[:, None]
    table[:, 0] = np.arange(longest + 1)[:, None]
    for row in range(1, longest + 1):
        for column in range(1, longest + 1):
            changed = labels[:, row - 1] != predictions[:, column - 1]
            table[row, column] = np.minimum(
                table[row - 1, column - 1] + changed,
                np.minimum(table[row - 1, column], table[row, column - 1]) + 1,
            )
    return table[lengths(labels), lengths(predictions), np.arange(n)]


def string_metrics(
    labels: Int32[np.ndarray, "n longest"],
    predictions: Int32[np.ndarray, "n longest"],
    confidences: Float[np.ndarray, "n"],
    log_likelihoods: Float[np.ndarray, "n"],
    digit_indices: Int[np.ndarray, "n _"] | None = None,
) -> dict[str, Any]:
    """Returns the metrics of one split as plain Python values, under the names of metrics.json.

    Args:
        labels: the true strings.
        predictions: the predicted strings.
        confidences: probability that the model gave to the predicted string.
        log_likelihoods: natural logarithm of the probability that it gave to the true string.
        digit_indices: of composed images, where the digit images on them stand in their source, -1
            where there is none.

    Returns:
        n: images.
        exact_match: share of images with every digit right and none too many.
        exact_match_ci95: [low, high], its Wilson score interval; for new digit images where these
            are given, see `mnist3.evaluation.clusters`.
        exact_match_by_length: the same share by how many digits the true string has.
        digit_error_rate: edit distance of all strings over the digits of all true ones.
        length_accuracy: share of images with the right number of digits.
        nll: mean negative log likelihood of the whole string, nats.
        ece: expected calibration error of the whole string's confidence, 15 bins.

    Raises:
        UserError: without any image.
    """
    n = require_images(len(labels))
    right = (labels == predictions).all(axis=1)
    digits = lengths(labels)
    return {
        "n": n,
        "exact_match": float(right.mean()),
        "exact_match_ci95": list(share_interval(right, digit_indices)),
        "exact_match_by_length": {
            str(length): float(right[digits == length].mean()) for length in np.unique(digits)
        },
        "digit_error_rate": float(edit_distances(labels, predictions).sum() / max(digits.sum(), 1)),
        "length_accuracy": float((digits == lengths(predictions)).mean()),
        "nll": float(-log_likelihoods.mean(dtype=np.float64)),
        "ece": calibration(confidences, right).error,
    }
