"""The denoiser behind scikit-learn's interface."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Float32
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from mnist3.errors import EstimatorError
from mnist3.estimators import fitting
from mnist3.estimators.flax_estimator import DTYPES, FlaxEstimator, as_ink, defaults, side_of
from mnist3.tasks.images import Denoise

_DENOISER = defaults("denoiser")


@dataclasses.dataclass(eq=False, repr=False, kw_only=True)
class FlaxDenoiser(RegressorMixin, FlaxEstimator):
    """A Flax model that cleans square images, pixel values from 0 to 255.

    Args:
        channels: tuple of int, default=(32,). Channels of the stages after the first convolution.
        convolutions: int, default=2. Of a stage.
        noise: int, default=0. If above 0, the model is not trained on the images that `fit` gets
            as X but on y with integers from 0 to this added to every pixel, new ones at each step.
        stem, stem_stride, optimizer, learning_rate, schedule, warmup, momentum, weight_decay,
            gradient_clip, epochs, batch_size, ema_decay, random_state: as in `FlaxEstimator`.

    Attributes:
        params_, loss_curve_, n_features_in_: as in `FlaxEstimator`.
    """

    channels: Any = _DENOISER.model.channels
    convolutions: Any = _DENOISER.model.convolutions
    noise: Any = 0

    # Its noise is of integers and not that of the config's augmentation.
    SECTIONS: ClassVar[tuple[str, ...]] = ("model", "optimizer", "training")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = False
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X, y) -> "FlaxDenoiser":
        """Trains the model.

        Args:
            X: array-like of shape (n_samples, n_pixels). Noisy images, row by row.
            y: array-like of shape (n_samples, n_pixels). The clean images.

        Returns:
            The fitted estimator.
        """
        X, y = validate_data(self, X, y, dtype=DTYPES, multi_output=True, y_numeric=True)
        if y.shape != X.shape or side_of(X.shape[1]) is None:
            raise EstimatorError(
                f"X has shape {X.shape} and y {y.shape}; both must hold the same number of square "
                "images, one a row"
            )
        noisy, clean = self._images(X), self._images(y)
        inputs, targets = (clean, None) if self.noise else (noisy, clean)
        task = Denoise("denoise", ("ink",), int(self.noise))
        self._problem = self._plan("denoiser", task, inputs)
        self.params_, self.loss_curve_ = fitting.fit(self._problem, inputs, targets, self._seed())
        return self

    def predict(self, X) -> Float32[np.ndarray, "n pixels"]:
        """Returns the cleaned images, values from 0 to 255, (n_samples, n_pixels).

        Args:
            X: array-like of shape (n_samples, n_pixels). Noisy images, row by row.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=DTYPES, reset=False)
        cleaned = fitting.logits(self._problem, self.params_, self._images(X))
        return 255 * cleaned.reshape(X.shape).clip(0, 1)

    def network(self, X) -> tuple[nn.Module, optax.Params, Float32[np.ndarray, "n height width"]]:
        """Returns the trained module, its parameters, and images as the module sees them.

        Args:
            X: array-like of shape (n_samples, n_pixels). Noisy images, row by row.
        """
        check_is_fitted(self)
        images = self._images(validate_data(self, X, dtype=DTYPES, reset=False))
        return fitting.create_model(self._problem), self.params_, as_ink(images)

    def _images(self, pixels: np.ndarray) -> np.ndarray:
        side: Any = side_of(pixels.shape[1])
        if pixels.dtype != np.uint8:
            pixels = (pixels / 255).astype(np.float32)
        return pixels.reshape(-1, side, side)
