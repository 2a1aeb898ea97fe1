"""The main model: one trunk, one head a digit."""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3.models.trunk import Trunk


def level(
    images: Float[Array, "batch height width"], digits: int, height: int
) -> Float[Array, "batch rows width"]:
    """Cuts the columns of each digit to a window around their ink, and puts the windows in a row.

    The image is divided into `digits` bands of columns, equally wide but for rounding. The middle
    of each window is the centre of mass of its band's ink, as in MNIST's own digit images, so that
    digits at different heights come to stand side by side. A band without ink is cut in its middle.

    Args:
        images: ink from 0 to 1.
        digits: K.
        height: of the windows, px; what lies outside the image is blank.
    """
    rows, width = images.shape[1:]
    edges = [round(k * width / digits) for k in range(digits + 1)]
    padded = jnp.pad(images, ((0, 0), (height, height), (0, 0)))
    cut = jax.vmap(lambda image, top: jax.lax.dynamic_slice_in_dim(image, top, height))
    windows = []
    for left, right in itertools.pairwise(edges):
        mass = images[:, :, left:right].sum(axis=-1)
        total = mass.sum(axis=-1)
        centre = mass @ (jnp.arange(rows, dtype=images.dtype) + 0.5) / jnp.maximum(total, 1e-6)
        centre = jnp.where(total > 0, centre, rows / 2)
        top = jnp.round(centre - height / 2).astype(jnp.int32) + height
        windows.append(cut(padded[:, :, left:right], top))
    return jnp.concatenate(windows, axis=-1)


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
    features. Where digits have columns of their own, `crop_height` cuts each around its ink first,
    and the trunk has less to look at.

    Attributes:
        digits: K, positions of a number.
        stem: channels of the first convolution.
        stem_stride: of the first convolution, px.
        channels: channels of each stage.
        convolutions: convolutions a stage.
        glances: of each head at the columns.
        crop_height: px, of the window around each digit's ink that the trunk sees; 0 for all.
        dropout: share of features dropped in training.
        classes: logits of each position.
        dtype: of the arithmetic; parameters and logits are float32.
    """

    digits: int
    stem: int
    stem_stride: int
    channels: Sequence[int]
    convolutions: int
    glances: int
    crop_height: int = 0
    dropout: float = 0.0
    classes: int = 10
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch digits classes"]:
        """Returns the logits of each position of images with ink from 0 to 1."""
        if self.crop_height:
            images = level(images, self.digits, self.crop_height)
        features = Trunk(
            self.stem,
            self.stem_stride,
            self.channels,
            self.convolutions,
            self.dtype,
            name="trunk",
        )(images)
        columns = jnp.max(features, axis=1)
        columns = nn.Dropout(self.dropout, deterministic=not train)(columns)
        logits = Heads(self.digits, self.glances, self.classes, self.dtype, name="heads")(columns)
        return logits.astype(jnp.float32)
