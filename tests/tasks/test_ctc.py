"""Strings of columns, against the sum over all paths of tiny cases."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from mnist3.data.numbers import NO_DIGIT
from mnist3.tasks import ctc

LONGEST = 3
CASES = st.tuples(  # columns and classes, and a seed
    st.sampled_from([(1, 2), (4, 3)]), st.integers(0, 2**31 - 1)
).map(lambda drawn: (*drawn[0], drawn[1]))

# Compiled once a shape; a scan that is not compiled is traced anew at every call.
loss = jax.jit(ctc.ctc_loss)
gradient_of = jax.jit(jax.grad(lambda logits, labels: ctc.ctc_loss(logits, labels).sum()))
search = jax.jit(ctc.beam_search, static_argnames=("longest", "beams"))
greedy = jax.jit(ctc.greedy, static_argnames="longest")
aligned = jax.jit(ctc.spans)


def collapsed(path, blank):
    return tuple(key for key, _ in itertools.groupby(path) if key != blank)


def probabilities_of(logits):
    return special.softmax(logits.astype(np.float64), axis=-1)


def strings_of(logits):
    """The probability of every string, and its most probable path, by all paths."""
    chances = probabilities_of(logits)
    columns, outputs = chances.shape
    total, best = {}, {}
    for path in itertools.product(range(outputs), repeat=columns):
        chance = chances[np.arange(columns), path].prod()
        string = collapsed(path, outputs - 1)
        total[string] = total.get(string, 0.0) + chance
        if chance > best.get(string, (0.0, ()))[0]:
            best[string] = (chance, path)
    return total, best


def padded(string, longest=LONGEST):
    return np.array([[*string, *[NO_DIGIT] * (longest - len(string))]], np.int32)


def drawn(case, scale=2.0):
    columns, classes, seed = case
    drawn = np.random.default_rng(seed).normal(size=(columns, classes + 1))
    return (scale * drawn).astype(np.float32)


def digits_of(labels):
    return tuple(int(digit) for digit in labels if digit != NO_DIGIT)


@given(CASES)
def test_the_loss_sums_over_all_paths(case):
    logits = drawn(case)
    total, _ = strings_of(logits)
    strings = [
        string
        for length in range(LONGEST + 1)
        for string in itertools.product(range(case[1]), repeat=length)
    ]
    labels = np.concatenate([padded(string) for string in strings])
    losses = loss(np.broadcast_to(logits, (len(strings), *logits.shape)), labels)
    expected = [-np.log(total[each]) if each in total else ctc.UNFIT_LOSS for each in strings]
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-4)


@given(CASES, st.integers(0, LONGEST))
def test_the_gradient_is_that_of_the_loss(case, length):
    logits = drawn(case)
    string = np.random.default_rng(case[2]).integers(0, case[1], length)
    labels = padded(string.tolist())
    gradient = np.asarray(gradient_of(logits[None], labels)[0])
    if tuple(string.tolist()) not in strings_of(logits)[0]:
        assert not gradient.any()
        return
    direction = drawn((*case[:2], case[2] + 1), 1.0)
    step = 1e-2
    ahead, back = (loss((logits + sign * step * direction)[None], labels)[0] for sign in (1, -1))
    expected = (ahead - back) / (2 * step)
    np.testing.assert_allclose((gradient * direction).sum(), expected, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0, 10000.0])
def test_loss_and_gradient_are_finite_whatever_the_logits(scale):
    logits = np.stack([drawn((9, 10, seed), scale) for seed in range(4)])
    labels = jnp.asarray([[1] * 5, [9] * 5, [3, 4, 5, 6, 7], [-1] * 5], jnp.int32)
    assert np.isfinite(loss(logits, labels)).all()
    assert np.isfinite(gradient_of(logits, labels)).all()


def test_what_does_not_fit_costs_much_and_moves_nothing():
    labels = jnp.asarray([[1, 1, 1, 1, 1], [1, 2, 1, 2, 1]], jnp.int32)
    logits = np.stack([drawn((8, 2, seed)) for seed in range(2)])
    losses, gradient = loss(logits, labels), gradient_of(logits, labels)
    assert losses[0] == ctc.UNFIT_LOSS and losses[1] < 100
    assert not gradient[0].any() and gradient[1].any()


@given(CASES)
def test_a_beam_that_holds_every_prefix_finds_the_most_probable_string(case):
    logits = drawn(case, 1.0)
    total, _ = strings_of(logits)
    found = search(logits[None], longest=case[0], beams=128)
    expected = max(total, key=total.__getitem__)
    assert digits_of(found.labels[0]) == expected
    np.testing.assert_allclose(np.exp(found.log_probability[0]), total[expected], rtol=1e-4)


@given(CASES)
def test_a_narrow_beam_gives_a_string_with_its_whole_probability(case):
    logits = drawn(case)
    total, _ = strings_of(logits)
    found = search(logits[None], longest=LONGEST, beams=2)
    string = digits_of(found.labels[0])
    assert len(string) <= LONGEST
    np.testing.assert_allclose(np.exp(found.log_probability[0]), total[string], rtol=1e-4)


def test_a_beam_sums_paths_where_the_best_path_is_wrong():
    """Each column is most probably blank, but most paths together have the digit."""
    logits = jnp.log(jnp.asarray([[[0.4, 0.6], [0.4, 0.6]]]))
    assert digits_of(greedy(logits, longest=2)[0][0]) == ()
    found = search(logits, longest=2)
    assert digits_of(found.labels[0]) == (0,)
    assert np.exp(found.log_probability[0]) == pytest.approx(0.64, rel=1e-5)


@given(CASES)
def test_greedy_collapses_the_best_path(case):
    logits = drawn(case)
    path = logits.argmax(axis=-1)
    labels, spans = jax.device_get(greedy(logits[None], longest=5))
    assert digits_of(labels[0]) == collapsed(path, case[1])
    for digit, (first, after) in zip(labels[0], spans[0], strict=True):
        assert (path[first:after] == digit).all() if digit >= 0 else (first, after) == (-1, -1)


def test_greedy_drops_what_is_too_long():
    logits = jax.nn.one_hot(jnp.asarray([[0, 1, 0, 1]]), 3)
    labels, spans = greedy(logits, longest=2)
    assert labels.tolist() == [[0, 1]]
    assert spans.tolist() == [[[0, 1], [1, 2]]]


@given(CASES, st.integers(0, LONGEST))
def test_spans_are_those_of_the_most_probable_path(case, length):
    logits = drawn(case)
    string = tuple(np.random.default_rng(case[2]).integers(0, case[1], length).tolist())
    found, chances = jax.device_get(aligned(logits[None], padded(string)))
    best = strings_of(logits)[1]
    if string not in best:
        assert (found == -1).all() and (chances == 0).all()
        return
    path = best[string][1]
    probabilities = probabilities_of(logits)
    end = 0
    for place, digit in enumerate(string):
        first, after = found[0, place].tolist()
        assert end <= first < after <= case[0]
        assert set(path[first:after]) == {digit}
        assert case[1] in path[end:first] or set(path[end:first]) == set()
        largest = probabilities[first:after, digit].max()
        np.testing.assert_allclose(chances[0, place], largest, rtol=1e-5)
        end = after
    assert set(path[end:]) <= {case[1]}
    assert (found[0, length:] == -1).all() and (chances[0, length:] == 0).all()
