import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from mnist3.errors import UserError
from mnist3.locking import locked

ROOT = pathlib.Path(__file__).parent.parent.parent
HOLD = (
    "import sys\n"
    "from mnist3.locking import locked\n"
    "with locked(sys.argv[1]):\n"
    "    print('locked', flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def holder(tmp_path):
    """Another process, which has the folder until its standard input ends or it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_the_second_process_is_told_who_has_the_folder_and_touches_nothing(holder, tmp_path):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError) as refusal, locked(str(tmp_path)):
        pass
    said = str(refusal.value)
    assert f"{tmp_path} is in use by process {holder.pid} on {socket.gethostname()} since" in said
    assert "sys.stdin.read" in said
    assert "choose another --workdir" in said
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    holder.communicate("")
    assert holder.returncode == 0
    with locked(str(tmp_path)):
        pass


def test_a_killed_process_has_the_folder_no_more(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert list(tmp_path.iterdir())
    with locked(str(tmp_path)):
        (written,) = tmp_path.glob("*.json")
        assert json.loads(written.read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_has_a_folder_does_not_get_it_twice(tmp_path):
    with locked(str(tmp_path)):
        with (
            pytest.raises(UserError, match=f"in use by process {os.getpid()}"),
            locked(str(tmp_path)),
        ):
            pass
        with pytest.raises(UserError, match="in use"), locked(str(tmp_path)):
            pass


def test_a_folder_is_free_again_after_an_error(tmp_path):
    with pytest.raises(KeyError), locked(str(tmp_path)):
        raise KeyError
    with locked(str(tmp_path)):
        pass


def test_a_holder_who_has_not_yet_written_who_it_is(holder, tmp_path):
    for path in tmp_path.glob("*.json"):
        path.write_text("")
    with pytest.raises(UserError, match="in use by another process; wait"), locked(str(tmp_path)):
        pass
