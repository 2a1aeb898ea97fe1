"""Protocols: which numbers and which digit images each split may hold."""

import numpy as np
from jaxtyping import Int, Int32

from mnist3.data.sources import DigitSource
from mnist3.errors import UserError

SPLITS = ("train", "val", "test")
MAXIMAL_LISTED_DIGITS = 6  # a million numbers
_VAL_NUMBERS, _TEST_NUMBERS = 16, 20  # per cent


def split_numbers(digits: int, shared: bool, seed: int) -> dict[str, Int32[np.ndarray, "m"] | None]:
    """Returns the numbers that each split may hold, in rising order.

    Args:
        digits: K, digits a number.
        shared: every split may hold every number; else 64 % of the numbers go to train, 16 % to
            val and 20 % to test (640, 160 and 200 for K = 3), and each digit occurs at each
            position of train's.
        seed: of the division.

    Returns:
        Numbers by split. For shared numbers of more than six digits None: every number, too many
        to list.

    Raises:
        UserError: if numbers of so many digits cannot be disjoint.
    """
    if shared:
        listed = digits <= MAXIMAL_LISTED_DIGITS
        return {name: np.arange(10**digits, dtype=np.int32) if listed else None for name in SPLITS}
    if digits == 1:
        raise UserError(
            "numbers of one digit cannot be disjoint between the splits, as a digit that is not in "
            "train cannot be learnt; set config.data.numbers=shared."
        )
    if digits > MAXIMAL_LISTED_DIGITS:
        raise UserError(
            f"numbers of {digits} digits hardly ever repeat between the splits, so those of up to "
            f"{MAXIMAL_LISTED_DIGITS} digits alone are divided; set config.data.numbers=shared."
        )
    generator = np.random.default_rng(seed)
    ends = np.cumsum([10**digits * share // 100 for share in (_TEST_NUMBERS, _VAL_NUMBERS)])
    while True:
        test, val, train = np.split(generator.permutation(10**digits).astype(np.int32), ends)
        positions = train[:, None] // 10 ** np.arange(digits) % 10
        if all(len(np.unique(position)) == 10 for position in positions.T):
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
        seed: of the division, which keeps the shares of the ten digits.
        val_fraction: val's share of the images that are not in test.

    Raises:
        UserError: if a split would have no image of a digit.
    """
    rows = np.arange(len(source.labels), dtype=np.int32)
    if shared:
        return dict.fromkeys(SPLITS, rows)
    generator = np.random.default_rng(seed)
    if source.official_test:
        rest, test = np.split(rows, [len(rows) - source.official_test])
    else:
        rest, test = _divide(generator, rows, source.labels, 0.2)
    train, val = _divide(generator, rest, source.labels[rest], val_fraction)
    splits = {"train": train, "val": val, "test": test}
    for name, part in splits.items():
        if missing := sorted(set(range(10)) - set(source.labels[part].tolist())):
            raise UserError(
                f"{name} would hold {len(part)} digit images, none of them a {missing[0]}; change "
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
