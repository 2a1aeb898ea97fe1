"""Which images a model gets wrong, in the order in which to look at them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int32


class Confused(NamedTuple):
    """How often images of one class were taken for another.

    Attributes:
        target: the class that they have.
        prediction: the class that they were taken for.
        images: how many.
        share: of all images of the class.
    """

    target: int
    prediction: int
    images: int
    share: float


class PairGallery(NamedTuple):
    """Indices of the images of two classes by what they were taken for; each may be empty.

    Within the wrong ones, the images with the most confident mistakes come first; within the right
    ones, those read most confidently.
    """

    first_right: Int[np.ndarray, "_"]
    first_as_second: Int[np.ndarray, "_"]
    second_as_first: Int[np.ndarray, "_"]
    second_right: Int[np.ndarray, "_"]


def misread(
    labels: Int32[np.ndarray, "n K"],
    predictions: Int32[np.ndarray, "n K"],
    confidences: Float[np.ndarray, "n"],
) -> Int[np.ndarray, "misread"]:
    """Returns the indices of the misread images, those read most confidently first."""
    wrong = np.flatnonzero((labels != predictions).any(axis=1))
    return wrong[np.argsort(-confidences[wrong], kind="stable")]


def paired_digits(
    label: Int32[np.ndarray, "K"], prediction: Int32[np.ndarray, "K"]
) -> list[tuple[int | None, int | None]]:
    """Returns which digit was read as which: pairs of positions from left to right.

    Of as many digits each is read as the one at its position. Else some are left out (None in the
    second place) or put in (None in the first), so that as few as possible are read wrong.

    Args:
        label: the true digits, NO_DIGIT after the last.
        prediction: what was read, likewise.
    """
    true, read = ((digits >= 0).sum() for digits in (label, prediction))
    if true == read:
        return [(place, place) for place in range(true)]
    costs = np.zeros((true + 1, read + 1), np.int64)  # of what is left from each pair on
    costs[:, read] = true - np.arange(true + 1)
    costs[true] = read - np.arange(read + 1)
    for row in reversed(range(true)):
        for column in reversed(range(read)):
            both = costs[row + 1, column + 1] + (label[row] != prediction[column])
            one = min(costs[row + 1, column], costs[row, column + 1]) + 1
            costs[row, column] = min(both, one)
    pairs: list[tuple[int | None, int | None]] = []
    row = column = 0
    while row < true or column < read:
        if row < true and column < read:
            wrong = label[row] != prediction[column]
            if costs[row, column] == costs[row + 1, column + 1] + wrong:
                pairs.append((row, column))
                row, column = row + 1, column + 1
                continue
        if row < true and costs[row, column] == costs[row + 1, column] + 1:
            pairs.append((row, None))
            row += 1
        else:
            pairs.append((None, column))
            column += 1
    return pairs


def most_confused(counts: Int[np.ndarray, "classes classes"], limit: int = 10) -> list[Confused]:
    """Returns the most frequent confusions, most images first.

    Args:
        counts: how many images of each class (row) were taken for each (column).
        limit: most confusions returned; those that never happened are left out.
    """
    errors = counts - np.diag(np.diag(counts))
    order = np.argsort(-errors, axis=None, kind="stable")[:limit]
    pairs = zip(*np.unravel_index(order, errors.shape), strict=True)
    totals = counts.sum(axis=1)
    return [
        Confused(
            int(row),
            int(column),
            int(errors[row, column]),
            float(errors[row, column] / totals[row]),
        )
        for row, column in pairs
        if errors[row, column]
    ]


def log_losses(
    targets: Int[np.ndarray, "n"], probabilities: Float[np.ndarray, "n classes"]
) -> Float[np.ndarray, "n"]:
    """Returns the negative log probability of each image's class, nats.

    A probability of 0 counts as the smallest step above it, as in scikit-learn's `log_loss`.
    """
    chosen = np.take_along_axis(probabilities, targets[:, None], axis=1)[:, 0]
    total = probabilities.sum(axis=1)
    return -np.log(np.clip(chosen / total, np.finfo(probabilities.dtype).eps, 1))


def worst(losses: Float[np.ndarray, "n"], limit: int = 24) -> Int[np.ndarray, "worst"]:
    """Returns the indices of the images with the highest losses, the worst first."""
    return np.argsort(-losses, kind="stable")[:limit]


def pair_gallery(
    targets: Int[np.ndarray, "n"],
    predictions: Int[np.ndarray, "n"],
    confidences: Float[np.ndarray, "n"],
    first: int,
    second: int,
    limit: int = 25,
) -> PairGallery:
    """Returns which images of two classes were read right and which taken for the other.

    Args:
        targets: class of each image.
        predictions: what each was taken for.
        confidences: probability or score of that prediction.
        first: a class.
        second: another class.
        limit: most images of each of the four kinds.
    """

    def read(target: int, prediction: int) -> np.ndarray:
        found = np.flatnonzero((targets == target) & (predictions == prediction))
        return found[np.argsort(-confidences[found], kind="stable")][:limit]

    return PairGallery(
        read(first, first), read(first, second), read(second, first), read(second, second)
    )


def suspected_label_errors(
    targets: Int[np.ndarray, "n"], probabilities: Float[np.ndarray, "n classes"]
) -> Int[np.ndarray, "suspects"]:
    """Returns the indices of images whose label is probably wrong, the most suspicious first.

    An image is confidently of a class if the class's probability is at least the mean over the
    images labelled so. Suspected are the images that are confidently of another class than their
    label's (of several, the most probable counts). The most suspicious has the largest margin of
    another class's probability over its label's.

    Args:
        targets: the labels, which may be wrong.
        probabilities: of each class, from an estimator that was not fitted on the image itself:
            from cross-validation, or of val.

    Source: C. Northcutt, L. Jiang and I. Chuang, Confident learning: estimating uncertainty in
    dataset labels, Journal of Artificial Intelligence Research 70, 2021, equations 1 and 2.
    """
    classes = probabilities.shape[1]
    labelled = np.bincount(targets, minlength=classes)
    own = np.take_along_axis(probabilities, targets[:, None], axis=1)[:, 0]
    thresholds = np.full(classes, np.inf)
    np.divide(
        np.bincount(targets, own.astype(np.float64), classes),
        labelled,
        out=thresholds,
        where=labelled > 0,
    )
    confident = np.where(probabilities >= thresholds, probabilities, -1)
    suspects = np.flatnonzero((confident.max(axis=1) >= 0) & (confident.argmax(axis=1) != targets))
    others = probabilities[suspects].copy()
    others[np.arange(len(suspects)), targets[suspects]] = -1
    return suspects[np.argsort(own[suspects] - others.max(axis=1), kind="stable")]
