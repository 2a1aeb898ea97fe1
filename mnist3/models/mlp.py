"""A multilayer perceptron: for feature vectors, and as a baseline on images."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3.models.fields import field
from mnist3.varied import Scalar


class MLP(nn.Module):
    """Dense layers with ReLU, then one dense layer to the logits of each position.

    Attributes:
        digits: K, positions of a number.
        classes: of each position.
        hidden: units of the layers before the last one; () for none.
        dropout: share of each hidden layer's units dropped in training.
        dtype: of the arithmetic; parameters and logits are float32.
    """

    digits: int
    classes: int
    hidden: Sequence[int] = field((), at_least=1)
    dropout: Scalar = field(0.0, at_least=0, below=1)
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "batch *features"], train: bool = False
    ) -> Float[Array, "batch digits classes"]:
        """Returns the logits of each position, of images (ink from 0 to 1) or feature vectors."""
        features = inputs.reshape(inputs.shape[0], -1).astype(self.dtype)
        for depth, units in enumerate(self.hidden):
            dense = nn.Dense(
                units,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
                name=f"hidden{depth}",
            )
            features = nn.relu(dense(features))
            features = nn.Dropout(self.dropout, deterministic=not train)(features)
        logits = nn.Dense(self.classes * self.digits, dtype=self.dtype, name="heads")(features)
        return logits.reshape(-1, self.digits, self.classes).astype(jnp.float32)
