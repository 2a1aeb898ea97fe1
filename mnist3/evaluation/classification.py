"""How well images were classified: metrics by kind of task, with 95 % intervals.

Each function returns plain Python values under the names of metrics.json; NAME_ci95 is the interval
[low, high] of NAME. Accuracies have Wilson's interval, which does not close where all images are
right; the others have the bootstrap's. The calibration error has none: resampled images always
look worse calibrated than the images are.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num

from mnist3.evaluation.curves import area_intervals, calibration
from mnist3.evaluation.error_analysis import log_losses
from mnist3.evaluation.intervals import (
    bootstrap_mean_interval,
    bootstrap_means,
    percentile_interval,
    require_images,
    resample_cells,
    wilson_interval,
)

Averages = dict[str, np.ndarray | np.floating]  # of one sample, or of each resample


def multiclass_metrics(
    targets: Int[np.ndarray, "n"],
    predictions: Int[np.ndarray, "n"],
    probabilities: Float[np.ndarray, "n classes"] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the metrics of images of one class each.

    Args:
        targets: class 0, 1, ... of each image.
        predictions: likewise.
        probabilities: of each class.
        seed: of the bootstrap.

    Returns:
        n: images.
        accuracy: share of images with the right class.
        macro_precision, macro_recall, macro_f1: means over the classes that occur in targets or
            predictions.
        weighted_precision, weighted_recall, weighted_f1: the same, each class counting by its
            images.
        class_recall: [classes], share of each class's images that are right; None where it has no
            image.
        log_loss: mean negative log probability of the true class, nats; with probabilities alone,
            as are the following.
        ece: expected calibration error of the predicted class's probability, 15 bins.
        roc_auc: area under the ROC curve of a class against the rest, mean over the classes; only
            where each has an image.
    """
    n = require_images(len(targets))
    classes = int(max(targets.max(), predictions.max())) + 1
    if probabilities is not None:
        classes = max(classes, probabilities.shape[1])
    counts = confusion(targets, predictions, classes)
    result = {"n": n, **_share("accuracy", int(np.trace(counts)), n)}
    resampled = _averages(*_hits_and_errors(resample_cells(counts, seed)))
    result |= _with_intervals(_averages(*_hits_and_errors(counts)), resampled)
    result["class_recall"] = _recalls(counts)
    if probabilities is not None:
        result |= _probability_metrics(targets, predictions, probabilities, seed)
        if (counts.sum(axis=1) > 0).all() and classes > 2:
            from sklearn import metrics  # which takes seconds to import

            area = metrics.roc_auc_score(targets, probabilities, multi_class="ovr")
            result["roc_auc"] = float(area)
    return result


def binary_metrics(
    targets: Int[np.ndarray, "n"],
    predictions: Int[np.ndarray, "n"],
    probabilities: Float[np.ndarray, "n 2"] | None = None,
    scores: Float[np.ndarray, "n"] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the metrics of a detector.

    Args:
        targets: 1 for a positive image, else 0.
        predictions: likewise.
        probabilities: of both classes.
        scores: higher where the detector holds an image for positive; None for its probability.
        seed: of the bootstrap.

    Returns:
        n, positives: images, and how many of them are positive.
        accuracy: share of images with the right class.
        precision: share of the images called positive that are; 0 if none is called so.
        recall: share of the positive images that are called so.
        f1: harmonic mean of the two.
        roc_auc, average_precision: area under the ROC curve and under precision by recall; with
            scores or probabilities and images of both classes alone.
        log_loss, ece: with probabilities alone; see `multiclass_metrics`.
    """
    n = require_images(len(targets))
    counts = confusion(targets, predictions, 2)
    result = {
        "n": n,
        "positives": int(targets.sum()),
        **_share("accuracy", int(np.trace(counts)), n),
    }

    def of_the_positive(counts: np.ndarray) -> Averages:
        values = _precision_recall_f1(*_hits_and_errors(counts))
        return {
            name: np.nan_to_num(value[..., 1])
            for name, value in zip(("precision", "recall", "f1"), values, strict=True)
        }

    result |= _with_intervals(
        of_the_positive(counts), of_the_positive(resample_cells(counts, seed))
    )
    if scores is None and probabilities is not None:
        scores = probabilities[:, 1]
    if scores is not None and 0 < result["positives"] < n:
        from sklearn import metrics

        positive = targets.astype(bool)
        area, average_precision = area_intervals(positive, scores, seed)
        result["roc_auc"] = float(metrics.roc_auc_score(positive, scores))
        result["roc_auc_ci95"] = list(area)
        result["average_precision"] = float(metrics.average_precision_score(positive, scores))
        result["average_precision_ci95"] = list(average_precision)
    if probabilities is not None:
        result |= _probability_metrics(targets, predictions, probabilities, seed)
    return result


def multilabel_metrics(
    targets: Int[np.ndarray, "n labels"],
    predictions: Int[np.ndarray, "n labels"],
    probabilities: Float[np.ndarray, "n labels"] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the metrics of images with several labels each.

    Args:
        targets: 1 where an image has the label, else 0.
        predictions: likewise.
        probabilities: that an image has the label.
        seed: of the bootstrap.

    Returns:
        n: images.
        accuracy: share of images with every label right.
        label_accuracy, label_f1: [labels], of each label.
        macro_precision, ... weighted_f1: as for classes, over the labels.
        log_loss: mean negative log probability of the truth, nats a label; with probabilities
            alone.
    """
    n = require_images(len(targets))
    right = targets == predictions
    hits, alarms, misses = (
        (where.astype(np.float64))
        for where in (targets & predictions, predictions & ~right, targets & ~right)
    )
    means = bootstrap_means(np.concatenate([hits, alarms, misses], axis=1), seed)
    totals = tuple(each.sum(axis=0) for each in (hits, alarms, misses))
    result = {"n": n, **_share("accuracy", int(right.all(axis=1).sum()), n)}
    result["label_accuracy"] = right.mean(axis=0).tolist()
    result["label_f1"] = np.nan_to_num(_precision_recall_f1(*totals)[2]).tolist()
    result |= _with_intervals(_averages(*totals), _averages(*np.split(means, 3, axis=1)))
    if probabilities is not None:
        chosen = np.where(targets, probabilities, 1 - probabilities)
        losses = -np.log(np.maximum(chosen, np.finfo(chosen.dtype).eps)).mean(axis=1)
        result["log_loss"] = float(losses.mean(dtype=np.float64))
        result["log_loss_ci95"] = list(bootstrap_mean_interval(losses, seed))
    return result


def confusion(
    targets: Int[np.ndarray, "n"], predictions: Int[np.ndarray, "n"], classes: int
) -> Int[np.ndarray, "classes classes"]:
    """Returns how many images of each class (row) were taken for each (column)."""
    cells = targets.astype(np.int64) * classes + predictions
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def by_row(counts: Num[np.ndarray, "classes classes"]) -> Float[np.ndarray, "classes classes"]:
    """Returns the shares of each class's images; a class without one has a row of 0."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def errors_by_row(
    counts: Int[np.ndarray, "classes classes"],
) -> Float[np.ndarray, "classes classes"]:
    """Returns the shares of each class's misread images; the diagonal is 0."""
    return by_row(counts - np.diag(np.diag(counts)))


def _hits_and_errors(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns hits, false alarms and misses of each class, given confusion matrices."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return hits, counts.sum(axis=-2) - hits, counts.sum(axis=-1) - hits


def _precision_recall_f1(
    hits: np.ndarray, alarms: np.ndarray, misses: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the three of each class: 0 where they are 0/0, nan where the class does not occur.

    scikit-learn's `precision_recall_fscore_support` takes one sample at a time; this takes all
    resamples of the bootstrap.
    """

    def ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            value = np.where(under > 0, over / under, 0.0)
        return np.where(hits + alarms + misses > 0, value, np.nan)

    return (
        ratio(hits, hits + alarms),
        ratio(hits, hits + misses),
        ratio(2 * hits, 2 * hits + alarms + misses),
    )


def _averages(hits: np.ndarray, alarms: np.ndarray, misses: np.ndarray) -> Averages:
    values = _precision_recall_f1(hits, alarms, misses)
    support = hits + misses
    with np.errstate(invalid="ignore"):
        weights = {
            "macro": ~np.isnan(values[0]) / (~np.isnan(values[0])).sum(axis=-1, keepdims=True),
            "weighted": support / support.sum(axis=-1, keepdims=True),
        }
    return {
        f"{average}_{name}": (np.nan_to_num(value) * weights[average]).sum(axis=-1)
        for average in weights
        for name, value in zip(("precision", "recall", "f1"), values, strict=True)
    }


def _with_intervals(estimates: Averages, resampled: Averages) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, estimate in estimates.items():
        result[name] = float(np.nan_to_num(estimate))
        draws = np.asarray(resampled[name])
        result[f"{name}_ci95"] = list(percentile_interval(result[name], draws))
    return result


def _share(name: str, successes: int, n: int) -> dict[str, Any]:
    return {name: float(successes / n), f"{name}_ci95": list(wilson_interval(successes, n))}


def _recalls(counts: Int[np.ndarray, "classes classes"]) -> list[float | None]:
    return [
        float(row[index] / row.sum()) if row.any() else None for index, row in enumerate(counts)
    ]


def _probability_metrics(
    targets: Int[np.ndarray, "n"],
    predictions: Int[np.ndarray, "n"],
    probabilities: Float[np.ndarray, "n classes"],
    seed: int,
) -> dict[str, Any]:
    losses = log_losses(targets, probabilities)
    confidences = np.clip(probabilities.max(axis=1), 0, 1)
    return {
        "log_loss": float(losses.mean(dtype=np.float64)),
        "log_loss_ci95": list(bootstrap_mean_interval(losses, seed)),
        "ece": calibration(confidences, targets == predictions).error,
    }
