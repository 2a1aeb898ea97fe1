"""Where digit images come from: MNIST, the UCI digits of scikit-learn, and files like MNIST's.

What is on a digit image need not be a digit: a source says what its classes are called. A source in
files like MNIST's is an entry of `REGISTRY`, which is the only list of sources.
"""

import dataclasses
import functools
import hashlib
import importlib.util
import os
import pathlib
import string
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Int32, UInt8
from PIL import Image

from mnist3.data import idx
from mnist3.data.numbers import DIGITS
from mnist3.errors import UserError, nearest

_DIGITS = "datasets/data/digits.csv.gz"  # of scikit-learn: 64 grey levels from 0 to 16, and a label


@dataclasses.dataclass(frozen=True, eq=False)
class DigitSource:
    """Digit images, ink bright on dark, with their labels.

    Attributes:
        name: of the source in `REGISTRY`.
        images: the digit images, square, in the source's own order.
        labels: the class on each: its place in `classes`.
        official_test: how many of the last images are the source's own test part.
        fingerprint: sha256 over images and labels, their shapes included, in hex.
        classes: what the classes are called.
    """

    name: str
    images: UInt8[np.ndarray, "n side side"]
    labels: Int32[np.ndarray, "n"]
    official_test: int
    fingerprint: str
    classes: tuple[str, ...]

    @property
    def side(self) -> int:
        """The side of its images, px."""
        return self.images.shape[1]


class Parts(NamedTuple):
    """What is read of a source.

    Attributes:
        images: bright ink on dark.
        labels: the class on each, from 0 on.
        official_test: how many of the last images are the source's own test part; 0 without one.
    """

    images: UInt8[np.ndarray, "n side side"]
    labels: Int32[np.ndarray, "n"]
    official_test: int


@dataclasses.dataclass(frozen=True)
class Spec:
    """How a source is found and shown.

    Attributes:
        title: what reports call it.
        classes: what its classes are called, in the order of its labels.
        read: from its name, the folder of the data and that of TensorFlow Datasets, both of which
            may be None, to its images.
    """

    title: str
    classes: tuple[str, ...]
    read: Callable[[str, str | None, str | None], Parts]


def load_source(name: str, data_dir: str | None = None, tfds_dir: str | None = None) -> DigitSource:
    """Returns the digit images of a source.

    Args:
        name: one of `REGISTRY`.
        data_dir: folder with the files of the sources, each in its folder of the source's name;
            MNIST's four may lie in it directly. Without a folder, or with none of the files in it,
            MNIST comes through TensorFlow Datasets, which downloads it once.
        tfds_dir: where TensorFlow Datasets keeps what it prepared; None for its own default.

    Raises:
        UserError: the name is unknown, or the files are unreadable, incomplete, damaged or
            nowhere to be had.
    """
    if name not in REGISTRY:
        raise UserError(
            f"unknown digit source {name!r}: use one of {', '.join(REGISTRY)} (did you mean "
            f"{nearest(name, REGISTRY)!r}?)"
        )
    spec = REGISTRY[name]
    return _make_source(name, spec.classes, *spec.read(name, data_dir, tfds_dir))


def title(name: str) -> str:
    """Returns what reports call a source; one that is no longer known keeps its name."""
    return REGISTRY[name].title if name in REGISTRY else name


def files(
    home: str,
    prefix: str = "",
    test: str = "t10k",
    transposed: bool = False,
    first_label: int = 0,
) -> Callable[[str, str | None, str | None], Parts]:
    """Returns what reads a source from four files like MNIST's, in the folder of its name.

    Args:
        home: the page where they are to be had.
        prefix: what their names begin with, before MNIST's.
        test: what MNIST calls `t10k`.
        transposed: whether rows and columns of its images are exchanged, as in EMNIST.
        first_label: the label of the first class.
    """
    names = [
        f"{prefix}{part}-{content}-ubyte.gz"
        for part in ("train", test)
        for content in ("images-idx3", "labels-idx1")
    ]

    def read(name: str, data_dir: str | None, tfds_dir: str | None) -> Parts:
        del tfds_dir
        folder = os.path.join(data_dir or "DATA", name)
        missing = [file for file in names if not os.path.isfile(os.path.join(folder, file))]
        if data_dir is None or missing:
            raise UserError(
                f"the source {name} is read from four files of {home}: put {', '.join(missing)} "
                f"into {folder}" + " and give --data_dir=DATA" * (data_dir is None)
            )
        images, labels, size = _read_files(
            folder, dict.fromkeys(names), f"put the file of {home} there"
        )
        if labels.min(initial=first_label) < first_label or (
            labels.max(initial=first_label) - first_label >= len(REGISTRY[name].classes)
        ):
            raise UserError(
                f"{folder} has the labels {labels.min()} to {labels.max()}, but those of the "
                f"{len(REGISTRY[name].classes)} classes of {name} begin at {first_label}: put the "
                f"files of {home} there"
            )
        return Parts(
            images.transpose(0, 2, 1) if transposed else images, labels - first_label, size
        )

    return read


def _make_source(
    name: str, classes: tuple[str, ...], images: np.ndarray, labels: np.ndarray, test: int
) -> DigitSource:
    images = np.ascontiguousarray(images, np.uint8)
    labels = np.ascontiguousarray(labels, np.int32)
    digest = hashlib.sha256()
    for array in (images, labels.astype("<i4")):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.data)
    return DigitSource(name, images, labels, test, digest.hexdigest(), classes)


def _read_digits(name: str, data_dir: str | None, tfds_dir: str | None) -> Parts:
    del name, data_dir, tfds_dir
    return _embedded_digits()


@functools.cache
def _embedded_digits() -> Parts:
    spec = importlib.util.find_spec("sklearn")  # the library takes seconds to import, its file none
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    table = np.loadtxt(pathlib.Path(spec.origin).parent / _DIGITS, np.int32, delimiter=",")
    ink = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    images = np.zeros((len(ink), 28, 28), np.uint8)
    for image, small in zip(images, ink, strict=True):
        larger = Image.fromarray(small).resize((20, 20), Image.Resampling.BICUBIC)
        image[4:24, 4:24] = np.asarray(larger)
    for array in (images, labels := table[:, -1].copy()):
        array.setflags(write=False)  # every caller gets the same
    return Parts(images, labels, 0)


def _read_mnist(name: str, data_dir: str | None, tfds_dir: str | None) -> Parts:
    del name
    folder = _find_mnist(data_dir) if data_dir is not None else None
    if folder is None:
        return _read_tfds(tfds_dir)
    remedy = "put the official file there, or pass no data folder to have MNIST downloaded"
    return _read_files(folder, idx.MNIST_FILES, remedy)


def has_mnist(data_dir: str) -> bool:
    """Tells whether a folder, or its folder `mnist`, holds all official files."""
    return any(
        all(os.path.isfile(os.path.join(folder, name)) for name in idx.MNIST_FILES)
        for folder in _mnist_folders(data_dir)
    )


def source_files(name: str, data_dir: str) -> list[str]:
    """Returns the files or folders in `data_dir` that a source may be read from, if they exist."""
    if name != "mnist":
        own = os.path.join(data_dir, name)
        return [own] if os.path.isdir(own) else []
    folders = _mnist_folders(data_dir)
    paths = [os.path.join(folder, file) for folder in folders for file in idx.MNIST_FILES]
    return [path for path in paths if os.path.exists(path)]


def _mnist_folders(data_dir: str) -> tuple[str, str]:
    """Returns where the official files may lie."""
    return data_dir, os.path.join(data_dir, "mnist")


def _find_mnist(data_dir: str) -> str | None:
    """Returns the folder, `data_dir` or its `mnist`, with the official files, if there is one."""
    try:
        here, below = _mnist_folders(data_dir)
        found = {here: idx.MNIST_FILES.keys() & set(os.listdir(here))}
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


def _read_files(folder: str, checksums: Mapping[str, str | None], remedy: str) -> Parts:
    """Reads four files: training images and labels, then test images and labels.

    Args:
        folder: that holds them.
        checksums: sha256 in hex, by file name; None for a file that may be any.
        remedy: what to do about a bad file, as the end of a sentence.
    """
    arrays = []
    for name, sha256 in checksums.items():
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as file:
                arrays.append(idx.decode(file.read(), sha256))
        except (OSError, ValueError) as error:
            reason = error if isinstance(error, ValueError) else f"is unreadable ({error.strerror})"
            raise UserError(f"{path} {reason}: {remedy}") from error
    train_images, train_labels, test_images, test_labels = arrays
    shapes = [array.shape for array in arrays]
    square = train_images.ndim == 3 and shapes[0][1] == shapes[0][2]
    counts = [(shape[0],) for shape in (train_images.shape, test_images.shape) if shape]
    if not square or shapes[2][1:] != shapes[0][1:] or counts != [shapes[1], shapes[3]]:
        raise UserError(
            f"{folder} holds {', '.join(checksums)} of the shapes {', '.join(map(str, shapes))}, "
            f"which are not square images of one size with a label each: {remedy}"
        )
    return Parts(
        np.concatenate([train_images, test_images]),
        np.concatenate([train_labels, test_labels]).astype(np.int32),
        len(test_images),
    )


def _read_tfds(tfds_dir: str | None) -> Parts:
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
    return Parts(
        np.stack([example["image"][:, :, 0] for example in train + test]),
        np.array([example["label"] for example in train + test], np.int32),
        len(test),
    )


REGISTRY: dict[str, Spec] = {
    "mnist": Spec("MNIST", DIGITS, _read_mnist),
    "digits": Spec("digits (UCI optical digits, not MNIST)", DIGITS, _read_digits),
    "fashion_mnist": Spec(
        "Fashion-MNIST",
        (
            *("T-shirt", "trousers", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "boot"),
        ),
        files("https://github.com/zalandoresearch/fashion-mnist"),
    ),
    "kmnist": Spec(
        "KMNIST (cursive hiragana)",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        files("https://github.com/rois-codh/kmnist"),
    ),
    "emnist_letters": Spec(
        "EMNIST letters",
        tuple(string.ascii_uppercase),
        files(
            "https://www.nist.gov/itl/products-and-services/emnist-dataset",
            prefix="emnist-letters-",
            test="test",
            transposed=True,
            first_label=1,
        ),
    ),
}
