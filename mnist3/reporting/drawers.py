"""Figures drawn beside other work: by processes of their own, where the command has started some.

A picture of a result says what is to be drawn, a `Plan`, and leaves the drawing to whoever comes to
it: Matplotlib takes half a second to import and a quarter of a second for a figure, which is more
than some trainings take. A process that draws imports it while the command imports JAX. Where none
was started, or one is gone, figures are drawn here.
"""

import concurrent.futures
import contextlib
import gc
import importlib
import os
import pathlib
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import matplotlib.figure

PROCESSES = 2  # at most, and one a core: what a run draws takes them a second or two
_ROOT = pathlib.Path(__file__).parent.parent.parent
_started: list[subprocess.Popen] = []
_here = threading.Lock()  # Matplotlib draws one figure at a time


class Plan(NamedTuple):
    """A figure that is still to be drawn.

    Attributes:
        function: that returns the figure, by its module in `mnist3.reporting` and its name.
        arguments: of the function, on the host.
        options: of the function, by name.
    """

    function: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def draw(self) -> "matplotlib.figure.Figure":
        """Returns the figure."""
        module, name = self.function.split(".")
        function = getattr(importlib.import_module(f"mnist3.reporting.{module}"), name)
        return function(*self.arguments, **self.options)

    def _repr_png_(self) -> bytes:
        """Shows the figure where the plan is the value of a notebook's cell."""
        figure: Any = self.draw()
        return figure._repr_png_()


def plan(function: str, *arguments: Any, **options: Any) -> Plan:
    """Returns the plan of a figure, see `Plan`."""
    return Plan(function, arguments, options)


def start() -> None:
    """Starts the processes that draw; they end with this one, or when `stop` is called."""
    code = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from mnist3.reporting import drawers"
    for _ in range(min(PROCESSES, os.cpu_count() or 1)):
        _started.append(
            subprocess.Popen(
                [sys.executable, "-c", f"{code}; drawers.work()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )


def stop() -> None:
    """Ends the processes that draw."""
    while _started:
        with contextlib.suppress(BrokenPipeError), _started.pop() as process:
            process.kill()  # the block's end closes its pipes and waits for it


Drawn = Any  # a plan, or a figure of Matplotlib


class Saving:
    """Figures of a run that are drawn and written while the caller goes on.

    Args:
        folder: of the run, which gets `figures/NAME.FORMAT`.
        formats: see `mnist3.reporting.drawing.save_all`.
    """

    def __init__(self, folder: str, formats: Collection[str]):
        self._folder, self._formats = folder, tuple(formats)
        self._idle: queue.SimpleQueue[subprocess.Popen | None] = queue.SimpleQueue()
        for process in _started or (None,):
            self._idle.put(process)
        self._threads = concurrent.futures.ThreadPoolExecutor(self._idle.qsize())
        self._paths: list[concurrent.futures.Future[list[str]]] = []

    def __enter__(self) -> "Saving":
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def add(self, name: str, drawn: Drawn) -> None:
        """Has a figure drawn, and written under its name."""
        self._paths.append(self._threads.submit(self._save, name, drawn))

    def wait(self) -> list[str]:
        """Returns the PNG files, in the order in which they were added, when all are whole.

        Raises:
            UserError: if there is no such format.
            OSError: if one cannot be written.
        """
        return [path for paths in self._paths for path in paths.result()]

    def _save(self, name: str, drawn: Drawn) -> list[str]:
        request = name, drawn, self._folder, self._formats
        process = self._idle.get()
        try:
            if process is not None and isinstance(drawn, Plan):
                return _ask(process, request)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            process = None  # it was killed
        finally:
            self._idle.put(process)
        return _save(*request)


def _ask(process: subprocess.Popen, request: tuple) -> list[str]:
    requests, answers = process.stdin, process.stdout
    assert requests and answers
    pickle.dump(request, requests)
    requests.flush()
    answer = pickle.load(answers)
    if isinstance(answer, Exception):
        raise answer
    return answer


def _save(name: str, drawn: Any, folder: str, formats: Collection[str]) -> list[str]:
    from mnist3.reporting import drawing

    with _here:
        figure = drawn.draw() if isinstance(drawn, Plan) else drawn
        return drawing.save_all({name: figure}, folder, formats)


def work() -> None:
    """Draws what is asked for on standard input, in a process of its own, until that is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command that it draws for ends it
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no answer
    gc.disable()  # see `mnist3.jobs.command_line.run`
    for module in ("figures", "image_figures", "learning_figures"):
        importlib.import_module(f"mnist3.reporting.{module}")
    gc.freeze()
    gc.enable()
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: Any = _save(*request)
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = error
        pickle.dump(answer, answers)
        answers.flush()
