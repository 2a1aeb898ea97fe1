"""Number images as files, in the layout of MultiDigitMNIST, whose three-digit set is Triple MNIST.

Sun, MultiDigitMNIST, https://github.com/shaohua0116/MultiDigitMNIST: grey PNGs of 84x84 pixels at
`{train,val,test}/NNN/i_NNN.png`, perhaps all in one top folder, where NNN is the number and i
counts its images. They are read from a folder or from the zip as it circulates, which is never
unpacked.

Decoded images are kept as plain arrays that later loads map into memory. What is kept is found by
a hash over what can be listed without opening an image: the names, sizes and checksums in a zip,
the names, sizes and times of change in a folder. It lies in a folder of that hash, which appears
complete or not at all.
"""

import contextlib
import functools
import hashlib
import os
import pathlib
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import NamedTuple

import filelock
import numpy as np
from absl import logging
from jaxtyping import Int32, UInt8
from ml_collections import ConfigDict
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from mnist3.data import protocols
from mnist3.data.audit import match_columns
from mnist3.data.numbers import DIGITS
from mnist3.data.resplit import choose_rows, take
from mnist3.data.sources import load_source
from mnist3.data.splits import Dataset, Split, fingerprint
from mnist3.errors import UserError

_LAYOUT = re.compile(
    rf"(?P<top>([^/]+/)?)(?P<split>{'|'.join(protocols.SPLITS)})/(?P<number>[0-9]+)/"
    r"(?P<index>[0-9]+)_(?P=number)\.png"
)
_LITTER = ("__MACOSX", "Thumbs.db", "desktop.ini")  # besides hidden files
_NATIVE = (84, 84)  # px, height and width of the published images
_LARGEST_FILE = 1 << 24  # bytes of an image; few may unpack to any number
_CACHE_FORMAT = 1  # to be raised when decoding or the kept files change
_BROKEN_IMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError),
    *(zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError),
)


class _Entry(NamedTuple):
    """One image file, before it is opened."""

    split: str
    number: str
    index: int  # type: ignore[assignment]
    path: str  # below the folder, or in the zip
    stamp: tuple[int, int]  # size, and checksum or time of change


class NumberImages(NamedTuple):
    """The splits that exist, and the sha256 over them."""

    splits: dict[str, Split]
    fingerprint: str


def load(config: ConfigDict, data_dir: str | None, cache_dir: str) -> Dataset:
    """Loads the published images and divides them anew if need be; see `dataset.load`."""
    if data_dir is None:
        raise UserError(
            "config.data.name=triple_mnist needs its images; put triple_mnist.zip into a folder "
            "and give it with --data_dir or MNIST3_DATA_DIR."
        )
    files = functools.partial(load_triple_mnist, data_dir, cache_dir, digits=config.digits)
    published = files(config.height, config.width)
    matched = {}
    if config.digit_images == "disjoint":
        source = load_source(config.source, data_dir)
        native = published if (config.height, config.width) == _NATIVE else files()
        matched = {
            name: match_columns(split.images, source) for name, split in native.splits.items()
        }
    rows = choose_rows(
        published.splits, config.numbers, config.digit_images, matched, config.seed, DIGITS
    )
    return Dataset(
        name=config.name,
        source=config.source,
        classes=DIGITS,
        fingerprint=fingerprint(published.fingerprint, rows),
        protocol=protocols.as_text(config),
        splits={name: take(published.splits, part) for name, part in rows.items()},
    )


def load_triple_mnist(
    path: str, cache_dir: str, height: int = 84, width: int = 84, digits: int = 3
) -> NumberImages:
    """Returns the number images of each split that exists, memory-mapped and read-only.

    The images of a split are in the order of their number, then of their i. The fingerprint is the
    same for a folder and a zip with the same images, on every machine.

    Args:
        path: the zip, the folder that holds `train`, `val` or `test`, or a folder that holds
            `triple_mnist.zip` or `triple_mnist`.
        cache_dir: folder for the decoded images, 7 KB each at 84x84.
        height: of the images wanted, px; images of another size are resized.
        width: of the images wanted, px.
        digits: K, how many digits each number must have.

    Raises:
        UserError: the files are missing, unreadable, broken, not of the layout or of another K,
            or the decoded images cannot be kept.
    """
    path = _find(path)
    entries = _check(path, _list(path), digits)
    splits = {
        name: rows
        for name in protocols.SPLITS
        if (rows := [entry for entry in entries if entry.split == name])
    }
    if missing := [name for name in protocols.SPLITS if name not in splits]:
        logging.warning("%s has no images of the split %s.", path, " and ".join(missing))
    key = hashlib.sha256(repr((_CACHE_FORMAT, height, width, entries)).encode()).hexdigest()
    home = os.path.join(cache_dir, "triple_mnist")
    folder = os.path.join(home, key)
    kept = _read_cache(folder, splits, height, width)
    if kept is None:
        try:
            os.makedirs(home, exist_ok=True)
            with filelock.FileLock(os.path.join(home, "lock")):
                # Another run may have finished it while this one waited.
                kept = _read_cache(folder, splits, height, width)
                if kept is None:
                    _fill_cache(folder, path, splits, height, width)
                    kept = _read_cache(folder, splits, height, width)
        except OSError as error:
            raise UserError(
                f"the decoded images of {path} cannot be kept in {home} ({error.strerror}): free "
                f"{len(entries) * height * width / 1e6:,.0f} MB there, or name another folder with "
                "MNIST3_CACHE_DIR"
            ) from error
    if kept is None:
        raise UserError(f"the decoded images in {folder} cannot be read back: check that disk")
    return kept


def has_triple_mnist(path: str) -> bool:
    """Tells whether there is what looks like number images at a path, without opening one."""
    try:
        _find(path)
    except UserError:
        return False
    return True


def triple_mnist_files(path: str) -> list[str]:
    """Returns the zip, or the folder of each split that exists, that a path stands for.

    Raises:
        UserError: if there is none.
    """
    found = _find(path)
    if os.path.isfile(found):
        return [found]
    folders = [os.path.join(found, split) for split in protocols.SPLITS]
    return [folder for folder in folders if os.path.isdir(folder)]


def _find(path: str) -> str:
    """Returns the zip, or the folder with folders of splits, that a path stands for."""
    if os.path.isfile(path):
        return path
    try:
        names = os.listdir(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): name a folder with triple_mnist.zip, or "
            "that zip itself"
        ) from error
    if any(name in protocols.SPLITS for name in names):
        return path
    if "triple_mnist.zip" in names:
        return os.path.join(path, "triple_mnist.zip")
    if "triple_mnist" in names:
        return _find(os.path.join(path, "triple_mnist"))
    raise UserError(
        f"{path} holds none of train/, val/, test/, triple_mnist/ and triple_mnist.zip: name a "
        "folder that does, or the zip itself"
    )


def _list(path: str) -> dict[str, tuple[int, int]]:
    """Returns the size, and checksum or time of change, of every file in a zip or folder."""
    try:
        if os.path.isdir(path):
            return _list_folder(path)
        with zipfile.ZipFile(path) as archive:
            return {
                info.filename: (info.file_size, info.CRC)
                for info in archive.infolist()
                if not info.is_dir()
            }
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise UserError(
            f"{path} cannot be read ({reason}): replace it with a complete copy"
        ) from error


def _list_folder(path: str) -> dict[str, tuple[int, int]]:
    def fail(error: OSError) -> None:
        raise error

    files = {}
    for split in protocols.SPLITS:
        start = os.path.join(path, split)
        if not os.path.isdir(start):
            continue
        for folder, _, names in os.walk(start, onerror=fail):
            below = pathlib.Path(folder).relative_to(path).as_posix()
            for name in names:
                status = os.stat(os.path.join(folder, name))
                files[f"{below}/{name}"] = (status.st_size, status.st_mtime_ns)
    return files


def _check(path: str, files: dict[str, tuple[int, int]], digits: int) -> list[_Entry]:
    """Returns the image files in their order, all of one layout and of K digits."""
    entries, tops = [], set()
    for name, stamp in files.items():
        if any(part.startswith(".") or part in _LITTER for part in name.split("/")):
            continue
        match = _LAYOUT.fullmatch(name)
        if match is None:
            raise UserError(
                f"{path} holds {name}, which is not of the layout {{train,val,test}}/NNN/i_NNN.png:"
                " remove or rename it"
            )
        if len(match["number"]) != digits:
            raise UserError(
                f"{path} holds {name}, a number of {len(match['number'])} digits, but "
                f"config.data.digits is {digits}: set that to {len(match['number'])} or choose "
                "another dataset"
            )
        if stamp[0] > _LARGEST_FILE:
            raise UserError(
                f"{path} holds {name}, which would be {stamp[0] / 1e6:,.0f} MB large and hence no "
                "image of a number: replace it with a sound copy"
            )
        tops.add(match["top"])
        entries.append(_Entry(match["split"], match["number"], int(match["index"]), name, stamp))
    if not entries:
        raise UserError(
            f"{path} holds no image of train, val or test: replace it with a complete copy"
        )
    if len(tops) > 1:
        raise UserError(
            f"{path} holds more than one dataset, in {' and '.join(sorted(tops))}: keep only one"
        )
    return sorted(entries, key=lambda entry: (protocols.SPLITS.index(entry.split), *entry[1:]))


def _read_cache(
    folder: str, splits: dict[str, list[_Entry]], height: int, width: int
) -> NumberImages | None:
    """Returns the splits kept in a folder; None if it lacks any of them, or one is damaged."""
    try:
        kept = {
            name: Split(
                np.load(os.path.join(folder, f"{name}_images.npy"), mmap_mode="r"), _labels(entries)
            )
            for name, entries in splits.items()
        }
        known = pathlib.Path(folder, "fingerprint").read_text()
    except Exception:  # whatever is wrong with a file: the images are decoded anew
        return None
    whole = all(
        split.images.dtype == np.uint8 and split.images.shape == (len(split.labels), height, width)
        for split in kept.values()
    )
    return NumberImages(kept, known) if whole else None


def _labels(entries: list[_Entry]) -> Int32[np.ndarray, "n digits"]:
    letters = "".join(entry.number for entry in entries).encode()
    values = np.frombuffer(letters, np.uint8).astype(np.int32) - ord("0")
    return values.reshape(len(entries), -1)


def _fill_cache(
    folder: str, path: str, splits: dict[str, list[_Entry]], height: int, width: int
) -> None:
    """Decodes all images into a new folder; the caller holds the lock.

    Raises:
        OSError: the folder cannot be written.
        UserError: an image is broken.
    """
    for left_by_a_killed_run in pathlib.Path(folder).parent.glob("*.partial"):
        shutil.rmtree(left_by_a_killed_run)
    partial = f"{folder}.partial"
    digest = hashlib.sha256()
    total = sum(map(len, splits.values()))
    progress = tqdm(
        total=total, desc=f"decoding {os.path.basename(path)}", unit=" images", disable=None
    )
    try:
        os.mkdir(partial)
        with progress, _open(path) as read:
            for name, entries in splits.items():
                shape = (len(entries), height, width)
                digest.update(f"{name}{shape}".encode())
                digest.update(_labels(entries).astype("<i4").tobytes())
                with open(os.path.join(partial, f"{name}_images.npy"), "wb") as file:
                    np.lib.format.write_array_header_1_0(
                        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
                    )
                    # One thread: Pillow decodes an image this small in 50 us, of which more
                    # threads lose more to waiting for the interpreter's lock than they gain.
                    for entry in entries:
                        image = _decode(path, entry.path, read, height, width)
                        digest.update(image.data)
                        file.write(image.data)
                        progress.update()
        pathlib.Path(partial, "fingerprint").write_text(digest.hexdigest())
        if os.path.isdir(folder):  # it is damaged, or it would have been used
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _open(path: str) -> Iterator[Callable[[str], bytes]]:
    """Gives a function that returns the content of a file in a zip or folder."""
    if os.path.isdir(path):
        yield lambda name: pathlib.Path(path, name).read_bytes()
    else:
        with zipfile.ZipFile(path) as archive:
            yield archive.read


def _decode(
    path: str, name: str, read: Callable[[str], bytes], height: int, width: int
) -> UInt8[np.ndarray, "{height} {width}"]:
    try:
        with Image.open(BytesIO(read(name)), formats=["PNG"]) as image:
            if image.mode != "L":
                raise ValueError(f"mode {image.mode} instead of 8 bits of grey")
            if image.size != (width, height):
                resized = image.resize((width, height), Image.Resampling.BILINEAR)
                return np.ascontiguousarray(resized)
            return np.ascontiguousarray(image)
    except _BROKEN_IMAGE as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "not a PNG" if unknown else str(error) or type(error).__name__
        raise UserError(
            f"{path} holds {name}, which cannot be read as a grey PNG ({reason}): replace it with "
            "a sound copy"
        ) from error
