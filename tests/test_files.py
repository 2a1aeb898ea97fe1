import os
import re
import subprocess
import sys

import pytest

from mnist3.errors import UserError
from mnist3.files import opened_output, replacing, require_unread, require_writable


def test_a_writable_output_is_left_as_it_is(tmp_path):
    require_writable(str(tmp_path / "new.csv"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.csv").write_text("old")
    require_writable(str(tmp_path / "old.csv"))
    assert (tmp_path / "old.csv").read_text() == "old"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("absent/out.csv", "No such file or directory; name a file in a folder that exists"),
        ("file/out.csv", "cannot write"),
        ("folder", "is not a file"),
        ("pipe", "is not a file"),
    ],
)
def test_an_unwritable_output_is_an_error_with_a_remedy(tmp_path, output, reason):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=reason):
        require_writable(str(tmp_path / output))


@pytest.fixture
def files(tmp_path):
    """A file that is read, a folder with another one, and links to them."""
    (tmp_path / "folder").mkdir()
    for name in ("read.csv", "folder/read.csv", "other.csv"):
        (tmp_path / name).write_text(name)
    (tmp_path / "symbolic.csv").symlink_to("read.csv")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "read.csv")
    (tmp_path / "linked_folder").symlink_to("folder")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        *("read.csv", "symbolic.csv", "hard.csv", "folder/../read.csv"),
        *("folder/read.csv", "linked_folder/read.csv"),
    ],
)
@pytest.mark.parametrize("folder", ["folder", "linked_folder"])
def test_what_is_read_is_not_written_over(files, name, folder):
    with pytest.raises(UserError, match=f"{re.escape(name)} would replace .*, which is read"):
        require_unread(str(files / name), [files / "absent", files / "read.csv", files / folder])


@pytest.mark.parametrize("name", ["other.csv", "new.csv", "folder_of_another_name.csv"])
def test_other_files_may_be_written_over(files, name):
    require_unread(str(files / name), [files / "absent", files / "read.csv", files / "folder"])


def test_standard_output_is_no_file(files, monkeypatch):
    monkeypatch.chdir(files)
    (files / "-").touch()
    require_writable("-")
    require_unread("-", [files / "-"], run=files)


def test_standard_output_that_is_closed_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(UserError, match="standard output is closed; give --output a file"):
        require_writable("-")


def test_a_full_standard_output_is_told_once():
    with_rows = """
from mnist3.errors import UserError
from mnist3.files import opened_output
try:
    with opened_output("-") as file:
        file.write("row")
except UserError as error:
    print(error)
    raise SystemExit(str(error))
"""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", with_rows], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == (
        "cannot write to standard output: No space left on device; give --output a file.\n"
    )


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_pipe_gets_all_of_a_long_text_and_may_be_closed_early(buffered):
    code = """
import sys
from mnist3.files import OutputClosed, opened_output
try:
    with opened_output("-") as file:
        file.write("row\\n" * 1_000_000)
except OutputClosed:
    sys.exit(141)
"""
    for reader, status, lines in (("cat", 0, 1_000_000), ("head -n 1", 141, 1)):
        done = subprocess.run(
            [
                "bash",
                "-c",
                f'"$0" -c "$1" | {reader}; exit ${{PIPESTATUS[0]}}',
                sys.executable,
                code,
            ],
            env=os.environ | {"PYTHONUNBUFFERED": buffered},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (status, "")
        assert done.stdout == "row\n" * lines


def test_rows_keep_their_line_ends_and_bytes(tmp_path, capfdbinary):
    text = "caf\udce9\n\N{EURO SIGN}\r\n"
    for output in (str(tmp_path / "out.csv"), "-"):
        with opened_output(output) as file:
            file.write(text)
    expected = b"caf\xe9\n\xe2\x82\xac\r\n"
    assert (tmp_path / "out.csv").read_bytes() == expected
    assert capfdbinary.readouterr().out == expected


def test_two_processes_of_one_number_write_into_files_of_their_own(tmp_path):  # as of containers
    path = tmp_path / "shared"
    with replacing(path) as one, replacing(path) as other:
        one.write("one")
        other.write("other")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]
