"""What the splits share: every number and digit image in its place."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3.data.numbers import DIGITS
from mnist3.data.protocols import SPLITS, split_digit_images, split_numbers
from mnist3.data.sources import DigitSource
from mnist3.errors import UserError


def make_source(n=600, official_test=0, seed=0):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (n, 28, 28), np.uint8)
    labels = generator.integers(0, 10, n).astype(np.int32)
    fingerprint = hashlib.sha256(images.tobytes()).hexdigest()
    return DigitSource("digits", images, labels, official_test, fingerprint, DIGITS)


@given(seed=st.integers(0, 2**31), digits=st.integers(2, 4))
def test_disjoint_numbers_are_divided_in_the_stated_shares(seed, digits):
    numbers = split_numbers(digits, 10, False, seed)
    assert tuple(numbers) == SPLITS
    sizes = [len(numbers[name]) * 100 // 10**digits for name in SPLITS]
    assert sizes == [64, 16, 20]
    together = np.concatenate(list(numbers.values()))
    assert together.dtype == np.int32
    np.testing.assert_array_equal(np.sort(together), np.arange(10**digits))
    for position in range(digits):
        assert set(numbers["train"] // 10**position % 10) == set(range(10))


def test_three_digits_have_640_160_and_200_numbers():
    assert [len(part) for part in split_numbers(3, 10, False, 0).values()] == [640, 160, 200]


def test_the_seed_alone_decides():
    first, again, other = (split_numbers(3, 10, False, seed)["train"] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("digits", [1, 3])
def test_shared_numbers_are_all_numbers(digits):
    for part in split_numbers(digits, 10, True, 0).values():
        np.testing.assert_array_equal(part, np.arange(10**digits))


def test_shared_numbers_of_many_digits_are_not_listed():
    assert split_numbers(12, 10, True, 0) == {"train": None, "val": None, "test": None}


@pytest.mark.parametrize("digits", [1, 7])
def test_numbers_that_cannot_be_disjoint_are_refused(digits):
    with pytest.raises(UserError, match=r"set config\.data\.numbers=shared"):
        split_numbers(digits, 10, False, 0)


@given(
    seed=st.integers(0, 2**31),
    val_fraction=st.floats(0.05, 0.5),
    official_test=st.sampled_from([0, 150]),
)
def test_disjoint_digit_images_are_a_stratified_partition(seed, val_fraction, official_test):
    source = make_source(600, official_test)
    parts = split_digit_images(source, False, seed, val_fraction)
    assert tuple(parts) == SPLITS
    together = np.concatenate(list(parts.values()))
    assert together.dtype == np.int32
    np.testing.assert_array_equal(np.sort(together), np.arange(600))
    if official_test:
        np.testing.assert_array_equal(parts["test"], np.arange(450, 600))
    rest = 600 - (official_test or 120)
    assert len(parts["val"]) == round(rest * val_fraction)
    in_rest = np.bincount(np.delete(source.labels, parts["test"]), minlength=10)
    in_val = np.bincount(source.labels[parts["val"]], minlength=10)
    share = len(parts["val"]) / rest
    np.testing.assert_array_less(abs(in_val - share * in_rest), 1)


def test_digit_images_are_divided_by_the_seed_alone():
    source = make_source()
    first, again, other = (split_digit_images(source, False, seed, 0.1) for seed in (1, 1, 2))
    for name in SPLITS:
        np.testing.assert_array_equal(first[name], again[name])
        assert (first[name] != other[name]).any()


def test_shared_digit_images_are_all_digit_images():
    for part in split_digit_images(make_source(600, 100), True, 0, 0.1).values():
        np.testing.assert_array_equal(part, np.arange(600))


def test_a_split_without_a_digit_is_refused():
    with pytest.raises(UserError, match=r"val would hold 0 digit images.*config.data.val_fraction"):
        split_digit_images(make_source(), False, 0, 0.0)
