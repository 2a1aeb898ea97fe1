"""A blanked square (DeVries and Taylor 2017, Improved regularization of CNNs with cutout)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from ml_collections import ConfigDict

from mnist3.data.augmentation.fields import Augmentation, Field, Size
from mnist3.data.composition import LEAST_VISIBLE


def distort(
    key: Key[Array, ""], images: Float[Array, "batch height width"], config: ConfigDict
) -> Float[Array, "batch height width"]:
    """Sets a square of each image, inside it, to 0."""
    side = config.cutout
    batch, height, width = images.shape
    limits = jnp.maximum(jnp.asarray([height, width]) - side, 0) + 1
    top, left = jax.random.randint(key, (batch, 2), 0, limits).T[:, :, None, None]
    row, column = jnp.arange(height)[:, None], jnp.arange(width)
    hidden = (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
    return jnp.where(hidden, 0, images)


def _spoils(cutout: int, size: Size) -> str:
    height, width = size
    visible = 1 - min(cutout, height) * min(cutout, width) / (height * width)
    return "hides images, all or nearly all," if visible < LEAST_VISIBLE else ""


AUGMENTATION = Augmentation(
    {"cutout": Field(0, "px, side of the blanked square", _spoils)}, distort
)
