"""Noise on every pixel."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from ml_collections import ConfigDict

from mnist3.data.augmentation.fields import Augmentation, Field, Size
from mnist3.data.noise import LOUDEST, pixel_noise


def distort(
    key: Key[Array, ""], images: Float[Array, "batch height width"], config: ConfigDict
) -> Float[Array, "batch height width"]:
    """Adds Gaussian noise; ink stays from 0 to 1."""
    noise = config.noise * pixel_noise(key, images.shape)
    return jnp.clip(images + noise.astype(images.dtype), 0, 1)


def _spoils(noise: float, size: Size) -> str:
    del size
    return "drowns images" if noise > LOUDEST else ""


AUGMENTATION = Augmentation(
    {"noise": Field(0.0, "standard deviation, ink from 0 to 1", _spoils)}, distort
)
