"""One process at a time writes into a workdir."""

import contextlib
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator

import filelock

from mnist3.errors import UserError
from mnist3.files import read_json, replacing

LOCK_FILE = ".lock"  # locked by the operating system, which lets go when the process ends
HOLDER_FILE = ".lock.json"  # who has locked it, for the one who comes second


class InUse(UserError):
    """Another process has the workdir."""


@contextlib.contextmanager
def locked(workdir: str, seconds: float | int = 0) -> Iterator[None]:
    """Keeps every other process that writes into a workdir out of it for the length of the block.

    The lock goes away with its process, also when that is killed; a file that is left behind locks
    nothing.

    Args:
        workdir: a folder that exists.
        seconds: how long to wait for the process that has it.

    Raises:
        InUse: names the process that has the workdir; nothing in it is touched then.
        UserError: if it cannot be locked.
    """
    lock = filelock.FileLock(os.path.join(workdir, LOCK_FILE), timeout=seconds)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise InUse(
            f"the workdir {workdir} is in use{_holder(workdir)}; wait until that has ended, or "
            "choose another --workdir."
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot lock the workdir {workdir}: {error.strerror or error}; choose another "
            "--workdir."
        ) from error
    holder = os.path.join(workdir, HOLDER_FILE)
    try:
        with replacing(holder) as file:
            json.dump(
                {
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    "since": time.strftime("%Y-%m-%d %H:%M:%S"),
                    "command": shlex.join(sys.orig_argv),
                },
                file,
            )
        yield
    finally:
        for path in (holder, lock.lock_file):
            with contextlib.suppress(OSError):
                os.remove(path)
        lock.release()


def _holder(workdir: str) -> str:
    """Returns what is known of the process that has locked a workdir."""
    try:
        holder = read_json(os.path.join(workdir, HOLDER_FILE))
        return (
            f" by process {holder['pid']} on {holder['host']} since {holder['since']} "
            f"({' '.join(str(holder['command']).split())})"
        )
    except (OSError, ValueError, KeyError):  # it has only just locked it
        return " by another process"
