"""Flax models behind scikit-learn's interface: what they share, and the classifier."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Float32
from ml_collections import ConfigDict
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from mnist3 import config as configs
from mnist3 import limits, models
from mnist3.data import augmentation
from mnist3.errors import EstimatorError, UserError
from mnist3.estimators import fitting
from mnist3.tasks.classes import Classes
from mnist3.tasks.labels import Labels
from mnist3.tasks.task import Task
from mnist3.training.run import AUTOMATIC_EPOCHS

SMALLEST_SIDE = 8  # px, of images that model="auto" reads with a convolutional network
DTYPES = (np.float64, np.float32, np.uint8)


def defaults(model: str) -> ConfigDict:
    """Returns the whole config of a network of this name, unless arguments say otherwise."""
    return configs.small_network(configs.one_digit("digits"), model)


_CNN = defaults("cnn")


@dataclasses.dataclass(eq=False, repr=False, kw_only=True)
class FlaxEstimator(BaseEstimator):
    """What the Flax estimators have: a config from the constructor's arguments, and a seed.

    Arguments may be of any type until `fit` checks them, as scikit-learn wants it.

    Args:
        stem: int, default=16. Channels of the first convolution.
        stem_stride: int, default=2. Of the first convolution, px.
        channels: tuple of int. Channels of the stages after it.
        convolutions: int. Of a stage.
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
        random_state: int, RandomState instance or None, default=None. Of everything random.

    Attributes:
        params_: dict of ndarray. The model's parameters.
        loss_curve_: list of float. Mean loss of each pass over the data, while it trained.
        n_features_in_: int. Number of features, or pixels.
        SECTIONS: tuple of str. Of a config, where the arguments stand.
    """

    stem: Any = _CNN.model.stem
    stem_stride: Any = _CNN.model.stem_stride
    channels: Any = _CNN.model.channels
    convolutions: Any = _CNN.model.convolutions
    optimizer: Any = _CNN.optimizer.name
    learning_rate: Any = _CNN.optimizer.learning_rate
    schedule: Any = _CNN.optimizer.schedule
    warmup: Any = _CNN.optimizer.warmup
    momentum: Any = _CNN.optimizer.momentum
    weight_decay: Any = _CNN.optimizer.weight_decay
    gradient_clip: Any = _CNN.optimizer.gradient_clip
    epochs: Any = "auto"
    batch_size: Any = _CNN.training.batch_size
    ema_decay: Any = _CNN.training.ema_decay
    random_state: Any = None

    SECTIONS: ClassVar[tuple[str, ...]] = ("model", "optimizer", "augmentation", "training")

    def _config(self, model: str, size: tuple[int, ...]) -> ConfigDict:
        """Returns a whole config in which this estimator's arguments stand at their places."""
        config = defaults(model)
        arguments = self.get_params(deep=False)
        if arguments.get("hidden", ()) is None:
            del arguments["hidden"]
        for section in self.SECTIONS:
            for name in arguments.keys() & {*config[section]} - {"name", "epochs"}:
                value = _plain(arguments[name], config[section][name])
                try:
                    config[section][name] = value
                except TypeError:
                    kind = type(config[section][name]).__name__
                    raise EstimatorError(f"{name} is {value!r}; give a {kind}") from None
        config.optimizer.name = arguments["optimizer"]
        config.data.height, config.data.width = size if len(size) == 2 else (1, 1)
        return config

    def _epochs(self) -> int | None:
        if isinstance(self.epochs, str) and self.epochs == "auto":
            return None
        if isinstance(self.epochs, int | np.integer) and self.epochs > 0:
            return int(self.epochs)
        raise EstimatorError(f"epochs is {self.epochs!r}; give a whole number above 0 or 'auto'")

    def _plan(self, model: str, task: Task, inputs: np.ndarray) -> fitting.Problem:
        config = self._config(model, inputs.shape[1:])
        epochs = self._epochs()
        config.training.epochs = epochs or AUTOMATIC_EPOCHS
        try:
            limits.require_network(config, defaults(model), task)
        except UserError as error:
            raise EstimatorError(str(error)) from None
        return fitting.plan(config, task, inputs, epochs)

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))


def _plain(value: Any, default: Any) -> Any:
    """Returns an argument as the config has it: numpy's numbers and lists are as good."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(default, tuple) and isinstance(value, list | tuple | np.ndarray):
        return tuple(_plain(item, None) for item in value)
    return float(value) if isinstance(default, float) and type(value) is int else value


def side_of(features: int) -> int | None:
    """Returns the side of a square image of so many pixels, None if there is none."""
    side = math.isqrt(features)
    return side if side**2 == features else None


def as_ink(inputs: np.ndarray) -> np.ndarray:
    """Returns bytes as ink from 0 to 1, and other inputs as they are."""
    return inputs / np.float32(255) if inputs.dtype == np.uint8 else inputs


@dataclasses.dataclass(eq=False, repr=False, kw_only=True)
class FlaxClassifier(ClassifierMixin, FlaxEstimator):
    """A Flax model as a classifier, of classes or of several labels at once.

    Training takes the one-program epochs of the main job. Fits that have the same arguments (but
    for `random_state`) and about as many rows of the same width share their compiled programs.

    Inputs of uint8 are pixels of 0-255. Others are brought to a range from 0 to 1 for
    convolutional models, by the lowest and the highest pixel of the training images, and to mean 0
    and standard deviation 1, feature by feature, for the others.

    Args:
        model: str, default="auto". "cnn" or "multihead", which see the features as the pixels of a
            square image, row by row; "mlp" or "logistic"; or "auto": "cnn" for square images of at
            least 8x8, else "mlp".
        stem_padding: str, default="SAME". Of the first convolution; "VALID" drops the border.
        channels: tuple of int, default=(64,). Channels of the stages after the first convolution.
        convolutions: int, default=1. Of a stage.
        attention: int, default=4. Weightings of the columns that each head of multihead has.
        hidden: tuple of int or None, default=None. Units of the dense layers before the last one;
            None for (128,) in mlp and none in cnn.
        dropout: float, default=0.0. Share of features dropped before the last layer.
        label_smoothing: float, default=0.0.
        shift: int, default=0. Augmentation, like the next ones, of images alone: px to either side.
        rotation: float, default=0.0. Degrees to either side.
        scale: float, default=0.0. Relative; 0.1 = from 0.9 to 1.1.
        shear: float, default=0.0. Degrees to either side.
        elastic: float, default=0.0. Px, standard deviation of the displacement.
        noise: float, default=0.0. Standard deviation, ink from 0 to 1.
        cutout: int, default=0. Px, side of the blanked square.
        stroke: float, default=0.0. Px, to either side of a stroke, thicker or thinner.
        stem, stem_stride, optimizer, learning_rate, schedule, warmup, momentum, weight_decay,
            gradient_clip, epochs, batch_size, ema_decay, random_state: as in `FlaxEstimator`.

    Attributes:
        classes_: ndarray of shape (n_classes,). The classes, sorted; for labels, their columns.
        model_: str. The model that was trained.
        offset_, scale_: ndarray. What is subtracted from features and what divides them.
        params_, loss_curve_, n_features_in_: as in `FlaxEstimator`.
    """

    model: Any = dataclasses.field(default="auto", kw_only=False)
    stem_padding: Any = _CNN.model.stem_padding
    attention: Any = _CNN.model.attention
    hidden: Any = None
    dropout: Any = _CNN.model.dropout
    label_smoothing: Any = _CNN.training.label_smoothing
    shift: Any = _CNN.augmentation.shift
    rotation: Any = _CNN.augmentation.rotation
    scale: Any = _CNN.augmentation.scale
    shear: Any = _CNN.augmentation.shear
    elastic: Any = _CNN.augmentation.elastic
    noise: Any = _CNN.augmentation.noise
    cutout: Any = _CNN.augmentation.cutout
    stroke: Any = _CNN.augmentation.stroke

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X, y) -> "FlaxClassifier":
        """Trains the model.

        Args:
            X: array-like of shape (n_samples, n_features). Images, row by row, or features.
            y: array-like of shape (n_samples,) or (n_samples, n_labels). Classes, or 0 and 1.

        Returns:
            The fitted estimator.
        """
        X, y = validate_data(self, X, y, dtype=DTYPES, multi_output=True)
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y", raise_unknown=True)
        if kind not in ("binary", "multiclass", "multilabel-indicator"):
            raise EstimatorError(f"Unknown label type: {kind} targets; give classes or 0/1 labels")
        self._several_labels = kind == "multilabel-indicator"
        if self._several_labels:
            self.classes_ = np.arange(y.shape[1])
            targets = np.asarray(y, np.int32)
        else:
            y = column_or_1d(y, warn=True)
            self.classes_, places = np.unique(y, return_inverse=True)
            targets = places.astype(np.int32)
        self.model_ = self._choose_model(X.shape[1])
        self._learn_range(X)
        inputs = self._inputs(X)
        # An augmentation that was added is no argument here.
        on = [name for name in augmentation.defaults() if getattr(self, name, None)]
        if inputs.ndim == 2 and on:
            raise EstimatorError(
                f"{on[0]} distorts images but model={self.model_!r} sees feature vectors; set it "
                "to 0 or use 'cnn'"
            )
        task = (Labels if self._several_labels else Classes)("y", tuple(map(str, self.classes_)))
        self._problem = self._plan(self.model_, task, inputs)
        self.params_, self.loss_curve_ = fitting.fit(self._problem, inputs, targets, self._seed())
        return self

    def decision_function(self, X) -> Float32[np.ndarray, "n"] | Float32[np.ndarray, "n outputs"]:
        """Returns the logits, (n_samples, n_classes); of two classes, those for the second.

        Args:
            X: array-like of shape (n_samples, n_features).
        """
        logits = self._logits(X)
        if not self._several_labels and len(self.classes_) == 2:
            return logits[:, 1] - logits[:, 0]
        return logits

    def predict_proba(self, X) -> Float32[np.ndarray, "n outputs"]:
        """Returns the probability of each class, or of each label, (n_samples, n_classes).

        Args:
            X: array-like of shape (n_samples, n_features).
        """
        logits = self._logits(X)
        return expit(logits) if self._several_labels else softmax(logits, axis=1)

    def predict(self, X) -> np.ndarray:
        """Returns the most probable class of each sample, or each label's 0 or 1.

        Args:
            X: array-like of shape (n_samples, n_features).
        """
        logits = self._logits(X)
        if self._several_labels:
            return (logits > 0).astype(int)
        return self.classes_[logits.argmax(axis=1)]

    def network(self, X) -> tuple[nn.Module, optax.Params, Float32[np.ndarray, "n *size"]]:
        """Returns the trained module, its parameters, and samples as the module sees them.

        Args:
            X: array-like of shape (n_samples, n_features).
        """
        check_is_fitted(self)
        inputs = self._inputs(validate_data(self, X, dtype=DTYPES, reset=False))
        return fitting.create_model(self._problem), self.params_, as_ink(inputs)

    def _choose_model(self, features: int) -> str:
        side = side_of(features)
        if self.model == "auto":
            return "cnn" if side is not None and side >= SMALLEST_SIDE else "mlp"
        try:
            limits.require_known("model.name", self.model, tuple(models.REGISTRY))
        except UserError as error:
            raise EstimatorError(str(error)) from None
        if models.needs_images(self.model) and side is None:
            raise EstimatorError(
                f"model={self.model!r} reads square images, which {features} features are not; "
                "use 'mlp' or 'auto'"
            )
        return self.model

    def _learn_range(self, X: np.ndarray) -> None:
        if X.dtype == np.uint8:
            low, width = np.float64(0), np.float64(255)
        elif models.needs_images(self.model_):
            low, width = X.min(), np.ptp(X)
        else:
            low, width = X.mean(axis=0), X.std(axis=0)
        # A feature that is constant but for rounding stays at 0.
        constant = width <= 10 * np.finfo(np.float32).eps * np.maximum(np.abs(low), width)
        self.offset_, self.scale_ = np.asarray(low), np.where(constant, 1, width)

    def _inputs(self, X: np.ndarray) -> np.ndarray:
        as_pixels = X.dtype == np.uint8 and self.offset_.ndim == 0
        as_pixels = as_pixels and (self.offset_, self.scale_) == (0, 255)
        if not as_pixels:
            X = ((X - self.offset_) / self.scale_).astype(np.float32)
        if models.needs_images(self.model_):
            side = math.isqrt(X.shape[1])
            return X.reshape(-1, side, side)
        return X

    def _logits(self, X) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=DTYPES, reset=False)
        logits = fitting.logits(self._problem, self.params_, self._inputs(X))
        return logits.reshape(len(X), -1)
