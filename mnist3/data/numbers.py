"""Numbers and their digits: labels are digits, never integers that could overflow or lose a zero.

A number of K positions over C classes also has an index, which orders all C^K of them.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32


def number_of(digits: Int32[Array, "*batch K"], base: int = 10) -> Int32[Array, "*batch"]:
    """Returns the index of the number that digits read left to right make."""
    powers = base ** jnp.arange(digits.shape[-1] - 1, -1, -1, dtype=jnp.int32)
    return jnp.sum(digits * powers, axis=-1, dtype=jnp.int32)


def digits_of(
    numbers: Int32[Array, "*batch"], digits: int, base: int = 10
) -> Int32[Array, "*batch K"]:
    """Returns the K digits of each number's index, leading zeros included."""
    powers = base ** jnp.arange(digits - 1, -1, -1, dtype=jnp.int32)
    return (numbers[..., None] // powers % base).astype(jnp.int32)


def number_text(
    digits: Int32[Array | np.ndarray, "K"], classes: Sequence[str] | None = None
) -> str:
    """Returns the number that digits read left to right make as text, leading zeros kept.

    Args:
        digits: class of each position.
        classes: their names; None for the digits themselves. Names of several letters are set
            apart by spaces.
    """
    digits = np.asarray(jax.device_get(digits)).tolist()
    names = [str(digit) if classes is None else classes[digit] for digit in digits]
    return ("" if all(len(name) == 1 for name in names) else " ").join(names)
