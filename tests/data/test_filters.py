"""The functions of `mnist3.data.filters` give the bits of those that they stand for."""

import numpy as np
import pytest
from scipy import ndimage

from mnist3.data import filters


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def same(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_medians_are_those_of_numpy(rng, dtype):
    for count in range(1, 40):
        values = rng.normal(0, 50, (3, 4, count)).astype(dtype)
        same(filters.median(values), np.median(values))
        same(filters.medians(values), np.median(values, axis=-1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_percentiles_are_those_of_numpy(rng, dtype):
    for count in range(1, 60):
        values = np.abs(rng.normal(0, 1, (count, 7))).astype(dtype)
        for each in (values, np.round(values, 1), values * 0):
            same(filters.percentiles(each, [50, 85, 98]), np.percentile(each, [50, 85, 98]))


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_what_is_narrow_goes_as_with_scipy(rng, dtype):
    for _ in range(200):
        height, width = rng.integers(1, 40, 2)
        values = rng.integers(0, 255, (height, width)).astype(dtype)
        size = tuple(int(min(side, rng.integers(1, 15))) for side in values.shape)
        same(filters.closed(values, size), ndimage.grey_closing(values, size))
        same(filters.opened(values, size), ndimage.grey_opening(values, size))
        odd = (2 * int(rng.integers(0, 8)) + 1,) * 2  # may be wider than the array
        same(filters.closed(values, odd), ndimage.grey_closing(values, odd, mode="nearest"))
        same(filters.around(values > 200), ndimage.binary_dilation(values > 200, np.ones((3, 3))))


def test_medians_around_are_those_of_scipy(rng):
    for _ in range(100):
        rare = rng.random(rng.integers(1, 30, 2)) < rng.choice([0.0, 0.05, 0.2, 0.4, 0.9])
        values = np.where(rare, rng.integers(0, 9, rare.shape), 4).astype(np.float32)
        for size in range(1, 13):
            expected = ndimage.median_filter(values, size, mode="nearest")
            same(filters.medians_around(values, size), expected)
