"""Images cleaned of noise."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, UInt8
from ml_collections import ConfigDict

from mnist3.data.draws import data_key
from mnist3.data.noise import integer_noise
from mnist3.data.splits import Split
from mnist3.data.table_dataset import AnyDataset
from mnist3.errors import UserError
from mnist3.evaluation.denoising import denoise_metrics, squared_errors
from mnist3.tasks.classes import DATA_PICTURES
from mnist3.tasks.task import Entry, Examples, Predictions, Task
from mnist3.varied import Scalar

CLEAN = 0.1  # largest root-mean-square error of an image that counts as cleaned, ink from 0 to 1


@dataclasses.dataclass(frozen=True)
class Denoise(Task):
    """What an image was before integers were added to its pixels.

    A network sees other noise at each step; what is held out has its noise drawn once.

    Attributes:
        noise: the largest integer added to a pixel of 0-255.
    """

    noise: int = 0

    fields: ClassVar[Mapping[str, Any]] = {"noise": 99}
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "psnr")
    pictures: ClassVar[Mapping[str, str]] = {
        "cleaned": "cleaned",
        **DATA_PICTURES,
        "class_balance": "position_balance",
    }
    headline_words: ClassVar[str] = (
        "Root of the mean squared error of the {n:,} cleaned {examples} of {split}, grey levels"
    )
    outcome: ClassVar[str] = "mse"
    right_name: ClassVar[str] = "cleaned"
    scoring: ClassVar[str] = "neg_root_mean_squared_error"
    loss_unit: ClassVar[str] = "mean squared error, ink from 0 to 1"
    softmax: ClassVar[bool] = False
    reads_views: ClassVar[bool] = False
    model_output: ClassVar[str] = "images"
    higher_is_better: ClassVar[bool] = False

    @classmethod
    def create(cls, config: ConfigDict, classes: tuple[str, ...], positions: int) -> "Denoise":
        """Returns the task of removing integers from 0 to `config.noise`."""
        if not 0 < config.noise <= 255:
            raise UserError(
                f"config.task.noise is {config.noise}; give a grey level from 1 to 255."
            )
        return cls(config.name, ("ink",), config.noise)

    def loss(
        self,
        logits: Float[Array, "batch height width"],
        targets: Float[Array, "batch height width"],
        label_smoothing: Scalar = 0.0,
    ) -> Float[Array, "batch"]:
        """Returns the mean squared error of each image, ink from 0 to 1; nothing is smoothed."""
        del label_smoothing
        return ((logits - targets) ** 2).mean(axis=(1, 2))

    def right(
        self,
        logits: Float[Array, "batch height width"],
        targets: Float[Array, "batch height width"],
    ) -> Bool[Array, "batch"]:
        """Tells of which images the root-mean-square error is at most `CLEAN`."""
        return self.loss(logits, targets) <= CLEAN**2

    def predict(
        self, logits: Float[Array, "batch height width"], targets: Array | None = None
    ) -> Predictions:
        """Returns cleaned images, uint8."""
        del targets
        return Predictions(jnp.clip(jnp.round(255 * logits), 0, 255).astype(jnp.uint8))

    def corrupt(
        self, key: jax.Array, images: Float[Array, "batch height width"], targets: Array | None
    ) -> tuple[Array, Array | None]:
        """Adds new noise to training images, ink from 0 to 1, which are their own targets."""
        if not self.noise:
            return images, targets
        return images + integer_noise(key, images.shape, self.noise) / 255, images

    def examples(self, split: Split, seed: int, position: int) -> Examples:
        """Returns images with noise, int32 grey levels that may exceed 255, and as they were."""
        shape = (len(split.images), split.images[0].size)  # in this shape since the first runs
        noise = np.asarray(integer_noise(data_key(seed, position), shape, self.noise))
        noisy = split.images + noise.reshape(split.images.shape)
        return Examples(noisy, split.images, split.labels)

    def network_examples(self, examples: Examples) -> Examples:
        """Returns clean images, to which `corrupt` adds noise."""
        return examples._replace(inputs=examples.targets, targets=None)

    def measure(
        self,
        targets: UInt8[np.ndarray, "n height width"],
        predictions: Predictions,
        seed: int = 0,
        digit_indices: Int32[np.ndarray, "n K"] | None = None,
    ) -> dict[str, Any]:
        """Returns the metrics of a split, see `denoise_metrics`."""
        return denoise_metrics(targets, predictions.values, seed)

    def progress(
        self, targets: UInt8[np.ndarray, "n height width"], predictions: Predictions
    ) -> dict[str, float]:
        """Returns the root of the mean squared error, grey levels."""
        return {"rmse": float(self.outcomes(targets, predictions).mean() ** 0.5)}

    def outcomes(
        self, targets: UInt8[np.ndarray, "n height width"], predictions: Predictions
    ) -> Float[np.ndarray, "n"]:
        """Returns the squared error of each image, squared grey levels."""
        return squared_errors(targets, predictions.values)

    def texts(self, values: UInt8[np.ndarray, "n height width"]) -> list[str]:
        """Returns empty texts: an image has no name."""
        return [""] * len(values)

    def data_text(self, dataset: AnyDataset) -> str:
        """Returns what the images are, for the title of a figure."""
        return f"noisy digits (source {dataset.source})"

    @property
    def columns(self) -> tuple[str, ...]:
        """What stands on the image, and how far the cleaned one is off."""
        return ("label", "rmse")

    def rows(self, examples: Examples, predictions: Predictions) -> Iterator[list[Any]]:
        """Yields the label and the root of the mean squared error of each, grey levels."""
        errors = self.outcomes(examples.targets, predictions)
        for label, error in zip(examples.labels[:, 0], errors, strict=True):
            yield [label, f"{error**0.5:.4f}"]

    @property
    def predicted_columns(self) -> tuple[str, ...]:
        """The file of the cleaned image."""
        return ("cleaned",)

    def predicted_cells(self, predictions: Predictions) -> list[list[str]]:
        """Returns empty cells: the job names the files."""
        return [[""] for _ in range(len(predictions))]

    def predicted_images(self, predictions: Predictions) -> UInt8[np.ndarray, "n height width"]:
        """Returns the cleaned images."""
        return predictions.values

    def estimator(self, entry: Entry) -> Any | None:
        """Returns a new regressor of pixels, or a classifier of their grey levels."""
        return entry.pixel_regressor() if entry.pixel_regressor else None

    def estimator_parameters(self) -> dict[str, Any]:
        """Returns the noise, with which a network makes its training images itself."""
        return {"noise": self.noise}

    def train_limit(self, entry: Entry) -> int:
        """Returns beyond how many training images a fit takes minutes; 0 for none."""
        return entry.pixel_train_limit

    def of_estimator(self, fitted: Any, features: Any) -> Predictions:
        """Returns the images that a fitted regressor cleans."""
        side = round(features.shape[1] ** 0.5)
        values = np.clip(np.rint(np.asarray(fitted.predict(features))), 0, 255).astype(np.uint8)
        return Predictions(values.reshape(-1, side, side))

    def headline(self, metrics: Mapping[str, Any]) -> str:
        """Returns the root of the mean squared error as text."""
        return f"{metrics['rmse']:.2f} grey levels off"

    def explanation(self, metrics: Mapping[str, Any], split: str, examples: str = "images") -> str:
        """Returns what the headline is, and its interval."""
        low, high = metrics["rmse_ci95"]
        words = self.headline_words.format(n=metrics["n"], split=split, examples=examples)
        return f"{words}; 95 % interval {low:.2f} to {high:.2f}."

    def facts(self) -> list[tuple[str, str]]:
        """Returns what a report says of the task."""
        return [("task", f"{self.name}: integers of 0 to {self.noise} on every pixel")]
