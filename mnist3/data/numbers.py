"""Numbers over any classes: K digits read left to right, or one index in the base of the classes.

Of ten digits the index is the number itself: 042 is 42. Of C classes it is the number's place
among all C^K in their order.
"""

from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int, Int32

DIGITS = tuple("0123456789")  # the classes of the sources of digits
NO_DIGIT = -1  # fills the labels of strings after their last digit


def digit_range(digits: int | tuple[int, ...]) -> tuple[int, int]:
    """Returns the fewest and the most digits of numbers, of which a config gives K or both."""
    return (digits, digits) if isinstance(digits, int) else (min(digits), max(digits))


def indices(labels: Int32[Any, "*batch K"], classes: int) -> Int32[Any, "*batch"]:
    """Returns the index of each number, which has to fit an int32.

    Args:
        labels: the digits of each number, from left to right, of NumPy or JAX.
        classes: how many values a digit has.
    """
    found = (labels * _powers(classes, labels.shape[-1])).sum(axis=-1, dtype=np.int32)
    return np.asarray(found) if isinstance(labels, np.ndarray) else found


def labels(indices: Int32[Any, "*batch"], classes: int, digits: int) -> Int32[Any, "*batch K"]:
    """Returns the K digits of each number, leading zeros included; the inverse of `indices`."""
    return indices[..., None] // _powers(classes, digits) % classes


def text(label: Sequence[SupportsIndex] | Int[np.ndarray, "K"], classes: Sequence[str]) -> str:
    """Returns a number as text: names of one letter side by side, longer ones with spaces.

    What is NO_DIGIT is left out.
    """
    separator = "" if all(len(name) == 1 for name in classes) else " "
    return separator.join(classes[int(digit)] for digit in label if int(digit) != NO_DIGIT)


def texts(labels: Int[np.ndarray, "n K"], classes: Sequence[str]) -> list[str]:
    """Returns numbers as texts, see `text`."""
    separator = "" if all(len(name) == 1 for name in classes) else " "
    return [
        separator.join([classes[digit] for digit in label if digit != NO_DIGIT])
        for label in labels.tolist()
    ]


def parts(text: str, classes: Sequence[str]) -> list[str]:
    """Returns the names that a number is written with, as `text` joins them."""
    return list(text) if all(len(name) == 1 for name in classes) else text.split()


def _powers(classes: int, digits: int) -> Int32[np.ndarray, "K"]:
    return classes ** np.arange(digits - 1, -1, -1, dtype=np.int32)
