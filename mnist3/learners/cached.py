"""Fits that are made once: scikit-learn's own tools over estimators that remember.

A study fits dozens of estimators to the same large arrays. Here the inputs are hashed once, and
whoever splits or searches handles their row numbers alone. What is kept on the disk are the
predictions of some rows, not the fitted estimator, which may be larger than the data (a forest, or
the nearest neighbours, who are the data). So

    inputs = Inputs(images)
    estimator = CachedEstimator(KNeighborsClassifier(), inputs, joblib.Memory(folder))
    cross_val_score(estimator, inputs.rows, labels, cv=3)

fits three times at first and never again, an interrupted study goes on with the first fit that is
missing, and `cross_val_predict`, `GridSearchCV` and the others work alike.

Joblib throws a function's results away where it finds other code of the function. Two checkouts of
this package may share a cache, so each version of the code that fits has a folder of its own there.
"""

import functools
import hashlib
import importlib.metadata
import inspect
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import joblib
import numpy as np
from jaxtyping import Int, Shaped
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing
from sklearn.utils.metaestimators import available_if

from mnist3.learners.cache_size import fits_folder

METHODS = ("predict", "predict_proba", "decision_function")
_PACKAGE = pathlib.Path(__file__).parent.parent
_LIBRARIES = ("scikit-learn", "numpy", "scipy")
_OWN_LIBRARIES = ("jax", "jaxlib", "flax", "optax")  # besides, of this package's estimators
_ESTIMATORS_REST_ON = (
    "config.py",
    "data",
    "estimators",
    "models",
    "ops",
    "tasks",
    "training",
    "varied.py",
)
_PREDICTIONS_REST_ON = ("learners/estimator.py", "tasks")
_FITS_REST_ON = ("learners/cached.py", "learners/estimator.py")  # where cached functions stand


class Inputs:
    """Inputs of estimators, known by a hash of their values that is computed once.

    Attributes:
        values: an array or a table, one row an example. It must not be changed any more.
        fingerprint: hash of the values, their type and shape, in hex.
        rows: the numbers of all rows.
    """

    def __init__(self, values: Any):
        self.values = values
        self.fingerprint = fingerprint(values)
        self.rows = np.arange(len(values))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Int[np.ndarray, "rows"]) -> Any:
        return _safe_indexing(self.values, rows)

    def __deepcopy__(self, memo: dict) -> "Inputs":
        return self  # scikit-learn copies what an estimator holds whenever it clones it


class MadeInputs(Inputs):
    """Inputs that are made from others, and not before a fit needs them.

    They are known by what they are made from and by the code of the module that makes them.

    Args:
        make: makes the values.
        length: how many rows these have.
        parts: what all values follow from: fingerprints, and other arguments of `make`.
    """

    def __init__(self, make: Callable[[], Any], length: int, parts: Sequence[Any]):
        self._make = make
        self._length = length
        inner = make.func if isinstance(make, functools.partial) else make
        module: Any = inspect.getmodule(inner)
        code = inspect.getsource(module)
        self.fingerprint = joblib.hash((inner.__qualname__, code, *parts))
        self.rows = np.arange(length)

    @functools.cached_property
    def values(self) -> Any:
        """The values, made at the first use."""
        return self._make()

    def __len__(self) -> int:
        return self._length

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the values, which who gets it makes again: they are larger than the rest."""
        return {name: part for name, part in self.__dict__.items() if name != "values"}


def fits_cache() -> joblib.Memory:
    """Returns where jobs keep predictions of fitted estimators: in the user's cache folder."""
    every = joblib.Memory(fits_folder(), verbose=0)
    version = _code_version(_FITS_REST_ON)[:12]
    # Below the folder of all, so that its size is that of the versions together.
    return joblib.Memory(os.path.join(every.store_backend.location, version), verbose=0)


def fingerprint(values: Any) -> str:
    """Returns a hash of an array's or a table's values, in hex; a gigabyte takes about a second."""
    if not isinstance(values, np.ndarray) or values.dtype.hasobject:
        return joblib.hash(values)
    digest = hashlib.sha256(f"{values.dtype.str}{values.shape}".encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


class CachedEstimator(MetaEstimatorMixin, BaseEstimator):
    """An estimator over row numbers that is fitted only if its predictions are not yet known.

    `fit` remembers rows and targets; predictions then come from the cache, or the estimator is
    fitted. Parameters are those of the estimator inside. What was remembered is
    forgotten when the estimator's parameters, the inputs, the targets, scikit-learn, NumPy or
    SciPy change, and for estimators of this package also when its code, JAX, Flax, Optax, the
    devices or the precision of matrix products do.

    Args:
        estimator: the estimator inside, not fitted.
        inputs: what the rows are numbers of.
        memory: where predictions are kept; `joblib.Memory(None)` keeps none.
        methods: of `METHODS`, those that will be called with the same rows, so that one fit serves
            them all.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        inputs: Inputs,
        memory: joblib.Memory,
        methods: Sequence[str] = ("predict",),
    ):
        self.estimator = estimator
        self.inputs = inputs
        self.memory = memory
        self.methods = methods

    def fit(
        self, rows: Int[np.ndarray, "rows"], targets: Shaped[np.ndarray, "rows *outputs"]
    ) -> "CachedEstimator":
        """Remembers what to fit the estimator to.

        Args:
            rows: numbers of the rows to fit it to.
            targets: of these rows.
        """
        self.rows_ = rows
        self.targets_ = targets
        if targets.ndim == 1:
            self.classes_ = np.unique(targets)
        return self

    def predict(self, rows: Int[np.ndarray, "rows"]) -> np.ndarray:
        """Returns what the estimator predicts for rows."""
        return self._call("predict", rows)

    @available_if(lambda self: hasattr(self.estimator, "predict_proba"))
    def predict_proba(self, rows: Int[np.ndarray, "rows"]) -> np.ndarray:
        """Returns the estimator's probabilities of the classes of rows."""
        return self._call("predict_proba", rows)

    @available_if(lambda self: hasattr(self.estimator, "decision_function"))
    def decision_function(self, rows: Int[np.ndarray, "rows"]) -> np.ndarray:
        """Returns the estimator's scores of rows."""
        return self._call("decision_function", rows)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Returns the parameters of the estimator inside."""
        return self.estimator.get_params(deep)

    def set_params(self, **parameters: Any) -> "CachedEstimator":
        """Sets parameters of the estimator inside."""
        self.estimator.set_params(**parameters)
        return self

    def __sklearn_clone__(self) -> "CachedEstimator":
        return CachedEstimator(clone(self.estimator), self.inputs, self.memory, self.methods)

    def __sklearn_tags__(self):
        return self.estimator.__sklearn_tags__()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "rows_")

    def _call(self, method: str, rows: Int[np.ndarray, "rows"]) -> np.ndarray:
        methods = self.methods if method in self.methods else (method,)
        # `cross_val_score` leaves a detector's targets booleans, `cross_val_predict` makes them
        # integers; the fit is the same.
        whole = self.targets_.ndim == 1 and self.targets_.dtype.kind in "biu"
        targets = self.targets_.astype(np.int64) if whole else self.targets_
        predict = self.memory.cache(_predictions, ignore=["estimator", "inputs", "rows", "asked"])
        with warnings.catch_warnings():  # threads of scikit-learn may leave the filters empty
            predictions = predict(
                estimator_key(self.estimator),
                self.inputs.fingerprint,
                (fingerprint(self.rows_), fingerprint(targets), fingerprint(rows)),
                tuple(methods),
                estimator=self.estimator,
                inputs=self.inputs,
                rows=(self.rows_, targets),
                asked=rows,
            )[method]
        if whole and method == "predict":
            return predictions.astype(self.targets_.dtype)
        return predictions


def estimator_key(estimator: BaseEstimator) -> str:
    """Returns a hash of all that decides what an estimator learns from given data, in hex.

    How many cores it may use and how much it prints do not count.
    """
    alike = clone(estimator)
    parts = {"": alike, **alike.get_params(deep=True)}
    alike.set_params(
        **{
            name: default
            for name in parts
            for ending, default in (("n_jobs", None), ("verbose", 0))
            if name.split("__")[-1] == ending
        }
    )
    own = any(type(part).__module__.startswith("mnist3.") for part in parts.values())
    libraries = _LIBRARIES + _OWN_LIBRARIES * own
    versions = [(name, importlib.metadata.version(name)) for name in libraries]
    if not own:
        return joblib.hash((alike, versions, ""))
    return joblib.hash((alike, versions, _devices(), _code_version(_ESTIMATORS_REST_ON)))


def predictions_version() -> str:
    """Returns a hash of the code between fitted estimators and a task's predictions, in hex."""
    return _code_version(_PREDICTIONS_REST_ON)


def _devices() -> tuple[Any, ...]:
    """Returns what a network's batches and sums depend on, besides its code."""
    kind = jax.devices()[0].device_kind
    precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]  # JAX adds it
    return jax.default_backend(), kind, jax.device_count(), precision


def _code_version(names: Sequence[str]) -> str:
    """Returns a hash of the modules and packages of these names below the package."""
    digest = hashlib.sha256()
    for name in names:
        path = _PACKAGE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(_PACKAGE)}:".encode() + file.read_bytes())
    return digest.hexdigest()


def _predictions(
    estimator_key: str,
    inputs_key: str,
    row_keys: tuple[str, str, str],
    methods: tuple[str, ...],
    *,
    estimator: BaseEstimator,
    inputs: Inputs,
    rows: tuple[np.ndarray, np.ndarray],
    asked: np.ndarray,
) -> dict[str, np.ndarray]:
    """Fits and predicts; the first four arguments are what joblib remembers it by."""
    train, targets = rows
    fitted = clone(estimator).fit(inputs[train], targets)
    held_out = inputs[asked]
    return {method: getattr(fitted, method)(held_out) for method in methods}
