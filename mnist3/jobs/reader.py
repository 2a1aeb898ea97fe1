"""A model that has learned to read numbers, and what a run shows of it.

The figures of mistakes are of val where there is a val: who looks for mistakes in order to mend
them must not look at test.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Bool, Float
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from mnist3 import tasks
from mnist3.data.augmentation import augmented_copies
from mnist3.data.dataset import Dataset
from mnist3.errors import UserError
from mnist3.evaluation import inspection
from mnist3.models.committee import first_network
from mnist3.reporting import drawing, figures, image_figures, report
from mnist3.tasks import number_text
from mnist3.training.program import Scores, as_ink

COPIES = 6  # of an image that is augmented
LOOKED_AT = 4  # images with the pixels that speak for what was read
SHOWN = 24  # examples
_OF_NETWORKS = ("augmented", "filters", "feature_maps", "saliency")


class Reader(NamedTuple):
    """A trained model, and what it makes of val and test, of those that the dataset has.

    Attributes:
        config: the whole config.
        dataset: with val, test or both.
        model: from images with ink from 0 to 1 to logits.
        params: that it reads with.
        history: a line an epoch.
        scored: by split.
        metrics: the content of metrics.json; in a notebook without times.
    """

    config: ConfigDict
    dataset: Dataset
    model: nn.Module
    params: optax.Params
    history: list[dict[str, Any]]
    scored: dict[str, Scores]
    metrics: dict[str, Any]

    @property
    def data(self) -> str:
        """What the images are, for a title."""
        return f"{self.dataset.name} from {self.dataset.source}"

    @property
    def split(self) -> str:
        """Where mistakes are looked for."""
        return next(iter(self.scored))

    @property
    def about(self) -> str:
        """What it read, for a title."""
        return f"{self.config.model.name} on {self.data}, {self.split}"

    @property
    def about_network(self) -> str:
        """What one network of it read: the first of a committee."""
        return self.about + ", the first member" * (self.config.model.members > 1)

    @property
    def right(self) -> Bool[np.ndarray, "n"]:
        """Which numbers of val it reads right."""
        return (self.scored["val"].prediction.digits == self.dataset.splits["val"].labels).all(
            axis=1
        )

    @property
    def misreadings(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Images, labels, predictions and confidences to find mistakes in."""
        split, prediction = self.dataset.splits[self.split], self.scored[self.split].prediction
        return split.images, split.labels, prediction.digits, prediction.confidence

    def texts(self, split: str) -> list[str]:
        """Returns the numbers that it reads from the images of a split."""
        return [number_text(digits) for digits in self.scored[split].prediction.digits]

    def logits(self, images: Float[Array, "n height width"]) -> Float[Array, "n *outputs"]:
        """Returns the model's logits of images with ink from 0 to 1."""
        return self.model.apply({"params": self.params}, images)

    def drawers(self) -> dict[str, Callable[[], Figure | None]]:
        """Returns what draws each figure by its name, in reading order.

        What draws a figure that does not go with the model or the config returns None.
        """
        model = f"{self.config.model.name} on {self.data}"
        images, labels, predictions, confidences = self.misreadings
        classes = tasks.create(self.config.task).classes
        spread = self._spread(SHOWN)
        found = {
            "learning_curves": lambda: figures.learning_curves(self.history, model),
            "position_accuracy": lambda: figures.position_accuracy(
                {name: self.metrics[name]["position_accuracy"] for name in self.scored},
                {name: self.metrics[name]["n"] for name in self.scored},
                model,
            ),
            "misread": lambda: figures.misread(
                images, labels, predictions, confidences, classes, self.about
            ),
            "confusion": lambda: figures.position_confusion(
                labels, predictions, classes, self.about
            ),
            "reliability": lambda: figures.reliability(
                confidences, labels, predictions, self.about
            ),
            "examples": lambda: figures.examples(
                images[spread], labels[spread], classes, f"{self.data}, {self.split}"
            ),
            "class_balance": lambda: figures.class_balance(
                self.dataset.numbers, classes, self.data, composed=self.dataset.stream is not None
            ),
            "augmented": self._augmented,
            "filters": self._filters,
            "feature_maps": self._feature_maps,
            "saliency": self._saliency,
        }
        return {
            name: found[name] for name in (*tasks.create(self.config.task).figures, *_OF_NETWORKS)
        }

    def draw(self, name: str) -> Figure:
        """Returns one of the figures by its name in `drawers`.

        Raises:
            UserError: if there is no such figure, or not of this model.
        """
        return drawing.draw(name, self.drawers())

    def _spread(self, count: int) -> slice:
        """Returns so many places in the split; its images may be in the order of their numbers."""
        return slice(0, None, -(-len(self.misreadings[0]) // count))

    def _augmented(self) -> Figure | None:
        on = {name: value for name, value in self.config.augmentation.items() if value}
        if self.dataset.stream is not None:  # digits are augmented before they are composed
            pool = self.dataset.stream.pool
            images, what = pool.images[pool.start], f"digit images of {self.dataset.source}"
        elif "train" in self.dataset.splits:
            images, what = self.dataset.splits["train"].images, self.data
        else:
            return None
        if not on:
            return None
        shown = np.asarray(images[:: -(-len(images) // LOOKED_AT)])
        copies = augmented_copies(shown, self.config.augmentation, COPIES)
        return image_figures.augmented(shown, copies, f"{what}, train; {report.settings_text(on)}")

    def _filters(self) -> Figure | None:
        try:
            kernels = inspection.first_filters(first_network(self.model, self.params)[1])
        except UserError:
            return None
        first = ", the first member" * (self.config.model.members > 1)
        return image_figures.filters(kernels, f"{self.config.model.name} on {self.data}{first}")

    def _feature_maps(self) -> Figure | None:
        image = as_ink(jnp.asarray(self.misreadings[0][0]))
        maps = inspection.feature_maps(*first_network(self.model, self.params), image)
        if not maps:
            return None
        text = number_text(self.misreadings[1][0])
        windows = self.config.model.name == "multihead" and self.config.model.crop_height
        about = f"{self.about_network}, {'the first digit of ' if windows else ''}a {text}"
        return image_figures.feature_maps(np.asarray(image), maps, about)

    def _saliency(self) -> Figure:
        spread = self._spread(LOOKED_AT)
        ink = as_ink(jnp.asarray(self.misreadings[0][spread]))
        gradients = inspection.input_gradients(self.logits, ink)
        return image_figures.saliency(
            np.asarray(ink), np.asarray(gradients), self.texts(self.split)[spread], self.about
        )
