"""Softmax regression on pixels, one head a position: the baseline."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


class Logistic(nn.Module):
    """One linear layer from all pixels to the ten digits of each position.

    Attributes:
        digits: K, positions of a number.
        dtype: of the arithmetic; parameters and logits are float32.
    """

    digits: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch digits 10"]:
        """Returns the logits of images with ink from 0 to 1."""
        pixels = images.reshape(images.shape[0], -1).astype(self.dtype)
        logits = nn.Dense(10 * self.digits, dtype=self.dtype, name="heads")(pixels)
        return logits.reshape(-1, self.digits, 10).astype(jnp.float32)
