import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3.data.table_files import DELIMITERS, read_table, to_csv
from mnist3.errors import UserError

CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), max_size=8).map(
    str.strip
)


def read(tmp_path, text, name="table.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return read_table(path)


@given(rows=st.lists(st.tuples(CELLS.filter(bool), CELLS, CELLS), min_size=1, max_size=5))
def test_what_is_written_is_read_again(tmp_path_factory, rows):
    table = pd.DataFrame(rows, columns=["a", "b, with a comma", 'c "quoted"'], dtype=str)
    read_again = read(tmp_path_factory.mktemp("csv"), to_csv(table))
    pd.testing.assert_frame_equal(read_again, table)


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_delimiters_spaces_marks_and_empty_lines(tmp_path, delimiter):
    lines = ["\ufeff a, b ,c", "", "1, x y ,?", "02,,'q'", ""]
    table = read(tmp_path, "\r\n".join(line.replace(",", delimiter) for line in lines))
    assert list(table.columns) == ["a", "b", "c"]
    assert table.to_numpy().tolist() == [["1", "x y", "?"], ["02", "", "'q'"]]


def test_a_column_of_row_numbers_without_a_name_is_left_out(tmp_path):
    assert list(read(tmp_path, ",a,b\n0,1,2\n1,3,4\n").columns) == ["a", "b"]


def test_parquet_says_the_same_as_csv(tmp_path):
    typed = pd.DataFrame(
        {
            "age": [31.0, np.nan, 40.0],
            "height": [1.5, 2.0, np.nan],
            "pen": ["brush", None, " ink "],
            "known": [True, False, True],
        }
    )
    typed.to_parquet(tmp_path / "table.parquet")
    text = "age,height,pen,known\n31,1.5,brush,True\n,2,,False\n40,,ink,True\n"
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.parquet"), read(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2,3\n", "not a table .*line 2"),
        ("a,b,a\n1,2,3\n", "two columns named 'a'"),
        (b"a,b\n\xff\xfe,2\n", "not a table .*utf-8"),
        (b"PAR1 and no more", "damaged Parquet"),
    ],
)
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path, content, said):
    with pytest.raises(UserError, match=said) as raised:
        read(tmp_path, content)
    assert "table.csv" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_text_in_parquet_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"a": ["word"] * 3}).to_parquet(path, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"word", b"wor\xff"))
    with pytest.raises(UserError, match="damaged Parquet"):
        read_table(path)


def test_a_file_that_is_not_there_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.csv: No such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(UserError, match="Is a directory"):
        read_table(tmp_path)


def test_parquet_without_pyarrow_is_told_what_to_install(tmp_path, monkeypatch):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'mnist3\[parquet\]', or give a CSV file"):
        read_table(tmp_path / "table.parquet")


# pandas looks for pyarrow when it is imported, and keeps text in another way without it.
WITHOUT_PYARROW = """
import sys
sys.modules["pyarrow"] = None
from mnist3.data import tabular
from mnist3.data.table_files import read_table, to_csv
cells = read_table(sys.argv[1])
table = tabular.make_table(cells, "town")
print(to_csv(cells) + to_csv(table.features) + table.fingerprint)
"""


def test_csv_says_the_same_without_pyarrow(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "town,age,when,pen\n" + "Rome,31,1.2.2024,ink\nOslo,?,3.2.2024,\nRome,many,,lead\n" * 9
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code, path],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for code in (WITHOUT_PYARROW.replace('sys.modules["pyarrow"] = None', ""), WITHOUT_PYARROW)
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("town,age,when,pen\nRome,31,1.2.2024,ink\nOslo,?,")
