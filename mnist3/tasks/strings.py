"""Strings: numbers of any length, read from one image.

The logits are of columns, `[batch, columns, classes + 1]`, the blank class last; see
`mnist3.tasks.ctc`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32
from ml_collections import ConfigDict

from mnist3.data import numbers
from mnist3.data.splits import Split
from mnist3.data.strips import COLUMN
from mnist3.data.table_dataset import AnyDataset
from mnist3.errors import UserError
from mnist3.evaluation.calibration import CONFIDENCE_METRICS
from mnist3.evaluation.strings import lengths, string_metrics
from mnist3.evaluation.words import confidence_text
from mnist3.tasks import ctc
from mnist3.tasks.task import Examples, Predictions, Task, confidence_cells
from mnist3.varied import Scalar

Labels = Int32[Array, "batch longest"]


@dataclasses.dataclass(frozen=True)
class String(Task):
    """Which digits an image shows, from left to right, however many.

    Attributes:
        longest: most digits of a string.
    """

    longest: int

    kind: ClassVar[str] = "numbers"
    metrics: ClassVar[tuple[str, ...]] = (
        "exact_match",
        "digit_error_rate",
        "length_accuracy",
        "nll",
        *CONFIDENCE_METRICS,
    )
    pictures: ClassVar[Mapping[str, str]] = {
        "learning_curves": "learning_curves",
        "accuracy_by_length": "accuracy_by_length",
        "misread": "misread",
        "reliability": "reliability",
        "risk_coverage": "risk_coverage",
        "examples": "examples",
    }
    headline_words: ClassVar[str] = (
        "Share of the {n:,} {examples} of the {split} split with every digit right and none too "
        "many"
    )
    outcome: ClassVar[str] = "exact_match"
    right_name: ClassVar[str] = "exact_match"
    reads_views: ClassVar[bool] = False
    reads_lines: ClassVar[bool] = True
    model_output: ClassVar[str] = "columns"

    @classmethod
    def create(cls, config: ConfigDict, classes: tuple[str, ...], positions: int) -> "String":
        """Returns the task of reading up to `positions` digits."""
        return cls(config.name, classes, positions)

    @property
    def positions(self) -> int:
        """Most digits of a string."""
        return self.longest

    @property
    def number_lengths(self) -> tuple[int, int]:
        """Any up to the longest, and none."""
        return 0, self.longest

    @property
    def outputs(self) -> int:
        """The classes and the blank."""
        return len(self.classes) + 1

    def loss(
        self, logits: ctc.Logits, targets: Labels, label_smoothing: Scalar = 0.0
    ) -> Float[Array, "batch"]:
        """Returns the negative log probability of each string, nats, see `ctc.ctc_loss`.

        By `label_smoothing` it is mixed with the cross-entropy of the columns to a uniform
        distribution, summed over them: what a smoothed cross-entropy is where there is one column.
        Source: S. Kim, M. L. Seltzer, J. Li, R. Zhao, Improved training for online end-to-end
        speech recognition systems, 2018.
        """
        uniform = -jax.nn.log_softmax(logits).mean(axis=-1).sum(axis=-1)
        string = ctc.ctc_loss(logits, targets)
        return (1 - label_smoothing) * string + label_smoothing * uniform

    def right(self, logits: ctc.Logits, targets: Labels) -> Bool[Array, "batch"]:
        """Tells of which images the most probable path is the string: cheaper than `predict`."""
        found, _ = ctc.greedy(logits, self.longest + 1)  # a digit too many shows in the last place
        return (found[:, :-1] == targets).all(axis=-1) & (found[:, -1] == numbers.NO_DIGIT)

    def predict(self, logits: ctc.Logits, targets: Labels | None = None) -> Predictions:
        """Returns the most probable string of each image, how probable it is, and where it stands.

        The probability of a digit is the largest one that it has in the columns where it stands.
        """
        found = ctc.beam_search(logits, self.longest)
        columns, probabilities = ctc.spans(logits, found.labels)
        return Predictions(
            found.labels,
            jnp.exp(found.log_probability),
            probabilities,
            log_likelihood=None if targets is None else -ctc.ctc_loss(logits, targets),
            spans=jnp.where(columns >= 0, COLUMN * columns, -1),
        )

    def examples(self, split: Split, seed: int, position: int) -> Examples:
        """Returns the images and their strings, as long as the longest that is read.

        Raises:
            UserError: if one of them is longer.
        """
        found = super().examples(split, seed, position)
        labels, longest = split.labels, int(lengths(split.labels).max(initial=0))
        if longest > self.longest:
            raise UserError(
                f"there are strings of {longest} digits, and at most {self.longest} are read; "
                f"raise config.data.digits to {longest}."
            )
        missing = max(self.longest - labels.shape[1], 0)
        labels = np.pad(labels, ((0, 0), (0, missing)), constant_values=numbers.NO_DIGIT)
        return found._replace(targets=np.ascontiguousarray(labels[:, : self.longest]))

    def measure(
        self,
        targets: Int32[np.ndarray, "n longest"],
        predictions: Predictions,
        seed: int = 0,
        digit_indices: Int32[np.ndarray, "n _"] | None = None,
    ) -> dict[str, Any]:
        """Returns the metrics of a split, see `string_metrics`."""
        del seed
        return string_metrics(
            targets,
            predictions.values,
            predictions.confidence,
            predictions.log_likelihood,
            digit_indices,
        )

    def texts(self, values: Int32[np.ndarray, "n longest"]) -> list[str]:
        """Returns strings as texts, leading zeros kept; "" where there is no digit."""
        return numbers.texts(np.asarray(values), self.classes)

    def data_text(self, dataset: AnyDataset) -> str:
        """Returns what the images are, for the title of a figure."""
        return f"{dataset.name} from {dataset.source}"

    def claims(self, predictions: Predictions) -> Bool[Array | np.ndarray, "n"]:
        """Tells where a digit is read: that there is none may have many reasons."""
        return (predictions.values != numbers.NO_DIGIT).any(axis=-1)

    def probabilities_shown(self, predictions: Predictions) -> Sequence[int | None]:
        """Returns the length of each string."""
        return lengths(predictions.values).tolist()

    def digit_confidences(self, predictions: Predictions) -> list[tuple[float, ...]]:
        """Returns the confidence of each digit that was read."""
        of_all = np.asarray(predictions.probabilities).tolist()
        sizes = lengths(predictions.values).tolist()
        return [tuple(each[:size]) for each, size in zip(of_all, sizes, strict=True)]

    @property
    def predicted_columns(self) -> tuple[str, ...]:
        """Number, confidence, whether it is sure, how many digits, and the confidence of each."""
        return ("number", "confidence", "sure", "length", "confidences")

    def predicted_cells(self, predictions: Predictions) -> list[list[str]]:
        """Returns the cells under `predicted_columns` of each image."""
        return [
            [
                text,
                *confidence,
                str(length),
                " ".join(map(confidence_text, probabilities[:length])),
            ]
            for text, confidence, length, probabilities in zip(
                self.texts(predictions.values),
                confidence_cells(predictions),
                lengths(predictions.values).tolist(),
                predictions.probabilities,
                strict=True,
            )
        ]
