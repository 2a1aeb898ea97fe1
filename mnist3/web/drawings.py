"""Pictures with the right number beside them, kept in a folder as `--mode=evaluate` reads them."""

import csv
import itertools
import os
import threading
from collections.abc import Sequence

from PIL import Image

from mnist3.data import numbers
from mnist3.data.images import read_picture
from mnist3.data.labelled import COLUMNS, LABELS_FILE
from mnist3.data.locate import LARGEST_SIDE
from mnist3.errors import UserError
from mnist3.files import replacing


class Drawings:
    """A folder of pictures with a labels.csv.

    Attributes:
        folder: that is there.
    """

    def __init__(self, folder: str, classes: Sequence[str]) -> None:
        """Takes a folder, which may have pictures already.

        Args:
            folder: that is there.
            classes: that a number is made of.

        Raises:
            UserError: if its labels.csv cannot be read, or has other columns.
        """
        self.folder = folder
        self._classes, self._lock = classes, threading.Lock()
        self._rows()

    def save(self, picture: bytes, number: str, most_pixels: int | None = None) -> str:
        """Saves a picture as a PNG file with a row in labels.csv, and returns the file's name.

        Args:
            picture: content of a file of any kind.
            number: what stands on it; "" where nothing does.
            most_pixels: that the picture may have.

        Raises:
            UnreadableImage: if the picture cannot be decoded.
            UserError: if the number is of other classes, or the files cannot be written.
        """
        if any(name not in self._classes for name in numbers.parts(number, self._classes)):
            raise UserError(
                f"{number!r} is not a number of {', '.join(self._classes)}; type those alone."
            )
        image = Image.fromarray(read_picture(picture, LARGEST_SIDE, most_pixels).pixels)
        try:
            with self._lock:
                rows = self._rows()
                name = self._free_name({row[rows[0].index("file")] for row in rows[1:]})
                with replacing(os.path.join(self.folder, name), "wb") as file:
                    image.save(file, format="png")
                cells = {"file": name, "number": number}
                self._write([*rows, [cells.get(column, "") for column in rows[0]]])
        except OSError as error:
            raise UserError(
                f"cannot write to {self.folder}: {error.strerror}; start with another "
                "--save_drawings."
            ) from error
        return name

    def _free_name(self, taken: set[str]) -> str:
        for place in itertools.count(1):
            name = f"drawing-{place:04}.png"
            if name not in taken and not os.path.exists(os.path.join(self.folder, name)):
                break
        return name

    def _rows(self) -> list[list[str]]:
        path = os.path.join(self.folder, LABELS_FILE)
        if not os.path.exists(path):
            return [list(COLUMNS)]
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                rows = [row for row in csv.reader(file, strict=True) if row]
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(
                f"cannot read {path} ({error}); mend it, or name another --save_drawings."
            ) from error
        if not rows or not {*COLUMNS} <= {*rows[0]}:
            raise UserError(
                f"{path} has no columns file and number in its first line; mend it, or name "
                "another --save_drawings."
            )
        return rows

    def _write(self, rows: Sequence[Sequence[str]]) -> None:
        path = os.path.join(self.folder, LABELS_FILE)
        with replacing(path, newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
