"""One fit in a process of its own.

`python -m benchmarks.fit LIBRARY MODULE:FUNCTION DATA_DIR SEED RESULT`.

A fresh process for each fit keeps the thread pools, the memory and the compiled programs of one
from helping or hindering the next.
"""

import dataclasses
import importlib
import json
import os
import sys

THREADS = 2


@dataclasses.dataclass(frozen=True)
class Fit:
    """What one fit gave.

    Attributes:
        candidate: its name.
        seed: of its random numbers.
        version: of its code, libraries and machine; see `benchmarks.run.code_version`.
        curve: (seconds, accuracy) as often as it was evaluated; the last is the whole fit.
        compile_seconds: part of the seconds that went into compilation.
        operations: floating-point operations of the fit; None where nobody counted them.
    """

    candidate: str
    seed: int
    version: str
    curve: list[tuple[float, float]]
    compile_seconds: float
    operations: float | None = None

    @property
    def seconds(self) -> float:
        """Of the whole fit, from arrays in memory to trained parameters."""
        return self.curve[-1][0]

    @property
    def accuracy(self) -> float:
        """At the end of the fit."""
        return self.curve[-1][1]

    def seconds_to(self, target: float) -> float:
        """Returns the seconds after which the accuracy first reached the target, or infinity."""
        return next(
            (seconds for seconds, accuracy in self.curve if accuracy >= target), float("inf")
        )


def limit_threads() -> None:
    """Gives this process as many cores as every candidate gets; before libraries are imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    os.environ["OMP_NUM_THREADS"] = str(THREADS)


def main(library: str, fit: str, data_dir: str, seed: str, result: str) -> None:
    """Runs a fit and writes what was measured, fields of a `Fit`, to a JSON file.

    Raises:
        RuntimeError: the fit reported nothing.
    """
    limit_threads()
    from mnist3 import runtime

    runtime.prepare_process()
    from benchmarks.report import Report

    module, function = fit.split(":")
    fit_function = getattr(importlib.import_module(module), function)
    report = Report()
    if library == "jax":
        import jax

        from mnist3.training import kept

        kept.keep(os.path.join(os.environ["JAX_COMPILATION_CACHE_DIR"], "programs"))
        jax.monitoring.register_event_duration_secs_listener(report.add_compilation)
    fit_function(data_dir, int(seed), report)
    if not report.curve:
        raise RuntimeError(f"{fit} reported no accuracy")
    with open(result, "w") as file:
        measured = {
            "curve": report.curve,
            "compile_seconds": report.compile_seconds,
            "operations": report.operations,
        }
        json.dump(measured, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
