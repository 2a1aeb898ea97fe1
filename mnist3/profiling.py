"""Where the time of a training goes: seconds by what they were for, a trace, the machine's rate.

A run is profiled where somebody asks for it (`profiled`); else everything here does nothing.
"""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

TRACING, COMPILING, LOADING = "tracing and lowering", "compiling", "loading kept programs"
DATA, STEPPING, READING = "loading data", "stepping", "reading val and test"
SAVING, DRAWING, WRITING = "saving checkpoints", "drawing", "writing the trace"
PHASES = (DATA, TRACING, COMPILING, LOADING, STEPPING, READING, SAVING, DRAWING, WRITING)
EVENTS = {  # of jax.monitoring
    "/jax/core/compile/jaxpr_trace_duration": TRACING,
    "/jax/core/compile/jaxpr_to_mlir_module_duration": TRACING,
    "/jax/core/compile/backend_compile_duration": COMPILING,
}
TRACED_SECONDS = 2.0  # at most: each makes tens of megabytes, which take time to write
MEASURED_SECONDS = 0.5  # of multiplying matrices


class Span(NamedTuple):
    """A stretch of time with a name.

    Attributes:
        name: what it was for, one of `PHASES`.
        start: s, on the clock of the process.
        end: likewise.
    """

    name: str
    start: float
    end: float


class Segment(NamedTuple):
    """Steps of training, one after the other.

    Attributes:
        steps: how many, of all replicates.
        seconds: that they took.
        traced: whether it was traced, which makes it slower.
    """

    steps: int
    seconds: float
    traced: bool


@dataclasses.dataclass
class Profile:
    """What is known of the time of a run.

    Attributes:
        folder: for the trace.
        spans: in the order of their ends.
        segments: of the training.
        seconds: of the whole, once it has ended.
    """

    folder: str
    spans: list[Span] = dataclasses.field(default_factory=list)
    segments: list[Segment] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """That were taken, of all replicates."""
        return sum(segment.steps for segment in self.segments)

    @property
    def steps_per_second(self) -> float | None:
        """Of what was not traced, where that is most of the steps; None without any."""
        plain = [segment for segment in self.segments if not segment.traced]
        most = 2 * sum(segment.steps for segment in plain) > self.steps
        counted = plain if most else self.segments
        seconds = sum(segment.seconds for segment in counted)
        return sum(segment.steps for segment in counted) / seconds if seconds else None


_profiles: list[Profile] = []  # at most one


@contextlib.contextmanager
def profiled(folder: str) -> Iterator[Profile]:
    """Profiles a block, in which this thread does what counts.

    Args:
        folder: for the trace.
    """
    thread, started = threading.get_ident(), time.perf_counter()
    profile = Profile(folder)

    def note(event: str, duration_secs: float, **_: str | int) -> None:
        if event in EVENTS and threading.get_ident() == thread:
            end = time.perf_counter()
            profile.spans.append(Span(EVENTS[event], end - duration_secs, end))

    jax.monitoring.register_event_duration_secs_listener(note)
    _profiles.append(profile)
    try:
        yield profile
    finally:
        _profiles.remove(profile)
        jax.monitoring.unregister_event_duration_listener(note)
        profile.seconds = time.perf_counter() - started


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Says what a block, or as a decorator a function, is for."""
    if not _profiles:
        yield
        return
    started = time.perf_counter()
    try:
        yield
    finally:
        _profiles[0].spans.append(Span(name, started, time.perf_counter()))


def timed(name: str, program: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a program whose calls are a phase, to the end of what they compute."""
    if not _profiles:
        return program

    def call(*arguments: Any) -> Any:
        with phase(name):
            return jax.block_until_ready(program(*arguments))

    return call


@contextlib.contextmanager
def stepping(steps: int) -> Iterator[None]:
    """Says that a block takes steps of training; of the second such block a part is traced.

    Args:
        steps: of all replicates.
    """
    if not _profiles:
        yield
        return
    profile = _profiles[0]
    traced = len(profile.segments) == 1
    with _traced(profile.folder) if traced else contextlib.nullcontext():
        started = time.perf_counter()
        with phase(STEPPING):
            yield
        seconds = time.perf_counter() - started
    profile.segments.append(Segment(steps, seconds, traced))


@contextlib.contextmanager
def _traced(folder: str) -> Iterator[None]:
    """Traces the first seconds of a block; a trace that cannot be written costs a warning."""
    ended = threading.Event()

    def stop() -> None:
        ended.wait(TRACED_SECONDS)
        try:
            jax.profiler.stop_trace()
        except (RuntimeError, OSError) as error:
            logging.warning("there is no trace in %s: %s", folder, error)

    with phase(WRITING):
        jax.profiler.start_trace(folder)
        stopping = threading.Thread(target=stop)
        stopping.start()
    try:
        yield
    finally:
        ended.set()
        with phase(WRITING):
            stopping.join()


def own_seconds(spans: Sequence[Span]) -> dict[str, float]:
    """Returns seconds by name, where each counts for the innermost span around it alone.

    Args:
        spans: of one thread, in the order of their ends; two either lie apart or one in the other.
    """
    seconds: dict[str, float] = {}
    apart: list[Span] = []
    for span in spans:
        within = 0.0
        while apart and apart[-1].end > span.start:
            inner = apart.pop()
            within += inner.end - inner.start
        seconds[span.name] = seconds.get(span.name, 0.0) + span.end - span.start - within
        apart.append(span)
    return seconds


def matrix_product_rate(mesh: Mesh, dtype: str) -> float:
    """Returns how fast all devices together multiply matrices, operations a second.

    It is the best of what fits into half a second, each device with square matrices of its own.

    Args:
        mesh: the devices.
        dtype: of the matrices.
    """
    side = 1024 if mesh.devices.flat[0].platform == "cpu" else 4096
    apart = P(mesh.axis_names)
    shape = (mesh.size, side, side)
    matrices = jax.device_put(np.ones(shape, jnp.dtype(dtype)), NamedSharding(mesh, apart))
    product: Any = jax.jit(
        jax.shard_map(
            lambda own: (own[0] @ own[0])[None], mesh=mesh, in_specs=apart, out_specs=apart
        )
    )
    jax.block_until_ready(product(matrices))
    seconds: list[float] = []
    while not seconds or sum(seconds) < MEASURED_SECONDS:
        started = time.perf_counter()
        jax.block_until_ready(product(matrices))
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 * mesh.size / min(seconds)
