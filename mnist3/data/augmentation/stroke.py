"""Thicker and thinner strokes."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from ml_collections import ConfigDict

from mnist3.data.augmentation.fields import Augmentation, Field, Size
from mnist3.varied import largest

_LARGEST = 4.0


def distort(
    key: Key[Array, ""], images: Float[Array, "batch height width"], config: ConfigDict
) -> Float[Array, "batch height width"]:
    """Makes the strokes of each image thicker or thinner, to their neighbours' brightest or off."""
    change = config.stroke * jax.random.uniform(key, (len(images), 1, 1), images.dtype, minval=-1)
    thick = images
    for step in range(math.ceil(largest(config.stroke))):
        share = jnp.clip(change - step, 0, 1)
        thick = thick + share * (_brightest(thick) - thick)
    # What is left of a pixel once the mean of its surroundings is taken off is the middle of a
    # stroke; it is then as bright as before.
    thin = jnp.clip(images - 0.8 * _mean(images), 0, 1)
    peak = jnp.maximum(thin.max(axis=(1, 2), keepdims=True), 1e-3)
    thin = jnp.clip(1.4 * thin / peak, 0, 1) * images.max(axis=(1, 2), keepdims=True)
    share = jnp.clip(-change, 0, 1)
    return jnp.where(change > 0, thick, images + share * (thin - images))


def _neighbours(images: Array) -> list[Array]:
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1)))
    return [padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]]


def _brightest(images: Array) -> Array:
    for each in _neighbours(images):
        images = jnp.maximum(images, each)
    return images


def _mean(images: Array) -> Array:
    """Returns the mean over 5x5 pixels."""
    padded = jnp.pad(images, ((0, 0), (2, 2), (2, 2)))
    height, width = images.shape[1:]
    rows = jnp.zeros_like(padded[:, :height])
    for start in range(5):
        rows += padded[:, start : start + height]
    total = jnp.zeros_like(images)
    for start in range(5):
        total += rows[:, :, start : start + width]
    return total / 25


def _spoils(stroke: float, size: Size) -> str:
    del size
    return "smears digits" if stroke > _LARGEST else ""


AUGMENTATION = Augmentation(
    {"stroke": Field(0.0, "px, to either side of a stroke, thicker or thinner", _spoils)}, distort
)
