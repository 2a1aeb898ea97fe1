"""The denoiser behind scikit-learn's interface."""

import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Float32
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from mnist3.estimators import fitting
from mnist3.estimators.flax_estimator import DTYPES, FlaxEstimator, as_ink, side_of


class FlaxDenoiser(RegressorMixin, FlaxEstimator):
    """A Flax model that cleans square images, pixel values from 0 to 255.

    Args:
        stem: int, default=16. Channels of the first convolution.
        stem_stride: int, default=2. Of the first convolution, px.
        channels: tuple of int, default=(32,). Channels of the stages after it.
        convolutions: int, default=2. Of a stage.
        optimizer: str, default="adamw". "sgd", "adam", "adamw" or "muon".
        learning_rate: float, default=0.006. The highest of the schedule.
        schedule: str, default="one_cycle". "constant", "cosine" or "one_cycle".
        warmup: float, default=0.2. Share of the steps in which the learning rate rises.
        momentum: float, default=0.9. For sgd; else the decay of the first moment.
        weight_decay: float, default=1e-4. On kernels.
        gradient_clip: float, default=0.0. Largest global norm; 0 = off.
        epochs: int or "auto", default="auto". Passes over the data; "auto" takes 3, or as many as
            make 600 steps.
        batch_size: int, default=128. The largest; smaller for fewer rows.
        ema_decay: float, default=0.0. Of the parameters' moving average; 0 = off.
        noise: int, default=0. If above 0, the model is not trained on the images that `fit` gets
            as X but on y with integers from 0 to this added to every pixel, new ones at each step.
        random_state: int, RandomState instance or None, default=None. Of everything random.

    Attributes:
        params_: dict of ndarray. The model's parameters.
        n_features_in_: int. Number of pixels.
    """

    def __init__(
        self,
        *,
        stem=16,
        stem_stride=2,
        channels=(32,),
        convolutions=2,
        optimizer="adamw",
        learning_rate=0.006,
        schedule="one_cycle",
        warmup=0.2,
        momentum=0.9,
        weight_decay=1e-4,
        gradient_clip=0.0,
        epochs="auto",
        batch_size=128,
        ema_decay=0.0,
        noise=0,
        random_state=None,
    ):
        self.stem = stem
        self.stem_stride = stem_stride
        self.channels = channels
        self.convolutions = convolutions
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warmup = warmup
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.epochs = epochs
        self.batch_size = batch_size
        self.ema_decay = ema_decay
        self.noise = noise
        self.random_state = random_state

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
            raise ValueError(
                f"X has shape {X.shape} and y {y.shape}; both must hold the same number of square "
                "images, one a row"
            )
        noisy, clean = self._images(X), self._images(y)
        inputs, targets = (clean, None) if self.noise else (noisy, clean)
        self._problem = self._plan("denoiser", "denoise", inputs, 1, self.noise)
        self.params_ = fitting.fit(self._problem, inputs, targets, self._seed())
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
        side = side_of(pixels.shape[1])
        if pixels.dtype != np.uint8:
            pixels = (pixels / 255).astype(np.float32)
        return pixels.reshape(-1, side, side)
