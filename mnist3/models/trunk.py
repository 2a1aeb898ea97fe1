"""The convolutional trunk that the models share: an image in, a small map of features out."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3 import ops


class Trunk(nn.Module):
    """A strided stem, then stages of 3x3 convolutions with a max-pool between them.

    Each stage begins with a max-pool of 2, so that an image of `[height, width]` gives features of
    `[height, width] / stem_stride / 2^len(channels)`, rounded down.

    Attributes:
        stem: channels of the first convolution, 5x5.
        stem_stride: of the first convolution, px.
        channels: channels of each stage.
        convolutions: convolutions a stage.
        dtype: of the arithmetic; parameters are float32.
        stem_padding: SAME, or VALID for images with an empty border, which it leaves out.
    """

    stem: int
    stem_stride: int
    channels: Sequence[int]
    convolutions: int
    dtype: jnp.dtype = jnp.float32
    stem_padding: str = "SAME"

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Returns the features of images with ink from 0 to 1."""

        def convolution(features, channels, size, name, stride=1, padding="SAME"):
            features = nn.Conv(
                channels,
                (size, size),
                strides=stride,
                padding=padding,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
                conv_general_dilated=ops.conv_general_dilated,
                name=name,
            )(features)
            return nn.relu(features)

        images = images[..., None].astype(self.dtype)
        features = convolution(images, self.stem, 5, "stem", self.stem_stride, self.stem_padding)
        for stage, channels in enumerate(self.channels):
            features = ops.max_pool(features, (2, 2), strides=(2, 2))
            for depth in range(self.convolutions):
                features = convolution(features, channels, 3, f"stage{stage}_conv{depth}")
        return features
