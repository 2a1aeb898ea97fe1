"""Uniform numbers, and soft lines, of a batch of strips."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key


class Draws:
    """Uniform numbers of each strip, [batch, 1, 1], taken one after the other."""

    def __init__(self, key: Key[Array, ""], batch: int, count: int = 80) -> None:
        self._columns = iter(jnp.split(jax.random.uniform(key, (batch, count, 1, 1)), count, 1))

    def uniform(self, low: int | float = 0, high: int | float = 1) -> Float[Array, "batch 1 1"]:
        """Returns numbers of a range."""
        return low + (high - low) * next(self._columns)[:, 0]

    def either(self, most: int | float) -> Float[Array, "batch 1 1"]:
        """Returns numbers of up to a size, to either side of 0."""
        return self.uniform(-most, most)

    def happens(self, share: int | float) -> Bool[Array, "batch 1 1"]:
        """Tells at which strips, a share of them, a thing happens."""
        return self.uniform() < share


def near(distance: Array, reach: Array | float) -> Array:
    """Returns 1 within a reach, px, 0 beyond, and between them over a pixel."""
    return jnp.clip(reach + 0.5 - jnp.abs(distance), 0, 1)


def pieces(
    key: Key[Array, ""], shape: tuple[int, int], kept: Float[Array, "batch 1 1"], cell: int
) -> Float[Array, "batch 1 columns"]:
    """Returns 1 along the pieces of a line that are left, and 0 where it is gone."""
    batch, columns = shape
    cells = jax.random.uniform(key, (batch, 1, -(-columns // cell))) < kept
    return jnp.repeat(cells, cell, axis=2)[..., :columns].astype(jnp.float32)


def bounds(edges: Array, present: Array) -> tuple[Array, Array]:
    """Returns the first and the last column of the ink of strings, float32 [batch, 1, 1]."""
    low = jnp.where(present, edges[..., 0], jnp.inf).min(axis=1)
    high = jnp.where(present, edges[..., 1], -jnp.inf).max(axis=1)
    return low[:, None, None], high[:, None, None]
