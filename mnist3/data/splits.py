"""Images and labels of one split of a dataset."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Array, Int32, Key, UInt8

HELD_OUT = ("val", "test")  # the splits that nothing is trained on
_DATA = 0x64617461  # training splits the key of its seed into a few; this one is not among them


def data_key(seed: int, split: int) -> Key[Array, ""]:
    """Returns the key of what is drawn once for a split, which training with the seed never uses.

    Args:
        seed: of the data.
        split: its number.
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _DATA), split)


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Number images with their labels, on the host.

    Attributes:
        images: ink bright on dark; may be memory-mapped and read-only.
        labels: the K digits of each image, from left to right.
    """

    images: UInt8[np.ndarray, "n height width"]
    labels: Int32[np.ndarray, "n digits"]

    def __len__(self) -> int:
        return len(self.images)
