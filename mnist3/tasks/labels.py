"""Several labels at once: whether a digit is large, and whether it is odd."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Int32
from ml_collections import ConfigDict

from mnist3.data.splits import Split
from mnist3.data.table_dataset import AnyDataset
from mnist3.evaluation.calibration import CONFIDENCE_METRICS
from mnist3.evaluation.classification import multilabel_metrics
from mnist3.tasks import estimated
from mnist3.tasks.classes import AVERAGES, DATA_PICTURES, require_class
from mnist3.tasks.task import Entry, Examples, Predictions, Task
from mnist3.varied import Scalar

Logits = Float[Array, "batch labels"] | Float[Array, "batch 1 labels"]


@dataclasses.dataclass(frozen=True)
class Labels(Task):
    """Which of several labels an image has.

    Attributes:
        table: 0 or 1 for each label, by what stands on the image.
    """

    table: tuple[tuple[int, ...], ...] = ()

    fields: ClassVar[Mapping[str, Any]] = {"large": 7}  # the smallest digit that counts as large
    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "label_accuracy",
        "label_f1",
        *AVERAGES,
        "log_loss",
        *CONFIDENCE_METRICS,
    )
    pictures: ClassVar[Mapping[str, str]] = {
        "precision_recall": "precision_recall",
        "roc": "roc",
        "worst_images": "worst_images",
        "reliability": "reliability",
        "risk_coverage": "risk_coverage",
        **DATA_PICTURES,
        "class_balance": "position_balance",
    }
    headline_words: ClassVar[str] = (
        "Share of the {n:,} {examples} of {split} with every label right"
    )
    softmax: ClassVar[bool] = False
    reads_views: ClassVar[bool] = False

    @classmethod
    def create(cls, config: ConfigDict, classes: tuple[str, ...], positions: int) -> "Labels":
        """Returns the task of telling whether a digit is at least `config.large`, and odd."""
        large = require_class("large", config.large, classes)
        table = tuple((int(label >= large), label % 2) for label in range(len(classes)))
        return cls(config.name, ("large", "odd"), table)

    def loss(
        self, logits: Logits, targets: Int32[Array, "batch labels"], label_smoothing: Scalar = 0.0
    ) -> Float[Array, "batch"]:
        """Returns the binary cross-entropy of each image in nats, the mean over its labels."""
        smooth = (1 - label_smoothing) * targets + label_smoothing / 2
        entropy = optax.losses.sigmoid_binary_cross_entropy(logits.reshape(targets.shape), smooth)
        return entropy.mean(axis=-1)

    def right(self, logits: Logits, targets: Int32[Array, "batch labels"]) -> Bool[Array, "batch"]:
        """Tells of which images every label is predicted right."""
        return ((logits.reshape(targets.shape) > 0) == (targets > 0)).all(axis=-1)

    def predict(
        self, logits: Logits, targets: Int32[Array, "batch labels"] | None = None
    ) -> Predictions:
        """Returns the labels that each image more probably has than not."""
        logits = logits.reshape(-1, self.outputs)
        likelihood = None
        if targets is not None:
            entropy = optax.losses.sigmoid_binary_cross_entropy(logits, targets)
            likelihood = -entropy.sum(axis=-1)
        probabilities = jax.nn.sigmoid(logits)
        values = (logits > 0).astype(jnp.int32)
        chosen = jnp.where(values == 1, probabilities, 1 - probabilities)
        return Predictions(values, chosen.prod(axis=-1), probabilities, logits, likelihood)

    def examples(self, split: Split, seed: int, position: int) -> Examples:
        """Returns the images and 0 or 1 for each label of them."""
        del seed, position
        targets = np.asarray(self.table, np.int32)[split.labels[:, 0]]
        return Examples(split.images, targets, split.labels)

    def measure(
        self,
        targets: Int[np.ndarray, "n labels"],
        predictions: Predictions,
        seed: int = 0,
        digit_indices: Int32[np.ndarray, "n K"] | None = None,
    ) -> dict[str, Any]:
        """Returns the metrics of a split, see `multilabel_metrics`."""
        return multilabel_metrics(targets, predictions.values, predictions.probabilities, seed)

    def texts(self, values: Int[np.ndarray, "n labels"]) -> list[str]:
        """Returns the labels of each image, joined by +."""
        names = np.array(self.classes)
        return ["+".join(names[np.asarray(row, bool)]) or "none" for row in values]

    def data_text(self, dataset: AnyDataset) -> str:
        """Returns what the images are, for the title of a figure."""
        return f"{' and '.join(self.classes)} digits (source {dataset.source})"

    @property
    def columns(self) -> tuple[str, ...]:
        """A column a label besides."""
        return (*super().columns, *self.classes)

    def rows(self, examples: Examples, predictions: Predictions) -> Iterator[list[Any]]:
        """Yields true and predicted labels, how probable they are together, and 0 or 1 of each."""
        cells = super().rows(examples, predictions)
        for row, labels in zip(cells, predictions.values, strict=True):
            yield [*row, *labels]

    @property
    def predicted_columns(self) -> tuple[str, ...]:
        """A column a label besides."""
        *first, sure = super().predicted_columns
        return (*first, *self.classes, sure)

    def predicted_cells(self, predictions: Predictions) -> list[list[str]]:
        """Returns the cells under `predicted_columns` of each image."""
        cells = super().predicted_cells(predictions)
        return [
            [*row, *map(str, labels), sure]
            for (*row, sure), labels in zip(cells, predictions.values.tolist(), strict=True)
        ]

    def estimator(self, entry: Entry) -> Any | None:
        """Returns a new classifier of several labels."""
        return entry.label_classifier() if entry.label_classifier else None

    def of_estimator(self, fitted: Any, features: Any) -> Predictions:
        """Returns the predictions of a fitted classifier of several labels."""
        values = np.asarray(fitted.predict(features)).astype(np.int32)
        probabilities = estimated.label_probabilities(fitted, features)
        scores = estimated.label_decisions(fitted, features)
        found = Predictions(values, scores=probabilities if scores is None else scores)
        return found if probabilities is None else _with_probabilities(found, probabilities)

    def tempered(self, predictions: Predictions, temperature: float) -> Predictions:
        """Returns an estimator's predictions with the probabilities that a temperature makes."""
        return _with_probabilities(
            predictions, estimated.tempered_labels(predictions.probabilities, temperature)
        )

    def detectors(
        self, targets: Int[np.ndarray, "n labels"], predictions: Predictions
    ) -> dict[str, tuple[Bool[np.ndarray, "n"], Float[np.ndarray, "n"]]]:
        """Returns truth and score of each label."""
        if predictions.scores is None:
            return {}
        return {
            label: (targets[:, column] == 1, predictions.scores[:, column])
            for column, label in enumerate(self.classes)
        }

    def losses(
        self, targets: Int[np.ndarray, "n labels"], predictions: Predictions
    ) -> Float[np.ndarray, "n"]:
        """Returns the negative log probability of each image's labels, nats."""
        probabilities = predictions.probabilities
        of_truth = np.where(targets, probabilities, 1 - probabilities)
        return -np.log(np.maximum(of_truth, np.finfo(of_truth.dtype).eps)).sum(axis=1)


def _with_probabilities(
    predictions: Predictions, probabilities: Float[np.ndarray, "n labels"]
) -> Predictions:
    chosen = np.where(predictions.values, probabilities, 1 - probabilities)
    return predictions.replaced(confidence=chosen.prod(axis=1), probabilities=probabilities)
