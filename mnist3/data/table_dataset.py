"""A table as a dataset: rows of features and their classes, in two splits."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from mnist3.data.splits import Dataset

if TYPE_CHECKING:  # whose tables are of pandas
    import mnist3.data.tabular


@dataclasses.dataclass(frozen=True, eq=False)
class TableDataset:
    """Rows of a table to learn from, and rows to test on; none are kept for val.

    Attributes:
        table: all rows.
        rows: of each split, by its name.
        source: where the table is from.
    """

    table: "mnist3.data.tabular.Table"
    rows: Mapping[str, Int[np.ndarray, "_"]]
    source: str

    stream = composition = digit_indices = None
    example_word = "rows"

    @property
    def name(self) -> str:
        """Of the table."""
        return self.table.name

    @property
    def fingerprint(self) -> str:
        """Of the table."""
        return self.table.fingerprint

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(self.table.features.columns)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.table.classes

    @property
    def splits(self) -> dict[str, Int[np.ndarray, "_"]]:
        """The rows of each split."""
        return dict(self.rows)

    def index(self, split: str) -> Int[np.ndarray, "n"]:
        """Returns the places in the file, counted from 0, of the rows of a split."""
        return self.table.features.index[self.rows[split]].to_numpy()

    def digit_indices_of(self, split: str) -> None:
        """Returns nothing: rows are not composed of digit images."""

    def describe(self) -> dict[str, Any]:
        """Returns the entry `dataset` of metrics.json."""
        return self.table.describe() | {"source": self.source}


AnyDataset = Dataset | TableDataset
