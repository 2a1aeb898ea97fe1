import contextlib
import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from mnist3.data import processes
from mnist3.data.images import read_files
from mnist3.data.lines import lines_of
from mnist3.errors import UserError
from tests import renderer

ROOT = pathlib.Path(__file__).parent.parent.parent
HOLDS = """
import sys, time
from mnist3.data import processes
if __name__ == "__main__":
    processes.cores = lambda: 2
    with processes.finders() as pool:
        [each.result() for each in [pool.submit(time.sleep, 0.3) for _ in range(2)]]
        print(*pool._pool._processes, flush=True)
        assert "jax" not in sys.modules
        time.sleep(100)
"""


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(processes, "cores", lambda: 2)


@pytest.fixture
def written(tmp_path):
    picture, _ = renderer.render(np.random.default_rng(3), "4207", kinds=(), width=500)
    Image.fromarray(picture).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    Image.fromarray(np.rot90(picture)).save(tmp_path / "c.png")
    return [str(tmp_path / f"{name}.png") for name in "abc"]


def modules(_):
    return sorted(name for name in sys.modules if name.split(".")[0] in ("jax", "flax"))


def killed(_):
    os.kill(os.getpid(), signal.SIGKILL)


def no_begin():
    os._exit(1)


def alive(process):
    with contextlib.suppress(OSError, IndexError):
        state = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return False


def test_processes_find_what_threads_find(two_cores, written):
    read = functools.partial(lines_of, every_line=True)
    (here,) = read_files(written, read, 8, workers=2)
    with processes.finders() as pool:
        (there,) = read_files(written, read, 8, pool)
        (imported,) = read_files(written, modules, 8, pool)
    assert [each.error for each in here] == [each.error for each in there]
    assert "not a PNG" in there[1].error
    for own, other in zip(here, there, strict=True):
        for lines, others in zip(own.value or [], other.value or [], strict=True):
            for seen, same in zip(lines, others, strict=True):
                np.testing.assert_array_equal(seen.image, same.image)
                np.testing.assert_array_equal(seen.track, same.track)
                assert seen.box == same.box
    assert [each.value for each in imported] == [[], [], []]


def test_a_process_that_is_lost_is_told_and_replaced(two_cores, written):
    with processes.finders() as pool:
        with pytest.raises(
            UserError, match=r"was killed, perhaps as memory ran out, .*; start again"
        ):
            list(read_files(written, killed, 8, pool))
        (found,) = read_files(written, modules, 8, pool)
    assert len(found) == 3


@pytest.mark.parametrize("place", [0, 1, 2])
def test_whichever_process_is_lost_none_is_left(monkeypatch, place):
    """One of those that wait has the lock of what they wait for."""
    monkeypatch.setattr(processes, "cores", lambda: 3)
    with processes.finders() as pool:
        [each.result() for each in [pool.submit(time.sleep, 0.3) for _ in range(3)]]
        waiting = list(pool._pool._processes)
        assert len(waiting) == 3
        os.kill(waiting[place], signal.SIGKILL)
    until = time.monotonic() + 20
    while any(map(alive, waiting)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, waiting))


def test_processes_that_cannot_start_are_told_once(two_cores, monkeypatch, written):
    monkeypatch.setattr(processes, "_begin", no_begin)
    with processes.finders() as pool:
        with pytest.raises(UserError, match="could not start"):
            list(read_files(written, modules, 8, pool))
        first = pool._pool
        with pytest.raises(UserError, match="could not start"):
            list(read_files(written, modules, 8, pool))
        assert pool._pool is first


def test_there_are_none_on_one_core(monkeypatch):
    monkeypatch.setattr(processes, "cores", lambda: 1)
    with processes.finders() as pool:
        assert pool is None


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs Linux's /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_process_is_left(tmp_path, number):
    script = tmp_path / "holds.py"
    script.write_text(HOLDS)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as first:
        others = [int(each) for each in first.stdout.readline().split()]
        assert len(others) == 2 and all(map(alive, others))
        if number == signal.SIGINT:
            os.killpg(first.pid, number)  # as a terminal does
        else:
            first.send_signal(number)
        said = first.stderr.read()
    until = time.monotonic() + 20
    while any(map(alive, others)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, others))
    assert said.count("Traceback") == (number == signal.SIGINT)  # that of the first alone
