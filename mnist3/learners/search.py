"""The search for hyperparameters: grid, random and successive halving, as scikit-learn does it."""

import math

import joblib
import numpy as np
from jaxtyping import Shaped
from ml_collections import ConfigDict
from sklearn.base import BaseEstimator
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  the import enables it
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV

from mnist3.errors import UserError
from mnist3.estimators.registry import parameter_name
from mnist3.learners.cached import CachedEstimator, Inputs


def search(
    estimator: BaseEstimator,
    config: ConfigDict,
    inputs: Inputs,
    targets: Shaped[np.ndarray, "n *outputs"],
    seed: int,
    memory: joblib.Memory,
    scoring: str = "accuracy",
) -> GridSearchCV | RandomizedSearchCV | HalvingGridSearchCV:
    """Returns a search that has tried the config's values by cross-validation, each fit cached.

    The estimator is not fitted again with the best values:
    `clone(estimator).set_params(**search.best_params_)` has them.

    Args:
        estimator: whose parameters are searched for.
        config: a config's section `search`. `method`: grid tries all combinations, random draws
            `iterations` of them, halving tries all on few examples and the better third of them on
            three times as many, again and again. `grid`: values of each parameter, under the
            estimator's own names also where it stands behind a scaler; () leaves a parameter as it
            is. `folds`: unshuffled, and stratified where targets are classes.
        inputs: what to fit to.
        targets: of each input.
        seed: of what is drawn.
        memory: where predictions of fitted estimators are kept.
        scoring: scikit-learn's name of the score to maximise.

    Returns:
        with `best_params_`, `best_score_` and `cv_results_`.

    Raises:
        UserError: for an unknown parameter, or without values to try.
    """
    grid = {
        parameter_name(estimator, name, "config.search.grid"): list(values)
        for name, values in config.grid.items()
        if values
    }
    if not grid:
        raise UserError(
            f"config.search.method={config.method} has no values to try; give them in "
            "config.search.grid, a tuple for each parameter."
        )
    candidate = CachedEstimator(estimator, inputs, memory)
    options = {"scoring": scoring, "cv": config.folds, "refit": False, "error_score": "raise"}
    if config.method == "grid":
        found = GridSearchCV(candidate, grid, **options)
    elif config.method == "random":
        draws = min(config.iterations, math.prod(map(len, grid.values())))
        found = RandomizedSearchCV(candidate, grid, n_iter=draws, random_state=seed, **options)
    else:
        found = HalvingGridSearchCV(
            candidate, grid, random_state=seed, min_resources="exhaust", **options
        )
    return found.fit(inputs.rows, targets)
