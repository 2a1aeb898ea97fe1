"""The scores of each pair of classes, which a one-against-one classifier gives."""

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator
from sklearn.multiclass import OneVsOneClassifier

from mnist3.errors import UserError
from mnist3.tasks.estimated import inner_features, last_step


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
        raise UserError("pairwise scores are those of config.learner.name=svc_ovo; choose it.")
    inner = inner_features(estimator, features)
    return np.stack([each.decision_function(inner) for each in last.estimators_], axis=1)
