"""A dataset: images and labels of its splits, fixed or composed, and what they share."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Int32, UInt8

from mnist3.data.composition import DigitPool, Layout

HELD_OUT = ("val", "test")  # the splits that nothing is trained on


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


class Stream(NamedTuple):
    """Training images composed on the device as they are needed.

    Attributes:
        pool: of the digit images.
        numbers: those that may be drawn, as the composition takes them; None for every number.
    """

    pool: DigitPool
    numbers: Array | np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of the splits.

    Attributes:
        name: of the dataset in `dataset.REGISTRY`.
        source: where the digit images come from, by its name in `sources.REGISTRY`.
        classes: what is on a digit image is called, in the order of the labels.
        fingerprint: sha256 over the rows of every split and all that they are made from.
        protocol: what the splits share: {"numbers": ..., "digit_images": ...}.
        splits: the fixed splits that exist, of train, val and test.
        stream: what training images are composed from, where train is not fixed.
        composition: how a composed image is laid out or written, for composed datasets.
        digit_indices: by split, the source's digit images of every number image, int32 [n, K];
            for composed datasets. Train holds those that may be drawn, int32 [m, 1].
    """

    name: str
    source: str
    classes: tuple[str, ...]
    fingerprint: str
    protocol: dict[str, str]
    splits: dict[str, Split]
    stream: Stream | None = None
    composition: Layout | None = None
    digit_indices: dict[str, np.ndarray] | None = None

    example_word = "images"
    columns = ()

    def index(self, split: str) -> np.ndarray | None:
        """Returns nothing: images of a split are counted from 0."""

    def digit_indices_of(self, split: str) -> np.ndarray | None:
        """Returns the entry of `digit_indices` for a split; None where there is none."""
        return (self.digit_indices or {}).get(split)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its images, px."""
        return next(iter(self.splits.values())).images.shape[1:]

    @property
    def augmented_size(self) -> tuple[int, int]:
        """Height and width of what augmentation distorts, px: images, or the digits on them."""
        if self.stream is None:
            return self.size
        height, width = self.stream.pool.images.shape[1:]
        return height, width

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        """By split, the numbers that its images show or, where composed, may show: int32 [m, K]."""
        found: dict[str, np.ndarray] = {}
        if self.stream and self.composition and self.stream.numbers is not None:
            drawn = self.composition.listed(self.stream.numbers, len(self.classes))
            found |= {} if drawn is None else {"train": drawn}
        return found | {name: split.labels for name, split in self.splits.items()}

    def describe(self) -> dict[str, Any]:
        """Returns the entry `dataset` of metrics.json.

        For composed images it says more, see `Layout.describe`.
        """
        described: dict[str, Any] = {
            "name": self.name,
            "source": self.source,
            "fingerprint": self.fingerprint,
            "protocol": self.protocol,
        }
        if self.composition is not None:
            described |= self.composition.describe()
        return described


def fingerprint(origin: str, rows: Mapping[str, np.ndarray | None], *others: Any) -> str:
    """Returns the sha256 over what the splits of a dataset are made of, in hex.

    Datasets that differ in a row of any split differ in it. It is the same on every machine, unlike
    a hash over composed images, which may differ in a grey level where there is noise on them.

    Args:
        origin: fingerprint of what the rows are taken from.
        rows: integers in order, by split or by what else is taken there; None for all there are.
        others: what else decides, each with a text that says all of it.
    """
    digest = hashlib.sha256(repr((origin, *others)).encode())
    for name, part in rows.items():
        digest.update(f"{name!r}: {None if part is None else part.shape}".encode())
        digest.update(b"" if part is None else part.astype("<i8").tobytes())
    return digest.hexdigest()
