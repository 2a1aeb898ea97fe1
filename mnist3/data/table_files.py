"""Tables in files: CSV and Parquet in, rows of text out.

Every cell is read as text, so that a table says the same in both formats and its rows can be
written again as they were. Parquet takes pyarrow, which is no requirement of the package.
"""

import csv
import os
from typing import Any

import pandas as pd

from mnist3.errors import UserError

DELIMITERS = ",;\t|"
_PARQUET_MAGIC = b"PAR1"


def read_table(path: str | os.PathLike) -> pd.DataFrame:
    """Returns a table of text, one column each of the file's, names and cells without outer spaces.

    A CSV file has a header and is UTF-8; its delimiter is the one of comma, semicolon, tab and bar
    that the header has most of. Cells that a row lacks are empty, as are null and NaN in Parquet. A
    column without a name, as R and pandas write for row numbers, is left out.

    Raises:
        UserError: if there is no such file, it is no table, it has no rows, or it is Parquet and
            pyarrow is not installed.
    """
    try:
        with open(path, "rb") as file:
            magic = file.read(len(_PARQUET_MAGIC))
        if not magic:
            raise UserError(f"{path} is empty; give a CSV file with a header or a Parquet file.")
        table = _read_parquet(path) if magic == _PARQUET_MAGIC else _read_csv(path)
    except OSError as error:
        raise UserError(
            f"cannot read the table {path}: {error.strerror or error}; give a CSV or Parquet file."
        ) from error
    table.columns = [str(name).strip() for name in table.columns]
    table = table.loc[:, table.columns != ""].apply(lambda column: column.str.strip())
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise UserError(f"{path} has two columns named {repeated[0]!r}; rename one of them.")
    if table.empty:
        raise UserError(f"{path} has a header but no rows; give a table with rows.")
    return table


def to_csv(table: pd.DataFrame) -> str:
    """Returns a table as CSV text."""
    return table.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)


def _read_csv(path: str | os.PathLike) -> pd.DataFrame:
    try:
        with open(path, encoding="utf-8-sig") as file:
            header = next((line for line in file if line.strip()), "")
        rows = pd.read_csv(
            path,
            sep=max(DELIMITERS, key=header.count),
            header=None,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
            encoding="utf-8-sig",
        )
    except pd.errors.EmptyDataError as error:
        raise UserError(
            f"{path} is empty; give a CSV file with a header or a Parquet file."
        ) from error
    except ValueError as error:  # pandas' parser errors and wrong UTF-8 are ones
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise UserError(
            f"{path} is not a table ({reason}); give a CSV file in UTF-8 or a Parquet file."
        ) from error
    return rows[1:].set_axis(list(rows.iloc[0]), axis="columns").reset_index(drop=True)


def _read_parquet(path: str | os.PathLike) -> pd.DataFrame:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(
            f"{path} is a Parquet file, which takes pyarrow to read; install it with "
            "pip install 'mnist3[parquet]', or give a CSV file."
        ) from error
    try:
        table = parquet.read_table(path)
        columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    except OSError:
        raise
    except Exception as error:  # what damaged files make of pyarrow has no common base
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} is not a table (damaged Parquet: {reason}); give a CSV or Parquet file."
        ) from error
    frame = pd.DataFrame(dict(enumerate(columns)), dtype=str)
    return frame.set_axis(table.column_names, axis="columns")


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # whole numbers with gaps are stored as floats
    return str(value)
