"""The columns of a table: what kind each is, and its cells as numbers, days or categories.

Kinds are inferred, and `config.data.columns` overrides them. What a reader of the table may not
expect of a column is said in a sentence.
"""

import csv
import re
import shlex
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from mnist3.data import cells as texts
from mnist3.errors import UserError, nearest

MISSING = ("", "?", "NA", "NaN", "nan", "N/A", "n/a", "#N/A", "NULL", "null")
KINDS = ("numeric", "date", "categorical", "ignored")
READABLE = 0.95  # share of a column's values that are numbers or dates, for it to be of that kind
READABLE_BUT_ONE = 0.5  # the same where all the others are one text: a mark of what is missing
ENOUGH = 10  # values of a column, from which on most of them must fit its kind
LEAST_TO_COUNT = 20  # rows; fewer may be numbered by chance
IDENTIFIERS = re.compile(r"(?i:(?:^|[\W_])(?:id|idx|index|row|key))$|[a-z](?:Id|ID)$")


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


def mark_missing(cells: pd.DataFrame) -> pd.DataFrame:
    """Returns the cells as objects, NaN where a value is missing and text elsewhere."""
    return cells.astype(object).mask(cells.isin(MISSING), np.nan)


def find(cells: pd.DataFrame, overrides: str = "") -> dict[str, Column]:
    """Returns what each column is, as it is inferred or as the config says.

    Args:
        cells: of the columns to learn from, with `mark_missing`.
        overrides: kinds instead of the inferred ones, see `parse_columns`.

    Raises:
        UserError: as `parse_columns`.
    """
    named = {str(name): cells[name] for name in cells.columns}
    given = parse_columns(overrides, list(named)) if named else {}
    return {
        name: _given(each, given[name]) if name in given else infer(each)
        for name, each in named.items()
    }


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


def _given(cells: pd.Series, kind: str) -> Column:
    """Returns a column of a kind that the config gives it."""
    values = cells.dropna()
    if kind == "numeric":
        return Column(kind, texts.number_format(values)[0])
    if kind == "date":
        return Column(kind, texts.date_format(values)[0])
    return Column(kind, note="config.data.columns says so" if kind == "ignored" else "")


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


def notes_on_formats(formats: Mapping[str, str]) -> list[str]:
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
