"""The main model: one trunk, one head a digit."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3.models.trunk import Trunk


def cut_digits(
    images: Float[Array, "batch height width"], digits: int, height: int
) -> Float[Array, "batch digits rows columns"]:
    """Cuts a window around the ink of each digit's columns.

    The image is divided into `digits` bands of columns, as wide as the width divided by K and
    rounded up. The middle of each window is the centre of mass of its band's ink, as in MNIST's
    own digit images, so that a digit looks the same at any height. A band without ink is cut in
    its middle.

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
    # Which rows are cut is decided here: an accelerator's default precision would move windows.
    moment = jnp.matmul(mass, middles, precision="highest")
    centre = jnp.where(total > 0, moment / jnp.maximum(total, 1e-6), rows / 2 + height)
    top = jnp.round(centre - height / 2).astype(jnp.int32)
    cut = jax.vmap(lambda band, top: jax.lax.dynamic_slice_in_dim(band, top, height))
    return jax.vmap(cut)(bands, top)


class Heads(nn.Module):
    """For each position a head that looks at some columns and reads them with a linear layer.

    A head has `glances`, each a weighting of the columns that is learned but the same for every
    image. At first they lie side by side where the position's digit is if all digits are equally
    wide. Heads that saw all columns would learn which digits stand side by side in training, and
    misread numbers that training does not have.

    Attributes:
        digits: K, positions of a number.
        glances: of each head.
        classes: logits of each position.
        dtype: of the arithmetic; parameters are float32.
    """

    digits: int
    glances: int
    classes: int = 10
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, columns: Float[Array, "batch columns channels"]
    ) -> Float[Array, "batch digits classes"]:
        """Returns the logits of each position."""
        count, channels = columns.shape[1:]

        def first_gaze(key):
            del key
            step = count / (self.digits * self.glances)
            middles = (np.arange(self.digits * self.glances) + 0.5) * step - 0.5
            distance = np.arange(count) - middles[:, None]
            return jnp.asarray(-(distance**2), jnp.float32)

        gaze = jax.nn.softmax(self.param("gaze", first_gaze))
        seen = jnp.einsum("gw,bwc->bgc", gaze.astype(self.dtype), columns)
        seen = seen.reshape(-1, self.digits, self.glances * channels)
        kernel_init = nn.initializers.lecun_normal(in_axis=1, out_axis=2, batch_axis=0)
        kernel = self.param(
            "kernel", kernel_init, (self.digits, self.glances * channels, self.classes)
        )
        bias = self.param("bias", nn.initializers.zeros_init(), (self.digits, self.classes))
        return jnp.einsum("bkc,kcd->bkd", seen, kernel.astype(self.dtype)) + bias


class MultiHead(nn.Module):
    """The trunk, then for each position a head over the columns of the image.

    A digit may stand at any height, so each channel keeps its largest value over a column of
    features. Where digits have columns of their own, `crop_height` cuts each out around its ink
    first: the trunk then has less to look at, and cannot learn which digits stand side by side.

    Attributes:
        digits: K, positions of a number.
        trunk: from what it sees of images to features.
        glances: of each head at the columns.
        crop_height: px, of the window around each digit's ink that the trunk sees; 0 for all.
        dropout: share of features dropped in training.
        classes: logits of each position.
        dtype: of the arithmetic; parameters and logits are float32.
    """

    digits: int
    trunk: Trunk
    glances: int
    crop_height: int = 0
    dropout: float = 0.0
    classes: int = 10
    dtype: jnp.dtype = jnp.float32

    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch digits classes"]:
        """Returns the logits of each position of images with ink from 0 to 1."""
        return self.read(self.cut(images), train)

    def cut(
        self, images: Float[Array, "batch height width"]
    ) -> Float[Array, "windows rows columns"]:
        """Returns what the trunk sees of images: windows around digits, or the images."""
        if not self.crop_height:
            return images
        windows = cut_digits(images, self.digits, self.crop_height)
        return windows.reshape(-1, *windows.shape[2:])

    @nn.compact
    def read(
        self, windows: Float[Array, "windows rows columns"], train: bool = False
    ) -> Float[Array, "batch digits classes"]:
        """Returns the logits of each position of images that `cut` has cut."""
        columns = jnp.max(self.trunk(windows), axis=1)
        batch = len(windows) // self.digits if self.crop_height else len(windows)
        columns = columns.reshape(batch, -1, columns.shape[-1])
        columns = nn.Dropout(self.dropout, deterministic=not train)(columns)
        logits = Heads(self.digits, self.glances, self.classes, self.dtype, name="heads")(columns)
        return logits.astype(jnp.float32)
