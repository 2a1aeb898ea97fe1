"""Protocols: which numbers and which digit images each split may hold."""

import numpy as np
from jaxtyping import Int, Int32
from ml_collections import ConfigDict

from mnist3.data import draws, numbers
from mnist3.data.sources import DigitSource
from mnist3.errors import UserError

SPLITS = ("train", "val", "test")
MAXIMAL_LISTED = 1_000_000  # numbers: of ten classes those of six digits
_VAL_NUMBERS, _TEST_NUMBERS = 16, 20  # per cent


def as_text(config: ConfigDict) -> dict[str, str]:
    """Returns the protocol of a config's section `data`, as metrics.json has it."""
    return {"numbers": config.numbers, "digit_images": config.digit_images}


def split_numbers(
    digits: int, classes: int, shared: bool, seed: int
) -> dict[str, Int32[np.ndarray, "m"] | None]:
    """Returns the indices of the numbers that each split may hold, in rising order.

    Args:
        digits: K, digits a number.
        classes: how many values a digit has.
        shared: every split may hold every number; else 64 % of the numbers go to train, 16 % to
            val and 20 % to test (640, 160 and 200 for K = 3), and each digit occurs at each
            position of train's.
        seed: of the division.

    Returns:
        Indices of numbers by split. For shared numbers, where they are more than
        `MAXIMAL_LISTED`, None: every number, too many to list.

    Raises:
        UserError: if numbers of so many digits cannot be disjoint.
    """
    total = classes**digits
    if shared:
        every = np.arange(total, dtype=np.int32) if total <= MAXIMAL_LISTED else None
        return dict.fromkeys(SPLITS, every)
    if digits == 1:
        raise UserError(
            "numbers of one digit cannot be disjoint between the splits, as a digit that is not in "
            "train cannot be learnt; set config.data.numbers=shared."
        )
    if total > MAXIMAL_LISTED:
        raise UserError(
            f"numbers of {digits} digits hardly ever repeat between the splits, so up to "
            f"{MAXIMAL_LISTED:,} numbers alone are divided, not {total:,}; set "
            "config.data.numbers=shared."
        )
    if total * _VAL_NUMBERS < 100:
        raise UserError(
            f"{total} numbers of {digits} digits are too few to be divided between the splits; set "
            "config.data.numbers=shared."
        )
    generator = draws.generator(seed, "numbers of the splits")
    ends = np.cumsum([total * share // 100 for share in (_TEST_NUMBERS, _VAL_NUMBERS)])
    while True:
        test, val, train = np.split(generator.permutation(total).astype(np.int32), ends)
        positions = numbers.labels(train, classes, digits).T
        if all(len(np.unique(position)) == classes for position in positions):
            return {
                name: np.sort(part) for name, part in zip(SPLITS, (train, val, test), strict=True)
            }


def split_digit_images(
    source: DigitSource, shared: bool, seed: int, val_fraction: float
) -> dict[str, Int32[np.ndarray, "m"]]:
    """Returns the rows of the source's digit images that each split may hold, in rising order.

    Args:
        source: of the digit images.
        shared: every split may hold every digit image; else test holds the source's official test
            part or, without one, a fifth of the images, and val a share of the others.
        seed: of the division, which keeps the shares of the classes.
        val_fraction: val's share of the images that are not in test.

    Raises:
        UserError: if a split would have no image of a class.
    """
    rows = np.arange(len(source.labels), dtype=np.int32)
    if shared:
        return dict.fromkeys(SPLITS, rows)
    if source.official_test:
        rest, test = np.split(rows, [len(rows) - source.official_test])
    else:
        generator = draws.generator(seed, "digit images of test")
        rest, test = _divide(generator, rows, source.labels, 0.2)
    generator = draws.generator(seed, "digit images of val")
    train, val = _divide(generator, rest, source.labels[rest], val_fraction)
    splits = {"train": train, "val": val, "test": test}
    for name, part in splits.items():
        present = np.bincount(source.labels[part], minlength=len(source.classes)) > 0
        if not present.all():
            raise UserError(
                f"{name} would hold {len(part)} digit images, none of them of the class "
                f"{source.classes[present.argmin()]}; change "
                f"config.data.val_fraction, which is {val_fraction}."
            )
    return splits


def _divide(
    generator: np.random.Generator,
    rows: Int32[np.ndarray, "n"],
    labels: Int[np.ndarray, "n"],
    fraction: float,
) -> tuple[Int32[np.ndarray, "rest"], Int32[np.ndarray, "part"]]:
    """Parts a fraction of the rows from the rest, with the same shares of the labels.

    The rows are shuffled, sorted by label, and taken at even distances (systematic sampling): the
    size is exact, and each label's share of it as well, to less than one row.
    """
    shuffled = generator.permutation(len(rows))
    by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
    size = round(len(rows) * fraction)
    taken = np.zeros(len(rows), bool)
    taken[by_label[((np.arange(size) + 0.5) * len(rows) / max(size, 1)).astype(int)]] = True
    return rows[~taken], rows[taken]
