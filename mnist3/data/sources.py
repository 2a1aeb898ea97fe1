"""Where digit images come from: MNIST, or the UCI digits that ship inside scikit-learn."""

import dataclasses
import difflib
import hashlib
import os

import numpy as np
from absl import logging
from jaxtyping import Int32, UInt8
from PIL import Image

from mnist3.data import idx
from mnist3.errors import UserError

REGISTRY = dict.fromkeys(("mnist", "digits"))


@dataclasses.dataclass(frozen=True, eq=False)
class DigitSource:
    """Digit images, ink bright on dark, with their labels.

    Attributes:
        name: 'mnist' or 'digits'.
        images: the digit images, in the source's own order.
        labels: the digit 0-9 on each.
        official_test: how many of the last images are the source's own test part.
        fingerprint: sha256 over images and labels, their shapes included, in hex.
    """

    name: str
    images: UInt8[np.ndarray, "n 28 28"]
    labels: Int32[np.ndarray, "n"]
    official_test: int
    fingerprint: str


def load_source(name: str, data_dir: str | None = None, tfds_dir: str | None = None) -> DigitSource:
    """Returns the digit images of a source.

    Args:
        name: 'mnist' or 'digits'.
        data_dir: for 'mnist', a folder that holds the four official files, itself or in its
            folder `mnist`. Without a folder, or with none of the files in it, MNIST comes through
            TensorFlow Datasets, which downloads it once.
        tfds_dir: where TensorFlow Datasets keeps what it prepared; None for its own default.

    Raises:
        UserError: the name is unknown, or the files are unreadable, incomplete, damaged or
            nowhere to be had.
    """
    if name == "digits":
        return _load_digits()
    if name == "mnist":
        folder = _find_mnist(data_dir) if data_dir is not None else None
        return _load_tfds(tfds_dir) if folder is None else _load_idx(folder)
    nearest = difflib.get_close_matches(name, ("mnist", "digits"), n=1, cutoff=0.0)[0]
    raise UserError(
        f"unknown digit source {name!r}: use 'mnist' or 'digits' (did you mean {nearest!r}?)"
    )


def _make_source(name: str, images: np.ndarray, labels: np.ndarray, test: int) -> DigitSource:
    images = np.ascontiguousarray(images, np.uint8)
    labels = np.ascontiguousarray(labels, np.int32)
    digest = hashlib.sha256()
    for array in (images, labels.astype("<i4")):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array)
    return DigitSource(name, images, labels, test, digest.hexdigest())


def _load_digits() -> DigitSource:
    from sklearn.datasets import load_digits

    digits = load_digits()
    ink = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    images = np.zeros((len(ink), 28, 28), np.uint8)
    for image, small in zip(images, ink, strict=True):
        image[4:24, 4:24] = Image.fromarray(small).resize((20, 20), Image.Resampling.BICUBIC)
    return _make_source("digits", images, digits.target, test=0)


def has_mnist(data_dir: str) -> bool:
    """Tells whether a folder, or its folder `mnist`, holds all official files."""
    folders = (data_dir, os.path.join(data_dir, "mnist"))
    return any(
        all(os.path.isfile(os.path.join(folder, name)) for name in idx.MNIST_FILES)
        for folder in folders
    )


def source_files(name: str, data_dir: str) -> list[str]:
    """Returns the files in a folder that a source may be read from, as far as they exist."""
    if name != "mnist":
        return []
    folders = (data_dir, os.path.join(data_dir, "mnist"))
    paths = [os.path.join(folder, file) for folder in folders for file in idx.MNIST_FILES]
    return [path for path in paths if os.path.exists(path)]


def _find_mnist(data_dir: str) -> str | None:
    """Returns the folder, `data_dir` or its `mnist`, with the official files, if there is one."""
    try:
        found = {data_dir: idx.MNIST_FILES.keys() & set(os.listdir(data_dir))}
        below = os.path.join(data_dir, "mnist")
        if os.path.isdir(below):
            found[below] = idx.MNIST_FILES.keys() & set(os.listdir(below))
    except OSError as error:
        raise UserError(
            f"the data folder {data_dir} cannot be read ({error.strerror}): give --data_dir or "
            "MNIST3_DATA_DIR a readable folder, or neither to download MNIST"
        ) from error
    folder = max(found, key=lambda candidate: len(found[candidate]))
    if not found[folder]:
        logging.warning("No MNIST files in %s: using TensorFlow Datasets.", " or ".join(found))
        return None
    missing = sorted(idx.MNIST_FILES.keys() - found[folder])
    if missing:
        raise UserError(
            f"{folder} holds MNIST without {', '.join(missing)}: put the official files beside "
            "the others, or remove those to have MNIST downloaded"
        )
    return folder


def _load_idx(folder: str) -> DigitSource:
    arrays = []
    for name, sha256 in idx.MNIST_FILES.items():
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as file:
                arrays.append(idx.decode(file.read(), sha256))
        except (OSError, ValueError) as error:
            reason = error if isinstance(error, ValueError) else f"is unreadable ({error.strerror})"
            raise UserError(
                f"{path} {reason}: put the official file there, or pass no data folder to have "
                "MNIST downloaded"
            ) from error
    train_images, train_labels, test_images, test_labels = arrays
    return _make_source(
        "mnist",
        np.concatenate([train_images, test_images]),
        np.concatenate([train_labels, test_labels]),
        test=len(test_images),
    )


def _load_tfds(tfds_dir: str | None) -> DigitSource:
    from tensorflow_datasets.core import constants

    from mnist3.data.mnist_builder import MnistBuilder

    folder = os.path.join(tfds_dir or constants.DATA_DIR, MnistBuilder.name)
    try:
        builder = MnistBuilder(data_dir=tfds_dir)
        try:
            builder.download_and_prepare()
        # array_record reports a full disk as RuntimeError.
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"MNIST could not be written to {folder} ({error}): free space there, or set "
                "TFDS_DATA_DIR to a folder that can be written, or pass --data_dir with the four "
                "official files"
            ) from error
        train, test = (
            part.__getitems__(range(len(part)))
            for part in builder.as_data_source(["train", "test"])
        )
        # array_record may return an empty example for one that a truncated file has lost.
        if any(example["image"] is None for example in train + test):
            raise ValueError("images are missing")
    except UserError:
        raise
    # TFDS, array_record and protobuf each raise errors of their own over damaged files.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"the MNIST in {folder} cannot be read ({reason}): delete that folder and run again"
        ) from error
    return _make_source(
        "mnist",
        np.stack([example["image"][:, :, 0] for example in train + test]),
        np.array([example["label"] for example in train + test]),
        test=len(test),
    )
