"""How well numbers were read: metrics of one split, with an interval for the headline one."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int32

from mnist3.evaluation.clusters import share_interval
from mnist3.evaluation.curves import calibration
from mnist3.evaluation.intervals import require_images


def number_metrics(
    labels: Int32[np.ndarray, "n K"],
    predictions: Int32[np.ndarray, "n K"],
    confidences: Float[np.ndarray, "n"],
    log_likelihoods: Float[np.ndarray, "n"],
    digit_indices: Int[np.ndarray, "n K"] | None = None,
) -> dict[str, Any]:
    """Returns the metrics of one split as plain Python values, under the names of metrics.json.

    Args:
        labels: the true digits.
        predictions: the predicted digits.
        confidences: probability that the model gave to the predicted number.
        log_likelihoods: natural logarithm of the probability that it gave to the true number.
        digit_indices: of composed images, where the digit images on them stand in their source.

    Returns:
        n: images.
        exact_match: share of images with every digit right.
        exact_match_ci95: [low, high], its Wilson score interval; for new digit images where these
            are given, see `mnist3.evaluation.clusters`.
        digit_accuracy: share of digits that are right, over all positions.
        position_accuracy: [K], the same at each position.
        macro_f1: F1 of one digit against the rest, all positions pooled, mean over the digits that
            occur in the labels or the predictions.
        nll: mean negative log likelihood of the whole number, nats.
        ece: expected calibration error of the whole number's confidence, 15 bins.

    Raises:
        UserError: without any image.
    """
    n = require_images(len(labels))
    right_digits = labels == predictions
    right = right_digits.all(axis=1)
    return {
        "n": n,
        "exact_match": float(right.mean()),
        "exact_match_ci95": list(share_interval(right, digit_indices)),
        "digit_accuracy": float(right_digits.mean()),
        "position_accuracy": right_digits.mean(axis=0).tolist(),
        "macro_f1": _macro_f1(labels.ravel(), predictions.ravel()),
        "nll": float(-log_likelihoods.mean(dtype=np.float64)),
        "ece": calibration(confidences, right).error,
    }


def _macro_f1(labels: Int[np.ndarray, "n"], predictions: Int[np.ndarray, "n"]) -> float:
    count = int(max(labels.max(), predictions.max())) + 1
    hits, had, read = (
        np.bincount(digits, minlength=count)
        for digits in (labels[labels == predictions], labels, predictions)
    )
    occur = had + read > 0
    return float((2 * hits[occur] / (had + read)[occur]).mean())
