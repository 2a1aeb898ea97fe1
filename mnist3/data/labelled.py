"""A folder of pictures with the numbers on them: labels.csv says which, a row a picture."""

import csv
import os
from collections.abc import Sequence
from typing import NamedTuple

from mnist3.data import numbers
from mnist3.errors import UserError

LABELS_FILE = "labels.csv"
COLUMNS = ("file", "number")


class LabelledPictures(NamedTuple):
    """Pictures in a folder, in the order of its labels.csv.

    Attributes:
        files: as labels.csv has them, relative to the folder.
        paths: of these files.
        numbers: what stands on each, with its leading zeros; "" where nothing does.
        groups: further columns by name, a value a picture.
    """

    files: list[str]
    paths: list[str]
    numbers: list[str]
    groups: dict[str, list[str]]


def read_labels(folder: str, classes: Sequence[str]) -> LabelledPictures:
    """Reads labels.csv in a folder: UTF-8, the columns `file` and `number`, and any others.

    Args:
        folder: with the pictures.
        classes: that a number is made of; names of more than one letter stand with spaces.

    Raises:
        UserError: if there is no such folder or file, it lacks a column or rows, a row is short or
            a number of other classes, or a picture is named twice or is not there.
    """
    path = os.path.join(folder, LABELS_FILE)
    if not os.path.isfile(path):
        raise UserError(
            f"--images={folder} holds no {LABELS_FILE}, by which reading is measured; write one "
            "with the columns file and number, a row a picture, or read the pictures with "
            "--mode=predict."
        )
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader if row]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path} ({reason}); write it as CSV in UTF-8.") from error
    if missing := [name for name in COLUMNS if name not in header]:
        raise UserError(
            f"{path} has no column {' and no column '.join(missing)}; name the columns file and "
            "number in its first line."
        )
    if not rows:
        raise UserError(f"{path} names no picture; add a row for each.")
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(
                f"{path} has {len(row)} cells in line {line} and {len(header)} in its first; give "
                "each line as many."
            )
    columns = dict(zip(header, map(list, zip(*(row for _, row in rows), strict=True)), strict=True))
    files, texts = (columns.pop(name) for name in COLUMNS)
    for (line, _), text in zip(rows, texts, strict=True):
        if any(name not in classes for name in numbers.parts(text, classes)):
            raise UserError(
                f"{path} has the number {text!r} in line {line}; write it with "
                f"{', '.join(classes)} alone."
            )
    paths = [os.path.join(folder, file) for file in files]
    _require_pictures(path, files, paths)
    return LabelledPictures(files, paths, texts, columns)


def _require_pictures(labels: str, files: Sequence[str], paths: Sequence[str]) -> None:
    seen = set()
    for file in files:
        if file in seen:
            raise UserError(f"{labels} names {file} twice; leave one of its rows.")
        seen.add(file)
    absent = [file for file, path in zip(files, paths, strict=True) if not os.path.isfile(path)]
    if absent:
        others = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise UserError(
            f"{labels} names {absent[0]!r}{others}, which are not there; add the pictures or leave "
            "out their rows."
        )
