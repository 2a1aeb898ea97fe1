"""The text of a column's cells as numbers or as dates, written the way that most of them are.

How a column is written is found from all its cells, once, and is a short text that can be saved:
new rows are then read the same way. What cannot be read becomes NaN.
"""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Float64

# The decimal mark, then the mark between thousands if there is one. Of those that read as many
# cells the first is taken: 1,234 is rather a thousand than a fraction with three decimals.
NUMBER_FORMATS = (".", ".,", ",", ",.", ". ", ", ", ".'")
# Of days and months that could be either, days come first. ISO8601 may have any of the marks.
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y")
DATE_FORMATS = ("ISO8601", *(day + time for day in _DAYS for time in ("", " %H:%M", " %H:%M:%S")))

_LARGEST = float(np.finfo(np.float32).max)  # squares of larger ones overflow when they are scaled
_DATE_LIKE = r"\d{1,4}([-./])\d{1,2}\1\d{1,4}(?:\D.*)?"
# Typographic spaces, apostrophe and minus stand for the plain ones.
_PLAIN = str.maketrans("\u00a0\u202f\u2009\u2019\u2212", "   '-")
_DAY = 86_400e6  # microseconds


def number_format(cells: pd.Series) -> tuple[str, float]:
    """Returns the one of `NUMBER_FORMATS` that reads the most cells, and the share that it reads.

    Args:
        cells: text, none missing.
    """
    return _best(cells, NUMBER_FORMATS, as_numbers)


def as_numbers(cells: pd.Series, form: str) -> Float64[np.ndarray, "n"]:
    """Returns the numbers that cells hold; NaN where a cell is missing or holds none.

    What is not finite in single precision, such as `inf` and `1e400`, is no number.

    Args:
        cells: text, NaN where missing.
        form: one of `NUMBER_FORMATS`.
    """
    decimal, thousands = form[0], form[1:]
    whole = rf"[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+|\d+" if thousands else r"\d+"
    mark = re.escape(decimal)
    pattern = re.compile(rf"[+-]?(?:(?:{whole})(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?")

    def number(cell: object) -> float:
        text = cell.translate(_PLAIN) if isinstance(cell, str) else ""
        if not pattern.fullmatch(text):
            return np.nan
        if thousands:
            text = text.replace(thousands, "")
        value = float(text.replace(decimal, "."))
        return value if abs(value) <= _LARGEST else np.nan

    return np.array([number(cell) for cell in cells], np.float64)


def date_format(cells: pd.Series) -> tuple[str, float]:
    """Returns the one of `DATE_FORMATS` that reads the most cells, and the share that it reads.

    Args:
        cells: text, none missing.
    """
    dates = cells[cells.str.fullmatch(_DATE_LIKE)]
    form, share = _best(dates, DATE_FORMATS, as_days)
    return form, share * len(dates) / max(len(cells), 1)


def as_days(cells: pd.Series, form: str) -> Float64[np.ndarray, "n"]:
    """Returns the days from 1970 to each date, the time as fraction; NaN where there is none.

    Args:
        cells: text, NaN where missing. A time without a zone is in UTC.
        form: one of `DATE_FORMATS`.
    """
    stamps = pd.to_datetime(cells, format=form, errors="coerce", utc=True)
    days = stamps.dt.as_unit("us").astype(np.int64).to_numpy() / _DAY
    return np.where(stamps.notna() & cells.str.fullmatch(_DATE_LIKE), days, np.nan)


def _best(
    cells: pd.Series,
    forms: tuple[str, ...],
    parse: Callable[[pd.Series, str], Float64[np.ndarray, "n"]],
) -> tuple[str, float]:
    counts = cells.value_counts()
    texts = counts.index.to_series().astype(object)
    best, most = forms[0], 0
    for form in forms:
        readable = int(counts.to_numpy()[np.isfinite(parse(texts, form))].sum())
        if readable > most:
            best, most = form, readable
        if most == len(cells):
            break
    return best, most / max(len(cells), 1)
