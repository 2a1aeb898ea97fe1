"""Signs of life while something takes long that cannot tell how far it is."""

import contextlib
import threading
import time
from collections.abc import Iterator

from absl import logging

FIRST_SECONDS = 2.0


@contextlib.contextmanager
def telling(what: str) -> Iterator[None]:
    """Logs what is going on if it takes more than two seconds, and again and again, less often."""
    ended = threading.Event()
    started = time.perf_counter()

    def tell() -> None:
        wait = FIRST_SECONDS
        while not ended.wait(wait):
            logging.info("%s: %.0f s", what, time.perf_counter() - started)
            wait *= 2

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
