"""Parents of processes that do nothing: who is told of which loss, and how each ends."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from mnist3 import parents

ROOT = pathlib.Path(__file__).parent.parent
PROCESS = """
import json, os, pathlib, sys, time
from mnist3 import parents

folder, process, end = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
parents.GRACE = float(sys.argv[4])
look = parents._Parent._look


def look_and_say_who_is_there(parent):
    look(parent)
    if parent._processes and sum(each.process is not None for each in parent._peers) == 2:
        (folder / "together").touch()  # both others have told the first one's parent


parents._Parent._look = look_and_say_who_is_there
status = parents.main("Slurm", ["program", "--workdir=a"])
if status is not None:
    sys.exit(status)
link, file = parents.link(), folder / "address"
if end == "early":
    os.abort()


def wait_for(*names):
    until = time.monotonic() + 60
    while not all((folder / name).exists() for name in names):
        if time.monotonic() > until:
            sys.exit("the others do not come")
        time.sleep(0.01)


if process == 0:
    (folder / "begun").write_text(json.dumps(["127.0.0.1", link.port, link.token]))
    os.rename(folder / "begun", file)
wait_for("address")
parents.introduce(link, process, 3, json.loads(file.read_text()))
wait_for("together")
(folder / str(process)).write_text(str(os.getpid()))
wait_for("0", "1", "2")
if end.isdigit():
    sys.exit(int(end))
if end == "stop":
    time.sleep(0.2)
    sys.exit(143)
if end == "wait":
    time.sleep(100)
os.abort() if end == "abort" else os.kill(os.getpid(), 9 if end == "kill" else 15)
"""


@pytest.fixture
def started(tmp_path):
    """Starts three processes, each to end in its way, and gives their parents."""
    (tmp_path / "program.py").write_text(PROCESS)
    every = []

    def start(*ends, grace=1.0):
        for process, end in enumerate(ends):
            words = [sys.executable, "program.py", str(tmp_path), str(process), end, str(grace)]
            variables = os.environ | {"PYTHONPATH": str(ROOT)}
            every.append(
                subprocess.Popen(
                    words, cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True
                )
            )
        return every

    yield start
    for each in every:
        each.kill()
        each.communicate()


def lost(process, reason):
    return (
        f"Error: process {process} of 3 was lost ({reason}); run the same command in all of them "
        "to go on from the last checkpoint.\n"
    )


@pytest.mark.parametrize(
    ("ends", "statuses", "said"),
    [
        (("0", "0", "0"), (0, 0, 0), ("", "", "")),
        (("wait", "kill", "wait"), (1, 1, 1), (lost(1, "killed by signal 9, SIGKILL"),) * 3),
        (("kill", "wait", "wait"), (1, 1, 1), (lost(0, "killed by signal 9, SIGKILL"),) * 3),
        (("wait", "wait", "abort"), (1, 1, 1), (lost(2, "killed by signal 6, SIGABRT"),) * 3),
        (("abort", "abort", "kill"), (1, 1, 1), (lost(2, "killed by signal 9, SIGKILL"),) * 3),
        (("term", "wait", "wait"), (143, 143, 143), (lost(0, "stopped by SIGTERM"),) * 3),
        (  # the first saves, while others wait for it that have nothing left to do
            ("stop", "term", "wait"),
            (143, 143, 143),
            ("", lost(1, "stopped by SIGTERM"), lost(1, "stopped by SIGTERM")),
        ),
        (("3", "3", "3"), (3, 3, 3), ("", "", "")),  # a mistake that each has told itself
        (
            ("143", "wait", "wait"),
            (143, 143, 143),
            ("", lost(0, "stopped by SIGTERM"), lost(0, "stopped by SIGTERM")),
        ),
        (
            ("wait", "3", "wait"),
            (1, 3, 1),
            (
                lost(1, "ended with status 3, for a reason that it has told itself"),
                "",
                lost(1, "ended with status 3, for a reason that it has told itself"),
            ),
        ),
    ],
)
def test_what_each_says_last_and_how_it_ends(started, ends, statuses, said):
    # Where some only wait, nothing is to come in the time that they have to end by themselves.
    ended_by_another = "wait" in ends and "stop" not in ends
    every = started(*ends, grace=0.1 if ended_by_another else 1.0)
    told = tuple(each.communicate(timeout=60)[1] for each in every)
    assert tuple(each.returncode for each in every) == statuses
    assert told == said


def test_a_parent_that_is_killed_takes_its_child_along(started, tmp_path):
    every = started("wait", "wait", "wait")
    while not all((tmp_path / str(each)).exists() for each in range(3)):
        assert all(each.poll() is None for each in every)  # each waits for a minute at most
        time.sleep(0.01)
    host, port, _ = json.loads((tmp_path / "address").read_text())
    with socket.create_connection((host, port)) as stranger:
        stranger.sendall(b'["no token", 1]\nGET / HTTP/1.1\n')
        assert stranger.recv(1) == b""
    with socket.create_connection((host, port)) as stranger:
        stranger.sendall(b"[" * 50_000 + b"\n")
        assert stranger.recv(1) == b""
    child = int((tmp_path / "1").read_text())
    every[1].send_signal(signal.SIGKILL)
    reason = "its host, the network to it or the process that had started it"
    for each in (every[0], every[2]):
        assert each.communicate(timeout=60)[1] == lost(1, reason)
        assert each.returncode == 1
    with pytest.raises(ProcessLookupError):
        for _ in range(1000):
            os.kill(child, 0)
            time.sleep(0.01)


def test_a_host_that_is_gone_is_found_out_within_25_s_from_both_ends():
    parent = parents._Parent(named=True)
    port = parent._listening.getsockname()[1]
    with parent._listening, contextlib.closing(parent._selector):
        parent._connect("127.0.0.1", port, "token")
        parent._accept()
        assert len(parent._peers) == 2
        for connection in [each.connection for each in parent._peers]:
            with connection:
                assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                idle, interval, count = (
                    connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
                )
                assert idle + count * interval == 25


def test_a_process_that_does_not_find_the_others_says_what_to_do(started):
    process = started("early")[0]
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("Error: JAX ended this process while it waited for")
