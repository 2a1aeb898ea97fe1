import gzip
import os

import numpy as np
import pytest

from mnist3.data import idx, sources
from mnist3.errors import UserError

MNIST_FINGERPRINT = "2b8db5a46b8a873aca25bb2fa21c4cfb86bc5a3edae6a7369d69a782aca61898"
DIGITS_FINGERPRINT = "77fbcdd7ad92151bd7467fcad453fe5f7dbf4897227ffa597735ee437f75b05a"


def test_digits_are_scikit_learns_in_a_box_of_20_pixels():
    source = sources.load_source("digits")
    assert (source.name, source.official_test) == ("digits", 0)
    assert source.images.shape == (1797, 28, 28)
    assert source.labels[:10].tolist() == list(range(10))
    margin = np.ones((28, 28), bool)
    margin[4:24, 4:24] = False
    assert not source.images[:, margin].any()
    assert source.images.max() == 255
    assert source.images[0, 13, 13] < 50 < source.images[0, 13, 8]  # a zero is hollow
    assert source.fingerprint == DIGITS_FINGERPRINT


def test_mnist_has_the_official_images_in_the_official_order(data_dir):
    source = sources.load_source("mnist", data_dir)
    assert (source.name, source.official_test) == ("mnist", 10_000)
    assert source.images.shape == (70_000, 28, 28)
    assert source.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert source.labels[60_000:60_005].tolist() == [7, 2, 1, 0, 4]
    assert source.fingerprint == MNIST_FINGERPRINT


def test_files_may_lie_in_the_folder_or_in_its_folder_mnist(tiny_mnist):
    direct = sources.load_source("mnist", str(tiny_mnist))
    assert direct.images.shape == (50, 28, 28)
    assert direct.official_test == 20
    os.mkdir(tiny_mnist / "mnist")
    for name in idx.MNIST_FILES:
        os.rename(tiny_mnist / name, tiny_mnist / "mnist" / name)
    (tiny_mnist / next(iter(idx.MNIST_FILES))).write_bytes(
        b"a stray copy beside the complete folder"
    )
    assert sources.load_source("mnist", str(tiny_mnist)).fingerprint == direct.fingerprint


def test_fingerprint_covers_images_labels_and_shape(tiny_mnist):
    first = sources.load_source("mnist", str(tiny_mnist))
    for images, labels in [
        (first.images[::-1], first.labels),
        (first.images, first.labels[::-1]),
        (first.images[:-1], first.labels[:-1]),
    ]:
        assert (
            sources._make_source("mnist", first.classes, images, labels, 20).fingerprint
            != first.fingerprint
        )


@pytest.mark.parametrize("name", list(idx.MNIST_FILES))
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda data: data[: len(data) // 2], "is truncated"),
        (lambda data: b"<html>not found</html>", "is not a gzip file"),
        (lambda data: b"", "is not a gzip file"),
        (lambda data: gzip.compress(gzip.decompress(data)[:-1] + b"\xff"), "wrong checksum"),
        (lambda data: data[:-8] + bytes(8), "wrong checksum"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tiny_mnist, name, change, complaint):
    path = tiny_mnist / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=complaint) as error:
        sources.load_source("mnist", str(tiny_mnist))
    assert str(error.value).startswith(f"{path} ")
    assert "put the official file there" in str(error.value)


def test_a_missing_file_is_named(tiny_mnist):
    (tiny_mnist / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"without t10k-images-idx3-ubyte\.gz: put"):
        sources.load_source("mnist", str(tiny_mnist))


def test_an_unreadable_file_is_named(tiny_mnist):
    path = tiny_mnist / "t10k-labels-idx1-ubyte.gz"
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz is unreadable"):
        sources.load_source("mnist", str(tiny_mnist))


def test_a_folder_that_is_missing_or_a_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(UserError, match=f"data folder {path} cannot be read.*--data_dir"):
            sources.load_source("mnist", str(path))


@pytest.mark.parametrize(
    ("name", "nearest"), [("mnits", "mnist"), ("digit", "digits"), ("MNIST", "mnist")]
)
def test_an_unknown_name_gets_the_nearest_valid_one(name, nearest):
    with pytest.raises(UserError, match=f"unknown digit source '{name}'.*mean '{nearest}'"):
        sources.load_source(name)


def test_mnist_is_at_hand_only_with_all_its_files(tiny_mnist, tmp_path):
    assert sources.has_mnist(str(tiny_mnist))
    tiny_mnist.rename(tmp_path / "mnist")
    assert sources.has_mnist(str(tmp_path))
    (tmp_path / "mnist" / next(iter(idx.MNIST_FILES))).unlink()
    assert not sources.has_mnist(str(tmp_path))
    assert not sources.has_mnist(str(tmp_path / "nowhere"))
