"""Independent draws from one seed: NumPy's generators of the splits, and the keys of JAX."""

import jax
import numpy as np
from jaxtyping import Array, Key

_DATA = 0x64617461  # training splits the key of its seed into a few; this one is not among them


def generator(seed: int, tag: str) -> np.random.Generator:
    """Returns the generator of what is drawn with a seed for one purpose.

    Two purposes of one seed are independent of each other, as two seeds of one purpose are; with
    the seed alone, every draw would start with the same numbers.

    Args:
        seed: of the data.
        tag: names the purpose; no two draws have the same.
    """
    return np.random.default_rng([seed, *tag.encode()])


def data_key(seed: int, split: int) -> Key[Array, ""]:
    """Returns the key of what is drawn once for a split, which training with the seed never uses.

    Args:
        seed: of the data.
        split: its number.
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _DATA), split)
