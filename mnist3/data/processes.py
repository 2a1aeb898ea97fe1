"""Processes that find lines on pictures, beside the one whose network reads them.

Finding a line is a thousand small steps of Python, of which one process takes one at a time. These
are started anew, without JAX, and end with the process that has started them, however it ends.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any

STOPPING = {signal.SIGINT, signal.SIGTERM}  # which the first process alone answers


def cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def finders() -> Iterator[Executor | None]:
    """Gives what runs calls in as many processes as there are cores, which are started at once.

    They end with the block, once what they have begun is done. On one core there are none.
    """
    count = cores()
    if count == 1:
        yield None
        return
    pool = _Processes(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class _Processes(Executor):
    """A pool of processes that is replaced after one of them was lost, with all calls in it."""

    def __init__(self, count: int) -> None:
        self._count, self._lock = count, threading.Lock()
        self._pool = self._started()

    def _started(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self._count, context, _begin)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # until _begin ignores them
        try:
            for _ in range(self._count):
                pool.submit(int)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pool

    def submit(self, call: Callable, /, *arguments: Any, **options: Any) -> Future:
        with self._lock:
            try:
                return self._pool.submit(call, *arguments, **options)
            except BrokenExecutor:
                self._pool = self._started()
                return self._pool.submit(call, *arguments, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def _begin() -> None:
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import mnist3.data.lines
    import mnist3.data.locate  # noqa: F401  # before the first picture comes


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
