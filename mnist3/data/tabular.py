"""Tables with a target column: what kind each column is, what is missing, and the splits.

The target is a class; the other columns are features, either numbers or categories. What is
inferred can be overridden by `config.data.columns`.
"""

import csv
import dataclasses
import hashlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Int32
from ml_collections import ConfigDict
from sklearn.model_selection import train_test_split

from mnist3.config import nearest
from mnist3.data import letters
from mnist3.data.table_files import read_table, to_csv
from mnist3.errors import UserError

MISSING = ("", "?", "NA", "NaN", "nan")
KINDS = ("numeric", "categorical", "ignored")
TEST_FRACTION = 0.2
SHOWN_NAMES = 20
LEAST_ROWS_OF_A_CLASS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A table ready to be learned from.

    Attributes:
        name: of the file, or of the embedded table.
        fingerprint: sha256 over columns, kinds and rows, in hex.
        target: name of the column to predict.
        kinds: `numeric`, `categorical` or `ignored`, of each other column in its order.
        features: float64 and text, NaN where a value is missing; without ignored columns. Their
            index counts the rows of the file from 0.
        labels: class of each row.
        classes: name of each class, in numerical or else alphabetical order.
        unlabelled: rows that were left out because their label is missing.
    """

    name: str
    fingerprint: str
    target: str
    kinds: Mapping[str, str]
    features: pd.DataFrame
    labels: Int32[np.ndarray, "n"]
    classes: tuple[str, ...]
    unlabelled: int

    def describe(self) -> dict[str, Any]:
        """Returns the entry `dataset` of metrics.json, but for where the table comes from."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "protocol": {"rows": "disjoint"},
            "target": self.target,
            "classes": list(self.classes),
            "columns": dict(self.kinds),
            "rows": len(self.labels),
            "unlabelled": self.unlabelled,
        }


def load(config: ConfigDict) -> Table:
    """Returns the table that a config's section `data` names.

    Args:
        config: `path` of a CSV or Parquet file, "" for the embedded table; `target`, the column to
            predict; `columns`, kinds that override the inferred ones, as in "age:numeric".

    Raises:
        UserError: if the file, its target or the columns cannot be used.
    """
    if config.path:
        return make_table(
            read_table(config.path), config.target, config.columns, os.path.basename(config.path)
        )
    return make_table(letters.table(), config.target or letters.TARGET, config.columns, "letters")


def make_table(cells: pd.DataFrame, target: str, columns: str = "", name: str = "table") -> Table:
    """Returns a table of features and labels, given its cells as text.

    Args:
        cells: text; `MISSING` stands for a missing value.
        target: the column to predict.
        columns: kinds that override the inferred ones, see `parse_columns`.
        name: of the table, for messages.

    Raises:
        UserError: without the target, a second class, a column to learn from, or for an override
            that does not fit.
    """
    names = list(cells.columns)
    if target not in names:
        asked = (
            f"has no column {target!r} to predict; did you mean config.data.target="
            f"{nearest(target, names)!r}?"
            if target
            else "needs config.data.target, the column to predict."
        )
        more = ", ..." if names[SHOWN_NAMES:] else ""
        raise UserError(f"{name} {asked} Its columns are {', '.join(names[:SHOWN_NAMES])}{more}.")
    cells = mark_missing(cells)
    labelled = cells[target].notna()
    cells = cells[labelled]
    classes = _in_order(cells[target].unique())
    if len(classes) < 2:
        found = f"one class only, {classes[0]!r}," if classes else "no label"
        raise UserError(
            f"the target {target} of {name} has {found} in its {len(labelled)} rows; choose a "
            "config.data.target with two classes or more."
        )
    inputs = cells.drop(columns=target)
    kinds = infer_kinds(inputs) | parse_columns(columns, list(inputs.columns))
    if set(kinds.values()) <= {"ignored"}:
        raise UserError(
            f"{name} has no column to learn {target} from; give a table with more columns or set "
            "their kinds in config.data.columns."
        )
    features = as_features(inputs, kinds, name)
    content = (target, tuple(kinds.items()), to_csv(features), tuple(cells[target]))
    return Table(
        name=name,
        fingerprint=hashlib.sha256(repr(content).encode()).hexdigest(),
        target=target,
        kinds=kinds,
        features=features,
        labels=cells[target].map(classes.index).to_numpy(np.int32),
        classes=classes,
        unlabelled=int((~labelled).sum()),
    )


def mark_missing(cells: pd.DataFrame) -> pd.DataFrame:
    """Returns the cells as objects, NaN where a value is missing and text elsewhere."""
    return cells.astype(object).mask(cells.isin(MISSING), np.nan)


def infer_kinds(cells: pd.DataFrame) -> dict[str, str]:
    """Returns the kind of each column, given its cells with `mark_missing`.

    A column is numeric if all its values are finite numbers, and else categorical. Ignored are
    columns without any value, and those of which each value occurs once and is no number: they
    identify the row and teach nothing.
    """
    return {str(name): _kind(cells[name].dropna()) for name in cells.columns}


def parse_columns(text: str, names: list[str]) -> dict[str, str]:
    """Returns the kinds that a text such as `age:numeric,zip:categorical` gives to columns.

    A column with a comma in its name stands in double quotes: `"height, cm:numeric"`.

    Raises:
        UserError: for an unknown column or kind.
    """
    kinds = {}
    for item in next(csv.reader([text]), []):
        name, _, kind = (part.strip() for part in item.rpartition(":"))
        if name not in names:
            raise UserError(
                f"config.data.columns names the column {name or item!r}, which is not among those "
                f"to learn from; did you mean {nearest(name or item, names)!r}?"
            )
        if kind not in KINDS:
            raise UserError(
                f"config.data.columns gives {name} the kind {kind!r}; did you mean "
                f"{nearest(kind, KINDS)!r}? It is one of {', '.join(KINDS)}."
            )
        kinds[name] = kind
    return kinds


def as_features(cells: pd.DataFrame, kinds: Mapping[str, str], name: str) -> pd.DataFrame:
    """Returns the columns to learn from: float64 where numeric, text where categorical.

    Args:
        cells: with `mark_missing`; columns without a kind are left out.
        kinds: of the columns.
        name: of the table, for messages.

    Raises:
        UserError: if a column is missing, or a numeric one holds something else.
    """
    used = {column: kind for column, kind in kinds.items() if kind != "ignored"}
    absent = [column for column in used if column not in cells.columns]
    if absent:
        near = nearest(absent[0], list(map(str, cells.columns)))
        raise UserError(
            f"{name} lacks the column{'s' if absent[1:] else ''} {', '.join(absent)}; add "
            f"{'them' if absent[1:] else 'it'}, or rename one that is meant (the nearest to "
            f"{absent[0]} is {near})."
        )
    features = {
        column: _numbers(cells[column], name) if kind == "numeric" else cells[column]
        for column, kind in used.items()
    }
    return pd.DataFrame(features, index=cells.index)


def split_rows(table: Table, seed: int, folds: int) -> dict[str, Int[np.ndarray, "_"]]:
    """Returns the rows of train and test, shuffled; test is a fifth, with each class's share.

    Args:
        table: the table.
        seed: of the draw.
        folds: of the cross-validation on train that is to come.

    Raises:
        UserError: if a class has too few rows for that.
    """
    counts = np.bincount(table.labels)
    least = max(LEAST_ROWS_OF_A_CLASS, 2 * folds)
    rare = int(counts.argmin())
    if counts[rare] < least:
        raise UserError(
            f"the target {table.target} of {table.name} has {len(table.classes)} classes, and "
            f"{table.classes[rare]!r} has too few rows ({counts[rare]}, at least {least} are "
            "needed); add rows, leave the class out, or choose another config.data.target."
        )
    train, test = train_test_split(
        np.arange(len(table.labels)),
        test_size=TEST_FRACTION,
        random_state=seed,
        stratify=table.labels,
    )
    return {"train": train, "test": test}


def describe_columns(table: Table) -> str:
    """Returns a line a column: its kind, how many values are missing, and what they are."""
    width = max(map(len, table.kinds))
    lines = [f"{'column':<{width}}  kind         missing  values"]
    for name, kind in table.kinds.items():
        if kind == "ignored":
            lines.append(f"{name:<{width}}  {kind}")
            continue
        column = table.features[name]
        if kind == "numeric":
            values = (
                f"{column.min():,.12g} to {column.max():,.12g}" if column.notna().any() else "none"
            )
        else:
            levels = column.value_counts()
            shown = ", ".join(levels.index[:4])
            values = f"{len(levels)} levels: {shown}{', ...' if len(levels) > 4 else ''}"
        lines.append(f"{name:<{width}}  {kind:<11}  {column.isna().sum():>7}  {values}")
    return "\n".join(lines)


def _kind(values: pd.Series) -> str:
    if values.empty:
        return "ignored"
    if np.isfinite(_parsed(values)).all():
        return "numeric"
    return "ignored" if values.is_unique else "categorical"


def _parsed(values: pd.Series) -> pd.Series:
    return pd.to_numeric(values, errors="coerce").astype(np.float64)


def _numbers(cells: pd.Series, name: str) -> pd.Series:
    numbers = _parsed(cells)
    wrong = np.flatnonzero(cells.notna() & ~np.isfinite(numbers))
    if len(wrong):
        raise UserError(
            f"row {cells.index[wrong[0]] + 1} of {name} has {cells.iloc[wrong[0]]!r} in the "
            f"numeric column {cells.name}; mend the cell, or train with "
            f'--config.data.columns="{cells.name}:categorical".'
        )
    return numbers


def _in_order(classes: np.ndarray) -> tuple[str, ...]:
    numbers = _parsed(pd.Series(classes, dtype=object))
    keys = classes if numbers.isna().any() else numbers.to_numpy()
    return tuple(str(classes[index]) for index in np.argsort(keys, kind="stable"))
