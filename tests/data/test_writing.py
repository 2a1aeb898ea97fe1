import dataclasses
import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from mnist3 import config as configs
from mnist3.data import strings, strips, writing
from mnist3.data.composition import compose_split, make_pool
from mnist3.data.numbers import NO_DIGIT
from mnist3.data.strip_digits import add_upstrokes
from mnist3.data.strip_draws import Draws
from mnist3.data.strip_marks import add_marks
from mnist3.errors import UserError

LONGEST = 5
PLAIN = writing.Writing(shortest=1, longest=LONGEST, width=160)
SHORT = writing.Writing(shortest=1, longest=2, width=64)  # compiles in half the time
MARKS = {  # each alone, at every strip
    "gap_jitter": 0.2,
    "growth": 0.4,
    "stretch": 0.3,
    "slant": 20.0,
    "slope": 5.0,
    "drift": 2.0,
    "upstrokes": 1.0,
    "bars": 1.0,
    "faint": 0.5,
    "uneven": 0.5,
    "separators": 1.0,
    "rules": 1.0,
    "boxes": 1.0,
    "cuts": 1.0,
    "neighbours": 1.0,
    "specks": 1.0,
    "shade": 1.0,
    "texture": 1.0,
    "blur": 1.0,
    "blocks": 1.0,
}


@pytest.fixture(scope="module")
def pool():
    """Bars of 20 px height, each class with a column of its own and a width of its own."""
    images = np.zeros((20, 28, 28), np.uint8)
    for row, image in enumerate(images):
        image[4:24, 12 : 14 + row % 10] = 255
    return make_pool(images, np.arange(20) % 10, tuple("0123456789"), np.arange(100, 120))


@functools.partial(jax.jit, static_argnames=("written", "batch"))
def sample(key, pool, allowed, written, batch=8):
    return written.draw(key, pool, allowed, batch)[:2]


def test_a_strip_holds_the_ink_of_its_string_from_left_to_right(pool):
    images, labels = map(np.asarray, sample(jax.random.key(0), pool, None, PLAIN, 64))
    assert images.shape == (64, 32, 160) and images.dtype == np.uint8
    for image, label in zip(images, labels, strict=True):
        length = (label >= 0).sum()
        assert 1 <= length <= LONGEST and (label[length:] == NO_DIGIT).all()
        edges = np.diff(np.pad((image[16] > 127).astype(int), 1))
        widths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
        np.testing.assert_allclose(widths, label[:length] + 2, atol=1)  # whole columns of a warp
        inked = np.flatnonzero((image > 127).any(axis=1))
        assert abs(inked.mean() - 15.5) < 1.1 and abs(len(inked) - 20) < 2
        columns = np.flatnonzero(image.any(axis=0))
        assert columns[0] >= strips.MARGIN - 1 and columns[-1] <= 160 - strips.MARGIN


def test_a_string_that_does_not_fit_is_written_smaller(pool):
    wide = dataclasses.replace(PLAIN, shortest=LONGEST, gap=(2.0, 2.0))
    images, labels = map(np.asarray, sample(jax.random.key(0), pool, None, wide))
    assert (labels >= 0).all()
    assert not images[:, :, : strips.MARGIN - 1].any()
    assert not images[:, :, 1 - strips.MARGIN :].any()


@pytest.mark.parametrize("name", MARKS)
def test_what_is_asked_for_shows_and_what_is_not_does_not(name, pool):
    """The strings stay, the strips differ, and each call gives the same."""
    changed = dataclasses.replace(SHORT, **{name: MARKS[name]})
    images, labels = map(np.asarray, sample(jax.random.key(1), pool, None, changed))
    again = np.asarray(sample(jax.random.key(1), pool, None, changed)[0])
    plain, of_plain = map(np.asarray, sample(jax.random.key(1), pool, None, SHORT))
    np.testing.assert_array_equal(labels, of_plain)
    np.testing.assert_array_equal(images, again)
    assert (images != plain).any()


def test_no_bar_of_a_box_is_as_tall_as_a_digit():
    """It could not be told from a 1, of which the network would then read fewer than there are."""
    level, edges = jnp.zeros((64, 40, 160)), jnp.array([[[60.0, 72.0], [84.0, 96.0]]] * 64)
    drawn, present = Draws(jax.random.key(0), 64), jnp.ones((64, 2), bool)
    boxes = dataclasses.replace(SHORT, boxes=1.0)
    inked = np.asarray(add_marks(jax.random.key(1), level, edges, present, drawn, boxes)) > 0
    changes = np.diff(np.pad(inked.astype(int), ((0, 0), (1, 1), (0, 0))), axis=1).swapaxes(1, 2)
    tall = np.nonzero(changes == -1)[-1] - np.nonzero(changes == 1)[-1]
    assert not ((tall > 15) & (tall < 25)).any()  # digits have 20 rows
    assert (tall >= 25).any() and ((tall >= 3) & (tall <= 15)).any()


def test_no_upstroke_of_a_1_is_as_flat_as_the_top_of_a_7():
    """Sevens without a bar would else be read as ones."""
    ones = jnp.zeros((64, 1, 28, 28), jnp.uint8).at[..., 4:24, 13:15].set(255)
    every = jnp.ones((64, 1), bool)
    drawn = add_upstrokes(jax.random.key(0), ones, every, Draws(jax.random.key(1), 64), 1.0)
    inked = np.asarray(drawn)[:, 0, :20] > 127  # without the feet
    wide = 13 - inked.any(axis=1).argmax(axis=1)
    columns = np.take_along_axis(inked, (13 - wide)[:, None, None], axis=2)[..., 0]
    high = (columns * np.arange(20)).max(axis=1) - 4  # of the lowest ink of the leftmost column
    assert (high >= 0.6 * wide - 0.5).all()  # to half a pixel
    assert wide.min() <= 3 and wide.max() >= 6


def test_nothing_is_written_where_nothing_is_asked_for(pool):
    empty = dataclasses.replace(PLAIN, nothing=1.0)
    images, labels = map(np.asarray, sample(jax.random.key(2), pool, None, empty, 64))
    assert (labels == NO_DIGIT).all()
    blank = ~images.any(axis=(1, 2))
    assert 0 < blank.sum() < 64


def test_digit_images_are_told_by_their_place_in_the_source(pool):
    written = compose_split(jax.random.key(0), pool, None, PLAIN, 30, batch=16)
    images, labels, rows = map(np.asarray, written)
    assert len(images) == 30
    np.testing.assert_array_equal(rows >= 0, labels >= 0)
    np.testing.assert_array_equal(rows[rows >= 0] % 10, labels[labels >= 0])
    fewer = compose_split(jax.random.key(0), pool, None, PLAIN, 20, batch=16)[0]
    np.testing.assert_array_equal(np.asarray(fewer), images[:20])


@hypothesis.given(
    st.lists(st.integers(0, 9), max_size=8), st.integers(0, 2**32 - 1), st.integers(0, 4)
)
def test_a_hash_is_that_of_the_digits_alone(digits, seed, filling):
    string = np.array(digits + [NO_DIGIT] * 8, np.int32)[:8]
    longer = np.array(digits + [NO_DIGIT] * (8 + filling), np.int32)[: 8 + filling]
    own = writing.string_hash(string, np.uint32(seed))
    assert 0 <= own < 100
    assert writing.string_hash(longer, np.uint32(seed)) == own
    assert int(writing.string_hash(jnp.asarray(string), jnp.uint32(seed))) == own


def test_hashes_are_even_and_of_their_seed():
    every = np.stack(np.meshgrid(*[np.arange(10)] * 4), axis=-1).reshape(-1, 4).astype(np.int32)
    first, other = (writing.string_hash(every, np.uint32(seed)) for seed in (0, 1))
    counts = np.bincount(first, minlength=100)
    assert counts.min() > 60 and counts.max() < 145  # 100 each, four standard deviations
    assert 0 < (first == other).mean() < 0.03


def test_longer_strings_are_in_one_split_and_short_ones_in_all(pool):
    allowed = writing.split_strings(shared=False, seed=3)
    seen = {}
    for name, share in allowed.items():
        _, labels = sample(jax.random.key(4), pool, share, PLAIN, 256)
        texts = ["".join(map(str, row[row >= 0])) for row in np.asarray(labels)]
        seen[name] = {text for text in texts if len(text) > 2}
        assert {len(text) for text in texts} == set(range(1, LONGEST + 1))
    assert not seen["train"] & seen["val"] and not seen["train"] & seen["test"]
    assert not seen["val"] & seen["test"]
    assert set(writing.split_strings(shared=True, seed=3).values()) == {None}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"longest": 0}, "the shortest, at least 1"),
        ({"width": 32}, "multiples of 8"),
        ({"height": 30}, "multiples of 8"),
        ({"gap": (0.5, 0.1)}, "give the lower end first"),
        ({"growth": 1.0}, "growth and stretch below 1"),
    ],
)
def test_strings_that_cannot_be_written_are_refused(changed, words):
    with pytest.raises(UserError, match=words):
        dataclasses.replace(PLAIN, **changed)


def test_the_dataset_of_strings_is_that_of_its_config():
    config = configs.strings("digits").data
    config.digits, config.width = (1, 3), 128
    config.val_examples = config.test_examples = 20
    made = strings.load(config, None, "")
    again = strings.load(config, None, "")
    assert made.fingerprint == again.fingerprint
    np.testing.assert_array_equal(made.splits["val"].images, again.splits["val"].images)
    assert made.splits["test"].labels.shape == (20, 3)
    drawn = [set(made.digit_indices[name].ravel()) - {-1} for name in ("train", "val", "test")]
    assert not drawn[0] & drawn[1] and not drawn[0] & drawn[2] and not drawn[1] & drawn[2]
    config.seed = 1
    assert strings.load(config, None, "").fingerprint != made.fingerprint


def test_strips_are_filled_up_to_a_few_widths():
    assert [strips.bucket(width) for width in (1, 64, 65, 512, 900)] == [64, 64, 128, 512, 512]
    narrow, wide = np.full((32, 5), 7, np.uint8), np.full((32, 600), 9, np.uint8)
    stacked = strips.stack([narrow, wide], 512, 3)
    assert stacked.shape == (3, 32, 512)
    assert (stacked[0, :, :5] == 7).all() and not stacked[0, :, 5:].any()
    assert (stacked[1] == 9).all() and not stacked[2].any()
