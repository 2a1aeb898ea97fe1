"""Strings by learned segments: their probabilities, and that a network learns to read by them."""

import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from experiments.recipes import people_segments as segments
from mnist3 import tasks
from mnist3.data.numbers import NO_DIGIT
from tests import small

COLUMNS, CLASSES, LONGEST = 5, 2, 5

string_logs = jax.jit(segments.string_logs)


def drawn(seed, batch=2):
    return jax.random.normal(jax.random.key(seed), (batch, COLUMNS, CLASSES + 1))


def padded(digits):
    return [*digits, *[NO_DIGIT] * (LONGEST - len(digits))]


def test_probabilities_of_all_strings_add_up_to_one():
    total = sum(
        np.exp(string_logs(drawn(0), jnp.array([padded(digits)] * 2, jnp.int32)))
        for length in range(LONGEST + 1)
        for digits in itertools.product(range(CLASSES), repeat=length)
    )
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_lengths_are_those_of_independent_columns():
    even = drawn(1).at[..., -1].set(0.5)
    expected = stats.binom.pmf(np.arange(4), COLUMNS, 1 / (1 + np.exp(-0.5)))
    found = np.exp(segments.length_logs(even, 3))
    np.testing.assert_allclose(found[:, :-1], [expected] * 2, rtol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_columns_are_parted_among_the_digits_from_left_to_right():
    sizes = jnp.array([2, 3])
    _, weights = segments.digit_logs(drawn(2), sizes, LONGEST)
    np.testing.assert_allclose(
        weights.sum(axis=1), np.arange(LONGEST) < sizes[:, None], rtol=0, atol=1e-5
    )
    middles = (weights * jnp.arange(COLUMNS)[:, None]).sum(axis=1)
    assert (np.diff(middles[0, :2]) >= 0).all() and (np.diff(middles[1, :3]) >= 0).all()


def test_logits_that_follow_the_loss_are_read_as_their_strings():
    task = segments.Segments("segments", ("0", "1"), LONGEST)
    labels = jnp.array([padded(digits) for digits in ((), (1,), (0, 0, 1), (1, 1, 1, 1))])
    logits = drawn(3, len(labels))
    step = jax.jit(lambda logits: logits - jax.grad(lambda x: task.loss(x, labels).sum())(logits))
    for _ in range(100):
        logits = step(logits)
    found = task.predict(logits, labels)
    np.testing.assert_array_equal(found.values, labels)
    assert task.right(logits, labels).all()
    assert (found.confidence > 0.8).all()
    np.testing.assert_allclose(np.log(found.confidence), found.log_likelihood, rtol=1e-4)
    spans = np.asarray(found.spans)
    assert (spans[np.asarray(labels) == NO_DIGIT] == -1).all()
    assert (spans[..., 1] >= spans[..., 0]).all()


def test_it_runs_from_its_file(monkeypatch, trained):
    monkeypatch.setattr(tasks, "REGISTRY", dict(tasks.REGISTRY))
    folder = trained(f"experiments/recipes/people_segments.py{small.TINY_STRINGS}")
    metrics = json.loads((pathlib.Path(folder) / "metrics.json").read_text())
    assert metrics["task"] == "segments"
    assert 0 < metrics["test"]["digit_error_rate"] < 3
