"""The main model: convolutional layers that all positions share, and a head for each."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3.models.fields import field
from mnist3.models.trunk import Trunk
from mnist3.varied import Scalar


def cut_digits(
    images: Float[Array, "batch height width"], digits: int, height: int
) -> Float[Array, "batch digits rows columns"]:
    """Returns for each digit a window of all its columns and of the rows around its ink.

    The image is divided into `digits` bands of columns, each as wide as the width divided by K,
    rounded up. The middle row of a window is the centre of mass of its band's ink, as in MNIST's
    own digit images, so that a digit looks the same at any height. A window without ink is from
    the middle of its band.

    Args:
        images: ink from 0 to 1.
        digits: K.
        height: of the windows, px; what lies outside the image is blank.
    """
    rows, width = images.shape[1:]
    band = -(-width // digits)
    padded = jnp.pad(images, ((0, 0), (height, height), (0, band * digits - width)))
    bands = padded.reshape(-1, rows + 2 * height, digits, band).transpose(0, 2, 1, 3)
    mass = bands.sum(axis=-1, dtype=jnp.float32)
    total = mass.sum(axis=-1)
    middles = jnp.arange(rows + 2 * height, dtype=jnp.float32) + 0.5
    # At an accelerator's default precision (TF32, bfloat16) other rows would be cut than on a CPU.
    moment = jnp.matmul(mass, middles, precision="highest")
    centre = jnp.where(total > 0, moment / jnp.maximum(total, 1e-6), rows / 2 + height)
    top = jnp.round(centre - height / 2).astype(jnp.int32)
    cut = jax.vmap(lambda band, top: jax.lax.dynamic_slice_in_dim(band, top, height))
    return jax.vmap(cut)(bands, top)


class Heads(nn.Module):
    """For each position a linear classifier of columns that attention has pooled.

    Each head has `attention` weightings of the image's columns. They are learned, but do not
    depend on the image: a softmax over parameters of shape `[digits * attention, columns]`. A
    weighting gives the mean of the columns' features, and the head's classifier sees those of all
    its weightings side by side. At first the weightings are bells (a Gaussian of variance 1/2
    columns) side by side across the image, the first `attention` of them for the first position,
    which is where the digits are if all are equally wide. Heads that saw all columns would learn
    which digits stand side by side in training, and misread numbers that training does not have.

    Attributes:
        digits: K, positions of a number.
        classes: of each position.
        attention: weightings of each head.
        dtype: of the arithmetic; parameters are float32.
    """

    digits: int
    classes: int
    attention: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, columns: Float[Array, "batch columns channels"]
    ) -> Float[Array, "batch digits classes"]:
        """Returns the logits of each position, of feature maps without their rows."""
        count, channels = columns.shape[1:]

        def side_by_side(key):
            del key
            step = count / (self.digits * self.attention)
            middles = (np.arange(self.digits * self.attention) + 0.5) * step - 0.5
            distance = np.arange(count) - middles[:, None]
            return jnp.asarray(-(distance**2), jnp.float32)

        weights = jax.nn.softmax(self.param("attention", side_by_side))
        pooled = jnp.einsum("gw,bwc->bgc", weights.astype(self.dtype), columns)
        pooled = pooled.reshape(-1, self.digits, self.attention * channels)
        kernel_init = nn.initializers.lecun_normal(in_axis=1, out_axis=2, batch_axis=0)
        kernel = self.param(
            "kernel", kernel_init, (self.digits, self.attention * channels, self.classes)
        )
        bias = self.param("bias", nn.initializers.zeros_init(), (self.digits, self.classes))
        return jnp.einsum("bkc,kcd->bkd", pooled, kernel.astype(self.dtype)) + bias


class MultiHead(nn.Module):
    """The trunk, then for each position a head over the columns of its feature map.

    A digit may stand at any height, so the largest value of each channel over a column's rows is
    kept. Where the digits do not overlap, `crop_height` cuts each out around its ink first: the
    trunk then has fewer pixels to compute, and cannot learn which digits stand side by side.

    Attributes:
        digits: K, positions of a number.
        classes: of each position.
        trunk: from images, or from the windows around digits, to feature maps.
        attention: weightings of the columns that each head has.
        crop_height: of the window around each digit's ink, px; 0 for whole images.
        dropout: share of features dropped before the heads in training.
        dtype: of the arithmetic; parameters and logits are float32.
    """

    digits: int
    classes: int
    trunk: Trunk
    attention: int = field(4, at_least=1)
    crop_height: int = field(0, at_least=0)
    dropout: Scalar = field(0.0, at_least=0, below=1)
    dtype: jnp.dtype = jnp.float32

    def check(self, height: int, width: int) -> None:
        """Checks the size of images, px, or that of the windows which `cut` makes of them.

        Raises:
            UserError: if the trunk leaves no feature.
        """
        if self.crop_height:
            height, width = self.crop_height, -(-width // self.digits)
        self.trunk.check(height, width)

    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch digits classes"]:
        """Returns the logits of each position of images with ink from 0 to 1."""
        return self.read(self.cut(images), train)

    def cut(
        self, images: Float[Array, "batch height width"]
    ) -> Float[Array, "windows rows columns"]:
        """Returns the trunk's input: the images, or `[batch * digits]` windows around digits."""
        if not self.crop_height:
            return images
        windows = cut_digits(images, self.digits, self.crop_height)
        return windows.reshape(-1, *windows.shape[2:])

    @nn.compact
    def read(
        self, windows: Float[Array, "windows rows columns"], train: bool = False
    ) -> Float[Array, "batch digits classes"]:
        """Returns the logits of each position, as `__call__`, of what `cut` returned."""
        columns = jnp.max(self.trunk(windows), axis=1)
        batch = windows.shape[0] // self.digits if self.crop_height else windows.shape[0]
        columns = columns.reshape(batch, -1, columns.shape[-1])
        columns = nn.Dropout(self.dropout, deterministic=not train)(columns)
        heads = Heads(self.digits, self.classes, self.attention, self.dtype, name="heads")
        return heads(columns).astype(jnp.float32)
