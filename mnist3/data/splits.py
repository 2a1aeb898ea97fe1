"""Images and labels of one split of a dataset."""

import dataclasses

import numpy as np
from jaxtyping import Int32, UInt8


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
