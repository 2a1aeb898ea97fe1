import functools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mnist3.data.numbers import NO_DIGIT
from mnist3.evaluation.error_analysis import paired_digits
from mnist3.evaluation.strings import edit_distances, lengths

STRINGS = st.lists(st.integers(0, 2), max_size=5).map(tuple)


def padded(string, longest=5):
    return np.array([*string, *[NO_DIGIT] * (longest - len(string))], np.int32)


@functools.cache
def distance(one, other):
    if not one or not other:
        return len(one) + len(other)
    return min(
        distance(one[1:], other[1:]) + (one[0] != other[0]),
        distance(one[1:], other) + 1,
        distance(one, other[1:]) + 1,
    )


@given(st.lists(st.tuples(STRINGS, STRINGS), min_size=1, max_size=5))
def test_the_edit_distance_is_the_fewest_changes(pairs):
    labels, read = (np.stack([padded(pair[which]) for pair in pairs]) for which in (0, 1))
    assert lengths(labels).tolist() == [len(label) for label, _ in pairs]
    assert edit_distances(labels, read).tolist() == [distance(*pair) for pair in pairs]


@given(STRINGS, STRINGS)
def test_digits_are_paired_with_the_fewest_mistakes(label, read):
    pairs = paired_digits(padded(label), padded(read))
    assert [true for true, _ in pairs if true is not None] == list(range(len(label)))
    assert [place for _, place in pairs if place is not None] == list(range(len(read)))
    mistakes = sum(
        true is None or place is None or label[true] != read[place] for true, place in pairs
    )
    if len(label) != len(read):
        assert mistakes == distance(label, read)
    else:
        assert pairs == [(place, place) for place in range(len(label))]
