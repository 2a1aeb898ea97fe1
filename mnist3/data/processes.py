"""Processes that find lines on pictures, beside the one whose network reads them.

Finding a line is a thousand small steps of Python, of which one process takes one at a time. These
are started anew, without JAX, and end with the process that has started them, however it ends.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.context
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any

from mnist3.runtime import cores

STOPPING = {signal.SIGINT, signal.SIGTERM}  # which the first process alone answers


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


class _Process(multiprocessing.context.SpawnProcess):
    """Ends when its pool has lost another one, though it takes no notice of SIGTERM."""

    def terminate(self) -> None:
        self.kill()


class _Context(multiprocessing.context.SpawnContext):
    """Starts processes, and remembers them."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[_Process] = []

    def Process(self, *arguments: Any, **options: Any) -> _Process:  # type: ignore[override]
        self.begun.append(_Process(*arguments, **options))
        return self.begun[-1]


class _Processes(Executor):
    """A pool of processes that is replaced after one of them was lost, with all calls in it.

    One of which no process ever answered is not: what they lack the next ones would lack too.
    """

    def __init__(self, count: int) -> None:
        self._count, self._lock = count, threading.Lock()
        self._pool, self._begun = self._started()

    def _started(self) -> tuple[ProcessPoolExecutor, list[Future]]:
        self._context = _Context()
        pool = ProcessPoolExecutor(self._count, self._context, _begin)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # until _begin ignores them
        try:
            begun = [pool.submit(int) for _ in range(self._count)]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pool, begun

    def submit(self, call: Callable, /, *arguments: Any, **options: Any) -> Future:
        with self._lock:
            try:
                return self._pool.submit(call, *arguments, **options)
            except BrokenExecutor:
                if all(each.cancelled() or each.exception() for each in self._begun):
                    raise
                self._pool, self._begun = self._started()
                return self._pool.submit(call, *arguments, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait=False, cancel_futures=cancel_futures)
        while wait and (alive := [each for each in self._context.begun if each.is_alive()]):
            if any(each.exitcode for each in self._context.begun):
                # One was lost, perhaps with the lock of what the others wait for.
                for each in alive:
                    each.kill()
            multiprocessing.connection.wait([each.sentinel for each in alive], 1.0)
        self._pool.shutdown(wait)


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
