"""Tables with a target column: what kind each column is, what is missing, and the splits.

The target is a class; the other columns are features: numbers, dates or categories. What is
inferred can be overridden by `config.data.columns`, and what a reader of the table may not expect
of it is said in a sentence each, `Table.notes`.
"""

import csv
import dataclasses
import hashlib
import os
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int, Int32
from ml_collections import ConfigDict
from sklearn.model_selection import train_test_split

from mnist3.data import cells as texts
from mnist3.data import letters
from mnist3.data.table_files import read_table, to_csv
from mnist3.errors import UserError, nearest

MISSING = ("", "?", "NA", "NaN", "nan", "N/A", "n/a", "#N/A", "NULL", "null")
KINDS = ("numeric", "date", "categorical", "ignored")
READABLE = 0.95  # share of a column's values that are numbers or dates, for it to be of that kind
READABLE_BUT_ONE = 0.5  # the same where all the others are one text: a mark of what is missing
ENOUGH = 10  # values of a column, from which on most of them must fit its kind
LEAST_TO_COUNT = 20  # rows; fewer may be numbered by chance
IDENTIFIERS = re.compile(r"(?i:(?:^|[\W_])(?:id|idx|index|row|key))$|[a-z](?:Id|ID)$")
TEST_FRACTION = 0.2
SHOWN_NAMES = 20
LEAST_ROWS_OF_A_CLASS = 10
# Different numbers in a target; where there are more, some with few rows, they are no classes.
MOST_FRACTIONS = 20
MOST_WHOLE_NUMBERS = 100


class Column(NamedTuple):
    """What is inferred of a column.

    Attributes:
        kind: one of `KINDS`.
        form: how its numbers or dates are written, see `mnist3.data.cells`; else "".
        note: why it is ignored, else "".
    """

    kind: str
    form: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A table ready to be learned from.

    Attributes:
        name: of the file, or of the embedded table.
        fingerprint: sha256 over columns, kinds and rows, in hex.
        target: name of the column to predict.
        kinds: one of `KINDS`, of each other column in its order.
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
        cells: text; `MISSING` stands for a missing value.
        target: the column to predict.
        overrides: kinds instead of the inferred ones, see `parse_columns`.
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
    cells = mark_missing(cells)
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
    columns = {str(column): infer(inputs[column]) for column in inputs.columns}
    if columns:
        columns |= _overridden(inputs, parse_columns(overrides, list(columns)))
    kinds = {column: found.kind for column, found in columns.items()}
    ignored = [
        f"{column} is ignored: {found.note}" for column, found in columns.items() if found.note
    ]
    if set(kinds.values()) <= {"ignored"}:
        reasons = f" ({'; '.join(ignored[:3])})" if ignored else ""
        raise UserError(
            f"{name} has no column to learn {target} from{reasons}; give a table with more columns "
            "or set their kinds in config.data.columns."
        )
    formats = {column: found.form for column, found in columns.items() if found.form}
    features, unread = as_features(inputs[labelled], kinds, formats, name)
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
        notes=(*ignored, *unread, *_notes_on_formats(formats), *_notes_on_levels(features, kinds)),
    )


def mark_missing(cells: pd.DataFrame) -> pd.DataFrame:
    """Returns the cells as objects, NaN where a value is missing and text elsewhere."""
    return cells.astype(object).mask(cells.isin(MISSING), np.nan)


def infer(cells: pd.Series) -> Column:
    """Returns the kind of a column, given its cells with `mark_missing`.

    A column is numeric if nearly all its values are numbers (`READABLE`), or more than half of them
    and all others are one and the same text. In the same way it holds dates, and else categories.

    Ignored is what teaches nothing: columns without any value, or with one value in all rows, and
    those that identify the row: texts of which each occurs once, the numbers from 0 or 1 to the
    last row in any order, and different whole numbers in each row of a column named so.
    """
    values = cells.dropna()
    if values.empty:
        return Column("ignored", note="it has no value in any row")
    if len(values) == len(cells) > 1 and values.nunique() == 1:
        return Column("ignored", note=f"it is {values.iloc[0]!r} in every row")
    form, share = texts.number_format(values)
    if _mostly(values, texts.as_numbers, form, share):
        if identifies := _row_numbers(cells, form):
            return Column("ignored", note=identifies)
        return Column("numeric", form)
    form, share = texts.date_format(values)
    if _mostly(values, texts.as_days, form, share):
        return Column("date", form)
    if values.is_unique and len(values) > 1:
        return Column(
            "ignored", note="its values are texts that occur once each, so it names the row"
        )
    return Column("categorical")


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


def override_text(name: str, kind: str) -> str:
    """Returns the argument of the command line that gives a column this kind."""
    item = f"{name}:{kind}"
    if set(name) & set(',"'):
        item = '"' + item.replace('"', '""') + '"'
    return f"--config.data.columns={shlex.quote(item)}"


def as_features(
    cells: pd.DataFrame, kinds: Mapping[str, str], formats: Mapping[str, str], name: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Returns the columns to learn from, and a sentence on each that has cells unlike the others.

    Numbers and days of dates are float64, categories text; what is no number in a column of numbers
    is missing there.

    Args:
        cells: with `mark_missing`; columns without a kind are left out.
        kinds: of the columns.
        formats: how the numbers and dates of columns are written; where it is not said, numbers
            are as in "1234.5".
        name: of the table, for messages.

    Raises:
        UserError: if a column is missing, or most of one that should hold numbers or dates does
            not.
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
    features, notes = {}, []
    for column, kind in used.items():
        features[column] = cells[column]
        if kind in ("numeric", "date"):
            parse = texts.as_numbers if kind == "numeric" else texts.as_days
            form = formats.get(column, texts.NUMBER_FORMATS[0])
            values = parse(cells[column], form)
            features[column] = pd.Series(values, cells.index)
            notes += _unread(cells[column], values, kind, form, name)
    return pd.DataFrame(features, index=cells.index), tuple(notes)


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


def _mostly(
    values: pd.Series,
    parse: Callable[[pd.Series, str], Float64[np.ndarray, "n"]],
    form: str,
    share: float,
) -> bool:
    """Tells whether a column is what a format reads a share of, see `infer`."""
    if READABLE_BUT_ONE < share < READABLE:
        return values[np.isnan(parse(values, form))].nunique() == 1
    return share >= READABLE


def _row_numbers(cells: pd.Series, form: str) -> str:
    """Returns why a column of numbers probably identifies the rows; "" if it does not."""
    numbers = texts.as_numbers(cells, form)
    if len(numbers) < LEAST_TO_COUNT or np.isnan(numbers).any() or (numbers % 1).any():
        return ""
    remedy = f"learn from it with {override_text(str(cells.name), 'numeric')}"
    ordered = np.sort(numbers)
    if ordered[0] in (0, 1) and (np.diff(ordered) == 1).all():
        return (
            f"it probably numbers the rows, since it holds every number from {ordered[0]:.0f} to "
            f"{ordered[-1]:.0f} once; {remedy}"
        )
    if np.diff(ordered).all() and IDENTIFIERS.search(str(cells.name)):
        return (
            "it probably identifies the row, since by its name it is a key and it holds another "
            f"whole number in every row; {remedy}"
        )
    return ""


def _overridden(cells: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, Column]:
    columns = {}
    for name, kind in kinds.items():
        values, form, note = cells[name].dropna(), "", ""
        if kind == "numeric":
            form, _ = texts.number_format(values)
        elif kind == "date":
            form, _ = texts.date_format(values)
        elif kind == "ignored":
            note = "config.data.columns says so"
        columns[name] = Column(kind, form, note)
    return columns


def _unread(
    cells: pd.Series, values: Float64[np.ndarray, "n"], kind: str, form: str, name: str
) -> list[str]:
    """Returns what to say of the cells that are no numbers, or no dates, though not missing.

    Raises:
        UserError: if these are most of many, so that the column is of another kind.
    """
    wrong = np.flatnonzero(cells.notna() & np.isnan(values))
    if not len(wrong):
        return []
    what = {"numeric": "number", "date": "date"}[kind]
    example = f"{cells.iloc[wrong[0]]!r} in row {cells.index[wrong[0]] + 1}"
    held = int(cells.notna().sum())
    if held >= ENOUGH and 2 * len(wrong) > held:
        raise UserError(
            f"{len(wrong)} of the {held} values of the {kind} column {cells.name} of {name} are no "
            f"{what}s {_written(form)}, the first {example}; mend the column, or train with "
            f"{override_text(str(cells.name), 'categorical')}."
        )
    are = f"{len(wrong)} cells of {cells.name} are no {what}s and count"
    if len(wrong) == 1:
        are = f"1 cell of {cells.name} is no {what} and counts"
    return [f"{are} as missing, the first {example}."]


def _notes_on_formats(formats: Mapping[str, str]) -> list[str]:
    """Returns what to say of numbers not as in "1234.5", and of dates."""
    notes = []
    for name, form in formats.items():
        what = "dates" if form in texts.DATE_FORMATS else "numbers"
        if form != texts.NUMBER_FORMATS[0]:
            notes.append(f"{name} is read as {what} {_written(form)}.")
    return notes


def _written(form: str) -> str:
    """Returns how numbers or dates of a format look."""
    if form == "ISO8601":
        return "written as year, month, day"
    if form in texts.DATE_FORMATS:
        words = {"d": "day", "m": "month", "Y": "year"}
        return "written as " + ", ".join(words[part] for part in re.findall("%([dmY])", form))
    return f"written like 1{form[1:]}234{form[0]}5"


def _notes_on_levels(features: pd.DataFrame, kinds: Mapping[str, str]) -> list[str]:
    """Returns what to say of categories that nearly identify the row."""
    notes = []
    for name in features.columns:
        levels = features[name].nunique()
        if kinds[name] == "categorical" and 2 * levels > len(features):
            notes.append(
                f"{name} has {levels} different texts in {len(features)} rows, too many to be "
                f"categories that teach much; leave it out with "
                f"{override_text(name, 'ignored')}."
            )
    return notes


def _require_classes(labels: pd.Series, target: str, name: str) -> None:
    """Checks that a target of numbers is not a quantity.

    Raises:
        UserError: if it has many different numbers, of which some have too few rows to be classes.
    """
    counts = labels.value_counts()
    form, share = texts.number_format(labels)
    if share < READABLE or counts.min() >= LEAST_ROWS_OF_A_CLASS:
        return
    numbers = texts.as_numbers(counts.index.to_series().astype(object), form)
    whole = (numbers[np.isfinite(numbers)] % 1 == 0).all()
    if len(counts) > (MOST_WHOLE_NUMBERS if whole else MOST_FRACTIONS):
        raise UserError(
            f"the target {target} of {name} holds {len(counts)} different numbers, a quantity: to "
            "predict one is regression, which mnist3 does not do; add a column with a few classes "
            "of it, such as low, middle and high (pandas.qcut makes them), name it in "
            f"config.data.target and leave {target} out with "
            f"{override_text(target, 'ignored')}."
        )


def _day_text(days: float) -> str:
    return str(np.datetime64(int(np.floor(days)), "D"))


def _in_order(classes: np.ndarray) -> tuple[str, ...]:
    cells = pd.Series(classes, dtype=object)
    numbers = texts.as_numbers(cells, texts.number_format(cells)[0])
    keys = classes if np.isnan(numbers).any() else numbers
    return tuple(str(classes[index]) for index in np.argsort(keys, kind="stable"))
