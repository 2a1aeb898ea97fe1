"""Tables with a target column: what kind each column is, what is missing, and the splits.

The target is a class; the other columns are features: numbers, dates or categories. What is
inferred of them (`mnist3.data.columns`) can be overridden by `config.data.columns`, and what a
reader of the table may not expect of it is said in a sentence each, `Table.notes`.
"""

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

from mnist3.data import cells as texts
from mnist3.data import columns, letters
from mnist3.data.table_files import read_table, to_csv
from mnist3.errors import UserError, nearest

TEST_FRACTION = 0.2
SHOWN_NAMES = 20
LEAST_ROWS_OF_A_CLASS = 10
# Different numbers in a target; where there are more, some with few rows, they are no classes.
MOST_FRACTIONS = 20
MOST_WHOLE_NUMBERS = 100


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A table ready to be learned from.

    Attributes:
        name: of the file, or of the embedded table.
        fingerprint: sha256 over columns, kinds and rows, in hex.
        target: name of the column to predict.
        kinds: one of `mnist3.data.columns.KINDS`, of each other column in its order.
        formats: how numbers and dates are written in each column that holds them, see
            `mnist3.data.cells`.
        features: float64 and text, NaN where a value is missing; without ignored columns. A date is
            its days from 1970. The index counts the rows of the file from 0.
        labels: class of each row.
        classes: name of each class, in numerical or else alphabetical order.
        unlabelled: rows that were left out because their label is missing.
        notes: a sentence each on columns that are ignored and why, on cells that count as missing
            because they do not fit their column, and on numbers and dates that could be read in
            another way.
    """

    name: str
    fingerprint: str
    target: str
    kinds: Mapping[str, str]
    formats: Mapping[str, str]
    features: pd.DataFrame
    labels: Int32[np.ndarray, "n"]
    classes: tuple[str, ...]
    unlabelled: int
    notes: tuple[str, ...]

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
            "notes": list(self.notes),
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


def make_table(cells: pd.DataFrame, target: str, overrides: str = "", name: str = "table") -> Table:
    """Returns a table of features and labels, given its cells as text.

    Args:
        cells: text; one of `mnist3.data.columns.MISSING` stands for a missing value.
        target: the column to predict.
        overrides: kinds instead of the inferred ones, see `mnist3.data.columns.parse_columns`.
        name: of the table, for messages.

    Raises:
        UserError: without the target, a second class, a column to learn from, for a target of
            numbers that are no classes, or an override that does not fit.
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
    cells = columns.mark_missing(cells)
    inputs = cells.drop(columns=target)
    labelled = cells[target].notna()
    cells = cells[labelled]
    classes = _in_order(cells[target].unique())
    if len(classes) < 2:
        found = f"one class only, {classes[0]!r}," if classes else "no label"
        raise UserError(
            f"the target {target} of {name} has {found} in its {len(labelled)} rows; choose a "
            "config.data.target with two classes or more."
        )
    _require_classes(cells[target], target, name)
    read = columns.find(inputs, overrides)
    kinds = {column: each.kind for column, each in read.items()}
    ignored = [f"{column} is ignored: {each.note}" for column, each in read.items() if each.note]
    if set(kinds.values()) <= {"ignored"}:
        reasons = f" ({'; '.join(ignored[:3])})" if ignored else ""
        raise UserError(
            f"{name} has no column to learn {target} from{reasons}; give a table with more columns "
            "or set their kinds in config.data.columns."
        )
    formats = {column: each.form for column, each in read.items() if each.form}
    features, unread = columns.as_features(inputs[labelled], kinds, formats, name)
    ignored = [f"{note}." for note in ignored]
    content = (target, tuple(kinds.items()), to_csv(features), tuple(cells[target]))
    return Table(
        name=name,
        fingerprint=hashlib.sha256(repr(content).encode()).hexdigest(),
        target=target,
        kinds=kinds,
        formats=formats,
        features=features,
        labels=cells[target].map(classes.index).to_numpy(np.int32),
        classes=classes,
        unlabelled=int((~labelled).sum()),
        notes=(
            *ignored,
            *unread,
            *columns.notes_on_formats(formats),
            *_notes_on_levels(features, kinds),
        ),
    )


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
        if column.notna().sum() == 0:
            values = "none"
        elif kind == "numeric":
            values = f"{column.min():,.12g} to {column.max():,.12g}"
        elif kind == "date":
            values = f"{_day_text(column.min())} to {_day_text(column.max())}"
        else:
            levels = column.value_counts()
            shown = ", ".join(levels.index[:4])
            values = f"{len(levels)} levels: {shown}{', ...' if len(levels) > 4 else ''}"
        lines.append(f"{name:<{width}}  {kind:<11}  {column.isna().sum():>7}  {values}")
    return "\n".join(lines)


def _notes_on_levels(features: pd.DataFrame, kinds: Mapping[str, str]) -> list[str]:
    """Returns what to say of categories that nearly identify the row."""
    notes = []
    for name in features.columns:
        levels = features[name].nunique()
        if kinds[name] == "categorical" and 2 * levels > len(features):
            notes.append(
                f"{name} has {levels} different texts in {len(features)} rows, too many to be "
                f"categories that teach much; leave it out with "
                f"{columns.override_text(name, 'ignored')}."
            )
    return notes


def _require_classes(labels: pd.Series, target: str, name: str) -> None:
    """Checks that a target of numbers is not a quantity.

    Raises:
        UserError: if it has many different numbers, of which some have too few rows to be classes.
    """
    counts = labels.value_counts()
    form, share = texts.number_format(labels)
    if share < columns.READABLE or counts.min() >= LEAST_ROWS_OF_A_CLASS:
        return
    numbers = texts.as_numbers(counts.index.to_series().astype(object), form)
    whole = (numbers[np.isfinite(numbers)] % 1 == 0).all()
    if len(counts) > (MOST_WHOLE_NUMBERS if whole else MOST_FRACTIONS):
        raise UserError(
            f"the target {target} of {name} holds {len(counts)} different numbers, a quantity: to "
            "predict one is regression, which mnist3 does not do; add a column with a few classes "
            "of it, such as low, middle and high (pandas.qcut makes them), name it in "
            f"config.data.target and leave {target} out with "
            f"{columns.override_text(target, 'ignored')}."
        )


def _day_text(days: float) -> str:
    return str(np.datetime64(int(np.floor(days)), "D"))


def _in_order(classes: np.ndarray) -> tuple[str, ...]:
    cells = pd.Series(classes, dtype=object)
    numbers = texts.as_numbers(cells, texts.number_format(cells)[0])
    keys = classes if np.isnan(numbers).any() else numbers
    return tuple(str(classes[index]) for index in np.argsort(keys, kind="stable"))
