"""What a learner leaves, whatever it is: the seam between learning and everything after it."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Float

from mnist3.evaluation.calibration import Calibrator
from mnist3.tasks import Predictions, Task


class NetworkView(NamedTuple):
    """A network with its parameters, to look at what it does.

    Attributes:
        module: from images with ink from 0 to 1 to logits.
        params: its parameters.
        inputs: the first images as the module sees them, float32 ink.
        part: words for which part of what was learned it is; empty for all of it.
    """

    module: nn.Module
    params: optax.Params
    inputs: np.ndarray
    part: str = ""


@runtime_checkable
class Learned(Protocol):
    """A task learned from a dataset.

    Attributes:
        calibrator: of its confidence; `UNCALIBRATED` until val was read.
    """

    calibrator: Calibrator

    @property
    def task(self) -> Task:
        """Which was learned."""

    @property
    def name(self) -> str:
        """Of the model or the estimator."""

    @property
    def parameters(self) -> int | dict[str, Any]:
        """How many numbers a network has, or what an estimator's settings are but its defaults."""

    @property
    def training(self) -> dict[str, Any]:
        """The entry `train` of metrics.json."""

    @property
    def history(self) -> Sequence[dict[str, Any]]:
        """A line an epoch; empty of what has no epochs."""

    @property
    def loss_curve(self) -> Sequence[float]:
        """Mean training loss of each pass over the data; empty without."""

    @property
    def search_results(self) -> dict[str, Any] | None:
        """What a search of settings tried, as scikit-learn's `cv_results_`; None without one."""

    def predict(self, inputs: Any, targets: Any = None) -> Predictions:
        """Returns the calibrated predictions of inputs, on the host.

        Args:
            inputs: as in the examples of the task.
            targets: of these, where they are known: a network then gives their likelihoods.
        """

    def raw(self, inputs: Any) -> Any:
        """Returns what a temperature changes: logits, or what an estimator predicts."""

    def decode(self, raw: Any, targets: Any = None, temperature: float = 1.0) -> Predictions:
        """Returns the predictions at a temperature, on the host; none of them is called sure."""

    def log_likelihoods(self, raw: Any, targets: Any, temperature: float) -> Float[np.ndarray, "n"]:
        """Returns the natural logarithm of the probability of each target, at a temperature.

        Not to be asked of what gives no probabilities.
        """

    def save(self, folder: str) -> None:
        """Saves into the folder of a run all that `mnist3.learners.load` needs."""

    def network(self, inputs: np.ndarray) -> NetworkView | None:
        """Returns the network that sees images; None where there is none.

        Args:
            inputs: as in the examples of the task.
        """
