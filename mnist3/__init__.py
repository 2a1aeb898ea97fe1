"""mnist3: reading handwritten digits, one or several in an image, with JAX and Flax.

`mnist3.load(folder).read(images)` reads images with what a run has learned.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist3.reading import Reader, Reading, load

__all__ = ["Reader", "Reading", "load"]


def __getattr__(name: str) -> Any:
    """Loads what reads images, and with it JAX, when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mnist3 import reading

    return getattr(reading, name)
