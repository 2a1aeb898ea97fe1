"""Curves of a score: precision, recall and false alarms by threshold, and calibration."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from mnist3.errors import UserError
from mnist3.evaluation.intervals import percentile_interval, resample_images

CALIBRATION_BINS = 15


class Calibration(NamedTuple):
    """How often readings of about the same confidence are right.

    The bins are (0, 1/15], (1/15, 2/15], ... (14/15, 1].

    Attributes:
        counts: readings in each bin.
        confidence: mean confidence of each bin's readings; nan in an empty bin.
        right: share of each bin's readings that are right; nan in an empty bin.
        error: expected calibration error: how far confidence and right lie apart, each bin
            counting by its share of the readings.
    """

    counts: Int[np.ndarray, "bins"]
    confidence: Float[np.ndarray, "bins"]
    right: Float[np.ndarray, "bins"]
    error: float


class PrecisionRecall(NamedTuple):
    """Precision and recall of "positive where the score is at least the threshold".

    Attributes:
        precision: share of the images called positive that are.
        recall: share of the positive images that are called so.
        thresholds: from the lowest score to the highest.
        average_precision: precision averaged over the steps of recall.
    """

    precision: Float[np.ndarray, "thresholds"]
    recall: Float[np.ndarray, "thresholds"]
    thresholds: Num[np.ndarray, "thresholds"]
    average_precision: float


class Roc(NamedTuple):
    """The receiver operating characteristic.

    Attributes:
        false_positive_rate: share of the negative images that are called positive.
        true_positive_rate: share of the positive images that are called so: recall.
        area: area under the curve: how often a positive image has the higher score of the two,
            drawn beside a negative one.
    """

    false_positive_rate: Float[np.ndarray, "points"]
    true_positive_rate: Float[np.ndarray, "points"]
    area: float


class OperatingPoint(NamedTuple):
    """A threshold and what it gives; positive is a score of at least the threshold."""

    threshold: float
    precision: float
    recall: float


def calibration(confidences: Float[np.ndarray, "n"], right: Bool[np.ndarray, "n"]) -> Calibration:
    """Returns how often readings of each confidence are right.

    Args:
        confidences: probability of what was predicted, from 0 to 1; n > 0.
        right: whether that was the truth.

    Source: C. Guo et al., On calibration of modern neural networks, ICML 2017, equation 3.
    """
    bins = np.ceil(confidences * CALIBRATION_BINS).astype(np.int64) - 1
    bins = np.clip(bins, 0, CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    confidence = np.bincount(bins, confidences.astype(np.float64), CALIBRATION_BINS)
    hits = np.bincount(bins, right, CALIBRATION_BINS)
    gaps = np.bincount(bins, right - confidences.astype(np.float64), CALIBRATION_BINS)
    with np.errstate(invalid="ignore"):
        return Calibration(
            counts, confidence / counts, hits / counts, float(np.abs(gaps).sum() / len(right))
        )


def precision_recall(
    targets: Bool[np.ndarray, "n"], scores: Float[np.ndarray, "n"]
) -> PrecisionRecall:
    """Returns precision and recall at every threshold that makes a difference.

    Args:
        targets: whether an image is positive.
        scores: higher where the estimator holds it for positive: a probability or the decision
            function.

    Raises:
        UserError: if all images are positive or none is.
    """
    from sklearn import metrics  # which takes seconds to import

    _require_both(targets)
    precision, recall, thresholds = metrics.precision_recall_curve(targets, scores)
    # scikit-learn ends the curve with precision 1 at recall 0, which no threshold gives.
    average_precision = float(metrics.average_precision_score(targets, scores))
    return PrecisionRecall(precision[:-1], recall[:-1], thresholds, average_precision)


def roc(targets: Bool[np.ndarray, "n"], scores: Float[np.ndarray, "n"]) -> Roc:
    """Returns the ROC curve; arguments and errors are those of `precision_recall`."""
    from sklearn import metrics

    _require_both(targets)
    false_positive_rate, true_positive_rate, _ = metrics.roc_curve(targets, scores)
    area = float(metrics.auc(false_positive_rate, true_positive_rate))
    return Roc(false_positive_rate, true_positive_rate, area)


def threshold_for_precision(curve: PrecisionRecall, wanted: float) -> OperatingPoint:
    """Returns the threshold with the highest recall of those with at least the wanted precision.

    Raises:
        UserError: if no threshold has it.
    """
    enough = np.flatnonzero(curve.precision >= wanted)
    if len(enough) == 0:
        raise UserError(
            f"no threshold gives a precision of {wanted:g}; the highest is "
            f"{curve.precision.max():.4f}: ask for no more, or use a better estimator."
        )
    return _point(curve, int(enough[0]))  # recall falls as the threshold rises


def threshold_for_recall(curve: PrecisionRecall, wanted: float) -> OperatingPoint:
    """Returns the threshold with the highest precision of those with at least the wanted recall.

    Raises:
        UserError: if the wanted recall is above 1.
    """
    if wanted > 1:
        raise UserError(f"a recall of {wanted:g} was asked for; ask for one from 0 to 1.")
    enough = np.flatnonzero(curve.recall >= wanted)
    return _point(curve, int(enough[np.argmax(curve.precision[enough])]))


def at_threshold(curve: PrecisionRecall, threshold: float) -> OperatingPoint:
    """Returns what a threshold gives that was chosen elsewhere, on other images.

    Raises:
        UserError: if no score is as high, so that nothing is called positive.
    """
    index = int(np.searchsorted(curve.thresholds, threshold))
    if index == len(curve.thresholds):
        raise UserError(
            f"no score reaches the threshold {threshold:g}, the highest is "
            f"{curve.thresholds[-1]:g}: nothing is called positive; choose a lower one."
        )
    return OperatingPoint(threshold, float(curve.precision[index]), float(curve.recall[index]))


def area_intervals(
    targets: Bool[np.ndarray, "n"], scores: Float[np.ndarray, "n"], seed: int = 0
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Returns 95 % bootstrap intervals of the area under the ROC curve and of average precision."""
    from sklearn import metrics

    _require_both(targets)
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    positive = targets[order]
    areas, average_precisions = [], []
    for counts in resample_images(len(targets), seed):
        drawn = counts[:, order]
        area, average_precision = _areas(drawn * positive, drawn * ~positive, last_of_ties)
        areas.append(area)
        average_precisions.append(average_precision)
    return (
        percentile_interval(float(metrics.roc_auc_score(targets, scores)), np.concatenate(areas)),
        percentile_interval(
            float(metrics.average_precision_score(targets, scores)),
            np.concatenate(average_precisions),
        ),
    )


def _areas(
    positives: Int[np.ndarray, "resamples n"],
    negatives: Int[np.ndarray, "resamples n"],
    last_of_ties: Int[np.ndarray, "thresholds"],
) -> tuple[Float[np.ndarray, "resamples"], Float[np.ndarray, "resamples"]]:
    """Returns ROC area and average precision, given counts from the highest score to the lowest."""
    hits = positives.cumsum(axis=1)[:, last_of_ties]
    alarms = negatives.cumsum(axis=1)[:, last_of_ties]
    new_hits = np.diff(hits, axis=1, prepend=0)
    new_alarms = np.diff(alarms, axis=1, prepend=0)
    with np.errstate(invalid="ignore"):
        # A positive beats the negatives below it and half of those with the same score.
        beaten = (new_alarms * (hits - 0.5 * new_hits)).sum(axis=1)
        area = beaten / (hits[:, -1] * alarms[:, -1])
        precision = hits / np.maximum(hits + alarms, 1)
        average_precision = (new_hits * precision).sum(axis=1) / hits[:, -1]
    return area, average_precision


def _point(curve: PrecisionRecall, index: int) -> OperatingPoint:
    return OperatingPoint(
        float(curve.thresholds[index]), float(curve.precision[index]), float(curve.recall[index])
    )


def _require_both(targets: Bool[np.ndarray, "n"]) -> None:
    if targets.all() or not targets.any():
        raise UserError(
            f"a curve needs positive and negative images, but {int(targets.sum())} of "
            f"{len(targets)} are positive; take more images or another target."
        )
