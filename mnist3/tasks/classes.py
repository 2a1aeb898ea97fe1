"""One class an example: all classes of a source, one against the rest, two of them, or a column."""

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
from mnist3.errors import UserError
from mnist3.evaluation import error_analysis
from mnist3.evaluation.calibration import CONFIDENCE_METRICS
from mnist3.evaluation.classification import binary_metrics, confusion, multiclass_metrics
from mnist3.evaluation.words import confidence_text
from mnist3.tasks import estimated
from mnist3.tasks.task import Entry, Examples, Predictions, Task
from mnist3.varied import Scalar

Logits = Float[Array, "batch classes"] | Float[Array, "batch 1 classes"]
NO_PART = -1  # target of an image that does not take part
AVERAGES = (
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "weighted_precision",
    "weighted_recall",
    "weighted_f1",
)
PICTURES = {
    name: name
    for name in (
        "confusion",
        "worst_images",
        "pair_gallery",
        "label_errors",
        "reliability",
        "risk_coverage",
    )
}
DATA_PICTURES = {name: name for name in ("class_balance", "digit_grid", "digit")}
CURVES = {name: name for name in ("thresholds", "precision_recall", "roc")}


@dataclasses.dataclass(frozen=True)
class Classes(Task):
    """Which of several classes an example is of.

    Attributes:
        table: class of what stands on an image, by its label; `NO_PART` where it takes no part.
    """

    table: tuple[int, ...] = ()

    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        *AVERAGES,
        "class_recall",
        "roc_auc",
        "log_loss",
        *CONFIDENCE_METRICS,
    )
    pictures: ClassVar[Mapping[str, str]] = {**PICTURES, **DATA_PICTURES}
    headline_words: ClassVar[str] = (
        "Share of the {n:,} {examples} of {split} that got the right class"
    )

    @classmethod
    def create(cls, config: ConfigDict, classes: tuple[str, ...], positions: int) -> "Classes":
        """Returns the task of telling all classes of a source apart."""
        return cls(config.name, classes, tuple(range(len(classes))))

    @property
    def number_lengths(self) -> tuple[int, int] | None:
        """One digit of an image; none of a table."""
        return (1, 1) if self.table else None

    def loss(
        self, logits: Logits, targets: Int32[Array, "batch"], label_smoothing: Scalar = 0.0
    ) -> Float[Array, "batch"]:
        """Returns the cross-entropy of each example's class, in nats."""
        logits = logits.reshape(len(targets), -1)
        one_hot = jax.nn.one_hot(targets, logits.shape[-1], dtype=logits.dtype)
        return optax.losses.softmax_cross_entropy(
            logits, optax.losses.smooth_labels(one_hot, label_smoothing)
        )

    def right(self, logits: Logits, targets: Int32[Array, "batch"]) -> Bool[Array, "batch"]:
        """Tells of which examples the most probable class is the true one."""
        return jnp.argmax(logits.reshape(len(targets), -1), axis=-1) == targets

    def predict(self, logits: Logits, targets: Int32[Array, "batch"] | None = None) -> Predictions:
        """Returns the most probable class of each example."""
        logits = logits.reshape(-1, self.outputs)
        logs = jax.nn.log_softmax(logits)
        likelihood = None
        if targets is not None:
            likelihood = jnp.take_along_axis(logs, targets[:, None], axis=-1)[:, 0]
        probabilities = jnp.exp(logs)
        values = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        return Predictions(
            values, probabilities.max(axis=-1), probabilities, self._scores(logits), likelihood
        )

    def _scores(self, logits: Float[Array, "batch classes"]) -> Array:
        return logits

    def examples(self, split: Split, seed: int, position: int) -> Examples:
        """Returns the images whose label takes part, and the class of each."""
        del seed, position
        table = np.asarray(self.table, np.int32)
        chosen = table[split.labels[:, 0]] != NO_PART
        labels = split.labels[chosen]
        return Examples(split.images[chosen], table[labels[:, 0]], labels)

    def require_learnable(self, targets: Int[np.ndarray, "n"]) -> None:
        """Checks that there are two classes.

        Raises:
            UserError: if not.
        """
        if len(np.unique(targets)) < 2:
            raise UserError(
                f"the {len(targets)} training images are all of one class; raise "
                "config.data.train_limit."
            )

    def measure(
        self,
        targets: Int[np.ndarray, "n"],
        predictions: Predictions,
        seed: int = 0,
        digit_indices: Int32[np.ndarray, "n K"] | None = None,
    ) -> dict[str, Any]:
        """Returns the metrics of a split, see `multiclass_metrics`."""
        return multiclass_metrics(targets, predictions.values, predictions.probabilities, seed)

    def texts(self, values: Int[np.ndarray, "n"]) -> list[str]:
        """Returns names of classes."""
        return [self.classes[value] for value in values]

    def data_text(self, dataset: AnyDataset) -> str:
        """Returns what the examples are, for the title of a figure."""
        ten_digits = self.classes == tuple(map(str, range(10)))
        return f"{'the ten digits' if ten_digits else 'the classes'} (source {dataset.source})"

    def estimator(self, entry: Entry) -> Any | None:
        """Returns a new classifier of several classes."""
        return entry.classifier() if entry.classifier else None

    def of_estimator(self, fitted: Any, features: Any) -> Predictions:
        """Returns the predictions of a fitted classifier of the classes 0, 1, ..."""
        values = np.asarray(fitted.predict(features)).astype(np.int32)
        probabilities = estimated.probabilities(fitted, features, len(self.classes))
        found = Predictions(values, scores=self._ranks(fitted, features, probabilities))
        return found if probabilities is None else _with_probabilities(found, probabilities)

    def tempered(self, predictions: Predictions, temperature: float) -> Predictions:
        """Returns an estimator's predictions with the probabilities that a temperature makes."""
        return _with_probabilities(
            predictions, estimated.tempered(predictions.probabilities, temperature)
        )

    def _ranks(
        self, fitted: Any, features: Any, probabilities: np.ndarray | None
    ) -> np.ndarray | None:
        ranks = estimated.decisions(fitted, features)
        return probabilities if ranks is None else ranks

    def losses(
        self, targets: Int[np.ndarray, "n"], predictions: Predictions
    ) -> Float[np.ndarray, "n"]:
        """Returns the negative log probability of each example's class, nats."""
        return error_analysis.log_losses(targets, predictions.probabilities)

    def notes(self, examples: Examples, predictions: Predictions) -> dict[str, Any]:
        """Returns which classes are most often taken for which."""
        counts = confusion(examples.targets, predictions.values, len(self.classes))
        return {"most_confused": [each._asdict() for each in error_analysis.most_confused(counts)]}


@dataclasses.dataclass(frozen=True)
class TwoClasses(Classes):
    """Which of two classes an example is of, the second of which is detected."""

    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "precision",
        "recall",
        "f1",
        "average_precision",
        "roc_auc",
        "log_loss",
        *CONFIDENCE_METRICS,
    )
    pictures: ClassVar[Mapping[str, str]] = {**CURVES, **PICTURES, **DATA_PICTURES}

    @property
    def number_lengths(self) -> None:
        """None: not every digit has a class of its own."""
        return None

    def _scores(self, logits: Float[Array, "batch classes"]) -> Array:
        return logits[:, 1] - logits[:, 0]

    def _ranks(
        self, fitted: Any, features: Any, probabilities: np.ndarray | None
    ) -> np.ndarray | None:
        ranks = super()._ranks(fitted, features, probabilities)
        return ranks[:, 1] if ranks is not None and ranks.ndim == 2 else ranks

    def measure(
        self,
        targets: Int[np.ndarray, "n"],
        predictions: Predictions,
        seed: int = 0,
        digit_indices: Int32[np.ndarray, "n K"] | None = None,
    ) -> dict[str, Any]:
        """Returns the metrics of a split, see `binary_metrics`."""
        return binary_metrics(
            targets, predictions.values, predictions.probabilities, predictions.scores, seed
        )

    def detectors(
        self, targets: Int[np.ndarray, "n"], predictions: Predictions
    ) -> dict[str, tuple[Bool[np.ndarray, "n"], Float[np.ndarray, "n"]]]:
        """Returns truth and score of the second class."""
        if predictions.scores is None:
            return {}
        return {self.classes[1]: (targets == 1, predictions.scores)}

    def estimator(self, entry: Entry) -> Any | None:
        """Returns a new classifier of two classes."""
        return super().estimator(entry) if entry.two_classes else None

    def notes(self, examples: Examples, predictions: Predictions) -> dict[str, Any]:
        """Returns nothing: the metrics say which class is taken for the other."""
        return {}


class Binary(TwoClasses):
    """Whether an image shows one class or any of the rest."""

    fields: ClassVar[Mapping[str, Any]] = {"digit": 5}

    @classmethod
    def create(cls, config: ConfigDict, classes: tuple[str, ...], positions: int) -> "Binary":
        """Returns the task of detecting the class `config.digit`."""
        chosen = require_class("digit", config.digit, classes)
        table = tuple(int(label == chosen) for label in range(len(classes)))
        return cls(config.name, (f"not {classes[chosen]}", classes[chosen]), table)

    def data_text(self, dataset: AnyDataset) -> str:
        """Returns what the images are, for the title of a figure."""
        return f"a {self.classes[-1]} or not (source {dataset.source})"


class Pair(TwoClasses):
    """Which of two classes an image shows; the others take no part."""

    fields: ClassVar[Mapping[str, Any]] = {"pair": (3, 5)}

    @classmethod
    def create(cls, config: ConfigDict, classes: tuple[str, ...], positions: int) -> "Pair":
        """Returns the task of telling the two classes of `config.pair` apart."""
        pair = tuple(config.pair)
        if len(set(pair)) != 2 or len(pair) != 2 or not set(pair) <= {*range(len(classes))}:
            raise UserError(
                f"config.task.pair is {pair}; give two different "
                f"{'digits' if len(classes) == 10 else 'classes'}, as in "
                '--config.task.pair="(3, 5)".'
            )
        table = tuple(
            pair.index(label) if label in pair else NO_PART for label in range(len(classes))
        )
        return cls(config.name, tuple(classes[each] for each in pair), table)

    def data_text(self, dataset: AnyDataset) -> str:
        """Returns what the images are, for the title of a figure."""
        return f"{' or '.join(self.classes)} (source {dataset.source})"


@dataclasses.dataclass(frozen=True)
class ColumnOfSeveral(Classes):
    """Which of several classes stands in a column of a table."""

    pictures: ClassVar[Mapping[str, str]] = {
        "confusion": "confusion",
        "roc": "roc_by_class",
        "importance": "importance",
        "class_balance": "class_balance",
    }

    def data_text(self, dataset: AnyDataset) -> str:
        """Returns what is predicted, for the title of a figure."""
        return f"{self.name} of {dataset.name}"

    def notes(self, examples: Examples, predictions: Predictions) -> dict[str, Any]:
        """Returns nothing."""
        return {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The probability of each class besides."""
        return (*super().columns, *(f"probability_{name}" for name in self.classes))

    def rows(self, examples: Examples, predictions: Predictions) -> Iterator[list[Any]]:
        """Yields true and predicted class, and the probability of each class."""
        cells = super().rows(examples, predictions)
        for row, probabilities in zip(cells, predictions.probabilities, strict=True):
            yield [*row, *(confidence_text(value) for value in probabilities)]


@dataclasses.dataclass(frozen=True)
class ColumnOfTwo(TwoClasses, ColumnOfSeveral):
    """Which of two classes stands in a column of a table."""

    pictures: ClassVar[Mapping[str, str]] = {
        "confusion": "confusion",
        "roc": "roc",
        "importance": "importance",
        "class_balance": "class_balance",
    }


def of_column(name: str, classes: tuple[str, ...]) -> ColumnOfSeveral:
    """Returns the task of predicting a column of a table with these classes."""
    return (ColumnOfTwo if len(classes) == 2 else ColumnOfSeveral)(name, classes)


def require_class(field: str, value: int, classes: tuple[str, ...]) -> int:
    """Returns a class that a field of `config.task` names.

    Raises:
        UserError: if there is no such class.
    """
    if value not in range(len(classes)):
        what = "digit" if len(classes) == 10 else "class"
        raise UserError(
            f"config.task.{field} is {value}; give a {what} from 0 to {len(classes) - 1}."
        )
    return value


def _with_probabilities(
    predictions: Predictions, probabilities: Float[np.ndarray, "n classes"]
) -> Predictions:
    confidence = np.take_along_axis(probabilities, predictions.values[:, None], axis=1)[:, 0]
    return predictions.replaced(confidence=confidence, probabilities=probabilities)
