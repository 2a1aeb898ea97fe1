"""The predictions of fitted scikit-learn estimators, in one form whichever the estimator."""

from typing import Any

import numpy as np
import scipy  # whose parts come when they are used: `special` takes a tenth of a second
from jaxtyping import Float

NEARLY_NOTHING = 1e-30  # a probability, also in float32


def last_step(estimator: Any) -> Any:
    """Returns the estimator that learns, which in a pipeline is the last step."""
    return estimator[-1] if hasattr(estimator, "steps") else estimator


def inner_features(estimator: Any, features: Any) -> Any:
    """Returns what the last step of a pipeline sees of features."""
    return estimator[:-1].transform(features) if hasattr(estimator, "steps") else features


def probabilities(
    estimator: Any, features: Any, classes: int
) -> Float[np.ndarray, "n classes"] | None:
    """Returns the probability of each class, 0 of those not seen in training; None if not given."""
    if not hasattr(estimator, "predict_proba"):
        return None
    found = np.asarray(estimator.predict_proba(features))
    sums = found.sum(axis=1, keepdims=True)
    if not np.allclose(sums, 1):  # of float32, some estimators' are off by more than metrics take
        found = found.astype(np.float64) / sums
    if len(estimator.classes_) == classes:
        return found
    every = np.zeros((len(found), classes), found.dtype)
    every[:, estimator.classes_] = found
    return every


def label_probabilities(estimator: Any, features: Any) -> Float[np.ndarray, "n labels"] | None:
    """Returns the probability of a 1 for each label; None if the estimator gives none.

    Scikit-learn's multilabel estimators return an array of two columns for each label, or one
    array; a label that training saw with one value alone has one column.
    """
    if not hasattr(estimator, "predict_proba"):
        return None
    found = estimator.predict_proba(features)
    if isinstance(found, np.ndarray):
        return found
    columns = []
    for values, classes in zip(found, last_step(estimator).classes_, strict=True):
        ones = np.flatnonzero(np.asarray(classes) == 1)
        columns.append(values[:, ones[0]] if len(ones) else np.zeros(len(values)))
    return np.stack(columns, axis=1)


def decisions(estimator: Any, features: Any) -> np.ndarray | None:
    """Returns the decision function, [n] or [n, outputs]; None where there is none."""
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(features))
    return None


def label_decisions(estimator: Any, features: Any) -> Float[np.ndarray, "n labels"] | None:
    """Returns the decision function of each label; None where there is none."""
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(features))
    each_label = getattr(last_step(estimator), "estimators_", [None])
    if all(hasattr(each, "decision_function") for each in each_label):
        inner = inner_features(estimator, features)
        return np.stack([each.decision_function(inner) for each in each_label], axis=1)
    return None


def tempered(
    probabilities: Float[np.ndarray, "n classes"], temperature: float
) -> Float[np.ndarray, "n classes"]:
    """Returns the probabilities of classes whose logits are divided by a temperature.

    A probability of 0 counts as one that is next to it, so that a temperature can mend it.
    """
    return scipy.special.softmax(
        np.log(np.maximum(probabilities, NEARLY_NOTHING)) / temperature, axis=1
    )


def tempered_labels(
    probabilities: Float[np.ndarray, "n labels"], temperature: float
) -> Float[np.ndarray, "n labels"]:
    """Returns the probabilities of a 1 for labels whose logits are divided by a temperature."""
    least = np.finfo(probabilities.dtype).eps
    return scipy.special.expit(
        scipy.special.logit(np.clip(probabilities, least, 1 - least)) / temperature
    )
