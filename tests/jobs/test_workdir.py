import os

import pytest

from mnist3.errors import UserError
from mnist3.jobs.workdir import require_writable


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
