"""A multilayer perceptron, for feature vectors and as a baseline on images."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


class MLP(nn.Module):
    """Dense layers with ReLU, then one dense layer to the classes of each position.

    Attributes:
        digits: K, positions of a number.
        hidden: units of each layer before the last.
        dropout: share of each hidden layer's units dropped in training.
        classes: logits of each position.
        dtype: of the arithmetic; parameters and logits are float32.
    """

    digits: int
    hidden: Sequence[int]
    dropout: float = 0.0
    classes: int = 10
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "batch *features"], train: bool = False
    ) -> Float[Array, "batch digits classes"]:
        """Returns the logits of images with ink from 0 to 1, or of feature vectors."""
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
