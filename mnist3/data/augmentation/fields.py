"""What an augmentation declares: its fields of the config, and how it acts."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Array, Float, Key
from ml_collections import ConfigDict

Size = tuple[int, int]  # height and width of an image, px


def _anything(value: Any, size: Size) -> str:
    del value, size
    return ""


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of the config's section `augmentation`.

    Attributes:
        default: with which it does nothing.
        unit: of its value, and what it means.
        spoils: from a value and the size of the images to what the value does to them if it leaves
            nothing to learn from, as the end of a sentence; else empty.
    """

    default: Any
    unit: str
    spoils: Callable[[Any, Size], str] = _anything


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A way to distort training images.

    Attributes:
        fields: its own of the config, by name.
        distort: from a key, images with ink from 0 to 1 and the section `augmentation` to distorted
            images, each with random values of its own; asked only where it is on.
    """

    fields: Mapping[str, Field]
    distort: Callable[
        [Key[Array, ""], Float[Array, "batch height width"], ConfigDict],
        Float[Array, "batch height width"],
    ]

    def is_on(self, config: ConfigDict) -> bool:
        """Tells whether one of its fields is not its default."""
        return any(config[name] != field.default for name, field in self.fields.items())
