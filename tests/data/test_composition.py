"""Composed number images: where the digits stand, how ink combines, and that a key decides all."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist3.data.composition import (
    Composition,
    compose,
    compose_split,
    make_pool,
)
from mnist3.data.numbers import DIGITS
from mnist3.errors import UserError

ONE_ROW = Composition(digits=2, height=28, width=56, vertical_jitter=0)


def make_images(per_digit=3, seed=0):
    """Digit images without a black pixel, each unlike any other, in mixed order."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(10, dtype=np.int32), per_digit))
    return generator.integers(1, 256, (len(labels), 28, 28), np.uint8), labels


IMAGES, LABELS = make_images()
POOL = make_pool(IMAGES, LABELS, DIGITS)
COMPOSE = jax.jit(compose, static_argnums=3)


@functools.partial(jax.jit, static_argnums=(3, 4))
def sample(key, pool, allowed, composition, batch_size):
    return composition.draw(key, pool, allowed, batch_size)[:2]


def find_box(image, digit):
    """The corner of the only place where the image holds one of the digit's images, untouched."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (28, 28))
    places = [
        (row, column)
        for candidate in IMAGES[np.equal(LABELS, digit)]
        for row, column in np.argwhere((windows == candidate).all(axis=(2, 3)))
    ]
    assert len(places) == 1
    return places[0]


def draw(composition, numbers, seed=0, pool=POOL):
    return np.asarray(COMPOSE(jax.random.key(seed), pool, np.int32(numbers), composition))


@settings(max_examples=5)
@given(
    digits=st.integers(1, 5),
    height=st.integers(28, 60),
    spacing=st.integers(28, 36),
    slack=st.integers(0, 9),
    vertical=st.integers(0, 40),
    seed=st.integers(0, 2**31),
)
def test_digits_stand_where_the_layout_says(digits, height, spacing, slack, vertical, seed):
    width = 28 + (digits - 1) * spacing + slack
    composition = Composition(digits, height, width, spacing, vertical, 0)
    labels = np.random.default_rng(seed).integers(0, 10, (2, digits))
    for image, label in zip(draw(composition, labels, seed), labels, strict=True):
        for position, digit in enumerate(label):
            column = position * spacing + slack // 2
            row, found = find_box(image[:, column : column + 28], digit)
            assert found == 0
            assert abs(row - (height - 28) // 2) <= vertical
        assert np.count_nonzero(image) == digits * 28 * 28


def test_the_default_is_the_layout_of_triple_mnist():
    images, labels = sample(jax.random.key(0), POOL, None, Composition(), 600)
    images, labels = np.asarray(images), np.asarray(labels)
    assert images.shape == (600, 84, 84) and images.dtype == np.uint8
    rows = (images.reshape(600, 84, 3, 28) > 0).all(axis=3).argmax(axis=1)
    assert set(rows.ravel()) == set(range(57))
    for image, label, row in zip(images[:20], labels[:20], rows[:20], strict=True):
        for position, digit in enumerate(label):
            assert find_box(image[:, position * 28 : position * 28 + 28], digit) == (
                row[position],
                0,
            )


def test_every_jitter_and_every_image_of_a_digit_is_drawn():
    composition = Composition(1, 32, 36, 28, 2, 3)
    images = draw(composition, np.full((400, 1), 7))
    boxes = [find_box(image, 7) for image in images]
    assert set(boxes) == {(row, column) for row in range(5) for column in range(1, 8)}
    brightness = {image.sum() for image in images}
    assert brightness == {image.sum(dtype=int) for image in IMAGES[LABELS == 7]}


@pytest.mark.parametrize("ink", ["max", "sum", "over"])
def test_overlapping_ink_combines_as_stated(ink):
    images = np.random.default_rng(1).integers(0, 256, (10, 28, 28), np.uint8)
    pool = make_pool(images, np.arange(10), DIGITS)
    composition = Composition(3, 28, 48, 10, 0, 0, ink=ink)
    expected = np.zeros((28, 48), int)
    for position, digit in enumerate((4, 7, 2)):
        box = expected[:, position * 10 : position * 10 + 28]
        above = images[digit].astype(int)
        box[:] = {
            "max": np.maximum(box, above),
            "sum": np.minimum(box + above, 255),
            "over": np.maximum(box * (255 - above) // 255, above),
        }[ink]
    np.testing.assert_array_equal(draw(composition, [[4, 7, 2]], pool=pool)[0], expected)


def test_over_paints_the_right_digit_over_its_left_neighbour():
    images = np.full((10, 28, 28), 200, np.uint8)
    images[1] = 255
    composition = dataclasses.replace(ONE_ROW, width=48, spacing=20, ink="over")
    pool = make_pool(images, np.arange(10), DIGITS)
    covered, covering = draw(composition, [[1, 0], [0, 1]], pool=pool)[:, 0, 20:28]
    np.testing.assert_array_equal(covered, np.full(8, 200))
    np.testing.assert_array_equal(covering, np.full(8, 255))


def test_overlap_is_the_share_of_the_box():
    assert Composition(spacing=14).describe() == {"overlap": 0.5}
    assert Composition().describe() == {"overlap": 0.0}
    assert Composition(width=200, spacing=40).describe() == {"overlap": 0.0}
    assert Composition(digits=1, spacing=14).describe() == {"overlap": 0.0}


def test_patches_hide_squares_anywhere():
    composition = dataclasses.replace(ONE_ROW, patches=1, patch_size=6)
    hidden = draw(composition, np.zeros((600, 2))) == 0
    assert (hidden.sum(axis=(1, 2)) == 36).all()
    assert (hidden.any(axis=2).sum(axis=1) == 6).all()
    corners = {(h.any(axis=1).argmax(), h.any(axis=0).argmax()) for h in hidden}
    assert {row for row, _ in corners} == set(range(23))
    assert {column for _, column in corners} == set(range(51))
    two = dataclasses.replace(composition, patches=2)
    assert (draw(two, np.zeros((50, 2))) == 0).sum(axis=(1, 2)).max() > 36


def test_noise_has_its_standard_deviation_and_stays_in_range():
    pool = make_pool(np.full((10, 28, 28), 128, np.uint8), np.arange(10), DIGITS)
    composition = dataclasses.replace(ONE_ROW, noise=20.0)
    images = draw(composition, np.zeros((100, 2)), pool=pool).astype(float)
    assert images.std() == pytest.approx(20, rel=0.02)
    assert images.mean() == pytest.approx(128, abs=0.3)
    loud = draw(dataclasses.replace(ONE_ROW, noise=300.0), np.zeros((20, 2)), pool=pool)
    assert 0.3 < (loud == 0).mean() < 0.37 and 0.3 < (loud == 255).mean() < 0.37


@given(seed=st.integers(0, 2**31))
def test_labels_are_allowed_numbers_and_the_indices_name_the_images(seed):
    allowed = np.array([3, 42, 99], np.int32)
    index = np.arange(len(LABELS))[::-1] + 1000
    pool = make_pool(IMAGES, LABELS, DIGITS, index)
    images, labels, used = compose_split(jax.random.key(seed), pool, allowed, ONE_ROW, 25, 8)
    assert images.shape == (25, 28, 56) and labels.shape == used.shape == (25, 2)
    assert set(np.asarray(labels) @ [10, 1]) <= {3, 42, 99}
    rows = len(LABELS) - 1 - (np.asarray(used) - 1000)
    np.testing.assert_array_equal(LABELS[rows], labels)
    np.testing.assert_array_equal(
        np.concatenate([IMAGES[rows[:, 0]], IMAGES[rows[:, 1]]], axis=2), images
    )


def test_numbers_and_digit_images_are_drawn_uniformly():
    allowed = np.array([10, 37, 52, 88], np.int32)
    _, labels, used = compose_split(jax.random.key(0), POOL, allowed, ONE_ROW, 4000)
    counts = np.bincount(np.asarray(labels) @ [10, 1], minlength=100)
    np.testing.assert_allclose(counts[allowed], 1000, rtol=0.1)
    tens = np.bincount(np.asarray(used)[:, 0], minlength=30)[np.isin(LABELS, [1, 3, 5, 8])]
    np.testing.assert_allclose(tens, 1000 / 3, rtol=0.2)


def test_a_smaller_split_is_the_beginning_of_a_larger_one():
    small, large = (compose_split(jax.random.key(1), POOL, None, ONE_ROW, n, 16) for n in (10, 40))
    for part, whole in zip(small, large, strict=True):
        np.testing.assert_array_equal(part, whole[:10])


def test_numbers_of_many_digits_are_drawn_without_a_list():
    composition = Composition(digits=8, height=28, width=8 * 28)
    images, labels = sample(jax.random.key(0), POOL, None, composition, 50)
    assert images.shape == (50, 28, 224)
    assert labels.dtype == jnp.int32 and set(np.asarray(labels).ravel()) == set(range(10))


def test_the_key_decides_inside_a_compiled_scan_without_copies():
    composition = dataclasses.replace(ONE_ROW, patches=1, noise=3.0)
    pool, allowed = jax.device_put((POOL, np.arange(100, dtype=np.int32)))

    @jax.jit
    def compose_batches(key, pool, allowed):
        def step(carry, key):
            return carry, composition.draw(key, pool, allowed, 4)[:2]

        return jax.lax.scan(step, None, jax.random.split(key, 3))[1]

    keys = jax.random.split(jax.random.key(0))
    first_key, other_key = keys[0], keys[1]
    with jax.transfer_guard("disallow"):
        first, again, other = (
            compose_batches(key, pool, allowed) for key in (first_key, first_key, other_key)
        )
    np.testing.assert_array_equal(first[0], again[0])
    assert (np.asarray(first[0]) != np.asarray(other[0])).any()
    assert len({image.tobytes() for image in np.asarray(first[0]).reshape(12, -1)}) == 12
    alone = sample(jax.random.split(first_key, 3)[1], POOL, np.arange(100, dtype=np.int32),
                   composition, 4)  # fmt: skip
    np.testing.assert_array_equal(first[0][1], alone[0])
    np.testing.assert_array_equal(first[1][1], alone[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 83}, "need a canvas of 28x84 but it is 84x83"),
        ({"height": 27}, "need a canvas of 28x84 but it is 27x84"),
        ({"digits": 4}, "need a canvas of 28x112"),
        ({"spacing": 6, "horizontal_jitter": 3}, "change places"),
        ({"ink": "mix"}, "max, sum, over"),
        ({"patches": 1, "patch_size": 85}, "do not fit a canvas of 84x84"),
        ({"patches": 1, "patch_size": 0}, "do not fit a canvas of 84x84"),
    ],
)
def test_layouts_that_cannot_be_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        Composition(**changes)


def test_a_pool_needs_every_digit():
    kept = ~np.isin(LABELS, [2, 9])
    with pytest.raises(UserError, match="no digit image of 2, 9 among the 24"):
        make_pool(IMAGES[kept], LABELS[kept], DIGITS)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"width": 28, "digits": 1, "patches": 1, "patch_size": 28}, "hide a canvas of 28x28"),
        ({"patches": 200, "patch_size": 10}, "200 an image"),
        ({"noise": 2600.0}, "noise of 2600.0"),
        ({"noise": float("nan")}, "noise of nan"),
    ],
)
def test_what_leaves_nothing_to_learn_from_is_refused(changes, complaint):
    with pytest.raises(UserError, match=complaint):
        dataclasses.replace(ONE_ROW, **changes)
