"""The data of the textbook study, and what several of its steps rest on. Every fit is cached."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
from jaxtyping import Float, Int, Int32, UInt8
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from mnist3.data import variants
from mnist3.evaluation.cached import CachedEstimator, Inputs, MadeInputs

DIGIT = 5
LARGE = 7  # the smallest digit that counts as large
NOISE = 99  # the largest integer added to a pixel
FOLDS, SEARCH_FOLDS = 3, 5
SEARCH_IMAGES = 10_000
FEWEST_IMAGES = 100  # with which every fold has every digit
GRID = {"weights": ["uniform", "distance"], "n_neighbors": [3, 4, 5, 6]}


class Study:
    """The data of a study, and the answers that several steps rest on.

    Args:
        images: digit images, those of the test split last.
        labels: the digit on each.
        test: how many belong to the test split.
        fingerprint: of images and labels.
        seed: of every estimator that draws at random.
        memory: where answers of fitted estimators are kept.
    """

    def __init__(
        self,
        images: UInt8[np.ndarray, "n 28 28"],
        labels: Int32[np.ndarray, "n"],
        test: int,
        fingerprint: str,
        seed: int,
        memory: joblib.Memory,
    ):
        self.images, self.labels = images, labels
        self.size = len(images) - test
        self.fingerprint = fingerprint
        self.seed = seed
        self.memory = memory
        self.train_labels, self.test_labels = labels[: self.size], labels[self.size :]
        self.is_digit = self.train_labels == DIGIT
        self.pixels = self._made(variants.pixels, self.images)
        self.inked = self._made(variants.inked, self.images[: self.size])
        self.scaled = self._made(variants.standardised, self.images[: self.size])

    @property
    def rows(self) -> Int[np.ndarray, "train"]:
        """The numbers of the training images."""
        return np.arange(self.size)

    @property
    def test_rows(self) -> Int[np.ndarray, "test"]:
        """The numbers of the test images."""
        return np.arange(self.size, len(self.images))

    @functools.cached_property
    def large_and_odd(self) -> Int[np.ndarray, "train 2"]:
        """Whether a training image is large, and whether it is odd."""
        return np.stack([self.train_labels >= LARGE, self.train_labels % 2 == 1], axis=1).astype(
            np.int64
        )

    def cached(
        self,
        estimator: BaseEstimator,
        answers: tuple[str, ...] = ("predict",),
        inputs: Inputs | None = None,
    ) -> CachedEstimator:
        """Returns an estimator over row numbers whose answers are kept."""
        return CachedEstimator(estimator, inputs or self.pixels, self.memory, answers)

    def sgd(self, inputs: Inputs | None = None) -> CachedEstimator:
        """Returns the linear SVM that most steps are about; its ten classes take all cores.

        Args:
            inputs: of the training images; their pixels if not given.
        """
        return self.cached(
            SGDClassifier(random_state=self.seed, n_jobs=-1),
            ("predict", "decision_function"),
            inputs or self.inked,
        )

    def detector_scores(self) -> Float[np.ndarray, "train"]:
        """Returns the scores that the SGD detector gives images it was not fitted to."""
        return self.held_out(self.sgd(), self.is_digit, "decision_function")

    def held_out(
        self, estimator: CachedEstimator, targets: np.ndarray, method: str = "predict"
    ) -> np.ndarray:
        """Returns what an estimator says of training images that it was not fitted to.

        All folds are fitted side by side, so that no core waits for the slowest class of one.
        """
        with joblib.parallel_config(backend="threading"):
            return cross_val_predict(
                estimator, self.rows, targets, cv=FOLDS, method=method, n_jobs=FOLDS
            )

    def held_out_and_first(
        self, estimator: CachedEstimator, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the scores of `held_out`, and those of the first image by a fit to all."""
        fitted = clone(estimator).fit(self.rows, targets)
        with ThreadPoolExecutor(1) as beside:
            first = beside.submit(fitted.decision_function, self.rows[:1])
            return self.held_out(estimator, targets, "decision_function"), first.result()

    def best_neighbours(self) -> GridSearchCV:
        """Returns the search for the parameters of the nearest neighbours."""
        few = self.rows[:SEARCH_IMAGES]
        search = GridSearchCV(
            self.cached(KNeighborsClassifier()),
            GRID,
            scoring="accuracy",
            cv=SEARCH_FOLDS,
            refit=False,
        )
        return search.fit(few, self.train_labels[few])

    def with_copies(self) -> tuple[MadeInputs, Int32[np.ndarray, "five_n"]]:
        """Returns the training images with their shifted copies, then test; and train's labels."""
        sets = len(variants.SHIFTS)
        make = functools.partial(variants.moved_pixels, self.images, self.size)
        inputs = self._inputs(make, sets * self.size + len(self.test_labels))
        return inputs, np.tile(self.train_labels, sets)

    def noisy(self) -> MadeInputs:
        """Returns all images with noise on every pixel."""
        make = functools.partial(variants.noisy, self.images, NOISE, self.seed)
        return self._inputs(make, len(self.images), NOISE, self.seed)

    def _made(self, make: Callable, images: np.ndarray) -> MadeInputs:
        return self._inputs(functools.partial(make, images), len(images))

    def _inputs(self, make: functools.partial, length: int, *parts: Any) -> MadeInputs:
        return MadeInputs(make, length, (self.fingerprint, self.size, length, *parts))
