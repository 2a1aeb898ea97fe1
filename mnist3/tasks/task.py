"""What every task answers: the seam between a model's logits and the files of a run."""

import abc
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, Num, UInt8
from ml_collections import ConfigDict

from mnist3.data.splits import Split
from mnist3.data.table_dataset import AnyDataset
from mnist3.evaluation.words import confidence_text, metric_text
from mnist3.varied import Scalar

Targets = Num[np.ndarray, "n *outputs"]
Entry = Any  # of the registry of estimators, see mnist3.estimators.registry.Entry


class Predictions(NamedTuple):
    """What a learner gives for n examples; a leading axis of replicates may stand before n.

    Attributes:
        values: what is predicted: int32 [n, K] digits of a number, int32 [n, longest] digits of a
            string and then NO_DIGIT, int32 [n] classes, int32 [n, labels] of 0 or 1, or uint8
            [n, height, width] images.
        confidence: probability that the whole prediction is right, [n]; None without
            probabilities.
        probabilities: of each predicted digit, [n, K], of a string 0 where there is none; of each
            class, or of a 1 for each label, [n, outputs]; None of an estimator that gives none.
        scores: higher where the class or label is more likely: [n] for the second of two classes,
            else [n, outputs]; None without.
        log_likelihood: natural logarithm of the probability of the true target, [n]; None where
            targets were not given or probabilities are not.
        spans: of strings, int32 [n, longest, 2], first and one-past-last column of the image at
            which each digit stands, px; -1 where there is none.
        sure: whether to rely on the prediction, [n]; None where nothing is known of that.
    """

    values: Any
    confidence: Any = None
    probabilities: Any = None
    scores: Any = None
    log_likelihood: Any = None
    spans: Any = None
    sure: Any = None

    def __len__(self) -> int:
        return len(self.values)

    def replaced(self, **changes: Any) -> "Predictions":
        """Returns the predictions with other values; `_replace` would take their length for its."""
        return Predictions(**dict(zip(self._fields, self, strict=True)) | changes)

    def of(self, rows: slice | np.ndarray) -> "Predictions":
        """Returns the predictions of some of the examples."""
        return Predictions(*(None if each is None else each[rows] for each in self))


class Examples(NamedTuple):
    """Inputs and targets of a split, on the host or on the devices.

    Attributes:
        inputs: uint8 images `[n, height, width]`, ink bright on dark; of denoise with noise, then
            of a wider type; float32 feature vectors; or the rows of a table.
        targets: what the task predicts of each.
        labels: int32 [n, K], what stands on the images, where they show something.
        count: int32 [], how many rows are examples, the others filling; None for all.
    """

    inputs: Any
    targets: Any
    labels: Any = None
    count: Any = None


def confidence_cells(predictions: Predictions) -> list[list[str]]:
    """Returns the cells `confidence` and `sure`, 1 or 0, of each example; empty if not known."""
    return [
        [
            "" if predictions.confidence is None else confidence_text(predictions.confidence[row]),
            "" if predictions.sure is None else str(int(predictions.sure[row])),
        ]
        for row in range(len(predictions))
    ]


@dataclasses.dataclass(frozen=True)
class Task(abc.ABC):
    """What is to be predicted; the same for networks and for scikit-learn's estimators.

    The first group of methods is pure and compiled, the second works on the host. Both take arrays
    of many examples.

    Attributes:
        name: in the registry, or the column of a table that is predicted.
        classes: names of the classes or labels.
        kind: of the runs that it is for.
        fields: of its own in `config.task`, with their defaults.
        metrics: names of what is measured, the headline first; what rests on probabilities only
            of learners that give them.
        pictures: file name of each picture to what draws it, see `mnist3.reporting.pictures`, in
            reading order; each is drawn where there is something to show.
        outcome: what learners are compared by: `exact_match`, `accuracy` or `mse`.
        right_name: what the share of `right` examples is called in the history.
        scoring: scikit-learn's name of the score that a search maximises.
        model_output: what a model for it computes: `logits` of classes, `columns` of logits with a
            blank, or `images`, which predict writes as files.
        loss_unit: of `loss`, for the axis of a figure.
        softmax: whether logits are those of a softmax over their last axis, as an ensemble needs.
        reads_views: whether logits may be averaged over moved images as log-probabilities.
        reads_lines: whether pictures are read line by line, as strips, and not as a whole.
    """

    name: str
    classes: tuple[str, ...]

    kind: ClassVar[str] = "digits"
    fields: ClassVar[Mapping[str, Any]] = {}
    metrics: ClassVar[tuple[str, ...]]
    pictures: ClassVar[Mapping[str, str]]
    headline_words: ClassVar[str]
    outcome: ClassVar[str] = "accuracy"
    right_name: ClassVar[str] = "accuracy"
    scoring: ClassVar[str] = "accuracy"
    loss_unit: ClassVar[str] = "nats"
    softmax: ClassVar[bool] = True
    reads_views: ClassVar[bool] = True
    reads_lines: ClassVar[bool] = False
    model_output: ClassVar[str] = "logits"
    higher_is_better: ClassVar[bool] = True

    @classmethod
    @abc.abstractmethod
    def create(cls, config: ConfigDict, classes: tuple[str, ...], positions: int) -> "Task":
        """Returns the task of a config's section `task`.

        Args:
            config: the section.
            classes: names of the source's classes.
            positions: K, digits an image.

        Raises:
            UserError: if a field cannot be used with these classes.
        """

    @property
    def positions(self) -> int:
        """How many classes are predicted of an example, one after the other."""
        return 1

    @property
    def outputs(self) -> int:
        """Logits of a model: of each position, or of each pixel."""
        return len(self.classes)

    @property
    def number_lengths(self) -> tuple[int, int] | None:
        """Fewest and most digits of the numbers that `texts` gives; None where it gives none."""
        return None

    @abc.abstractmethod
    def loss(
        self, logits: Array, targets: Array, label_smoothing: Scalar = 0.0
    ) -> Float[Array, "batch"]:
        """Returns the loss of each example."""

    @abc.abstractmethod
    def right(self, logits: Array, targets: Array) -> Bool[Array, "batch"]:
        """Tells which examples are predicted right."""

    @abc.abstractmethod
    def predict(self, logits: Array, targets: Array | None = None) -> Predictions:
        """Returns the predictions that logits stand for; with targets, their likelihoods too."""

    def corrupt(
        self, key: jax.Array, images: Array, targets: Array | None
    ) -> tuple[Array, Array | None]:
        """Returns what a network sees of training images at a step, and their targets."""
        del key
        return images, targets

    def examples(self, split: Split, seed: int, position: int) -> Examples:
        """Returns the examples of a split that take part.

        Args:
            split: images and labels.
            seed: of what is drawn once.
            position: number of the split, so that each draws its own.
        """
        del seed, position
        return Examples(split.images, split.labels, split.labels)

    def network_examples(self, examples: Examples) -> Examples:
        """Returns training examples as a network takes them before `corrupt`."""
        return examples

    def require_learnable(self, targets: Targets) -> None:
        """Checks that there is something to learn.

        Raises:
            UserError: if not.
        """
        del targets

    @abc.abstractmethod
    def measure(
        self,
        targets: Targets,
        predictions: Predictions,
        seed: int = 0,
        digit_indices: Int32[np.ndarray, "n K"] | None = None,
    ) -> dict[str, Any]:
        """Returns the metrics of a split, under the names of metrics.json.

        Args:
            targets: the true values.
            predictions: of the same examples.
            seed: of the bootstrap.
            digit_indices: of composed images, where the digit images on them stand in their
                source; those that share one do not count as independent.
        """

    def progress(self, targets: Targets, predictions: Predictions) -> dict[str, float]:
        """Returns the metrics of val after each epoch: the headline, and `nll` where known."""
        return {
            self.metrics[0]: float(self.outcomes(targets, predictions).mean()),
            "nll": -float(predictions.log_likelihood.mean()),
        }

    def outcomes(
        self, targets: Targets, predictions: Predictions
    ) -> Bool[np.ndarray, "n"] | Float[np.ndarray, "n"]:
        """Returns what learners are compared by: which examples are right, or their errors."""
        right = predictions.values == targets
        return right.all(axis=tuple(range(1, right.ndim)))

    @abc.abstractmethod
    def texts(self, values: np.ndarray) -> list[str]:
        """Returns values, predicted or true, as texts."""

    @abc.abstractmethod
    def data_text(self, dataset: AnyDataset) -> str:
        """Returns what the examples are, for the title of a figure."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of predictions_{split}.csv after `index`."""
        return ("label", "prediction", "confidence", "sure")

    def rows(self, examples: Examples, predictions: Predictions) -> Iterator[list[Any]]:
        """Yields the cells under `columns` of each example; what is not known is empty."""
        texts = (self.texts(each) for each in (examples.targets, predictions.values))
        cells = confidence_cells(predictions)
        for label, prediction, each in zip(*texts, cells, strict=True):
            yield [label, prediction, *each]

    @property
    def predicted_columns(self) -> tuple[str, ...]:
        """The columns of what predict writes, between `path` and `error`."""
        return ("prediction", "confidence", "sure")

    def predicted_cells(self, predictions: Predictions) -> list[list[str]]:
        """Returns the cells under `predicted_columns` of each example."""
        texts, cells = self.texts(predictions.values), confidence_cells(predictions)
        return [[text, *each] for text, each in zip(texts, cells, strict=True)]

    def predicted_images(
        self, predictions: Predictions
    ) -> UInt8[np.ndarray, "n height width"] | None:
        """Returns the images that are predicted; None where it is not images."""
        del predictions
        return None

    def claims(self, predictions: Predictions) -> Bool[Array | np.ndarray, "n"] | bool:
        """Tells which predictions say something that may be sure; the others never are. Pure."""
        del predictions
        return True

    def probabilities_shown(self, predictions: Predictions) -> Sequence[int | None]:
        """Returns how many of the probabilities of each prediction mean something; None for all."""
        return [None] * len(predictions)

    def digit_confidences(self, predictions: Predictions) -> list[tuple[float, ...]]:
        """Returns how probable each digit of each number is that `texts` gives; empty if unknown.

        Of one digit it is the confidence of the whole.
        """
        if predictions.confidence is None:
            return [()] * len(predictions)
        return [(each,) for each in np.asarray(predictions.confidence).tolist()]

    def estimator(self, entry: Entry) -> Any | None:
        """Returns a new estimator for this task, None if the entry does not fit it.

        Args:
            entry: of the registry of estimators.
        """
        del entry
        return None

    def estimator_parameters(self) -> dict[str, Any]:
        """Returns parameters that the task sets, of estimators that have them."""
        return {}

    def train_limit(self, entry: Entry) -> int:
        """Returns beyond how many training examples a fit takes minutes; 0 for none."""
        return entry.train_limit

    def of_estimator(self, fitted: Any, features: Any) -> Predictions:
        """Returns the predictions of a fitted scikit-learn estimator."""
        raise NotImplementedError(f"no estimator fits the task {self.name}")

    def tempered(self, predictions: Predictions, temperature: float) -> Predictions:
        """Returns an estimator's predictions with the probabilities that a temperature makes.

        The logits that are divided by it are those that the probabilities stand for.
        """
        raise NotImplementedError(f"no estimator's probabilities are of the task {self.name}")

    def losses(self, targets: Targets, predictions: Predictions) -> Float[np.ndarray, "n"]:
        """Returns how improbable the truth of each example is, nats, where that is a picture."""
        raise NotImplementedError(f"the task {self.name} draws no worst images")

    def detectors(
        self, targets: Targets, predictions: Predictions
    ) -> dict[str, tuple[Bool[np.ndarray, "n"], Float[np.ndarray, "n"]]]:
        """Returns truth and score of each detector in the task, by its name."""
        del targets, predictions
        return {}

    def headline(self, metrics: Mapping[str, Any]) -> str:
        """Returns the metric of a split that matters most, as text with its name."""
        name = self.metrics[0]
        return f"{100 * metrics[name]:.2f} % {metric_text(name)}"

    def explanation(self, metrics: Mapping[str, Any], split: str, examples: str = "images") -> str:
        """Returns what the headline is, and its interval."""
        low, high = metrics[f"{self.metrics[0]}_ci95"]
        words = self.headline_words.format(n=metrics["n"], split=split, examples=examples)
        return f"{words}; 95 % interval {100 * low:.2f} % to {100 * high:.2f} %."

    def facts(self) -> list[tuple[str, str]]:
        """Returns what a report says of the task."""
        return [("task", f"{self.name}: {', '.join(self.classes)}")]

    def notes(self, examples: Examples, predictions: Predictions) -> dict[str, Any]:
        """Returns what metrics.json says of val besides its metrics."""
        del examples, predictions
        return {}
