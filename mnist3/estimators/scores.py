"""What estimators say about images, in one form whichever estimator says it."""

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator
from sklearn.multiclass import OneVsOneClassifier
from sklearn.pipeline import Pipeline

from mnist3.errors import UserError


def probabilities(
    estimator: BaseEstimator, features: np.ndarray, kind: str
) -> Float[np.ndarray, "n classes"] | None:
    """Returns the probability of each class, or of a 1 for each label; None if not estimated.

    Scikit-learn's multilabel estimators return an array of two columns for each label, or one
    array; a label that training saw with one value alone has one column.

    Args:
        estimator: fitted, of classes or labels.
        features: [n, d].
        kind: of the task: `multiclass`, `binary` or `multilabel`.
    """
    if not hasattr(estimator, "predict_proba"):
        return None
    found = estimator.predict_proba(features)
    if kind != "multilabel" or isinstance(found, np.ndarray):
        return np.asarray(found)
    columns = []
    for values, classes in zip(found, _label_classes(estimator), strict=True):
        ones = np.flatnonzero(np.asarray(classes) == 1)
        columns.append(values[:, ones[0]] if len(ones) else np.zeros(len(values)))
    return np.stack(columns, axis=1)


def decision_scores(
    estimator: BaseEstimator, features: np.ndarray, kind: str
) -> Float[np.ndarray, "n"] | Float[np.ndarray, "n outputs"] | None:
    """Returns what ranks images: larger for a class or a label means more of it.

    It is the decision function where there is one, else the probability.

    Args:
        estimator: fitted, of classes or labels.
        features: [n, d].
        kind: of the task; `binary` gives [n], for the second class, the others [n, outputs].
    """
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(features))
    last = last_step(estimator)
    if kind == "multilabel" and hasattr(last, "estimators_"):
        inner = features if last is estimator else estimator[:-1].transform(features)
        if all(hasattr(each, "decision_function") for each in last.estimators_):
            return np.stack([each.decision_function(inner) for each in last.estimators_], axis=1)
    found = probabilities(estimator, features, kind)
    return found[:, 1] if found is not None and kind == "binary" else found


def pairwise(estimator: BaseEstimator, features: np.ndarray) -> Float[np.ndarray, "n pairs"]:
    """Returns the score of each pair of classes, 45 for ten: above 0 for the second of the pair.

    The pairs are in the order (0, 1), (0, 2), ... (8, 9).

    Args:
        estimator: a fitted svc_ovo.
        features: [n, d].

    Raises:
        UserError: if the estimator is another.
    """
    last = last_step(estimator)
    if not isinstance(last, OneVsOneClassifier):
        raise UserError("pairwise scores are those of config.estimator.name=svc_ovo; choose it.")
    inner = features if last is estimator else estimator[:-1].transform(features)
    return np.stack([each.decision_function(inner) for each in last.estimators_], axis=1)


def last_step(estimator: BaseEstimator) -> BaseEstimator:
    """Returns the estimator that learns, which in a pipeline is the last step."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def _label_classes(estimator: BaseEstimator) -> list[np.ndarray]:
    last = last_step(estimator)
    return last.classes_
