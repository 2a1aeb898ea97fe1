"""What is predicted from an image: loss and decoding of each task.

The logits of a number are either of each position, `[batch, K, 10]`, or of whole numbers,
`[batch, 10^K]`; every function here takes both.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int32

Logits = Float[Array, "batch K 10"] | Float[Array, "batch numbers"]


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
