import json
import pathlib

import numpy as np
import pytest

from mnist3.data.audit import audit, match_columns, report
from mnist3.data.numbers import DIGITS
from mnist3.data.sources import DigitSource, load_source
from mnist3.data.splits import Split
from mnist3.data.triple_mnist import load_triple_mnist
from mnist3.errors import UserError


def make_source(images: np.ndarray, labels: np.ndarray | None = None) -> DigitSource:
    labels = np.arange(len(images), dtype=np.int32) % 10 if labels is None else labels
    return DigitSource("mnist", images, labels, 0, "", DIGITS)


@pytest.fixture
def source() -> DigitSource:
    """Forty digit images, each with ink in other rows."""
    random = np.random.default_rng(0)
    images = np.zeros((40, 28, 28), np.uint8)
    for image in images:
        top, bottom = sorted(random.choice(29, 2, replace=False))
        image[top:bottom, 4:24] = random.integers(1, 256, (bottom - top, 20))
    return make_source(images)


def place(digit_images: np.ndarray, offsets: np.ndarray, height: int) -> np.ndarray:
    """Returns the number images [n, height, 28 K] with digit images [n, K, 28, 28] at offsets."""
    count, digits = offsets.shape
    images = np.zeros((count, height, 28 * digits), np.uint8)
    for row, column in np.ndindex(count, digits):
        top, left = offsets[row, column], 28 * column
        images[row, top : top + 28, left : left + 28] = digit_images[row, column]
    return images


def draw(source: DigitSource, count: int, seed: int = 1) -> tuple[np.ndarray, Split]:
    random = np.random.default_rng(seed)
    indices = random.integers(0, len(source.images), (count, 3)).astype(np.int32)
    images = place(source.images[indices], random.integers(0, 57, (count, 3)), 84)
    return indices, Split(images, source.labels[indices])


def test_finds_every_digit_image_at_any_height(source):
    indices, split = draw(source, 5000)  # more than are matched at once
    np.testing.assert_array_equal(match_columns(split.images, source), indices)


def test_finds_digit_images_in_images_of_their_own_size(source):
    expected = np.arange(40, dtype=np.int32)[:, None]
    np.testing.assert_array_equal(match_columns(source.images, source), expected)


def test_a_column_that_holds_no_digit_image_is_not_found(source):
    indices, split = draw(source, 4)
    images = split.images.copy()
    images[0, :, :28] = 0  # no ink at all
    images[1, np.flatnonzero(images[1, :, 40])[0], 40] ^= 1  # one grey level off
    images[2, :, 56:] = np.pad(source.images[indices[2, 2]], ((0, 56), (0, 0)))
    first = np.flatnonzero(images[2, :, 56:].any(axis=1))[0]
    images[2, first + 28, 60] = 9  # ink over more than 28 rows
    indices[[0, 1, 2], [0, 1, 2]] = -1
    np.testing.assert_array_equal(match_columns(images, source), indices)


def test_a_digit_image_without_ink_is_never_found(source):
    images = np.append(source.images, np.zeros((1, 28, 28), np.uint8), axis=0)
    assert match_columns(images, make_source(images))[-1] == -1


def test_ink_moved_to_the_side_is_not_found(source):
    moved = np.roll(source.images, 1, axis=2)
    assert (match_columns(moved, source) == -1).all()


def test_equal_digit_images_are_the_first_of_them(source):
    images = source.images.copy()
    images[7] = images[3]
    last = np.flatnonzero(images[5].any(axis=1))[-1]
    images[9] = np.roll(images[5], 27 - last, axis=0)  # equal but for its height
    twice = make_source(images)
    found = match_columns(images, twice)[:, 0]
    np.testing.assert_array_equal(found[[3, 7, 5, 9]], [3, 3, 5, 5])
    # Also where the digit images are known: 7 and 3 are the same, so val has nothing new.
    known = {"train": np.array([[3, 5]], np.int32), "val": np.array([[7, 9]], np.int32)}
    assert report(known, twice).splits["val"].images_in_train == 1


def test_images_without_columns_are_an_error(source):
    with pytest.raises(UserError, match="100 px wide"):
        match_columns(np.zeros((1, 84, 100), np.uint8), source)


def test_shares_count_occurrences(source):
    indices = {
        "train": np.array([[0, 1, 2], [3, 4, 5]], np.int32),
        "val": np.array([[0, 1, 5], [0, 6, 0], [7, 8, 9], [2, -1, 6]], np.int32),
        "test": np.array([[10, 11, 12]], np.int32),
    }
    labels = {
        "train": np.array([[0, 1, 2], [9, 9, 9]], np.int32),
        "val": np.array([[0, 1, 2], [2, 1, 0], [0, 1, 2], [1, 2, 0]], np.int32),
        "test": np.array([[9, 9, 9]], np.int32),
    }
    found = report(indices, source, labels)
    val = found.splits["val"]
    assert (val.images, val.found) == (4, 11 / 12)
    # Seen are 0 1 5, 0 0 and 2, out of eleven that were found; distinct would be 4 of 8.
    assert val.digit_images_in_train == 6 / 11
    assert val.images_in_train == 1 / 3  # the last image is not known whole
    assert val.numbers_in_train == 2 / 4
    test = found.splits["test"]
    assert (test.digit_images_in_train, test.images_in_train, test.numbers_in_train) == (0, 0, 1)
    train = found.splits["train"]
    assert (train.images, train.found, train.images_in_train) == (2, 1, None)
    assert json.loads(json.dumps(found.to_dict()))["splits"]["val"]["numbers_in_train"] == 0.5


def test_a_train_split_of_digit_images_that_may_be_drawn(source):
    indices = {"train": np.arange(3, dtype=np.int32)[:, None], "val": np.array([[0, 2], [2, 3]])}
    val = report({name: rows.astype(np.int32) for name, rows in indices.items()}, source).splits[
        "val"
    ]
    assert (val.digit_images_in_train, val.images_in_train) == (3 / 4, 1 / 2)
    assert val.numbers_in_train is None


def test_audit_matches_and_reports(source):
    train, val = draw(source, 6, seed=2), draw(source, 50, seed=3)
    seen = np.isin(val[0], train[0])
    found = audit({"train": train[1], "val": val[1]}, source)
    assert found.source == "mnist"
    assert found.splits["val"].digit_images_in_train == seen.mean()
    assert found.splits["val"].images_in_train == seen.all(axis=1).mean()
    assert 0 < seen.all(axis=1).mean() < seen.mean() < 1
    numbers = {tuple(label) for label in train[1].labels}
    share = np.mean([tuple(label) in numbers for label in val[1].labels])
    assert found.splits["val"].numbers_in_train == share


def test_audit_without_train_or_with_another_source_invents_nothing(source):
    only_val = audit({"val": draw(source, 5)[1]}, source).splits["val"]
    assert (only_val.found, only_val.digit_images_in_train) == (1, None)
    other = make_source(255 - source.images)
    splits = {"train": draw(source, 5)[1], "val": draw(source, 5, seed=2)[1]}
    val = audit(splits, other).splits["val"]
    assert (val.found, val.digit_images_in_train, val.images_in_train) == (0, None, None)


def test_the_table_has_one_line_a_split(source):
    indices = {
        "train": np.zeros((12345, 1), np.int32),
        "val": np.array([[0, 0, 0], [0, 1, 2], [0, 0, 0]], np.int32),
    }
    lines = report(indices, source).to_text().splitlines()
    assert "mnist" in lines[0]
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[2].split() == ["train", "12,345", "100.00", "%", "-", "-", "-"]
    assert lines[3].split() == ["val", "3", "100.00", "%", "77.78", "%", "66.67", "%", "-"]


@pytest.mark.slow
def test_audit_of_the_published_triple_mnist(triple_mnist_dir, common_cache):
    source = load_source("mnist", triple_mnist_dir)
    published = load_triple_mnist(triple_mnist_dir, common_cache).splits
    indices = {name: match_columns(split.images, source) for name, split in published.items()}
    found = report(indices, source, {name: split.labels for name, split in published.items()})
    assert list(found.splits) == ["train", "val"]
    train, val = found.splits.values()
    assert (train.images, train.found) == (63999, 1)
    assert (val.images, val.found) == (16000, 1)
    assert val.numbers_in_train == 0
    assert "93.55 %" in found.to_text()
    assert "81.77 %" in found.to_text()
    labels = published["val"].labels
    np.testing.assert_array_equal(source.labels[indices["val"]], labels)
    assert (np.unique(labels, axis=0, return_counts=True)[1] == 100).all()
    assert pathlib.Path(published["val"].images.filename).name == "val_images.npy"


def test_where_a_string_has_no_digit_nothing_is_missing(source):
    indices = {
        "train": np.array([[0], [1], [2]], np.int32),
        "val": np.array([[0, 1, -1], [2, -1, -1], [5, -1, -1]], np.int32),
    }
    labels = {"val": np.array([[0, 1, -1], [2, -1, -1], [3, 4, -1]], np.int32)}
    val = report(indices, source, labels).splits["val"]
    assert val.found == 4 / 5
    assert val.digit_images_in_train == 3 / 4
    assert val.images_in_train == 1
