"""A convolutional network from a noisy image to the clean one."""

from collections.abc import Sequence
from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3.models.fields import field
from mnist3.models.layers import convolve


class Denoiser(nn.Module):
    """A strided 5x5 convolution (the stem), 3x3 convolutions, and sub-pixel upsampling.

    The last convolution has stem_stride^2 channels: at each place of the smaller image, the pixels
    of the larger one (Shi et al. 2016, arXiv:1609.05158). ReLU follows the others.

    Attributes:
        stem: channels of the stem.
        stem_stride: of the stem, px.
        channels: output channels of each stage; no stage makes the image smaller.
        convolutions: 3x3 convolutions of each stage.
        dtype: of the arithmetic; parameters and pixels are float32.
    """

    output: ClassVar[str] = "images"

    stem: int = field(16, at_least=1)
    stem_stride: int = field(2, at_least=1)
    channels: Sequence[int] = field((32, 64), at_least=1)
    convolutions: int = field(2, at_least=1)
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch height width"]:
        """Returns estimates of the clean images, ink of about 0 to 1, of noisy ones.

        The estimates are not clipped. Ink of the noisy images may be above 1.
        """
        del train

        side = self.stem_stride
        features = images[..., None].astype(self.dtype)
        features = nn.relu(convolve(features, self.stem, (5, 5), "stem", self.dtype, side))
        for stage, channels in enumerate(self.channels):
            for depth in range(self.convolutions):
                name = f"stage{stage}_conv{depth}"
                features = nn.relu(convolve(features, channels, (3, 3), name, self.dtype))
        pixels = convolve(features, side**2, (3, 3), "pixels", self.dtype).astype(jnp.float32)
        batch, rows, columns, _ = pixels.shape
        tiles = pixels.reshape(batch, rows, columns, side, side).swapaxes(2, 3)
        cleaned = tiles.reshape(batch, rows * side, columns * side)
        return cleaned[:, : images.shape[1], : images.shape[2]]
