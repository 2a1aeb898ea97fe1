"""The stopwatch that a fit is given, and what it notes down."""

import time
from typing import NamedTuple


class Point(NamedTuple):
    """How good a model was, and what fitting it had cost by then.

    Attributes:
        seconds: of fitting, without those spent evaluating.
        accuracy: the metric of the task, on the images held out, from 0 to 1.
    """

    seconds: float
    accuracy: float


class Report:
    """Counts the seconds between `start` and `stop`, and collects accuracies.

    The clock starts when the arrays are in memory and stops when the parameters are; evaluation
    happens while it stands still.

    Attributes:
        curve: what was noted, in order.
        operations: floating-point operations of the fit; None where nobody counted them.
    """

    def __init__(self):
        self.operations: float | None = None
        self.curve: list[Point] = []
        self._seconds = 0.0
        self._started: float | None = None
        self._stages: list[tuple[float, float]] = []

    def start(self) -> None:
        """Lets the clock run.

        Raises:
            RuntimeError: it runs already.
        """
        if self._started is not None:
            raise RuntimeError("the clock runs already: stop it first")
        self._started = time.perf_counter()

    def stop(self) -> None:
        """Holds the clock; what was computed must be finished by now.

        Raises:
            RuntimeError: it does not run.
        """
        if self._started is None:
            raise RuntimeError("the clock does not run: start it first")
        self._seconds += time.perf_counter() - self._started
        self._started = None

    def add(self, accuracy: float) -> None:
        """Notes what the model reached after the seconds so far.

        Raises:
            RuntimeError: the clock runs, so that the evaluation was counted as fitting.
            ValueError: the accuracy is not between 0 and 1.
        """
        if self._started is not None:
            raise RuntimeError("stop the clock before evaluating")
        if not 0 <= accuracy <= 1:
            raise ValueError(f"an accuracy lies between 0 and 1, not at {accuracy}")
        self.curve.append(Point(self._seconds, float(accuracy)))

    def add_compilation(self, event: str, seconds: float, **_) -> None:
        """Notes a stage of JAX's compilation that ends now: a listener for `jax.monitoring`."""
        if self._started is not None and event.startswith("/jax/core/compile/"):
            end = time.perf_counter()
            self._stages.append((max(end - seconds, self._started), end))

    @property
    def compile_seconds(self) -> float:
        """Seconds on the clock that went into tracing, lowering and compiling.

        Stages nest, as when a traced program calls another, so this is the length of their union.
        """
        total = until = 0.0
        for begin, end in sorted(self._stages):
            total += max(0.0, end - max(begin, until))
            until = max(until, end)
        return total
