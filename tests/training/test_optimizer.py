import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3.config import numbers
from mnist3.training.optimizer import (
    OPTIMIZERS,
    SCHEDULES,
    create_optimizer,
    create_schedule,
    schedule_ends_at_zero,
    schedule_extends,
)


def options(**fields):
    config = numbers().optimizer
    config.update(fields)
    return config


def rates(steps, **fields):
    schedule = create_schedule(options(learning_rate=1.0, **fields), steps)
    return np.asarray([schedule(step) for step in range(steps + 1)])


def test_one_cycle_rises_to_the_peak_and_falls_to_zero():
    values = rates(100, schedule="one_cycle", warmup=0.2)
    assert values.argmax() == 20
    assert values[20] == pytest.approx(1)
    assert values[-1] == pytest.approx(0, abs=1e-6)
    assert (np.diff(values[:21]) > 0).all()
    assert (np.diff(values[20:]) < 0).all()


def test_cosine_is_half_way_in_the_middle():
    values = rates(100, schedule="cosine", warmup=0.0)
    assert values[50] == pytest.approx(0.5, abs=1e-3)


def test_constant_is_constant():
    assert set(rates(10, schedule="constant").tolist()) == {1.0}


@given(st.sampled_from([*SCHEDULES]), st.floats(0, 0.99), st.floats(1e-6, 10))
def test_schedules_that_end_at_zero_and_those_that_go_on(name, warmup, learning_rate):
    config = options(schedule=name, warmup=warmup, learning_rate=learning_rate)
    assert schedule_ends_at_zero(config) == (name != "constant")
    assert schedule_extends(config) == (name == "constant")


def test_a_new_schedule_is_asked_itself(monkeypatch):
    def halved(config, steps):
        del steps
        return optax.schedules.exponential_decay(config.learning_rate, 100, 0.5)

    def linear(config, steps):
        return optax.schedules.linear_schedule(config.learning_rate, 0.0, steps)

    monkeypatch.setitem(SCHEDULES, "halved", halved)
    monkeypatch.setitem(SCHEDULES, "linear", linear)
    with jax.transfer_guard("disallow"):
        asked = [
            (schedule_ends_at_zero(config), schedule_extends(config))
            for config in (options(schedule="halved"), options(schedule="linear"))
        ]
    assert asked == [(False, True), (True, False)]
    assert rates(100, schedule="halved")[100] == pytest.approx(0.5)


def test_a_new_optimizer_is_an_entry(monkeypatch):
    def lion(config, rate):
        return optax.lion(rate, weight_decay=config.weight_decay)

    monkeypatch.setitem(OPTIMIZERS, "lion", lion)
    params = {"kernel": jnp.ones((4, 3))}
    optimizer = create_optimizer(
        options(name="lion", weight_decay=0.0, learning_rate=0.5, schedule="constant"), 10
    )
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.5)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_schedule_gives_the_learning_rate_that_a_step_takes(schedule):
    config = options(name="sgd", schedule=schedule, momentum=0.0, weight_decay=0.0)
    optimizer, rate = create_optimizer(config, 10), create_schedule(config, 10)
    params = {"kernel": jnp.ones((1, 1))}
    state = optimizer.init(params)
    for step in range(10):
        updates, state = optimizer.update(params, state, params)
        assert -updates["kernel"].item() == pytest.approx(float(rate(step)), rel=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_acts_on_kernels_alone(name):
    params = {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    optimizer = create_optimizer(options(name=name, weight_decay=0.1, schedule="constant"), 10)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    assert (updates["kernel"] < 0).all()
    assert (updates["bias"] == 0).all()


def test_gradients_are_clipped_to_the_global_norm():
    params = {"kernel": jnp.zeros((1, 2))}
    config = options(
        name="sgd",
        gradient_clip=1.0,
        momentum=0.0,
        weight_decay=0.0,
        learning_rate=1.0,
        schedule="constant",
    )
    optimizer = create_optimizer(config, 10)
    gradient = {"kernel": jnp.asarray([[30.0, 40.0]])}
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], [[-0.6, -0.8]], rtol=1e-5)


def test_muon_orthogonalises_convolution_kernels_too():
    key = jax.random.key(0)
    params = {"kernel": jax.random.normal(key, (3, 3, 2, 4)), "bias": jnp.zeros(4)}
    optimizer = create_optimizer(
        options(name="muon", weight_decay=0.0, schedule="constant", learning_rate=1.0), 10
    )
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    singular = np.linalg.svd(np.asarray(updates["kernel"]).reshape(18, 4), compute_uv=False)
    assert singular.max() / singular.min() < 2


def test_what_muon_leaves_to_adam_has_neither_its_weight_decay_nor_its_momentum():
    params = {"kernel": jnp.ones((513, 513)), "bias": jnp.ones(3)}
    gradients = [jax.tree.map(lambda leaf, size=size: size * leaf, params) for size in (1.0, -2.0)]

    def last_update(**fields):
        optimizer = create_optimizer(options(name="muon", schedule="constant", **fields), 10)
        state = optimizer.init(params)
        for gradient in gradients:
            updates, state = optimizer.update(gradient, state, params)
        return updates

    one, other = last_update(weight_decay=0.1, momentum=0.5), last_update(weight_decay=0.0)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_muon_leaves_matrices_to_adam_that_are_too_large_to_orthogonalise():
    params = {"kernel": jax.random.normal(jax.random.key(0), (600, 520))}
    optimizer = create_optimizer(
        options(name="muon", weight_decay=0.0, schedule="constant", learning_rate=1.0), 10
    )
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    first = np.abs(updates["kernel"])  # adam's first step is as long for every parameter
    np.testing.assert_allclose(first, first[0, 0], rtol=1e-2)
