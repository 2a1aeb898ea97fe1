import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from mnist3.data import variants


def some_images(count=3):
    return np.random.default_rng(0).integers(1, 256, (count, 28, 28), np.uint8)


@given(st.integers(-3, 3), st.integers(-3, 3))
def test_a_shift_is_that_of_scipy(down, right):
    images = some_images()
    expected = scipy.ndimage.shift(images, (0, down, right), order=0, cval=0)
    np.testing.assert_array_equal(variants.shift(images, down, right), expected)


def test_shifted_copies_come_before_the_other_images():
    images = some_images(5)
    rows = variants.moved_pixels(images, 3)
    assert (rows == variants.with_shifted_copies(images, 3).reshape(17, 784)).all()
    assert rows.shape == (5 * 3 + 2, 784)
    np.testing.assert_array_equal(rows[:3], variants.pixels(images[:3]))
    left = rows[3].reshape(28, 28)
    np.testing.assert_array_equal(left[:, :-1], images[0][:, 1:])
    assert not left[:, -1].any()
    np.testing.assert_array_equal(rows[-2:], variants.pixels(images[3:]))


def test_noise_is_that_of_the_legacy_generator_drawn_in_one_go_or_two():
    images = some_images(3)
    random = np.random.RandomState(42)
    drawn = [random.randint(0, 100, (count, 784)) for count in (2, 1)]
    expected = variants.pixels(images) + np.concatenate(drawn)
    np.testing.assert_array_equal(variants.noisy(images, 99, 42), expected)


def test_standardised_pixels_have_mean_0_and_spread_1():
    images = some_images(50)
    images[:, 0, 0] = 7
    values = variants.standardised(images)
    assert values.mean(axis=0) == pytest.approx(0)
    assert values.std(axis=0)[1:] == pytest.approx(1)
    assert not values[:, 0].any()


def test_shifted_copies_leave_the_image_itself_out():
    images = np.zeros((2, 3, 3), np.uint8)
    images[:, 1, 1] = 9
    copies = variants.shifted_copies(images)
    assert copies.shape == (2, 4, 3, 3)
    places = [tuple(int(place[0]) for place in np.nonzero(copy)) for copy in copies[1]]
    assert dict(zip(variants.COPIES, places, strict=True)) == {
        "to the left": (1, 0),
        "to the right": (1, 2),
        "down": (2, 1),
        "up": (0, 1),
    }
