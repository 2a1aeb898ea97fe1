"""Numbers of K digits, read from one image.

The logits are either of each position, `[batch, K, classes]`, or of whole numbers,
`[batch, classes^K]`; every method takes both.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int32
from ml_collections import ConfigDict

from mnist3.data import numbers
from mnist3.data.table_dataset import AnyDataset
from mnist3.evaluation.calibration import CONFIDENCE_METRICS
from mnist3.evaluation.metrics import number_metrics
from mnist3.evaluation.words import confidence_text
from mnist3.tasks.task import Examples, Predictions, Task, confidence_cells
from mnist3.varied import Scalar

Logits = Float[Array, "batch K classes"] | Float[Array, "batch numbers"]


@dataclasses.dataclass(frozen=True)
class Number(Task):
    """Which K digits an image shows, from left to right.

    Attributes:
        digits: K.
    """

    digits: int

    kind: ClassVar[str] = "numbers"
    metrics: ClassVar[tuple[str, ...]] = (
        "exact_match",
        "digit_accuracy",
        "position_accuracy",
        "macro_f1",
        "nll",
        *CONFIDENCE_METRICS,
    )
    pictures: ClassVar[Mapping[str, str]] = {
        "learning_curves": "learning_curves",
        "position_accuracy": "position_accuracy",
        "misread": "misread",
        "confusion": "position_confusion",
        "reliability": "reliability",
        "risk_coverage": "risk_coverage",
        "examples": "examples",
        "class_balance": "position_balance",
    }
    headline_words: ClassVar[str] = (
        "Share of the {n:,} {examples} of the {split} split with every digit right"
    )
    outcome: ClassVar[str] = "exact_match"
    right_name: ClassVar[str] = "exact_match"

    @classmethod
    def create(cls, config: ConfigDict, classes: tuple[str, ...], positions: int) -> "Number":
        """Returns the task of reading `positions` digits."""
        return cls(config.name, classes, positions)

    @property
    def positions(self) -> int:
        """K."""
        return self.digits

    @property
    def number_lengths(self) -> tuple[int, int]:
        """K, always."""
        return self.digits, self.digits

    @property
    def columns(self) -> tuple[str, ...]:
        """A column a position besides."""
        return (*super().columns, *(f"digit_{place + 1}" for place in range(self.digits)))

    @property
    def predicted_columns(self) -> tuple[str, ...]:
        """Number and confidence, each digit and the confidence of each, and whether it is sure."""
        places = range(1, self.digits + 1)
        names = [f"{name}_{place}" for name in ("digit", "confidence") for place in places]
        return ("number", "confidence", *names, "sure")

    def digit_confidences(self, predictions: Predictions) -> list[tuple[float, ...]]:
        """Returns the confidence of each position."""
        return [tuple(each) for each in np.asarray(predictions.probabilities).tolist()]

    def predicted_cells(self, predictions: Predictions) -> list[list[str]]:
        """Returns the cells under `predicted_columns` of each image."""
        of_digits = np.asarray(predictions.probabilities).tolist()
        return [
            [
                text,
                confidence,
                *(self.classes[digit] for digit in digits),
                *map(confidence_text, each),
                sure,
            ]
            for text, (confidence, sure), digits, each in zip(
                self.texts(predictions.values),
                confidence_cells(predictions),
                predictions.values,
                of_digits,
                strict=True,
            )
        ]

    def loss(
        self, logits: Logits, targets: Int32[Array, "batch K"], label_smoothing: Scalar = 0.0
    ) -> Float[Array, "batch"]:
        """Returns the cross-entropy of each image, in nats, the mean over its softmaxes."""
        whole = logits.ndim == 2
        truth = numbers.indices(targets, self.outputs) if whole else targets
        one_hot = jax.nn.one_hot(truth, logits.shape[-1], dtype=logits.dtype)
        entropy = optax.losses.softmax_cross_entropy(
            logits, optax.losses.smooth_labels(one_hot, label_smoothing)
        )
        return entropy if whole else entropy.mean(axis=-1)

    def right(self, logits: Logits, targets: Int32[Array, "batch K"]) -> Bool[Array, "batch"]:
        """Tells of which images every digit is read right."""
        return (self.predict(logits).values == targets).all(axis=-1)

    def predict(
        self, logits: Logits, targets: Int32[Array, "batch K"] | None = None
    ) -> Predictions:
        """Returns the most probable number of each image and how probable it is."""
        logs = jax.nn.log_softmax(logits, axis=-1)
        likelihood = None if targets is None else self._log_likelihood(logs, targets)
        probabilities = jnp.exp(logs)
        if logits.ndim == 3:
            confidences = probabilities.max(axis=-1)
            values = jnp.argmax(logits, axis=-1).astype(jnp.int32)
            return Predictions(
                values, confidences.prod(axis=-1), confidences, log_likelihood=likelihood
            )
        best = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        values = jnp.asarray(numbers.labels(best, self.outputs, self.digits))
        by_digit = probabilities.reshape(-1, *(self.outputs,) * self.digits)
        axes = range(1, self.digits + 1)
        marginals = jnp.stack(
            [by_digit.sum(axis=[axis for axis in axes if axis != kept]) for kept in axes], axis=1
        )
        return Predictions(
            values,
            probabilities.max(axis=-1),
            jnp.take_along_axis(marginals, values[..., None], axis=-1)[..., 0],
            log_likelihood=likelihood,
        )

    def _log_likelihood(
        self, logs: Logits, targets: Int32[Array, "batch K"]
    ) -> Float[Array, "batch"]:
        if logs.ndim == 2:
            index = numbers.indices(targets, self.outputs)
            return jnp.take_along_axis(logs, index[:, None], axis=-1)[:, 0]
        return jnp.take_along_axis(logs, targets[..., None], axis=-1)[..., 0].sum(axis=-1)

    def measure(
        self,
        targets: Int32[np.ndarray, "n K"],
        predictions: Predictions,
        seed: int = 0,
        digit_indices: Int32[np.ndarray, "n K"] | None = None,
    ) -> dict[str, Any]:
        """Returns the metrics of a split, see `number_metrics`."""
        del seed
        return number_metrics(
            targets,
            predictions.values,
            predictions.confidence,
            predictions.log_likelihood,
            digit_indices,
        )

    def texts(self, values: Int32[np.ndarray, "n K"]) -> list[str]:
        """Returns numbers as texts, leading zeros kept."""
        return numbers.texts(np.asarray(values), self.classes)

    def data_text(self, dataset: AnyDataset) -> str:
        """Returns what the images are, for the title of a figure."""
        return f"{dataset.name} from {dataset.source}"

    def rows(self, examples: Examples, predictions: Predictions) -> Iterator[list[Any]]:
        """Yields label, number, confidence, whether it is sure, and the class at each position."""
        cells = super().rows(examples, predictions)
        for row, digits in zip(cells, predictions.values, strict=True):
            yield [*row, *(self.classes[digit] for digit in digits)]
