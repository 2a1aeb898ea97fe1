"""A source of 26 classes, in files like MNIST's, on its way through every part of the data."""

import gzip
import os
import string

import jax
import numpy as np
import pytest

from mnist3 import config as configs
from mnist3.data import composition, numbers, sources
from mnist3.data import dataset as datasets
from mnist3.data.audit import audit, report
from mnist3.errors import UserError

LABELS = "emnist-letters-train-labels-idx1-ubyte.gz"
IMAGES = "emnist-letters-train-images-idx3-ubyte.gz"
FILES = (LABELS, IMAGES, LABELS.replace("train", "test"), IMAGES.replace("train", "test"))


def data_config(**fields):
    config = configs.numbers().data
    config.update({"source": "emnist_letters", "val_fraction": 0.3, "height": 12, "width": 12})
    config.update(fields)
    return config


def load(config, folder):
    return datasets.load(config, folder, "unused")


def classes_of(images):
    """The class on each image of `letters_dir`, by its ink."""
    return np.count_nonzero(images[:, :, :3] == 200, axis=(1, 2)) - 1


def test_the_letters_are_read_upright_with_their_names(letters_dir):
    source = sources.load_source("emnist_letters", letters_dir)
    assert (source.name, source.side, source.official_test) == ("emnist_letters", 12, 104)
    assert source.classes == tuple(string.ascii_uppercase)
    assert source.images.shape == (364, 12, 12) and source.images.flags.c_contiguous
    letter_o = source.images[source.labels == 14][0]
    assert letter_o[:, 0].all() and letter_o[:3, 1].all() and not letter_o[3:, 1].any()
    assert set(source.labels) == set(range(26))


def test_single_letters_are_divided_as_digits_are(letters_dir):
    dataset = load(data_config(name="single_digit", digits=1, numbers="shared"), letters_dir)
    assert dataset.size == dataset.augmented_size == (12, 12)
    assert dataset.classes[25] == "Z"
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 182,
        "val": 78,
        "test": 104,
    }
    for split in dataset.splits.values():
        np.testing.assert_array_equal(classes_of(split.images), split.labels[:, 0])
        assert set(split.labels[:, 0]) == set(range(26))


def test_words_are_composed_of_letters(letters_dir):
    config = data_config(
        digits=3, height=16, width=36, val_examples=300, test_examples=200, digit_images="disjoint"
    )
    config.composition.update({"spacing": 12, "vertical_jitter": 2})
    dataset = load(config, letters_dir)
    assert dataset.size == (16, 36) and dataset.augmented_size == (12, 12)
    words = {name: set(map(tuple, rows.tolist())) for name, rows in dataset.numbers.items()}
    assert len(words["train"]) == 26**3 * 64 // 100 + 1
    assert not words["train"] & (words["val"] | words["test"])
    source = sources.load_source("emnist_letters", letters_dir)
    for name, split in dataset.splits.items():
        assert set(split.labels.ravel()) == set(range(26))
        for column in range(3):
            drawn = split.images[:, :, 12 * column : 12 * column + 12]
            np.testing.assert_array_equal(classes_of(drawn), split.labels[:, column])
        used = dataset.digit_indices[name]
        np.testing.assert_array_equal(source.labels[used], split.labels)
    found = report(dataset.digit_indices, source, dataset.numbers)
    assert found.splits["val"].digit_images_in_train < 0.1  # those that look alike
    assert found.splits["val"].numbers_in_train == 0
    assert audit({"val": dataset.splits["val"]}, source).splits["val"].found == 1
    name = numbers.text(dataset.splits["val"].labels[0], dataset.classes)
    assert len(name) == 3 and name.isupper()


def test_a_layout_for_other_digit_images_is_not_taken(letters_dir):
    source = sources.load_source("emnist_letters", letters_dir)
    pool = composition.make_pool(source.images, source.labels, source.classes)
    layout = composition.Composition(digits=1, height=40, width=40)
    with pytest.raises(ValueError, match="12 px wide, not 28"):
        composition.compose(jax.random.key(0), pool, np.zeros((2, 1), np.int32), layout)


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist", "emnist_letters"])
def test_files_that_are_missing_are_named_with_their_place(name, tmp_path):
    for folder in (None, str(tmp_path)):
        with pytest.raises(UserError) as error:
            sources.load_source(name, folder)
        place = os.path.join(folder or "DATA", name)
        assert f"-labels-idx1-ubyte.gz into {place}" in str(error.value)
        assert "https://" in str(error.value)
        assert ("--data_dir" in str(error.value)) == (folder is None)


def test_of_files_that_are_partly_there_the_others_are_named(letters_dir):
    os.remove(os.path.join(letters_dir, "emnist_letters", LABELS))
    with pytest.raises(UserError, match=f"put {LABELS} into") as error:
        sources.load_source("emnist_letters", letters_dir)
    assert IMAGES not in str(error.value)


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        (LABELS, lambda data: data[:-9], "is truncated"),
        (LABELS, lambda data: b"<html>", "is not a gzip file"),
        (IMAGES, lambda data: data[:-8] + b"\1" * 8, "wrong checksum"),
        (
            LABELS,
            lambda data: _rewritten(data, -1, 27),
            "labels 1 to 27.* 26 classes .* begin at 1",
        ),
        (LABELS, lambda data: _rewritten(data, -1, 0), "labels 0 to 26"),
        (LABELS, lambda data: _rewritten(data[:], 7, 3), "does not hold"),
        (IMAGES, lambda data: gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 0])), "not square images"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(letters_dir, name, change, complaint):
    path = os.path.join(letters_dir, "emnist_letters", name)
    with open(path, "rb") as file:
        data = change(file.read())
    with open(path, "wb") as file:
        file.write(data)
    with pytest.raises(UserError, match=complaint) as error:
        sources.load_source("emnist_letters", letters_dir)
    assert os.path.dirname(path) in str(error.value)
    assert "nist.gov" in str(error.value)


def _rewritten(data: bytes, position: int, value: int) -> bytes:
    """Returns a compressed file with one byte of its content replaced."""
    content = bytearray(gzip.decompress(data))
    content[position] = value
    return gzip.compress(bytes(content))


def test_every_source_of_the_registry_has_a_title_and_different_classes():
    for name, spec in sources.REGISTRY.items():
        assert sources.title(name) == spec.title
        assert len(set(spec.classes)) == len(spec.classes) >= 10
    assert sources.title("a source of former times") == "a source of former times"
