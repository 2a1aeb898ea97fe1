"""The convolutional layers that cnn and multihead share: an image in, a small feature map out."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3 import ops
from mnist3.errors import UserError
from mnist3.models.fields import field
from mnist3.models.layers import convolve


class Trunk(nn.Module):
    """A strided 5x5 convolution (the stem), then stages of 3x3 convolutions.

    A stage begins with a max-pool of 2, so that an image of `[height, width]` gives a feature map
    of `[height, width] / stem_stride / 2^len(channels)`: after the stem rounded up, after each
    max-pool rounded down. ReLU follows every convolution.

    Attributes:
        stem: channels of the stem.
        stem_stride: of the stem, px.
        stem_padding: of the stem: SAME, or VALID, which drops 2 px at each border.
        channels: output channels of each stage.
        convolutions: 3x3 convolutions of each stage.
        dtype: of the arithmetic; parameters are float32.
    """

    stem: int = field(16, at_least=1)
    stem_stride: int = field(2, at_least=1)
    stem_padding: str = field("SAME", choices=("SAME", "VALID"))
    channels: Sequence[int] = field((32, 64), at_least=1)
    convolutions: int = field(2, at_least=1)
    dtype: jnp.dtype = jnp.float32

    def check(self, height: int, width: int, pools: int = 0) -> None:
        """Checks that images of this size leave a feature.

        Args:
            height: of an image, px.
            width: of an image, px.
            pools: max-pools of 2 that follow the trunk.

        Raises:
            UserError: if stride, padding and max-pools leave nothing.
        """
        border = 4 if self.stem_padding == "VALID" else 0
        side = math.ceil((min(height, width) - border) / self.stem_stride)
        if side < 2 ** (len(self.channels) + pools):
            raise UserError(
                f"config.model.channels has {len(self.channels)} stages, which leave the trunk "
                f"nothing of {height}x{width} px; take fewer channels or a smaller stem_stride."
            )

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Returns the feature map of images with ink from 0 to 1."""
        images = images[..., None].astype(self.dtype)
        features = nn.relu(
            convolve(
                images, self.stem, (5, 5), "stem", self.dtype, self.stem_stride, self.stem_padding
            )
        )
        for stage, channels in enumerate(self.channels):
            features = ops.max_pool(features, (2, 2), strides=(2, 2))
            for depth in range(self.convolutions):
                name = f"stage{stage}_conv{depth}"
                features = nn.relu(convolve(features, channels, (3, 3), name, self.dtype))
        return features
