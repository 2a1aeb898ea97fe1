"""Connectionist temporal classification: strings of any length from logits of columns.

The logits of an image are float `[columns, classes + 1]`, the blank class last. A path names a
class or the blank at every column; it stands for the string that is left when repetitions, then
blanks are dropped, and the probability of a string is the sum over its paths (Graves, Fernández,
Gomez, Schmidhuber, "Connectionist temporal classification", 2006). Strings are labels padded with
`NO_DIGIT`. A path goes through the 2 length + 1 states of its string: a blank, the first digit, a
blank, ..., the last digit, a blank.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

from mnist3.data.numbers import NO_DIGIT

Logits = Float[Array, "batch columns outputs"]
Labels = Int32[Array, "batch longest"]
Spans = Int32[Array, "batch longest 2"]

UNREACHABLE = -1e30  # logarithm of the probability of no path; finite, so that no gradient is NaN
UNFIT_LOSS = 1e5  # nats, of a string that has no path


class Decoded(NamedTuple):
    """Strings that logits stand for.

    Attributes:
        labels: the digits of each, from the left, then NO_DIGIT.
        log_probability: natural logarithm of the probability of each, summed over all its paths.
    """

    labels: Labels
    log_probability: Float[Array, "batch"]


class _States(NamedTuple):
    """The states of strings.

    The batch is the last axis here and in the recursions over columns: moving along states is
    then a slice of rows, which makes them two to three times as fast on CPUs.

    Attributes:
        classes: at each state; the blank beyond the last state of a string.
        skips: which may be entered from two states before.
        start: logarithm of 1 where a path may start, of 0 elsewhere: the first two states.
        end: the same of where it may end: the last digit and the blank after it.
    """

    classes: Int32[Array, "states batch"]
    skips: Bool[Array, "states batch"]
    start: Float[Array, "states batch"]
    end: Float[Array, "states batch"]


def lengths(labels: Labels) -> Int32[Array, "batch"]:
    """Returns how many digits each string has."""
    return (labels != NO_DIGIT).sum(axis=-1, dtype=jnp.int32)


def _states(labels: Labels, blank: int) -> _States:
    digits = jnp.where(labels == NO_DIGIT, blank, labels).T
    between = jnp.full_like(digits, blank)
    classes = jnp.stack([between, digits], axis=1).reshape(-1, labels.shape[0])
    classes = jnp.pad(classes, ((0, 1), (0, 0)), constant_values=blank)
    two_before = jnp.pad(classes, ((2, 0), (0, 0)), constant_values=blank)[:-2]
    skips = (classes != blank) & (classes != two_before)
    place, last = jnp.arange(len(classes))[:, None], 2 * lengths(labels)
    start = jnp.broadcast_to(place < 2, classes.shape)
    end = (place == last) | (place == last - 1)
    return _States(classes, skips, *(jnp.where(each, 0.0, UNREACHABLE) for each in (start, end)))


def _fits(log_likelihood: Array) -> Array:
    return log_likelihood > UNREACHABLE / 2


def _entered(scores: Array, skips: Array) -> tuple[Array, Array, Array]:
    """Returns the scores that enter each state: from itself, one before and two before."""
    outside = jnp.full_like(scores[:2], UNREACHABLE)
    one, two = (jnp.concatenate([outside[:by], scores[:-by]]) for by in (1, 2))
    return scores, one, jnp.where(skips, two, UNREACHABLE)


def _sums(emitted: Array, start: Array, skips: Array) -> tuple[Array, Array]:
    """Returns log sums over all paths to each state, at the last and at every column.

    They are [states, batch] and [columns, states, batch].
    """

    def column(before, now):
        stay, step, skip = _entered(before, skips)
        most = jnp.maximum(jnp.maximum(stay, step), skip)
        total = jnp.exp(stay - most) + jnp.exp(step - most) + jnp.exp(skip - most)
        after = most + jnp.log(total) + now
        return after, after

    first = start + emitted[0]
    last, rest = jax.lax.scan(column, first, emitted[1:])
    return last, jnp.concatenate([first[None], rest])


def _emitted(logs: Array, states: _States) -> Array:
    """Returns log-probabilities of each state's class at each column, [columns, states, batch]."""
    return jnp.take_along_axis(logs.transpose(1, 2, 0), states.classes[None], axis=1)


@jax.custom_vjp
def _log_likelihood(logits: Array, labels: Array) -> Array:
    states = _states(labels, logits.shape[-1] - 1)
    last, _ = _sums(_emitted(jax.nn.log_softmax(logits), states), states.start, states.skips)
    return jax.nn.logsumexp(last + states.end, axis=0)


def _log_likelihood_forward(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Returns the likelihood and its gradient: posterior of the classes less their probability.

    Both recursions are one scan of twice the batch: that from the end is that from the start with
    columns and states turned round.
    """
    batch, outputs = len(logits), logits.shape[-1]
    logs = jax.nn.log_softmax(logits)
    states = _states(labels, outputs - 1)
    emitted = _emitted(logs, states)
    skipped_to = jnp.pad(states.skips, ((0, 2), (0, 0)))[2:]
    both = (
        (emitted, emitted[::-1, ::-1]),
        (states.start, states.end[::-1]),
        (states.skips, skipped_to[::-1]),
    )
    _, sums = _sums(*(jnp.concatenate(each, axis=-1) for each in both))
    here, onwards = sums[..., :batch], sums[::-1, ::-1, batch:]
    likelihood = jax.nn.logsumexp(here[-1] + states.end, axis=0)
    # Both sums hold what this column emits.
    posterior = jnp.exp(jnp.minimum(here + onwards - emitted - likelihood, 0.0))
    one_hot = jax.nn.one_hot(states.classes, outputs, dtype=logs.dtype)
    gradient = jnp.einsum("csb,sbo->bco", posterior, one_hot) - jnp.exp(logs)
    return likelihood, jnp.where(_fits(likelihood)[:, None, None], gradient, 0.0)


def _log_likelihood_backward(gradient: Array, cotangent: Array) -> tuple[Array, None]:
    return cotangent[:, None, None] * gradient, None


_log_likelihood.defvjp(_log_likelihood_forward, _log_likelihood_backward)


def ctc_loss(logits: Logits, labels: Labels) -> Float[Array, "batch"]:
    """Returns the negative logarithm of the probability of each string, nats.

    The gradient is that of the forward-backward algorithm (Graves et al. 2006, section 4.1). A
    string that has no path, since it has more digits, and blanks between equal ones, than there
    are columns, costs `UNFIT_LOSS` and has the gradient 0.

    Args:
        logits: of each column, the blank last.
        labels: the strings, whose length may be 0.
    """
    likelihood = _log_likelihood(logits.astype(jnp.float32), labels)
    return jnp.where(_fits(likelihood), -likelihood, UNFIT_LOSS)


def _spans_of(places: Int32[Array, "batch columns"], longest: int) -> Spans:
    """Returns first and one-past-last column at which each position stands, -1 for no column."""
    here = places[:, :, None] == jnp.arange(longest)
    first = here.argmax(axis=1)
    last = places.shape[1] - here[:, ::-1].argmax(axis=1)
    found = jnp.stack([first, last], axis=-1).astype(jnp.int32)
    return jnp.where(here.any(axis=1)[..., None], found, -1)


def greedy(logits: Logits, longest: int) -> tuple[Labels, Spans]:
    """Returns the string of the most probable path, and the columns of each digit.

    Args:
        logits: of each column, the blank last.
        longest: digits that are kept; those after them are dropped.

    Returns:
        the labels, and the first and the one-past-last column of each digit, -1 where none is.
    """
    blank = logits.shape[-1] - 1
    path = logits.argmax(axis=-1).astype(jnp.int32)
    before = jnp.pad(path, ((0, 0), (1, 0)), constant_values=blank)[:, :-1]
    begins = (path != blank) & (path != before)
    places = jnp.where(path != blank, jnp.cumsum(begins, axis=1) - 1, -1)
    found = _spans_of(places, longest)
    digits = jnp.take_along_axis(path, jnp.maximum(found[..., 0], 0), axis=1)
    return jnp.where(found[..., 0] >= 0, digits, NO_DIGIT), found


class _Beams(NamedTuple):
    """Prefixes in the order of their probability, and the logarithms of it.

    Attributes:
        prefixes: int32 [beams, longest], digits and then NO_DIGIT.
        blank: [beams], sum over the paths that end with the blank.
        digit: [beams], sum over those that end with the last digit.
    """

    prefixes: Array
    blank: Array
    digit: Array


def _next_beams(beams: _Beams, logs: Array) -> tuple[_Beams, None]:
    """Extends prefixes by a column, whose log-probabilities are given."""
    count, longest = beams.prefixes.shape
    of_digits, of_blank = logs[:-1], logs[-1]
    size = (beams.prefixes != NO_DIGIT).sum(axis=1)
    last = jnp.where(
        size > 0,
        jnp.take_along_axis(beams.prefixes, jnp.maximum(size - 1, 0)[:, None], axis=1)[:, 0],
        NO_DIGIT,
    )
    either = jnp.logaddexp(beams.blank, beams.digit)

    repeats = last[:, None] == jnp.arange(len(of_digits))
    longer = jnp.where(repeats, beams.blank[:, None], either[:, None]) + of_digits
    longer = jnp.where((size < longest)[:, None], longer, UNREACHABLE)

    # A prefix that is another one with a digit more is entered from it, and is no new one.
    parents = jnp.where(jnp.arange(longest) == (size - 1)[:, None], NO_DIGIT, beams.prefixes)
    enters = (parents[None] == beams.prefixes[:, None]).all(axis=-1) & (size > 0)
    of_last = jnp.where(last >= 0, of_digits[last], UNREACHABLE)
    entering = jnp.where(enters, longer[:, last], UNREACHABLE).max(axis=0)
    same = _Beams(beams.prefixes, either + of_blank, jnp.logaddexp(beams.digit + of_last, entering))
    known = (enters[:, :, None] & repeats[None]).any(axis=1)
    longer = jnp.where(known, UNREACHABLE, longer)

    scores = jnp.concatenate([jnp.logaddexp(same.blank, same.digit), longer.ravel()])
    chosen = jax.lax.top_k(scores, count)[1]
    stays = chosen < count
    parent, digit = jnp.divmod(chosen - count, len(of_digits))
    parent = jnp.where(stays, chosen, parent)
    added = (jnp.arange(longest) == size[parent][:, None]) & ~stays[:, None]
    prefixes = jnp.where(added, digit[:, None], beams.prefixes[parent])
    blank = jnp.where(stays, same.blank[parent], UNREACHABLE)
    ends = jnp.where(stays, same.digit[parent], scores[chosen])
    floor = functools.partial(jnp.maximum, UNREACHABLE)
    return _Beams(prefixes.astype(jnp.int32), floor(blank), floor(ends)), None


def beam_search(logits: Logits, longest: int, beams: int = 8) -> Decoded:
    """Returns the most probable string of each image, as far as its prefixes are in the beam.

    Paths with the same prefix are summed (prefix beam search: Hannun, Maas, Jurafsky, Ng,
    "First-pass large vocabulary continuous speech recognition using bi-directional recurrent
    DNNs", 2014, without a language model). The probability of the string found is computed anew,
    over all its paths.

    Args:
        logits: of each column, the blank last.
        longest: digits that a string may have.
        beams: prefixes that are kept at each column.
    """
    start = _Beams(
        jnp.full((beams, longest), NO_DIGIT, jnp.int32),
        jnp.asarray([0.0] + [UNREACHABLE] * (beams - 1), jnp.float32),
        jnp.full(beams, UNREACHABLE, jnp.float32),
    )

    def best(logs: Array) -> Array:
        return jax.lax.scan(_next_beams, start, logs)[0].prefixes[0]

    logits = logits.astype(jnp.float32)
    labels = jax.vmap(best)(jax.nn.log_softmax(logits))
    return Decoded(labels, -ctc_loss(logits, labels))


def spans(logits: Logits, labels: Labels) -> tuple[Spans, Float[Array, "batch longest"]]:
    """Returns where the digits of given strings stand: on the most probable path of each.

    Args:
        logits: of each column, the blank last.
        labels: the strings.

    Returns:
        first and one-past-last column of each digit, -1 where none is or the string has no path;
        and the largest probability that the digit has at one of these columns, 0 where none is.
    """
    logs = jax.nn.log_softmax(logits.astype(jnp.float32))
    states = _states(labels, logits.shape[-1] - 1)
    emitted = _emitted(logs, states)

    def forward(before, now):
        entered = jnp.stack(_entered(before, states.skips))
        return entered.max(axis=0) + now, entered.argmax(axis=0)

    scores, steps = jax.lax.scan(forward, states.start + emitted[0], emitted[1:])
    scores = scores + states.end
    end = scores.argmax(axis=0)

    def backward(state, step):
        before = state - jnp.take_along_axis(step, state[None], axis=0)[0]
        return before, before

    path = jax.lax.scan(backward, end, steps, reverse=True)[1]
    path = jnp.concatenate([path, end[None]]).T
    stands = _fits(scores.max(axis=0))[:, None] & (path % 2 == 1)
    places = jnp.where(stands, path // 2, -1)
    found = _spans_of(places, labels.shape[1])
    here = places[:, :, None] == jnp.arange(labels.shape[1])
    of_digits = jnp.take_along_axis(logs, jnp.maximum(labels, 0)[:, None, :], axis=2)
    return found, jnp.where(here, jnp.exp(of_digits), 0.0).max(axis=1)
