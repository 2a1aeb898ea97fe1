"""Signs of life while something takes long that cannot tell how far it is."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from absl import logging
from tqdm import tqdm

FIRST_SECONDS = 2.0
NEARLY = 0.95  # of a step's weight: there its bar waits for it to end


@contextlib.contextmanager
def telling(what: str) -> Iterator[None]:
    """Logs what is going on if it takes more than two seconds, and again and again, less often."""
    wait = FIRST_SECONDS

    def tell(seconds: float) -> float:
        nonlocal wait
        logging.info("%s: %.0f s", what, seconds)
        wait *= 2
        return wait

    with _beside(tell, wait):
        yield


@contextlib.contextmanager
def moving(bar: tqdm, weight: float | int) -> Iterator[None]:
    """Moves a bar on while a step runs, as its weight in seconds foretells, and then to its end."""
    before = bar.n
    wait = 1.0 if bar.fp.isatty() else 30.0

    def move(seconds: float) -> float:
        bar.n = before + min(seconds, NEARLY * weight)
        bar.refresh()
        return wait

    with _beside(move, wait):
        yield
    bar.n = before
    bar.update(weight)


@contextlib.contextmanager
def _beside(act: Callable[[float], float], wait: float) -> Iterator[None]:
    """Calls a function with the seconds so far; it returns after how many more it is due again."""
    ended = threading.Event()
    started = time.perf_counter()

    def work() -> None:
        due = wait
        while not ended.wait(due):
            due = act(time.perf_counter() - started)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()
