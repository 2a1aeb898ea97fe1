"""A convolutional network with one softmax over all classes^K numbers.

The first idea of many. It cannot predict a number that the training images do not show.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3 import ops
from mnist3.errors import UserError
from mnist3.models.fields import field
from mnist3.models.trunk import Trunk
from mnist3.varied import Scalar

MOST_NUMBERS = 10_000  # outputs; more would need most of the parameters, and images of each


class CNN(nn.Module):
    """The trunk, then dense layers to one softmax over whole numbers.

    Attributes:
        digits: K, positions of a number.
        classes: of each position; there are classes^K outputs.
        trunk: from images to feature maps.
        hidden: units of the dense layers before the last one.
        dropout: share of features dropped before the last layer in training.
        dtype: of the arithmetic; parameters and logits are float32.
    """

    digits: int
    classes: int
    trunk: Trunk
    hidden: Sequence[int] = field((), at_least=1)
    dropout: Scalar = field(0.0, at_least=0, below=1)
    dtype: jnp.dtype = jnp.float32

    def check(self, height: int, width: int) -> None:
        """Checks the size of images, px, and the number of outputs.

        Raises:
            UserError: if no feature is left, or there are more than 10,000 outputs.
        """
        self.trunk.check(height, width, pools=1)
        if self.classes**self.digits > MOST_NUMBERS:
            raise UserError(
                f"config.model.name=cnn needs one output a number, {self.classes}^{self.digits} "
                f"here; use multihead for more than {MOST_NUMBERS:,} numbers."
            )

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch {self.classes**self.digits}"]:
        """Returns the logits of all numbers of images with ink from 0 to 1.

        The logit at index sum of label[k] classes^(K - 1 - k) is that of the number with these
        labels; for digits the index is the number itself.
        """
        features = self.trunk(images)
        features = ops.max_pool(features, (2, 2), strides=(2, 2)).reshape(images.shape[0], -1)
        for depth, units in enumerate(self.hidden):
            dense = nn.Dense(units, dtype=self.dtype, name=f"hidden{depth}")
            features = nn.relu(dense(features))
        features = nn.Dropout(self.dropout, deterministic=not train)(features)
        logits = nn.Dense(self.classes**self.digits, dtype=self.dtype, name="numbers")(features)
        return logits.astype(jnp.float32)
