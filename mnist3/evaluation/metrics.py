"""How well numbers were read: metrics of one split, with an interval for the headline one."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int32
from sklearn.metrics import f1_score

from mnist3.errors import UserError
from mnist3.evaluation.curves import calibration

NORMAL_QUANTILE_975 = 1.959963984540054  # a 95 % interval leaves 2.5 % to either side


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Returns the 95 % score interval of a share of `successes` in `n` trials, n > 0.

    Unlike the interval of the normal approximation it stays inside [0, 1] and has a width also
    when no trial or every trial succeeds.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22, 1927.
    """
    share = successes / n
    squared = NORMAL_QUANTILE_975**2
    centre = share + squared / (2 * n)
    half_width = NORMAL_QUANTILE_975 * math.sqrt(share * (1 - share) / n + squared / (4 * n * n))
    scale = 1 + squared / n
    low, high = (centre - half_width) / scale, (centre + half_width) / scale
    return max(low, 0.0), min(high, 1.0)  # rounding may step over an end by 1e-17


def number_metrics(
    labels: Int32[np.ndarray, "n K"],
    predictions: Int32[np.ndarray, "n K"],
    confidences: Float[np.ndarray, "n"],
    log_likelihoods: Float[np.ndarray, "n"],
) -> dict[str, Any]:
    """Returns the metrics of one split as plain Python values, under the names of metrics.json.

    Args:
        labels: the true digits.
        predictions: the predicted digits.
        confidences: probability that the model gave to the predicted number.
        log_likelihoods: natural logarithm of the probability that it gave to the true number.

    Returns:
        n: images.
        exact_match: share of images with every digit right.
        exact_match_ci95: [low, high], its Wilson score interval.
        digit_accuracy: share of digits that are right, over all positions.
        position_accuracy: [K], the same at each position.
        macro_f1: F1 of one digit against the rest, all positions pooled, mean over the digits that
            occur in the labels or the predictions.
        nll: mean negative log likelihood of the whole number, nats.
        ece: expected calibration error of the whole number's confidence, 15 bins.

    Raises:
        UserError: without any image.
    """
    n = len(labels)
    if n == 0:
        raise UserError(
            "there is no image to evaluate in this split; choose a split that has images or raise "
            "the number of its examples in config.data."
        )
    right_digits = labels == predictions
    right = right_digits.all(axis=1)
    return {
        "n": n,
        "exact_match": float(right.mean()),
        "exact_match_ci95": list(wilson_interval(int(right.sum()), n)),
        "digit_accuracy": float(right_digits.mean()),
        "position_accuracy": right_digits.mean(axis=0).tolist(),
        "macro_f1": float(f1_score(labels.ravel(), predictions.ravel(), average="macro")),
        "nll": float(-log_likelihoods.mean(dtype=np.float64)),
        "ece": calibration(confidences, right).error,
    }
