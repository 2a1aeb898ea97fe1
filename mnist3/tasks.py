"""What is predicted from an image: targets, loss and decoding of each task.

The logits of a number are either of each position, `[batch, K, 10]`, or of whole numbers,
`[batch, 10^K]`; `loss`, `right`, `log_likelihood` and `decode` take both. The other tasks are of
one digit image and have one row of logits an image.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int32
from ml_collections import ConfigDict

Logits = Float[Array, "batch K 10"] | Float[Array, "batch numbers"]
RowOfLogits = Float[Array, "batch outputs"] | Float[Array, "batch 1 outputs"]

NAMES = ("number", "multiclass", "binary", "pair", "multilabel", "denoise")
CLEAN = 0.1  # largest root-mean-square error of an image that counts as cleaned, ink from 0 to 1


class Prediction(NamedTuple):
    """Numbers read from images.

    Attributes:
        digits: int32 [batch, K].
        digit_confidences: float32 [batch, K], probability of each digit.
        confidence: float32 [batch], probability of the whole number.
    """

    digits: jax.Array
    digit_confidences: jax.Array
    confidence: jax.Array


def number_of(digits: Int32[Array, "*batch K"]) -> Int32[Array, "*batch"]:
    """Returns the number that digits read left to right make."""
    powers = 10 ** jnp.arange(digits.shape[-1] - 1, -1, -1, dtype=jnp.int32)
    return jnp.sum(digits * powers, axis=-1, dtype=jnp.int32)


def digits_of(numbers: Int32[Array, "*batch"], digits: int) -> Int32[Array, "*batch K"]:
    """Returns the K digits of each number, leading zeros included."""
    powers = 10 ** jnp.arange(digits - 1, -1, -1, dtype=jnp.int32)
    return (numbers[..., None] // powers % 10).astype(jnp.int32)


def number_text(digits: Int32[Array | np.ndarray, "K"]) -> str:
    """Returns the number that digits read left to right make as text, leading zeros kept."""
    return "".join(map(str, digits))


def _log_probabilities(logits: Logits) -> Logits:
    return jax.nn.log_softmax(logits, axis=-1)


def log_likelihood(logits: Logits, labels: Int32[Array, "batch K"]) -> Float[Array, "batch"]:
    """Returns the log probability (natural) of the true number of each image."""
    logs = _log_probabilities(logits)
    if logits.ndim == 2:
        return jnp.take_along_axis(logs, number_of(labels)[:, None], axis=-1)[:, 0]
    return jnp.take_along_axis(logs, labels[..., None], axis=-1)[..., 0].sum(axis=-1)


def loss(
    logits: Logits, labels: Int32[Array, "batch K"], label_smoothing: float = 0.0
) -> Float[Array, "batch"]:
    """Returns the cross-entropy of each image, in nats, the mean over its softmaxes."""
    targets = number_of(labels) if logits.ndim == 2 else labels
    one_hot = jax.nn.one_hot(targets, logits.shape[-1], dtype=logits.dtype)
    entropy = optax.losses.softmax_cross_entropy(
        logits, optax.losses.smooth_labels(one_hot, label_smoothing)
    )
    return entropy if entropy.ndim == 1 else entropy.mean(axis=-1)


def decode(logits: Logits, digits: int) -> Prediction:
    """Returns the most probable number of each image and how probable it is."""
    probabilities = jnp.exp(_log_probabilities(logits))
    if logits.ndim == 3:
        confidences = probabilities.max(axis=-1)
        return Prediction(
            jnp.argmax(logits, axis=-1).astype(jnp.int32), confidences, confidences.prod(axis=-1)
        )
    best = digits_of(jnp.argmax(logits, axis=-1).astype(jnp.int32), digits)
    by_digit = probabilities.reshape(-1, *(10,) * digits)
    axes = range(1, digits + 1)
    marginals = jnp.stack(
        [by_digit.sum(axis=[axis for axis in axes if axis != kept]) for kept in axes], axis=1
    )
    return Prediction(
        best,
        jnp.take_along_axis(marginals, best[..., None], axis=-1)[..., 0],
        probabilities.max(axis=-1),
    )


def right(logits: Logits, labels: Int32[Array, "batch K"]) -> Bool[Array, "batch"]:
    """Tells of which images every digit is read right."""
    return (decode(logits, labels.shape[-1]).digits == labels).all(axis=-1)


def class_loss(
    logits: RowOfLogits, targets: Int32[Array, "batch"], label_smoothing: float = 0.0
) -> Float[Array, "batch"]:
    """Returns the cross-entropy of each image's one class, in nats."""
    logits = logits.reshape(len(targets), -1)
    one_hot = jax.nn.one_hot(targets, logits.shape[-1], dtype=logits.dtype)
    return optax.losses.softmax_cross_entropy(
        logits, optax.losses.smooth_labels(one_hot, label_smoothing)
    )


def class_right(logits: RowOfLogits, targets: Int32[Array, "batch"]) -> Bool[Array, "batch"]:
    """Tells of which images the most probable class is the true one."""
    return jnp.argmax(logits.reshape(len(targets), -1), axis=-1) == targets


def label_loss(
    logits: RowOfLogits, targets: Int32[Array, "batch labels"], label_smoothing: float = 0.0
) -> Float[Array, "batch"]:
    """Returns the binary cross-entropy of each image in nats, the mean over its labels."""
    smooth = (1 - label_smoothing) * targets + label_smoothing / 2
    entropy = optax.losses.sigmoid_binary_cross_entropy(logits.reshape(targets.shape), smooth)
    return entropy.mean(axis=-1)


def label_right(logits: RowOfLogits, targets: Int32[Array, "batch labels"]) -> Bool[Array, "batch"]:
    """Tells of which images every label is predicted right."""
    return ((logits.reshape(targets.shape) > 0) == (targets > 0)).all(axis=-1)


def image_loss(
    cleaned: Float[Array, "batch height width"],
    targets: Float[Array, "batch height width"],
    label_smoothing: float = 0.0,
) -> Float[Array, "batch"]:
    """Returns the mean squared error of each image, ink from 0 to 1; nothing is smoothed."""
    del label_smoothing
    return ((cleaned - targets) ** 2).mean(axis=(1, 2))


def image_right(
    cleaned: Float[Array, "batch height width"], targets: Float[Array, "batch height width"]
) -> Bool[Array, "batch"]:
    """Tells of which images the root-mean-square error is at most `CLEAN`."""
    return image_loss(cleaned, targets) <= CLEAN**2


_LOSSES = {
    "number": loss,
    "multiclass": class_loss,
    "binary": class_loss,
    "multilabel": label_loss,
    "denoise": image_loss,
}
_RIGHTS = {
    "number": right,
    "multiclass": class_right,
    "binary": class_right,
    "multilabel": label_right,
    "denoise": image_right,
}


@dataclasses.dataclass(frozen=True)
class Task:
    """What is to be predicted; one definition for Flax models and for scikit-learn's estimators.

    Attributes:
        name: one of `NAMES`.
        kind: how targets look: `multiclass` and `binary` have one class an image, `multilabel` a 0
            or 1 for each label, `denoise` an image, `number` K digits.
        classes: what the classes or the labels are called.
        metrics: names of what is measured, the one that matters most first; what rests on
            probabilities only of estimators that give them.
        figures: names of what is drawn, in reading order, where there is something to show.
        noise: for denoise, the largest of the integers added to the pixels.
        table: what each digit 0-9 has as its target; -1 for a digit that takes no part. Empty for
            tasks whose targets do not follow from one digit.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    metrics: tuple[str, ...]
    figures: tuple[str, ...]
    noise: int = 0
    table: tuple[int, ...] | tuple[tuple[int, ...], ...] = ()

    @property
    def outputs(self) -> int:
        """How many logits a Flax model has: an image; a pixel of denoise, a position of number."""
        return len(self.classes)

    @property
    def loss(self) -> Callable[[Array, Array, float], Array]:
        """The loss of Flax models: logits, targets and label smoothing to float32 [batch]."""
        return _LOSSES[self.kind]

    @property
    def right(self) -> Callable[[Array, Array], Array]:
        """Which images a Flax model has right: logits and targets to bool [batch]."""
        return _RIGHTS[self.kind]

    def select(self, labels: Int32[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
        """Tells which images take part, by the digit on each."""
        if self.kind not in ("multiclass", "binary"):
            return np.ones(len(labels), bool)
        return np.asarray(self.table)[labels] >= 0

    def targets(
        self, labels: Int32[np.ndarray, "n"]
    ) -> Int32[np.ndarray, "n"] | Int32[np.ndarray, "n labels"]:
        """Returns the targets of images that take part, by the digit on each.

        Raises:
            ValueError: for denoise and number, whose targets are images and all digits of a label.
        """
        if not self.table:
            raise ValueError(f"the targets of the task {self.name} do not follow from one digit")
        return np.asarray(self.table, np.int32)[labels]


_AVERAGES = (
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "weighted_precision",
    "weighted_recall",
    "weighted_f1",
)
_CLASS_METRICS = ("accuracy", *_AVERAGES, "class_recall", "roc_auc", "log_loss", "ece")
_BINARY_METRICS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "average_precision",
    "roc_auc",
    "log_loss",
    "ece",
)
_DATA_FIGURES = ("class_balance", "digit_grid", "digit")
_CLASS_FIGURES = ("confusion", "worst_images", "pair_gallery", "label_errors", "reliability")
_CURVES = ("thresholds", "precision_recall", "roc")
_BINARY_FIGURES = (*_CURVES, *_CLASS_FIGURES, *_DATA_FIGURES)


def create(config: ConfigDict) -> Task:
    """Returns the task that a config's section `task` describes."""
    digits = range(10)
    if config.name == "multiclass":
        names = tuple(map(str, digits))
        return Task(
            "multiclass",
            "multiclass",
            names,
            _CLASS_METRICS,
            (*_CLASS_FIGURES, *_DATA_FIGURES),
            table=tuple(digits),
        )
    if config.name == "binary":
        table = tuple(int(digit == config.digit) for digit in digits)
        names = (f"not {config.digit}", f"{config.digit}")
        return Task("binary", "binary", names, _BINARY_METRICS, _BINARY_FIGURES, table=table)
    if config.name == "pair":
        pair = tuple(config.pair)
        table = tuple(pair.index(digit) if digit in pair else -1 for digit in digits)
        names = tuple(map(str, pair))
        return Task("pair", "binary", names, _BINARY_METRICS, _BINARY_FIGURES, table=table)
    if config.name == "multilabel":
        table = tuple((int(digit >= config.large), digit % 2) for digit in digits)
        metrics = ("accuracy", "label_accuracy", "label_f1", *_AVERAGES, "log_loss")
        figures = ("precision_recall", "roc", "worst_images", *_DATA_FIGURES)
        return Task("multilabel", "multilabel", ("large", "odd"), metrics, figures, table=table)
    if config.name == "denoise":
        figures = ("cleaned", *_DATA_FIGURES)
        return Task("denoise", "denoise", ("ink",), ("rmse", "psnr"), figures, noise=config.noise)
    metrics = ("exact_match", "digit_accuracy", "position_accuracy", "macro_f1", "nll", "ece")
    figures = (
        "learning_curves",
        "position_accuracy",
        "misread",
        "confusion",
        "reliability",
        "examples",
        "class_balance",
    )
    return Task("number", "number", tuple(map(str, digits)), metrics, figures)
