"""A convolutional network with one softmax over all 10^K numbers.

The way most people first solve the problem. It cannot name a number it never saw in training.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3 import ops
from mnist3.models.trunk import Trunk


class CNN(nn.Module):
    """The trunk, then dense layers to one softmax over whole numbers.

    Attributes:
        digits: K, positions of a number.
        trunk: from images to features.
        hidden: units of the dense layers before the last one.
        dropout: share of features dropped in training.
        classes: of each position; there are classes^K outputs.
        dtype: of the arithmetic; parameters and logits are float32.
    """

    digits: int
    trunk: Trunk
    hidden: Sequence[int] = ()
    dropout: float = 0.0
    classes: int = 10
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch numbers"]:
        """Returns the logits of all numbers, in order, of images with ink from 0 to 1."""
        features = self.trunk(images)
        features = ops.max_pool(features, (2, 2), strides=(2, 2)).reshape(images.shape[0], -1)
        for depth, units in enumerate(self.hidden):
            dense = nn.Dense(units, dtype=self.dtype, name=f"hidden{depth}")
            features = nn.relu(dense(features))
        features = nn.Dropout(self.dropout, deterministic=not train)(features)
        logits = nn.Dense(self.classes**self.digits, dtype=self.dtype, name="numbers")(features)
        return logits.astype(jnp.float32)
