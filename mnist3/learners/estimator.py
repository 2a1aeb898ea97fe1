"""Scikit-learn's estimators as learners: what they predict is worked out once and kept.

A fit that another run made is taken from the cache, which keeps predictions and not estimators: a
forest, or the nearest neighbours, who are the data, may be larger than the data. The estimator
itself is fitted again where it has to be saved.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import joblib
import numpy as np
import sklearn
from absl import logging
from jaxtyping import Float
from ml_collections import ConfigDict
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import cross_val_predict
from threadpoolctl import threadpool_limits

from mnist3.errors import EstimatorError, UserError, comes_from
from mnist3.estimators import registry
from mnist3.evaluation.calibration import UNCALIBRATED, Calibrator
from mnist3.evaluation.words import settings_text
from mnist3.files import FITTING_FILE, MODEL_FILE, read_json, write_json
from mnist3.learners import calibrated, progress, workers
from mnist3.learners.cached import (
    CachedEstimator,
    Inputs,
    estimator_key,
    fingerprint,
    predictions_version,
)
from mnist3.learners.learned import NetworkView
from mnist3.learners.saved import load_estimator, save_estimator
from mnist3.learners.search import search
from mnist3.learners.tuned import plain_results
from mnist3.tasks import Examples, Predictions, Task
from mnist3.tasks.estimated import last_step

OLD_MODEL_FILE = "model.joblib"  # of older runs: a pickle
SKLEARN = os.path.dirname(sklearn.__file__)
OF_ARRAYS = ("utils/multiclass.py", "utils/validation.py")  # what there checks shapes and types
SMALL = 10_000  # training rows; below, OpenMP's threads wait for each other longer than they work


class Fit(NamedTuple):
    """What the cache keeps of a fit.

    Attributes:
        predictions: of the inputs that were asked about.
        seconds: that the fit took when it was made.
        loss_curve: mean training loss of each pass over the data; empty without.
    """

    predictions: Predictions
    seconds: float
    loss_curve: tuple[float, ...]


class Choice(NamedTuple):
    """What a search chose.

    Attributes:
        parameters: the best, under the names that the estimator's `set_params` takes.
        results: scikit-learn's `cv_results_`.
        seconds: that the search took.
    """

    parameters: dict[str, Any]
    results: dict[str, Any]
    seconds: float

    @property
    def settings(self) -> dict[str, Any]:
        """The best parameters under their own names, whatever the estimator stands behind."""
        return {path.rpartition("__")[2]: value for path, value in self.parameters.items()}


@dataclasses.dataclass
class Estimator:
    """A fitted estimator; see `mnist3.learners.learned.Learned`.

    Attributes:
        task: that was learned.
        name: of the estimator in the registry.
        parameters: its settings that are not its defaults, those that a search chose among them.
        training: the entry `train` of metrics.json.
        search_results: what the search tried; None without one.
        loss_curve: mean training loss of each pass over the data; empty without.
        unfitted: the estimator with its settings.
        train: what it is fitted to; None of one that was loaded.
        fitted: the estimator; None as long as the cache has what it predicts.
        known: predictions that the cache has, by the fingerprint of their inputs.
        extra: plain data saved beside the estimator.
        calibrator: of its confidence.
    """

    task: Task
    name: str
    parameters: dict[str, Any]
    training: dict[str, Any]
    search_results: dict[str, Any] | None
    loss_curve: Sequence[float]
    unfitted: BaseEstimator
    train: Examples | None
    fitted: BaseEstimator | None
    known: dict[str, Predictions]
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    calibrator: Calibrator = UNCALIBRATED

    history = ()

    def trained_on(self) -> Examples:
        """Returns the training examples; one that was loaded has none, and is fitted."""
        if self.train is None:
            raise ValueError(f"{self.name} was loaded and has no training examples")
        return self.train

    def fit(self) -> BaseEstimator:
        """Returns the fitted estimator, which is fitted now if the cache had its predictions."""
        if self.fitted is None:
            train = self.trained_on()
            with working(self.name, f"{self.name}, {len(train.targets):,} training examples"):
                features = features_of(train.inputs, self.unfitted)
                self.fitted = clone(self.unfitted).fit(features, flat(train.targets))
        return self.fitted

    def raw(self, inputs: Any) -> Predictions:
        """Returns the predictions of images or rows as the estimator gives them."""
        features = features_of(inputs, self.unfitted)
        key = fingerprint(features)
        if key not in self.known:
            return self.task.of_estimator(self.fit(), features)
        return self.known[key]

    def decode(
        self, raw: Predictions, targets: Any = None, temperature: float = 1.0
    ) -> Predictions:
        """Returns raw predictions at a temperature."""
        del targets
        if temperature == 1 or raw.probabilities is None:
            return raw
        return self.task.tempered(raw, temperature)

    def log_likelihoods(
        self, raw: Predictions, targets: np.ndarray, temperature: float
    ) -> Float[np.ndarray, "n"]:
        """Returns how probable raw predictions make the targets, nats."""
        return -self.task.losses(targets, self.decode(raw, temperature=temperature))

    def predict(self, inputs: Any, targets: Any = None) -> Predictions:
        """Returns the calibrated predictions of images or rows."""
        return calibrated.predict(self, inputs, targets)

    def save(self, folder: str) -> None:
        """Saves the fitted estimator; one that the cache spared fitting may be there already."""
        calibrated.save(folder, self.calibrator)
        path = os.path.join(folder, MODEL_FILE)
        if self.fitted is None and os.path.exists(path):
            return
        content = {
            "estimator": self.fit(),
            "name": self.name,
            "parameters": self.parameters,
            "loss_curve": list(self.loss_curve),
            **self.extra,
        }
        times = {  # apart, so that the same command gives the same model
            "training": self.training,
            "search_results": plain_results(self.search_results),
        }
        write_json(os.path.join(folder, FITTING_FILE), times, default=str)
        save_estimator(path, content)

    def network(self, inputs: np.ndarray) -> NetworkView | None:
        """Returns the network behind scikit-learn's interface, if it sees images."""
        fitted = last_step(self.fit()) if hasattr(last_step(self.unfitted), "network") else None
        if fitted is None:
            return None
        view = NetworkView(*fitted.network(features_of(inputs, self.unfitted)))
        return view if view.inputs.ndim == 3 else None


def learn(
    config: ConfigDict,
    task: Task,
    estimator: BaseEstimator,
    examples: dict[str, Examples],
    memory: joblib.Memory,
) -> Estimator:
    """Returns an estimator fitted to train, its settings searched there first if need be.

    Args:
        config: with the sections learner and search, and a seed.
        task: to learn.
        estimator: not fitted.
        examples: of train, and of what is held out.
        memory: where predictions are kept.

    Raises:
        UserError: if the estimator refuses its settings or the data.
    """
    name, train = config.learner.name, examples["train"]
    inputs = Inputs(features_of(train.inputs, estimator))
    targets = flat(train.targets)
    chosen, results, search_seconds = changed_parameters(config, task), None, 0.0
    if config.search.method != "none":
        choice = choose(config, task, estimator, inputs, targets, memory)
        estimator = clone(estimator).set_params(**choice.parameters)
        chosen |= choice.settings
        results, search_seconds = choice.results, choice.seconds
    parts = {
        split: features_of(each.inputs, estimator)
        for split, each in examples.items()
        if split != "train"
    }
    asked = Inputs(_joined(list(parts.values())))
    with working(name, f"{name}, {len(inputs):,} training examples"):
        fit, fitted = _fit(memory, task, estimator, inputs, targets, asked)
    how = "taken from the cache, which took" if fitted is None else "in"
    logging.info("%s fitted to %d examples, %s %.1f s", name, len(inputs), how, fit.seconds)
    known, start = {}, 0
    for features in parts.values():
        rows = slice(start, start := start + len(features))
        known[fingerprint(features)] = fit.predictions.of(rows)
    return Estimator(
        task=task,
        name=name,
        parameters=chosen,
        training={"n": len(inputs), "seconds": fit.seconds, "search_seconds": search_seconds},
        search_results=results,
        loss_curve=fit.loss_curve,
        unfitted=estimator,
        train=train,
        fitted=fitted,
        known=known,
    )


def load(task: Task, folder: str, allow_pickle: bool = False) -> Estimator:
    """Returns the estimator of a run.

    Args:
        task: that it learned.
        folder: workdir of the run.
        allow_pickle: whether to read the model of an older run, a pickle that can run any code.

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    content = load_model(folder, allow_pickle)
    fitted = content.pop("estimator")
    saved = {name: content.pop(name) for name in ("name", "parameters", "loss_curve")}
    try:
        times = read_json(os.path.join(folder, FITTING_FILE))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder} has no {FITTING_FILE} that can be read ({error}); put the file back, or "
            "train anew in another --workdir."
        ) from error
    return Estimator(
        task=task,
        **saved,
        **times,
        unfitted=fitted,
        train=None,
        fitted=fitted,
        known={},
        extra=content,
        calibrator=calibrated.read(folder),
    )


def load_model(folder: str, allow_pickle: bool = False) -> dict[str, Any]:
    """Returns the content of the model file of a run.

    Args:
        folder: workdir of the run.
        allow_pickle: whether to read the model of an older run, a pickle that can run any code.

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    path, old = (os.path.join(folder, name) for name in (MODEL_FILE, OLD_MODEL_FILE))
    try:
        return load_estimator(path if os.path.exists(path) else old, allow_pickle)
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} holds no {MODEL_FILE}; give --workdir the folder of a finished run."
        ) from error


def held_out_predictions(learned: Estimator, folds: int, memory: joblib.Memory) -> np.ndarray:
    """Returns what the estimator predicts of each training example when its fold is left out.

    Folds are stratified where targets are classes, and not shuffled.
    """
    train = learned.trained_on()
    inputs = Inputs(features_of(train.inputs, learned.unfitted))
    cached = CachedEstimator(learned.unfitted, inputs, memory)
    with working(learned.name, f"{learned.name} in {folds} folds"), fitting(learned.unfitted):
        predicted = cross_val_predict(cached, inputs.rows, flat(train.targets), cv=folds)
    return predicted.reshape(len(predicted), *np.shape(train.targets)[1:])


def features_of(inputs: Any, estimator: BaseEstimator) -> Any:
    """Returns inputs as an estimator takes them: images as rows of pixels, tables as they are.

    Networks take bytes; for scikit-learn's own, which would copy bytes again and again, and for
    grey levels above 255, it is float32.
    """
    if not isinstance(inputs, np.ndarray):
        return inputs
    pixels = inputs.reshape(len(inputs), -1)
    takes_bytes = hasattr(last_step(estimator), "network") and pixels.dtype == np.uint8
    return pixels if takes_bytes else pixels.astype(np.float32)


def flat(targets: np.ndarray) -> np.ndarray:
    """Returns targets as estimators take them: images as rows of pixels."""
    return targets.reshape(len(targets), -1) if targets.ndim > 2 else targets


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import pandas as pd

    return pd.concat(parts)


def choose(
    config: ConfigDict,
    task: Task,
    estimator: BaseEstimator,
    inputs: Inputs,
    targets: np.ndarray,
    memory: joblib.Memory,
) -> Choice:
    """Returns what cross-validation finds best for an estimator, a network or another, and logs it.

    Args:
        config: with the sections learner and search, and a seed.
        task: to learn.
        estimator: not fitted.
        inputs: of train.
        targets: of each input.
        memory: where predictions are kept.

    Raises:
        UserError: if there is nothing to search, or the estimator refuses its settings or the data.
    """
    name = config.learner.name
    started = time.perf_counter()
    with (
        working(name, f"searching settings of {name}"),
        few_threads(len(inputs)),
        fitting(estimator),
    ):
        found = search(estimator, config.search, inputs, targets, config.seed, memory, task.scoring)
    choice = Choice(found.best_params_, found.cv_results_, time.perf_counter() - started)
    logging.info(
        "%s: %s in %d folds with %s, the best of %d tried in %.1f s",
        name,
        f"{task.scoring.replace('_', ' ')} {found.best_score_:.4f}",
        config.search.folds,
        settings_text(choice.settings),
        len(choice.results["params"]),
        choice.seconds,
    )
    return choice


def changed_parameters(config: ConfigDict, task: Task) -> dict[str, Any]:
    """Returns the parameters of a config's estimator that are not its defaults."""
    parameters = config.learner.get("parameters", {})
    defaults = registry.defaults(config.learner.name, task)
    return {
        name: value
        for name, value in parameters.items()
        if name not in defaults or value != defaults[name]
    }


def few_threads(rows: int) -> contextlib.AbstractContextManager:
    """Keeps OpenMP to one thread where there are few rows."""
    return threadpool_limits(1, "openmp") if rows < SMALL else contextlib.nullcontext()


def fitting(estimator: BaseEstimator) -> contextlib.AbstractContextManager:
    """Keeps networks in this process, where scikit-learn's may be fitted by a cluster."""
    network = hasattr(last_step(estimator), "network")
    return workers.here() if network else contextlib.nullcontext()


def _fit(
    memory: joblib.Memory,
    task: Task,
    estimator: BaseEstimator,
    train: Inputs,
    targets: np.ndarray,
    asked: Inputs,
) -> tuple[Fit, BaseEstimator | None]:
    """Returns what a fit gives, from the cache if it is there, and the estimator if it is not."""
    made: list[BaseEstimator] = []
    values = {
        "estimator": estimator,
        "train": train,
        "targets": targets,
        "asked": asked,
        "task": task,
        "made": made,
    }
    key = (
        estimator_key(estimator),
        (train.fingerprint, fingerprint(targets), asked.fingerprint),
        (type(task).__name__, len(task.classes), predictions_version()),
    )
    fit = memory.cache(_fit_and_predict, ignore=list(values))(*key, **values)
    return fit, made[0] if made else None


def _fit_and_predict(
    estimator_key: str,
    data_keys: tuple[str, str, str],
    task_key: tuple[str, int, str],
    *,
    estimator: BaseEstimator,
    train: Inputs,
    targets: np.ndarray,
    asked: Inputs,
    task: Task,
    made: list[BaseEstimator],
) -> Fit:
    """Fits and predicts; the first three arguments are what joblib remembers it by."""
    started = time.perf_counter()
    fitted = clone(estimator).fit(train.values, targets)
    seconds = time.perf_counter() - started
    made.append(fitted)
    curve = tuple(map(float, getattr(last_step(fitted), "loss_curve_", ())))
    return Fit(task.of_estimator(fitted, asked.values), seconds, curve)


@contextlib.contextmanager
def working(name: str, what: str) -> Iterator[None]:
    """Tells what takes long, and in one sentence what an estimator does not take.

    Raises:
        UserError: with the estimator's reason, if it refuses its settings or the data; that it was
            handed arrays of a wrong shape or type is neither's fault.
    """
    try:
        with progress.telling(what):
            yield
    except ValueError as error:
        if not (isinstance(error, EstimatorError) or comes_from(error, SKLEARN, OF_ARRAYS)):
            raise  # a fault of ours, which the user's data are not to be blamed for
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(
            f"{name} cannot learn this ({reason}); change config.learner.parameters or the data."
        ) from error
