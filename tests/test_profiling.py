"""Where the time of a training goes: what is counted for what, and which call is traced."""

import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3 import profiling
from mnist3.profiling import Call, Profile, Span
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
    def train():
        return None

    assert profiling.stepping(train, len, only=True) is train
    assert profiling.timed(profiling.READING, train) is train
    with profiling.phase(profiling.SAVING), profiling.profiled(str(tmp_path)) as profile:
        pass
    assert profile.spans == []


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


@pytest.mark.parametrize(("calls", "traced"), [(1, [True]), (3, [False, True, False])])
def test_the_second_call_is_traced_or_the_only_one(calls, traced, tmp_path):
    with profiling.profiled(str(tmp_path)) as profile:
        train = profiling.stepping(
            jax.jit(lambda x: (x + 1, x)), lambda outcome: outcome[1].size, only=calls == 1
        )
        for _ in range(calls):
            state, _ = train(np.ones((2, 3)))
    np.testing.assert_array_equal(state, 2)
    assert [call.traced for call in profile.calls] == traced
    assert [call.steps for call in profile.calls] == [6] * calls
    assert len(list(pathlib.Path(tmp_path).rglob("*.trace.json.gz"))) == 1


def test_traced_calls_count_only_where_there_are_no_others():
    slow, quick = Call(10, 5.0, traced=True), Call(10, 2.0, traced=False)
    assert Profile("", calls=[quick, slow]).steps_per_second == 5
    assert Profile("", calls=[slow]).steps_per_second == 2
    assert Profile("").steps_per_second is None


def test_matrices_are_multiplied_on_all_devices(monkeypatch):
    monkeypatch.setattr(profiling, "MEASURED_SECONDS", 0.0)
    mesh = program.create_mesh()
    assert np.isfinite(profiling.matrix_product_rate(mesh, "bfloat16"))
    assert mesh.size == jax.device_count()


def test_a_trace_ends_before_a_long_call_does(tmp_path, monkeypatch):
    monkeypatch.setattr(profiling, "TRACED_SECONDS", 0.0)

    def train():
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob("*.xplane.pb")) and time.monotonic() < deadline:
            time.sleep(0.01)
        return len(list(tmp_path.rglob("*.xplane.pb")))

    with profiling.profiled(str(tmp_path)):
        assert profiling.stepping(train, lambda found: found, only=True)() == 1


def test_a_trace_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch, caplog):
    stop = jax.profiler.stop_trace

    def stop_on_a_full_disk():
        stop()
        raise OSError("no space left on device")

    monkeypatch.setattr(jax.profiler, "stop_trace", stop_on_a_full_disk)
    with profiling.profiled(str(tmp_path)) as profile:
        assert profiling.stepping(lambda: 3, lambda found: found, only=True)() == 3
    assert "there is no trace" in caplog.text
    assert profile.calls[0].steps == 3
