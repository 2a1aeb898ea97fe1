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
        stem: channels of the first convolution.
        stem_stride: of the first convolution, px.
        stem_padding: of the first convolution, SAME or VALID.
        channels: channels of each stage.
        convolutions: convolutions a stage.
        hidden: units of the dense layers before the last one.
        dropout: share of features dropped in training.
        classes: of each position; there are classes^K outputs.
        dtype: of the arithmetic; parameters and logits are float32.
    """

    digits: int
    stem: int
    stem_stride: int
    channels: Sequence[int]
    convolutions: int
    hidden: Sequence[int] = ()
    dropout: float = 0.0
    stem_padding: str = "SAME"
    classes: int = 10
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch numbers"]:
        """Returns the logits of all numbers, in order, of images with ink from 0 to 1."""
        features = Trunk(
            self.stem,
            self.stem_stride,
            self.channels,
            self.convolutions,
            self.dtype,
            self.stem_padding,
            name="trunk",
        )(images)
        features = ops.max_pool(features, (2, 2), strides=(2, 2)).reshape(images.shape[0], -1)
        for depth, units in enumerate(self.hidden):
            dense = nn.Dense(units, dtype=self.dtype, name=f"hidden{depth}")
            features = nn.relu(dense(features))
        features = nn.Dropout(self.dropout, deterministic=not train)(features)
        logits = nn.Dense(self.classes**self.digits, dtype=self.dtype, name="numbers")(features)
        return logits.astype(jnp.float32)
