"""The strips of `experiments/people.py` read by learned segments in place of CTC, to compare both.

The network is the same: of each column the last logit says no longer how likely a blank is, but
how likely it is that a digit ends there. Added up from the left, these weights part the columns
into as many segments as there are digits, and a digit's logits are the weighted mean of those of
its segment (L. Dong, B. Xu, CIF: continuous integrate-and-fire for end-to-end speech recognition,
2020). How many digits there are is a sum of independent yes and no, one a column, whose
distribution is exact. The probability of a string is that of its length times those of its digits.

    python launch.py --config=experiments/recipes/people_segments.py

It trains and measures; to read pictures with it later, the task would have to be registered in
`mnist3/tasks/`. What came out is in docs/results.md.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32
from ml_collections import ConfigDict

from experiments import people
from mnist3 import tasks
from mnist3.data.numbers import NO_DIGIT
from mnist3.data.strips import COLUMN
from mnist3.tasks.ctc import UNREACHABLE, lengths
from mnist3.tasks.strings import String
from mnist3.tasks.task import Predictions
from mnist3.varied import Scalar

Logits = Float[Array, "batch columns outputs"]
Labels = Int32[Array, "batch longest"]

_LEAST = 1e-6  # of all weights of a strip together, which are divided by
_BELONGS = 0.05  # of a column's weight in a segment: less is the rounding of its neighbours


def length_logs(logits: Logits, longest: int) -> Float[Array, "batch sizes"]:
    """Returns log-probabilities of 0, 1, ..., `longest`, and of more digits."""
    ends = logits[..., -1].T
    start = jnp.where(jnp.arange(longest + 2)[:, None] == 0, 0.0, UNREACHABLE)
    start = jnp.broadcast_to(start, (longest + 2, logits.shape[0]))

    def column(logs: Array, end: Array) -> tuple[Array, None]:
        entered = jnp.concatenate([jnp.full_like(logs[:1], UNREACHABLE), logs[:-1]])
        stays = jnp.concatenate([logs[:-1] + jax.nn.log_sigmoid(-end), logs[-1:]])
        return jnp.logaddexp(entered + jax.nn.log_sigmoid(end), stays), None

    return jax.lax.scan(column, start, ends)[0].T


def digit_logs(
    logits: Logits, sizes: Int32[Array, "batch"], longest: int
) -> tuple[Float[Array, "batch longest classes"], Float[Array, "batch columns longest"]]:
    """Returns log-probabilities of each digit's classes, and the columns' weights in each digit."""
    ends = jax.nn.sigmoid(logits[..., -1])
    ends *= (sizes / jnp.maximum(ends.sum(axis=1), _LEAST))[:, None]
    until = jnp.clip(jnp.cumsum(ends, axis=1)[..., None] - jnp.arange(longest), 0, 1)
    weights = jnp.diff(until, axis=1, prepend=jnp.zeros_like(until[:, :1]))
    of_digits = jnp.einsum("bcd,bco->bdo", weights, logits[..., :-1])
    return jax.nn.log_softmax(of_digits), weights


def string_logs(logits: Logits, labels: Labels) -> Float[Array, "batch"]:
    """Returns the log-probability of each string."""
    sizes, longest = lengths(labels), labels.shape[1]
    of_length = jnp.take_along_axis(length_logs(logits, longest), sizes[:, None], axis=1)[:, 0]
    of_digits, _ = digit_logs(logits, sizes, longest)
    chosen = jnp.take_along_axis(of_digits, jnp.maximum(labels, 0)[..., None], axis=2)[..., 0]
    return of_length + jnp.where(labels == NO_DIGIT, 0.0, chosen).sum(axis=1)


@dataclasses.dataclass(frozen=True)
class Segments(String):
    """Which digits an image shows, by its most probable length and then digit by digit."""

    def loss(
        self, logits: Logits, targets: Labels, label_smoothing: Scalar = 0.0
    ) -> Float[Array, "batch"]:
        """Returns the negative log probability of each string, nats; nothing is smoothed."""
        del label_smoothing
        return -string_logs(logits, targets)

    def right(self, logits: Logits, targets: Labels) -> Bool[Array, "batch"]:
        """Tells of which images every digit is right, and none too many or missing."""
        return (self.predict(logits).values == targets).all(axis=1)

    def predict(self, logits: Logits, targets: Labels | None = None) -> Predictions:
        """Returns the string of each image, how probable it is, and where its digits stand."""
        sizes = length_logs(logits, self.longest)[:, :-1].argmax(axis=1)
        of_digits, weights = digit_logs(logits, sizes, self.longest)
        here = jnp.arange(self.longest) < sizes[:, None]
        labels = jnp.where(here, of_digits.argmax(axis=2), NO_DIGIT).astype(jnp.int32)
        belongs = weights > _BELONGS
        last = belongs.shape[1] - belongs[:, ::-1].argmax(axis=1)
        spans = COLUMN * jnp.stack([belongs.argmax(axis=1), last], axis=2).astype(jnp.int32)
        return Predictions(
            labels,
            jnp.exp(string_logs(logits, labels)),
            jnp.where(here, jnp.exp(of_digits.max(axis=2)), 0.0),
            log_likelihood=None if targets is None else string_logs(logits, targets),
            spans=jnp.where(here[..., None], spans, -1),
        )


def get_config(argument: str = "") -> ConfigDict:
    """Variants: those of `experiments/people.py`."""
    tasks.REGISTRY["segments"] = Segments
    config = people.get_config(argument)
    config.task.name = "segments"
    return config
