"""Augmentation of training images on the device, each image with random values of its own.

An augmentation is a module with an `AUGMENTATION` and a line in `REGISTRY`: it declares its fields
of the config and how it acts.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8
from ml_collections import ConfigDict

from mnist3.data.augmentation import cutout, geometry, noise, stroke
from mnist3.data.augmentation.fields import Augmentation, Field, Size
from mnist3.errors import UserError

REGISTRY: dict[str, Augmentation] = {  # in the order in which they act; a new one comes last
    "geometry": geometry.AUGMENTATION,
    "noise": noise.AUGMENTATION,
    "cutout": cutout.AUGMENTATION,
    "stroke": stroke.AUGMENTATION,
}


def declared() -> dict[str, Field]:
    """Returns the fields of all augmentations, by name."""
    return {name: field for each in REGISTRY.values() for name, field in each.fields.items()}


def defaults() -> dict[str, Any]:
    """Returns the config's section `augmentation` with everything off."""
    return {name: field.default for name, field in declared().items()}


def is_on(config: ConfigDict) -> bool:
    """Tells whether a config's section `augmentation` distorts anything."""
    return any(each.is_on(config) for each in REGISTRY.values())


def require_learnable(config: ConfigDict, size: Size) -> None:
    """Checks that distorted images are still images.

    Args:
        config: the section `augmentation` of a config.
        size: height and width of the images that are distorted, px.

    Raises:
        UserError: names the first field whose value leaves nothing to learn from.
    """
    for name, field in declared().items():
        value = config[name]
        if spoils := field.spoils(value, size):
            raise UserError(
                f"config.augmentation.{name} is {value} ({field.unit}), which {spoils} of "
                f"{size[0]}x{size[1]} px, so nothing is left to learn from; lower it."
            )


def augment(
    key: Key[Array, ""], images: Float[Array, "batch height width"], config: ConfigDict
) -> Float[Array, "batch height width"]:
    """Distorts images at random.

    Args:
        key: of all that is random.
        images: with ink from 0 to 1, which they keep.
        config: the section `augmentation` of a config; of candidates that one program trains its
            values may be `mnist3.varied.Varied`.

    Returns:
        The distorted images.
    """
    # The first keys are the same however many there are.
    keys = jax.random.split(key, len(REGISTRY))
    for position, each in enumerate(REGISTRY.values()):
        if each.is_on(config):
            images = each.distort(keys[position], images, config)
    return images


def augmented_copies(
    images: UInt8[np.ndarray, "n height width"], config: ConfigDict, copies: int, seed: int = 0
) -> UInt8[np.ndarray, "n copies height width"]:
    """Returns several distorted copies of each image, to be looked at.

    Args:
        images: ink bright on dark.
        config: as for `augment`.
        copies: of each image.
        seed: of all that is random.
    """
    repeated = np.repeat(images, copies, axis=0) / np.float32(255)
    distort = jax.jit(functools.partial(augment, config=config))
    distorted = np.asarray(distort(jax.random.key(seed), jnp.asarray(repeated)))
    return np.rint(255 * distorted).astype(np.uint8).reshape(-1, copies, *images.shape[1:])
