"""Multinomial logistic regression on pixels or features, one for each position: the baseline."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


class Logistic(nn.Module):
    """One linear layer from all inputs to the logits of each position.

    Attributes:
        digits: K, positions of a number.
        classes: of each position.
        dtype: of the arithmetic; parameters and logits are float32.
    """

    digits: int
    classes: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch *features"], train: bool = False
    ) -> Float[Array, "batch digits classes"]:
        """Returns the logits of each position, of images (ink from 0 to 1) or feature vectors."""
        pixels = images.reshape(images.shape[0], -1).astype(self.dtype)
        logits = nn.Dense(self.classes * self.digits, dtype=self.dtype, name="heads")(pixels)
        return logits.reshape(-1, self.digits, self.classes).astype(jnp.float32)
