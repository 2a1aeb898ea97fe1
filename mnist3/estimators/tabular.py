"""Estimators of tables: the same preparation of columns before each, and the values to search.

A pipeline takes the features as they are in the table, so that it can be scored, searched, saved
and asked about a column of the table like any estimator.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from ml_collections import ConfigDict
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from mnist3 import tasks
from mnist3.config import NETWORK
from mnist3.estimators import registry

RARE_LEVEL = 10  # rows: levels with fewer are one, as are levels never seen in training
MISSING_LEVEL = "missing"
FIXED: Mapping[str, Mapping[str, Any]] = {
    "logistic_regression": {"max_iter": 1_000},
    "gradient_boosting": {"max_iter": 200, "early_stopping": False},
}
GRIDS: Mapping[str, Mapping[str, tuple]] = {
    "logistic_regression": {"C": (0.1, 1.0, 10.0)},
    "decision_tree": {"max_depth": (4, 8, 12), "min_samples_leaf": (5, 20)},
    "random_forest": {"min_samples_leaf": (1, 3), "max_features": ("sqrt", 0.3)},
    "gradient_boosting": {"learning_rate": (0.05, 0.1), "max_leaf_nodes": (8, 15, 31)},
    NETWORK: {"dropout": (0.0, 0.3)},
}


def create_preparation(kinds: Mapping[str, str]) -> ColumnTransformer:
    """Returns what turns the columns of a table into float64 without gaps.

    A numeric column is scaled to mean 0 and standard deviation 1 after its missing values have
    become its median, and gets a column that says where they were. So do the parts of a date, see
    `date_parts`. A categorical column becomes a column a level; a missing value is a level too, and
    rare and unseen levels share one.

    Args:
        kinds: by column, of `mnist3.data.columns.KINDS`.
    """
    numeric, dates, categorical = (
        [name for name, kind in kinds.items() if kind == wanted]
        for wanted in ("numeric", "date", "categorical")
    )
    filled = (
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    return ColumnTransformer(
        [
            ("numeric", make_pipeline(*map(clone, filled)), numeric),
            ("date", make_pipeline(FunctionTransformer(date_parts), *map(clone, filled)), dates),
            (
                "categorical",
                make_pipeline(
                    SimpleImputer(
                        strategy="constant", fill_value=MISSING_LEVEL, keep_empty_features=True
                    ),
                    OneHotEncoder(
                        min_frequency=RARE_LEVEL,
                        handle_unknown="infrequent_if_exist",
                        sparse_output=False,
                    ),
                ),
                categorical,
            ),
        ]
    )


def date_parts(
    days: pd.DataFrame | Float[np.ndarray, "rows columns"],
) -> Float[np.ndarray, "rows parts"]:
    """Returns the parts of dates that may matter: days, month 1-12, weekday 0-6, and hour.

    Args:
        days: from 1970 to each date, the time as fraction; NaN where missing. Monday is weekday 0.

    Returns:
        The days of each column, then the months, weekdays and hours.
    """
    values = np.asarray(days, np.float64)
    dates = np.floor(values)
    known = np.isfinite(values)
    months = np.where(known, dates, 0).astype("datetime64[D]").astype("datetime64[M]")
    month = np.where(known, months.astype(np.int64) % 12 + 1, np.nan)
    weekday = (dates + 3) % 7  # 1 January 1970 was a Thursday
    return np.hstack([values, month, weekday, 24 * (values - dates)])


def create(
    name: str, kinds: Mapping[str, str], task: tasks.Task, parameters: Mapping[str, Any], seed: int
) -> Pipeline:
    """Returns a pipeline of the columns' preparation and an estimator, not fitted.

    Args:
        name: of the estimator, in `mnist3.estimators.registry`.
        kinds: of the columns, see `create_preparation`.
        task: binary or multiclass.
        parameters: of the estimator, before those in `FIXED`.
        seed: of the estimator.
    """
    config = ConfigDict(
        {
            "name": name,
            "parameters": {**FIXED.get(name, {}), **parameters},
            "scale": False,
        }
    )
    estimator = registry.create(config, task, seed)
    return Pipeline([("preparation", create_preparation(kinds)), ("estimator", estimator)])
