import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mnist3.data import draws, protocols
from mnist3.data.numbers import DIGITS
from mnist3.data.resplit import choose_rows
from mnist3.data.sources import DigitSource
from mnist3.data.splits import Split


@given(st.integers(0, 2**32 - 1), st.sampled_from("ab"), st.integers(1, 9))
def test_a_draw_is_that_of_its_seed_and_its_tag_alone(seed, tag, other):
    first = draws.generator(seed, tag).permutation(100)
    np.testing.assert_array_equal(draws.generator(seed, tag).permutation(100), first)
    assert (draws.generator(seed, tag + "!").permutation(100) != first).any()
    assert (draws.generator((seed + other) % 2**32, tag).permutation(100) != first).any()


def test_what_is_drawn_for_splits_is_drawn_apart(monkeypatch):
    generators = []
    made = draws.generator

    def recorded(seed, tag):
        generators.append(made(seed, tag).permutation(1000))
        return made(seed, tag)

    monkeypatch.setattr(draws, "generator", recorded)
    labels = np.arange(1000, dtype=np.int32) % 10
    source = DigitSource("digits", np.zeros((1000, 8, 8), np.uint8), labels, 0, "", DIGITS)
    protocols.split_numbers(3, 10, False, 7)
    protocols.split_digit_images(source, False, 7, 0.2)
    choose_rows({"train": Split(source.images, labels[:, None])}, "shared", "shared", {}, 7, DIGITS)
    assert len(generators) == 4
    for one, other in itertools.combinations(generators, 2):
        assert (one == other).mean() < 0.05
