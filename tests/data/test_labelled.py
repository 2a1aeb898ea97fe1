import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3.data import numbers
from mnist3.data.labelled import read_labels
from mnist3.data.numbers import DIGITS
from mnist3.errors import UserError


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below/c.png").touch()
    return tmp_path


def read(folder, text, classes=DIGITS):
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return read_labels(str(folder), classes)


def test_numbers_keep_their_zeros_and_other_columns_are_groups(folder):
    found = read(
        folder, 'file,writer,number,notes\na.png,A,007,"x, y"\nbelow/c.png,B,12345678901,\n'
    )
    assert found.files == ["a.png", "below/c.png"]
    assert found.paths == [f"{folder}/a.png", f"{folder}/below/c.png"]
    assert found.numbers == ["007", "12345678901"]
    assert found.groups == {"writer": ["A", "B"], "notes": ["x, y", ""]}


def test_what_spreadsheets_write_is_read(folder):
    found = read(folder, "\ufefffile,number\r\na.png,\r\n\r\nb.jpg,3\r\n")
    assert found.numbers == ["", "3"] and found.groups == {}


def test_classes_of_other_names_are_taken(folder):
    assert read(folder, "file,number\na.png,K A\n", ("A", "K", " ")).numbers == ["K A"]
    assert read(folder, "file,number\na.png,ten two\n", ("two", "ten")).numbers == ["ten two"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no column file and no column number; name the columns"),
        ("file,text\na.png,1\n", "has no column number; name the columns file and number"),
        ("file,number\n", "names no picture; add a row"),
        ("file,number\na.png\n", "has 1 cells in line 2 and 2 in its first"),
        ("file,number\na.png,1\nb.jpg,1 2\n", "the number '1 2' in line 3; write it with 0, 1,"),
        ("file,number\na.png,-1\n", "the number '-1' in line 2"),
        ("file,number\na.png,1\na.png,1\n", "names a.png twice"),
        ("file,number\nd.png,1\na.png,1\ne.png,2\n", "names 'd.png' and 1 more, which are not"),
        ("file,number\nbelow,1\n", "names 'below', which"),
        ('file,number\na.png,"1\n', "cannot read .* write it as CSV"),
    ],
)
def test_a_mistake_is_told_with_a_remedy(folder, text, reason):
    with pytest.raises(UserError, match=reason):
        read(folder, text)


def test_without_labels_a_folder_can_be_predicted(folder):
    for place in (folder, folder / "absent", folder / "a.png"):
        with pytest.raises(UserError, match=r"holds no labels\.csv.*--mode=predict"):
            read_labels(str(place), DIGITS)


def test_labels_that_are_no_text_are_refused(folder):
    (folder / "labels.csv").write_bytes(b"file,number\n\xff.png,1\n")
    with pytest.raises(UserError, match="write it as CSV in UTF-8"):
        read_labels(str(folder), DIGITS)


@given(
    st.lists(st.integers(0, 2), max_size=12), st.sampled_from([("0", "1", "2"), ("a", "bc", "d")])
)
def test_the_parts_of_a_number_are_what_its_text_joins(label, classes):
    text = numbers.text(label, classes)
    assert numbers.parts(text, classes) == [classes[digit] for digit in label]
