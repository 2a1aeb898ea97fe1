"""A fully convolutional network for lines of any length: a class or a blank in each column."""

from collections.abc import Sequence as Items

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3 import ops
from mnist3.data.strips import COLUMN
from mnist3.errors import UserError
from mnist3.models.fields import field
from mnist3.models.layers import convolve
from mnist3.varied import Scalar

_ROWS = 8  # px of a strip that a row stands for before the rows are joined


class Sequence(nn.Module):
    """Convolutions that keep the columns of a strip apart and join its rows at the end.

    A 5x5 convolution of stride 2, a max-pool of 2, a 3x3 convolution, a max-pool of the rows by 2,
    a 3x3 convolution, then one over all rows, and some along the columns alone. ReLU follows every
    convolution. No layer knows how long the strip is or where in it a column stands, so that a
    network reads strips of any width. Trained by connectionist temporal classification (Graves et
    al. 2006): see `mnist3.tasks.strings`.

    Attributes:
        classes: outputs of a column, the blank being the last.
        line_channels: of the four convolutions that join rows.
        line_context: convolutions along the columns alone, each seeing one more to either side.
        dropout: share of features dropped before the last layer in training.
        dtype: of the arithmetic; parameters and logits are float32.
    """

    classes: int
    line_channels: Items[int] = field((24, 48, 80, 96), at_least=1)
    line_context: int = field(2, at_least=0)
    dropout: Scalar = field(0.0, at_least=0, below=1)
    dtype: jnp.dtype = jnp.float32

    output = "columns"

    def check(self, height: int, width: int) -> None:
        """Checks the size of strips, px.

        Raises:
            UserError: if rows or columns cannot be parted evenly, or there are not four channels.
        """
        if len(self.line_channels) != 4:
            raise UserError(
                f"config.model.line_channels is {self.line_channels}; give four, one for each "
                "convolution that joins rows."
            )
        if height % _ROWS or width % COLUMN:
            raise UserError(
                f"strips of {height}x{width} px cannot be parted into rows of {_ROWS} and columns "
                f"of {COLUMN} px; set config.data.height and config.data.width to multiples."
            )

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch columns classes"]:
        """Returns the logits of each column of strips with ink from 0 to 1."""
        first, second, third, last = self.line_channels
        features = images[..., None].astype(self.dtype)
        features = nn.relu(convolve(features, first, (5, 5), "stem", self.dtype, 2))
        features = ops.max_pool(features, (2, 2), strides=(2, 2))
        features = nn.relu(convolve(features, second, (3, 3), "conv0", self.dtype))
        features = ops.max_pool(features, (2, 1), strides=(2, 1))
        features = nn.relu(convolve(features, third, (3, 3), "conv1", self.dtype))
        rows = features.shape[1]
        sides = ((0, 0), (1, 1))  # of the columns alone: the rows are joined
        features = nn.relu(convolve(features, last, (rows, 3), "rows", self.dtype, padding=sides))
        for depth in range(self.line_context):
            name = f"context{depth}"
            features = nn.relu(convolve(features, last, (1, 3), name, self.dtype))
        features = nn.Dropout(self.dropout, deterministic=not train)(features[:, 0])
        logits = nn.Dense(self.classes, dtype=self.dtype, name="classes")(features)
        return logits.astype(jnp.float32)
