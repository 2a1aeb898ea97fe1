"""Signals that ask a run to stop: at once, or where it has state to save, once that is saved."""

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from absl import logging

SIGNALS = (signal.SIGTERM, signal.SIGINT)
ECHO = 0.5  # s in which signals count as one: `timeout`, for one, sends each of its own twice


class Interrupted(KeyboardInterrupt):
    """The end of a run that was asked to stop; its message says how to go on.

    Attributes:
        status: exit status, 128 and the number of the signal, as a shell has it.
    """

    def __init__(self, number: int, remedy: str):
        super().__init__(f"Stopped; {remedy}.")
        self.status = 128 + number


@dataclasses.dataclass
class _Asked:
    """What has come of signals, which are those of the whole process.

    Attributes:
        number: of the first signal; None before it.
        remedy: how to go on.
        deferred: whether the run looks at the number, and stops by itself.
    """

    number: int | None = None
    remedy: str = ""
    deferred: bool = False

    def stop(self) -> None:
        """Ends the run if a signal has come.

        Raises:
            Interrupted: then.
        """
        if self.number is not None:
            raise Interrupted(self.number, self.remedy)


_asked = _Asked()


@contextlib.contextmanager
def handled(remedy: str) -> Iterator[None]:
    """Lets SIGTERM and SIGINT end a block by an exception, which `deferred` puts off.

    A second signal ends the process at once, whatever it is doing. A signal that is ignored stays
    so. In another thread than the main one, where no handler can be set, nothing is changed.

    Args:
        remedy: how to go on, as the end of a sentence.

    Raises:
        Interrupted: if a signal has come.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked.number, _asked.remedy = None, remedy

    def on_signal(number: int, frame: object) -> None:
        if _asked.number is None:  # what ends the block is not disturbed by an echo
            _asked.number = number
            if not _asked.deferred:
                _asked.stop()

    # In callbacks of Python's, as of its garbage collector, an exception is printed and lost. The
    # block ends at the next chance then, and there is nothing to print.
    unraisable_before = sys.unraisablehook

    def unless_asked(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, Interrupted):
            unraisable_before(unraisable)

    # Python calls a handler between two of its own instructions, and an epoch is one. The thread
    # hears of a signal meanwhile.
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    watching = threading.Thread(target=_watch, args=(reading,), daemon=True)
    watching.start()
    woken_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {
        each: signal.signal(each, on_signal)
        for each in SIGNALS
        if signal.getsignal(each) is not signal.SIG_IGN
    }
    sys.unraisablehook = unless_asked
    try:
        yield
    finally:
        sys.unraisablehook = unraisable_before
        for each, handler in before.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(woken_before)
        os.close(writing)
        watching.join()
        os.close(reading)
        _asked.number = None


@contextlib.contextmanager
def deferred(agreed: Callable[[int], int] = lambda number: number) -> Iterator[Callable[[], bool]]:
    """Gives what tells whether a signal has come, which ends the block only once it is through.

    Args:
        agreed: of several processes that stop together: from the signal of this one, 0 for none, to
            that on which all act.

    Raises:
        Interrupted: if a signal has come, before the block or in it.
    """
    _asked.stop()

    def stops() -> bool:
        number = agreed(_asked.number or 0)
        if number:  # else one that has come meanwhile stays for the next time
            _asked.number = number
        return bool(number)

    _asked.deferred = True
    try:
        yield stops
    finally:
        _asked.deferred = False
    _asked.stop()


def _watch(descriptor: int) -> None:
    """Says at the first signal what will happen, and ends the process at a second one."""
    first = None
    while number := os.read(descriptor, 1):
        if number[0] not in SIGNALS:
            continue
        now = time.monotonic()
        if first is None:
            first = now
            if _asked.deferred:
                logging.info("stopping, once the state is saved; a second signal stops at once")
        elif now - first > ECHO:
            os._exit(128 + number[0])
