"""What fitting and comparing share: from a config and a dataset to what an estimator says of it."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import joblib
import numpy as np
from absl import logging
from jaxtyping import Bool, Float64, Int32, Num, UInt8
from ml_collections import ConfigDict
from sklearn.base import BaseEstimator, clone

from mnist3 import config as configs
from mnist3 import tasks
from mnist3.data import variants
from mnist3.data.dataset import Dataset
from mnist3.data.draws import data_key
from mnist3.data.noise import integer_noise
from mnist3.data.splits import HELD_OUT
from mnist3.errors import UserError
from mnist3.estimators import registry
from mnist3.evaluation import answers, search
from mnist3.evaluation.cached import Inputs
from mnist3.evaluation.classification import classification_metrics
from mnist3.evaluation.denoising import denoise_metrics, squared_errors
from mnist3.jobs import progress
from mnist3.reporting import report
from mnist3.tasks import Task

SIDE = 28  # px, of a digit image
OF_NUMBERS = ("model.", "optimizer.", "training.", "augmentation.", "evaluation.")


class Examples(NamedTuple):
    """The images of a split that take part in a task.

    Attributes:
        images: ink bright on dark.
        digits: on each image.
        features: what the estimator sees, [n, 784] grey levels: of denoise, with noise.
        targets: class 0, 1, ... of each; 0 or 1 for each label; of denoise the pixels.
    """

    images: UInt8[np.ndarray, "n height width"]
    digits: Int32[np.ndarray, "n"]
    features: Num[np.ndarray, "n pixels"]
    targets: Num[np.ndarray, "n *outputs"]


class Candidate(NamedTuple):
    """An estimator with its parameters chosen.

    Attributes:
        estimator: not fitted.
        parameters: those that are not the estimator's defaults, under its own names.
        search_results: what the search tried; None without a search.
        search_seconds: that the search took, 0 without one.
    """

    estimator: BaseEstimator
    parameters: dict[str, Any]
    search_results: dict[str, Any] | None
    search_seconds: float


def create(config: ConfigDict) -> tuple[Task, BaseEstimator]:
    """Returns the task of a config and its estimator, not fitted.

    Raises:
        UserError: if the estimator does not fit the task or has not such a parameter, or the config
            changes what the task's estimators do not look at.
    """
    base = dict(configs.fields(configs.base()))
    for name, value in configs.fields(config):
        if name.startswith(OF_NUMBERS) and value != base[name]:
            raise UserError(
                f"config.{name} is of the task number alone, not of {config.task.name}; set "
                f"config.estimator.parameters.{name.partition('.')[2]} if the estimator has it."
            )
    task = tasks.create(config.task)
    return task, registry.create(config.estimator, task, config.seed)


def changed_parameters(config: ConfigDict) -> dict[str, Any]:
    """Returns the parameters of a config's estimator that are not its defaults."""
    defaults = registry.defaults(config.estimator.name, tasks.create(config.task).kind)
    return {
        name: value
        for name, value in config.estimator.parameters.items()
        if name not in defaults or value != defaults[name]
    }


def split_examples(config: ConfigDict, dataset: Dataset, task: Task) -> dict[str, Examples]:
    """Returns what takes part in a task, by split.

    Training images come with their shifted copies if the config says so. Noise is drawn by the seed
    of the data, once. Flax models take bytes; for scikit-learn's, which would copy bytes again and
    again, grey levels are float32.

    Raises:
        UserError: if a split is not there, or train has one class alone.
    """
    found = {}
    for position, name in enumerate(("train", *HELD_OUT)):
        if name not in dataset.splits or not len(dataset.splits[name]):
            raise UserError(
                f"{dataset.name} has no {name} images here, which the task {task.name} needs; set "
                "config.data.val_fraction above 0."
            )
        split = dataset.splits[name]
        chosen = task.select(split.labels[:, 0])
        images, digits = split.images[chosen], split.labels[chosen, 0]
        if name == "train" and config.data.shifted_copies:
            images = variants.with_shifted_copies(images, len(images))
            digits = np.tile(digits, len(variants.SHIFTS))
        pixels = features = images.reshape(len(images), -1)
        if task.kind == "denoise":
            key = data_key(config.data.seed, position)
            features = features + np.asarray(integer_noise(key, features.shape, task.noise))
            features, targets = features.astype(np.float32), pixels
        else:
            targets = task.targets(digits)
            if config.estimator.name != "flax":
                features = features.astype(np.float32)
        found[name] = Examples(images, digits, features, targets)
    if task.kind in ("multiclass", "binary") and len(np.unique(found["train"].targets)) < 2:
        raise UserError(
            f"the {len(found['train'].targets)} training images are all of one class; raise "
            "config.data.train_limit."
        )
    return found


def choose(
    config: ConfigDict, train: Inputs, targets: np.ndarray, memory: joblib.Memory
) -> Candidate:
    """Returns the config's estimator, its parameters tuned on train if the config says so.

    Raises:
        UserError: if config.search cannot be carried out.
    """
    task, estimator = create(config)
    parameters = changed_parameters(config)
    if config.search.method == "none":
        return Candidate(estimator, parameters, None, 0.0)
    scoring = "neg_root_mean_squared_error" if task.kind == "denoise" else "accuracy"
    started = time.perf_counter()
    with working(config.estimator.name, f"searching parameters of {config.estimator.name}"):
        found = search.search(
            estimator, config.search, train, targets, config.seed, memory, scoring
        )
    best = {name.rpartition("__")[2]: value for name, value in found.best_params_.items()}
    seconds = time.perf_counter() - started
    logging.info(
        "%s: %s in %d folds with %s, the best of %d tried in %.1f s",
        config.estimator.name,
        f"{scoring.replace('_', ' ')} {found.best_score_:.4f}",
        config.search.folds,
        report.settings_text(best),
        len(found.cv_results_["params"]),
        seconds,
    )
    tuned = clone(estimator).set_params(**found.best_params_)
    return Candidate(tuned, parameters | best, found.cv_results_, seconds)


def answer(
    config: ConfigDict,
    task: Task,
    candidate: Candidate,
    train: Inputs,
    examples: Mapping[str, Examples],
    memory: joblib.Memory,
) -> dict[str, answers.Answer]:
    """Returns what an estimator fitted to train says of val and of test; one fit serves both.

    A Flax model comes with it, for pictures of what it looks at.
    """
    name = config.estimator.name
    held_out = Inputs(np.concatenate([examples[split].features for split in HELD_OUT]))
    with working(name, f"{name}, {len(train):,} training images"):
        found, known = answers.ask(
            memory,
            candidate.estimator,
            train,
            examples["train"].targets,
            held_out,
            task,
            keep=name == "flax",
        )
    how = "taken from the cache, which took" if known else "in"
    logging.info("%s fitted to %d images, %s %.1f s", name, len(train), how, found.seconds)
    size = len(examples["val"].targets)
    return {"val": found.of(slice(0, size)), "test": found.of(slice(size, None))}


def measure(task: Task, targets: np.ndarray, said: answers.Answer, seed: int) -> dict[str, Any]:
    """Returns the metrics of a split, under the names of metrics.json."""
    if task.kind == "denoise":
        return denoise_metrics(as_images(targets), as_images(said.predictions), seed)
    scores = said.scores if task.kind == "binary" else None
    return classification_metrics(
        task.kind, targets, said.predictions, said.probabilities, scores, seed
    )


def right(targets: np.ndarray, predictions: np.ndarray) -> Bool[np.ndarray, "n"]:
    """Tells which images an estimator has right: the class, or all labels or pixels."""
    hits = targets == predictions
    return hits if hits.ndim == 1 else hits.all(axis=1)


def outcomes(
    task: Task, targets: np.ndarray, predictions: np.ndarray
) -> Bool[np.ndarray, "n"] | Float64[np.ndarray, "n"]:
    """Returns what estimators are compared by: which images are right.

    Of denoise it is the squared error of each, squared grey levels.
    """
    if task.kind == "denoise":
        return squared_errors(as_images(targets), as_images(predictions))
    return right(targets, predictions)


def as_images(pixels: Num[np.ndarray, "n pixels"]) -> Num[np.ndarray, "n height width"]:
    """Returns rows of pixels as images."""
    return pixels.reshape(-1, SIDE, SIDE)


@contextlib.contextmanager
def working(name: str, what: str) -> Iterator[None]:
    """Tells what takes long, and in one sentence what an estimator does not take.

    Raises:
        UserError: with what the estimator said, if it refuses its parameters or the data.
    """
    try:
        with progress.telling(what):
            yield
    except ValueError as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(
            f"{name} cannot learn this ({reason}); change config.estimator.parameters or the data."
        ) from error


def data_text(task: Task, source: str) -> str:
    """Returns what a task's images are, for the title of a figure."""
    words = {
        "number": "numbers",
        "multiclass": "the ten digits",
        "binary": f"a {task.classes[-1]} or not",
        "pair": " or ".join(task.classes),
        "multilabel": " and ".join(task.classes) + " digits",
        "denoise": "noisy digits",
    }
    return f"{words[task.name]} (source {source})"
