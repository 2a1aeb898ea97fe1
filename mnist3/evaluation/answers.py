"""What a fitted estimator says of images that it was not fitted to, worked out once and kept."""

import time
from typing import NamedTuple

import joblib
import numpy as np
from jaxtyping import Float, Num
from sklearn.base import BaseEstimator, clone

from mnist3.estimators import scores
from mnist3.evaluation.cached import Inputs, estimator_key, fingerprint
from mnist3.tasks import Task


class Answer(NamedTuple):
    """What an estimator says of n inputs.

    Attributes:
        predictions: a class, the labels or the pixels of each, [n] or [n, outputs].
        probabilities: of each class or label; None if the estimator gives none.
        scores: higher where it is surer: of the positive class, or of each class or label; None of
            an estimator that gives none, and for denoise.
        seconds: that the fit took when it was made.
        loss_curve: mean training loss of each pass over the data; empty if the estimator has none.
        fitted: the estimator, where it was asked for, else None.
    """

    predictions: Num[np.ndarray, "n *outputs"]
    probabilities: Float[np.ndarray, "n outputs"] | None
    scores: Float[np.ndarray, "n *outputs"] | None
    seconds: float
    loss_curve: tuple[float, ...]
    fitted: BaseEstimator | None

    def of(self, rows: slice) -> "Answer":
        """Returns the answer for some of the inputs."""
        parts = (None if each is None else each[rows] for each in self[:3])
        return Answer(*parts, *self[3:])


def ask(
    memory: joblib.Memory,
    estimator: BaseEstimator,
    train: Inputs,
    targets: Num[np.ndarray, "m *outputs"],
    asked: Inputs,
    task: Task,
    keep: bool = False,
) -> tuple[Answer, bool]:
    """Fits an estimator and asks it, unless that was done before.

    Args:
        memory: where answers are kept.
        estimator: not fitted.
        train: what to fit it to.
        targets: of these; classes are 0, 1, ...
        asked: of what it is asked.
        task: that it is for.
        keep: whether to keep the fitted estimator too, which may be larger than the data.

    Returns:
        the answer, and whether it was known.
    """
    arguments = (
        estimator_key(estimator),
        (train.fingerprint, fingerprint(targets), asked.fingerprint),
        task.kind,
        len(task.classes),
        keep,
    )
    values = {"estimator": estimator, "train": train, "targets": targets, "asked": asked}
    fit = memory.cache(_fit_and_ask, ignore=list(values))
    known = memory.location is not None and fit.check_call_in_cache(*arguments, **values)
    return fit(*arguments, **values), known


def _fit_and_ask(
    estimator_key: str,
    data_keys: tuple[str, str, str],
    kind: str,
    classes: int,
    keep: bool,
    *,
    estimator: BaseEstimator,
    train: Inputs,
    targets: np.ndarray,
    asked: Inputs,
) -> Answer:
    """Fits and asks; the first five arguments are what joblib remembers it by."""
    started = time.perf_counter()
    fitted = clone(estimator).fit(train.values, targets)
    seconds = time.perf_counter() - started
    rest = (
        seconds,
        tuple(getattr(scores.last_step(fitted), "loss_curve_", ())),
        fitted if keep else None,
    )
    predictions = np.asarray(fitted.predict(asked.values))
    if kind == "denoise":
        predictions = np.clip(np.rint(predictions), 0, 255).astype(np.uint8)
        return Answer(predictions, None, None, *rest)
    probabilities = scores.probabilities(fitted, asked.values, kind)
    ranks = scores.decision_scores(fitted, asked.values, kind)
    if probabilities is not None and kind != "multilabel" and len(fitted.classes_) < classes:
        seen = probabilities
        probabilities = np.zeros((len(seen), classes), seen.dtype)
        probabilities[:, fitted.classes_] = seen
    return Answer(predictions.astype(np.int32), probabilities, ranks, *rest)
