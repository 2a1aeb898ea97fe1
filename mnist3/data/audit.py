"""What the splits of a number dataset share: finds its digit images in their source.

A number image in which each digit fills a column of its own, as wide as a digit image, holds digit
images that can be told exactly. Where they overlap that is impossible; then the audit needs the
digit images that the number images were composed from.

All shares count occurrences: a digit image in three number images counts three times, as it does
in a metric over that split. In the published Triple MNIST, 93.55 % of the digit images in val, so
counted, also occur in train; of the distinct ones it is 93.53 %.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from tqdm import tqdm

from mnist3.data.numbers import NO_DIGIT
from mnist3.data.sources import DigitSource
from mnist3.data.splits import Split
from mnist3.errors import UserError

_CHUNK = 2000  # images matched at once; keeps the copies of their columns under 20 MB
_COLUMNS = {
    "found": "digit images found",
    "digit_images_in_train": "digit images in train",
    "images_in_train": "whole images in train",
    "numbers_in_train": "numbers in train",
}


@dataclasses.dataclass(frozen=True)
class SplitAudit:
    """What one split has of the source and of train; shares lie in [0, 1].

    Attributes:
        images: how many number images the split has.
        found: share of its digit images that the source has; the shares in train are over these.
        digit_images_in_train: share of them that also occur in train.
        images_in_train: share of the number images whose digit images all occur in train.
        numbers_in_train: share of the number images whose number also occurs in train.
            A share is None for train itself, without train, or where there is nothing to count.
    """

    images: int
    found: float | None
    digit_images_in_train: float | None
    images_in_train: float | None
    numbers_in_train: float | None


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """What the splits of a dataset share.

    Attributes:
        source: the name of the digit source.
        splits: what was found, by split.
    """

    source: str
    splits: dict[str, SplitAudit]

    def to_dict(self) -> dict[str, Any]:
        """Returns the report for JSON."""
        return dataclasses.asdict(self)

    def to_text(self) -> str:
        """Returns the report as a table, one line a split."""
        head = ["split", "images", *_COLUMNS.values()]
        rows = [
            [name, f"{split.images:,}", *(_percent(getattr(split, field)) for field in _COLUMNS)]
            for name, split in self.splits.items()
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [f"digit images of the source {self.source}, counted by occurrence"]
        for name, *cells in (head, *rows):
            padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
            lines.append("  ".join([name.ljust(widths[0]), *padded]))
        return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}".replace("%", " %")


def audit(splits: dict[str, Split], source: DigitSource) -> AuditReport:
    """Returns what the splits share, for images of digits side by side in columns of their own.

    Raises:
        UserError: the images are not made of such columns.
    """
    indices = {name: match_columns(split.images, source) for name, split in splits.items()}
    return report(indices, source, {name: split.labels for name, split in splits.items()})


def report(
    indices: dict[str, Int32[np.ndarray, "_ _"]],
    source: DigitSource,
    labels: dict[str, Int32[np.ndarray, "_ _"]] | None = None,
) -> AuditReport:
    """Returns what splits share whose digit images are known.

    Args:
        indices: by split, the source's digit images of each number image, -1 for one that the
            source has not, and where a string has no digit. For a train split without fixed images:
            all that may be drawn, [m, 1].
        source: where the digit images come from; equal images in it count as one.
        labels: by split, the numbers of the images, or those that may be drawn; strings end with
            NO_DIGIT. Without them the report says nothing on numbers.
    """
    canonical = match_columns(source.images, source)[:, 0]
    canonical = np.append(canonical, np.int32(-1))  # so that -1 stays -1
    same = {name: canonical[rows] for name, rows in indices.items()}
    return AuditReport(
        source.name,
        {name: _audit_split(name, same, labels or {}) for name in indices},
    )


def _audit_split(
    name: str, indices: dict[str, np.ndarray], numbers: dict[str, np.ndarray]
) -> SplitAudit:
    rows = indices[name]
    found = rows >= 0
    none = np.zeros_like(found)
    if name in numbers and numbers[name].shape == rows.shape:
        none = numbers[name] == NO_DIGIT
    shares = dict.fromkeys(_COLUMNS) | {"found": _share(found[~none])}
    if name != "train" and "train" in indices:
        seen = np.isin(rows, indices["train"])
        shares["digit_images_in_train"] = _share(seen[found])
        shares["images_in_train"] = _share(
            np.all(seen | none, axis=1)[np.all(found | none, axis=1)]
        )
        if "train" in numbers and name in numbers:
            known = set(map(tuple, numbers["train"].tolist()))
            in_train = [tuple(number) in known for number in numbers[name].tolist()]
            shares["numbers_in_train"] = _share(np.array(in_train))
    return SplitAudit(images=len(rows), **shares)


def _share(among: np.ndarray) -> float | None:
    return float(among.mean()) if among.size else None


def match_columns(
    images: UInt8[np.ndarray, "n height width"], source: DigitSource
) -> Int32[np.ndarray, "n digits"]:
    """Returns which digit image of the source each column as wide as one holds, at any height.

    A match is exact. The rows above and below the ink tell nothing apart from the height, so digit
    images that differ in these alone are equal here; of equal ones the first is returned.

    Args:
        images: number images, as wide as K of the source's digit images.
        source: where the digit images come from.

    Returns:
        Indices into the source's images, -1 where a column holds none of them.

    Raises:
        UserError: the width is not a multiple of that of a digit image.
    """
    count, _, width = images.shape
    side = source.side
    if width % side:
        raise UserError(
            f"number images {width} px wide are not made of columns of {side} px, so their digit "
            "images cannot be found: use the dataset's own size"
        )
    known = {}
    for index, content in enumerate(_contents(source.images)):
        known.setdefault(content, index)
    known.pop(None, None)
    found = np.empty((count, width // side), np.int32)
    for start in tqdm(
        range(0, count, _CHUNK), desc="matching", unit_scale=_CHUNK, unit=" images", disable=None
    ):
        chunk = images[start : start + _CHUNK]
        for column in range(width // side):
            contents = _contents(chunk[:, :, side * column : side * (column + 1)])
            found[start : start + _CHUNK, column] = [known.get(key, -1) for key in contents]
    return found


def _contents(columns: UInt8[np.ndarray, "n height side"]) -> list[bytes | None]:
    """Returns as many rows as columns, from the first inked one on, as bytes.

    None stands for a column without ink, or with ink below those rows.
    """
    count, height, side = columns.shape
    inked: Bool[np.ndarray, "n height"] = np.any(columns, axis=2)
    first = inked.argmax(axis=1)
    padded = np.concatenate([columns, np.zeros((count, side, side), np.uint8)], axis=1)
    rows = padded[np.arange(count)[:, None], first[:, None] + np.arange(side)]
    below = height - inked[:, ::-1].argmax(axis=1) - first > side
    usable = inked.any(axis=1) & ~below
    return [row.tobytes() if use else None for row, use in zip(rows, usable, strict=True)]
