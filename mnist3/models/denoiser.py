"""A convolutional network from a noisy image to the clean one."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3 import ops


class Denoiser(nn.Module):
    """A strided stem, 3x3 convolutions on its smaller image, and one that puts the pixels back.

    The last convolution gives, for each place that the stem left, the stem_stride^2 pixels there
    (Shi et al. 2016, arXiv:1609.05158).

    Attributes:
        stem: channels of the first convolution, 5x5.
        stem_stride: of the first convolution, px.
        channels: channels of each stage; no stage makes the image smaller.
        convolutions: convolutions a stage.
        dtype: of the arithmetic; parameters and pixels are float32.
    """

    stem: int
    stem_stride: int
    channels: Sequence[int]
    convolutions: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch height width"]:
        """Returns clean images, ink from about 0 to 1, of images with noise added to their ink."""
        del train

        def convolution(features, channels, size, stride, name):
            return nn.Conv(
                channels,
                (size, size),
                strides=stride,
                padding="SAME",
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
                conv_general_dilated=ops.conv_general_dilated,
                name=name,
            )(features)

        side = self.stem_stride
        features = images[..., None].astype(self.dtype)
        features = nn.relu(convolution(features, self.stem, 5, side, "stem"))
        for stage, channels in enumerate(self.channels):
            for depth in range(self.convolutions):
                name = f"stage{stage}_conv{depth}"
                features = nn.relu(convolution(features, channels, 3, 1, name))
        pixels = convolution(features, side**2, 3, 1, "pixels").astype(jnp.float32)
        batch, rows, columns, _ = pixels.shape
        tiles = pixels.reshape(batch, rows, columns, side, side).swapaxes(2, 3)
        cleaned = tiles.reshape(batch, rows * side, columns * side)
        return cleaned[:, : images.shape[1], : images.shape[2]]
