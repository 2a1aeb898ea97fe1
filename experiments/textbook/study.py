"""The data of the study, and the fits that several of its steps share. Every fit is cached.

Estimators take row numbers in place of pixels, see `mnist3.learners.cached`: their predictions
are then looked up by what they are fitted to and asked for, and only fitted where that is new.
"""

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
from mnist3.learners import workers
from mnist3.learners.cached import CachedEstimator, Inputs, MadeInputs

DIGIT = 5  # that the detectors tell from all others
LARGE = 7  # the smallest digit that counts as large
NOISE = 99  # the largest integer added to a grey level of 0-255
FOLDS, SEARCH_FOLDS = 3, 5
SEARCH_IMAGES = 10_000  # the first ones
FEWEST_IMAGES = 100  # with which every fold has every digit
GRID = {"weights": ["uniform", "distance"], "n_neighbors": [3, 4, 5, 6]}


class Study:
    """The data of a study, and the fits that several steps share.

    Args:
        images: digit images, ink bright on dark, grey levels 0-255; those of test last.
        labels: the digit on each.
        test: how many images are of test; the others are for training.
        fingerprint: hash of the source that the images are of.
        seed: of the noise, and of every estimator that draws at random.
        memory: where predictions of fitted estimators are kept.
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
        """Row numbers of the training images."""
        return np.arange(self.size)

    @property
    def test_rows(self) -> Int[np.ndarray, "test"]:
        """Row numbers of the test images."""
        return np.arange(self.size, len(self.images))

    @functools.cached_property
    def large_and_odd(self) -> Int[np.ndarray, "train 2"]:
        """Whether the digit of a training image is large, and whether it is odd, as 0 and 1."""
        return np.stack([self.train_labels >= LARGE, self.train_labels % 2 == 1], axis=1).astype(
            np.int64
        )

    def cached(
        self,
        estimator: BaseEstimator,
        methods: tuple[str, ...] = ("predict",),
        inputs: Inputs | None = None,
    ) -> CachedEstimator:
        """Returns an estimator over row numbers whose predictions are kept.

        Args:
            estimator: scikit-learn's, not fitted.
            methods: names of its methods that will be called for the same rows, so that one fit
                serves them all.
            inputs: what the row numbers stand for; the pixels of all images if not given.
        """
        return CachedEstimator(estimator, inputs or self.pixels, self.memory, methods)

    def sgd(self, inputs: Inputs | None = None) -> CachedEstimator:
        """Returns the linear SVM, fitted by SGD, that most steps are about.

        Of ten classes it fits one against the others at a time, on all cores.

        Args:
            inputs: a row for each training image; its pixels that have ink in some of the training
                images if not given, for a linear model learns 0 for the others.
        """
        return self.cached(
            SGDClassifier(random_state=self.seed, n_jobs=-1),
            ("predict", "decision_function"),
            inputs or self.inked,
        )

    def detector_scores(self) -> Float[np.ndarray, "train"]:
        """Returns the SGD detector's scores of held-out training images, by cross-validation."""
        return self.held_out(self.sgd(), self.is_digit, "decision_function")

    def held_out(
        self, estimator: CachedEstimator, targets: np.ndarray, method: str = "predict"
    ) -> np.ndarray:
        """Returns predictions of all training images, of each by a fit that did not have it.

        The folds are fitted side by side, so that no core waits for the slowest class of one.

        Args:
            estimator: over row numbers.
            targets: of the training images, an item or a row each.
            method: of the estimator to call: predict, predict_proba or decision_function.
        """
        with workers.side_by_side():
            return cross_val_predict(
                estimator, self.rows, targets, cv=FOLDS, method=method, n_jobs=FOLDS
            )

    def held_out_and_first(
        self, estimator: CachedEstimator, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns decision scores of all images as `held_out` has them, and of the first as fitted.

        The second are by a fit to all training images, the first one among them.
        """
        fitted = clone(estimator).fit(self.rows, targets)
        with ThreadPoolExecutor(1) as beside:
            first = beside.submit(fitted.decision_function, self.rows[:1])
            return self.held_out(estimator, targets, "decision_function"), first.result()

    def best_neighbours(self) -> GridSearchCV:
        """Returns the grid search for parameters of nearest neighbours, on the first images."""
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
        """Returns the images with shifted copies of those for training, and the labels of these.

        Returns:
            pixels of the training images, of their four copies that are shifted by a pixel, and of
            the test images, in this order; and the labels of all but the test images.
        """
        sets = len(variants.SHIFTS)
        make = functools.partial(variants.moved_pixels, self.images, self.size)
        inputs = self._inputs(make, sets * self.size + len(self.test_labels))
        return inputs, np.tile(self.train_labels, sets)

    def noisy(self) -> MadeInputs:
        """Returns the pixels of all images with noise on each."""
        make = functools.partial(variants.noisy, self.images, NOISE, self.seed)
        return self._inputs(make, len(self.images), NOISE, self.seed)

    def _made(self, make: Callable, images: np.ndarray) -> MadeInputs:
        return self._inputs(functools.partial(make, images), len(images))

    def _inputs(self, make: functools.partial, length: int, *parts: Any) -> MadeInputs:
        return MadeInputs(make, length, (self.fingerprint, self.size, length, *parts))
