"""Where the time of a training goes: what is counted for what, and which call is traced."""

import time

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mnist3 import profiling
from mnist3.profiling import Profile, Segment, Span
from mnist3.training import program

INNER = st.recursive(
    st.just([]), lambda inner: st.lists(st.tuples(st.sampled_from("abc"), inner), max_size=3)
)


def spans_of(tree, clock, own):
    """Yields spans that lie in each other as a tree does; each has a second of its own at each end.

    Args:
        tree: names, each with what lies in it.
        clock: a list with the time.
        own: gets the seconds that belong to each name alone.
    """
    for name, inner in tree:
        start = clock[0]
        clock[0] += 1
        yield from spans_of(inner, clock, own)
        clock[0] += 1
        own[name] = own.get(name, 0) + 2
        yield Span(name, start, clock[0])


@given(INNER)
def test_a_second_counts_once_for_the_innermost_span(tree):
    clock, own = [0.0], {}
    spans = list(spans_of(tree, clock, own))
    assert profiling.own_seconds(spans) == own
    assert sum(own.values()) == clock[0]


def test_without_a_profile_nothing_is_done(tmp_path):
    def read():
        return None

    assert profiling.timed(profiling.READING, read) is read
    with profiling.phase(profiling.SAVING), profiling.profiled(str(tmp_path)) as profile:
        pass
    assert profile.spans == []
    with profiling.stepping(3):
        pass
    assert profile.segments == []


def test_what_a_block_compiles_is_not_counted_for_its_phase(tmp_path):
    with profiling.profiled(str(tmp_path)) as profile, profiling.phase(profiling.READING):
        jax.jit(lambda x: jnp.sin(x) + 1)(np.ones(7)).block_until_ready()
    own = profiling.own_seconds(profile.spans)
    assert own[profiling.COMPILING] > 0
    assert own[profiling.TRACING] > 0
    assert 0 < sum(own.values()) <= profile.seconds
    before = len(profile.spans)
    jax.jit(lambda x: jnp.cos(x) + 1)(np.ones(7)).block_until_ready()
    assert len(profile.spans) == before


def test_the_second_segment_is_traced(tmp_path):
    with profiling.profiled(str(tmp_path)) as profile:
        for steps in (1, 4, 5):
            with profiling.stepping(steps):
                np.testing.assert_array_equal(jax.jit(jnp.square)(np.full(3, 2.0)), 4)
    assert [segment.traced for segment in profile.segments] == [False, True, False]
    assert [segment.steps for segment in profile.segments] == [1, 4, 5]
    assert profile.steps == 10
    assert len(list(tmp_path.rglob("*.trace.json.gz"))) == 1


def test_what_was_traced_counts_only_where_it_has_most_of_the_steps():
    first, traced, plain = Segment(1, 4.0, False), Segment(9, 5.0, True), Segment(50, 6.0, False)
    assert Profile("", segments=[first, traced]).steps_per_second == 10 / 9
    assert Profile("", segments=[first, traced, plain]).steps_per_second == 51 / 10
    assert Profile("").steps_per_second is None


def test_matrices_are_multiplied_on_all_devices(monkeypatch):
    monkeypatch.setattr(profiling, "MEASURED_SECONDS", 0.0)
    mesh = program.create_mesh()
    assert np.isfinite(profiling.matrix_product_rate(mesh, "bfloat16"))
    assert mesh.size == jax.device_count()


def test_a_trace_ends_before_a_long_segment_does(tmp_path, monkeypatch):
    monkeypatch.setattr(profiling, "TRACED_SECONDS", 0.0)
    with profiling.profiled(str(tmp_path)):
        with profiling.stepping(1):
            pass
        with profiling.stepping(1):
            deadline = time.monotonic() + 60
            while not list(tmp_path.rglob("*.xplane.pb")) and time.monotonic() < deadline:
                time.sleep(0.01)
            written = len(list(tmp_path.rglob("*.xplane.pb")))
    assert written == 1


def test_a_trace_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch, caplog):
    stop = jax.profiler.stop_trace

    def stop_on_a_full_disk():
        stop()
        raise OSError("no space left on device")

    monkeypatch.setattr(jax.profiler, "stop_trace", stop_on_a_full_disk)
    with profiling.profiled(str(tmp_path)) as profile:
        for _ in range(2):
            with profiling.stepping(3):
                pass
    assert "there is no trace" in caplog.text
    assert profile.steps == 6
