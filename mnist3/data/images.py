"""Reads image files of any kind as number images: uint8, ink bright on dark, one size.

What happens to a file, in order:

1. Decoding: PNG, JPEG, BMP, TIFF, WebP or GIF, every mode; turned upright as its EXIF entry says;
   the first picture of several. Colour becomes brightness. Modes deeper than 8 bits have no fixed
   range, so that their darkest and brightest pixels become 0 and 255. What is transparent becomes
   paper.
2. Size: a picture of the model's size stays as it is. Any other is scaled as a whole, its
   proportions kept, until it just fits, and centred on paper. So a picture should be the number
   with a margin of about a fifth of a digit's height, as in MNIST's own 28-pixel boxes.
3. Ink or paper: ink is the minority, so the long tail of the brightnesses is ink: the picture is
   dark on light, and inverted, if their third central moment is negative. Even noise and even
   shading do not change that sign, a dark frame around a scan hardly.
4. Contrast: paper becomes 0 and ink 255, unless both are near enough already. In the images of a
   dataset they are, so that those stay as they are, bit for bit.
"""

import contextlib
import functools
import glob
import io
import os
import re
import stat
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import IO, Any, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from mnist3.errors import UserError

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
NOT_FILES = {  # what reading would wait for, perhaps for ever
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
SHOWN = 3  # paths in a line of the log
SPECKS = 10  # pixels; so many may be brighter than the ink is said to be
LOWEST_CONTRAST = 8  # grey levels between ink and paper; below there is only paper
DARK_PAPER, BRIGHT_INK = 8, 180  # grey levels that need no stretching
# Pixels, so that none takes over 1 GiB: of 8 bits; and deeper or transparent, which take more each.
MOST_PIXELS, MOST_DEEP_PIXELS = 100_000_000, 30_000_000
BLANK = "blank: no ink that differs from the paper"
TOGETHER = 16  # files that a thread reads before it hands them over, which takes as long as one


Source = str | bytes  # of a picture: the path of its file, or what stands in one


class UnreadableImage(Exception):
    """No number image could be made of a file; the message is a short reason."""


def _natural_order(path: str) -> tuple:
    """Returns a key that sorts 9.png before 10.png, folder by folder."""
    *folders, name = path.split(os.sep)
    return (*map(_chunks_of_folder, folders), _chunks(name)), path


def _chunks(name: str) -> tuple[str | int, ...]:
    return tuple(
        int(part) if index % 2 else part.casefold()
        for index, part in enumerate(re.split("([0-9]+)", name))
    )


_chunks_of_folder = functools.lru_cache(_chunks)  # many images are in one folder


def find_images(patterns: str | Sequence[str]) -> list[str]:
    """Returns the paths that files, folders and globs stand for, each of them in natural order.

    A folder stands for the image files in it and in the folders below, by their endings, hidden
    ones left out, links to folders not followed. A glob stands for every file it matches; its `**`
    crosses folders and links to folders, each folder once. What is not a regular file is listed
    too, since whoever reads it says so. A file that several paths lead to, by links or because it
    is named twice, is listed under the first.

    Args:
        patterns: a file, a folder or a glob, or several.

    Raises:
        UserError: if one of them stands for no file.
    """
    listed: dict[str | tuple[int, ...], str] = {}
    repeated = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        pattern = os.path.expanduser(pattern)
        found = False
        for path in sorted(_matches(pattern), key=_natural_order):
            identity = _identity(path)
            if identity is None:
                continue
            found = True
            if identity in listed:
                repeated.append(path)
            else:
                listed[identity] = path
        if not found:
            missing = f"no file matches {pattern}"
            if os.path.isdir(pattern):
                missing = f"the folder {pattern} holds no image file ({', '.join(SUFFIXES)})"
            raise UserError(f"{missing}; give --images a file, a folder or a glob in quotes.")
    if repeated:
        logging.info(
            "left out %d paths of images that are listed already: %s",
            len(repeated),
            ", ".join(repeated[:SHOWN]) + (", ..." if len(repeated) > SHOWN else ""),
        )
    return list(listed.values())


def _identity(path: str) -> str | tuple[int, ...] | None:
    """Returns what all paths of a file have in common; None for a folder."""
    try:
        status = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    if stat.S_ISDIR(status.st_mode):
        return None
    if not status.st_ino:  # file systems without numbers
        return os.path.realpath(path)
    # Size and time, since not every network's file system keeps its numbers apart.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _matches(pattern: str) -> set[str]:
    if os.path.isdir(pattern):
        return {
            os.path.join(folder, name)
            for folder, names in _folders(pattern, follow_links=False)
            for name in names
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        }
    if os.path.lexists(pattern):
        return {pattern}
    return _glob(pattern)


def _glob(pattern: str) -> set[str]:
    """Returns the paths that match a glob.

    `glob.glob` follows links in circles, 40 times around one and without end where there are two.
    """
    parts = pattern.split(os.sep)
    if "**" not in parts:
        return set(glob.glob(pattern))
    crossing = parts.index("**")
    start, rest = os.sep.join(parts[:crossing]), os.sep.join(parts[crossing + 1 :])
    if crossing == 0:
        roots = [""]
    elif not start:
        roots = [os.sep]
    else:
        roots = [root for root in glob.glob(start) if os.path.isdir(root)]
    return {
        path
        for root in roots
        for folder, _ in _folders(root, follow_links=True)
        for path in _glob(os.path.join(glob.escape(folder), rest or "*"))
    }


def _folders(root: str, follow_links: bool) -> Iterator[tuple[str, list[str]]]:
    """Yields a folder and those below, each once and under a path without links if it has one.

    Hidden folders are left out; those that cannot be read are logged.

    Yields:
        the path of a folder, and the names of what it holds beside folders.
    """
    real, linked = deque([root]), deque()
    seen = set()
    while real or linked:
        folder = (real or linked).popleft()
        names = []
        try:
            status = os.stat(folder or os.curdir)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder or os.curdir) as entries:
                for entry in entries:
                    if not entry.is_dir():
                        names.append(entry.name)
                    elif not entry.name.startswith(".") and not entry.is_symlink():
                        real.append(os.path.join(folder, entry.name))
                    elif not entry.name.startswith(".") and follow_links:
                        linked.append(os.path.join(folder, entry.name))
        except OSError as error:
            logging.warning("left out the folder %s: %s", folder, error.strerror)
        yield folder, names


def _without_transparency(image: Image.Image) -> Image.Image:
    """Returns a grey image with paper where there was transparency.

    If more than half is transparent, what can be seen is the ink, and the paper has to contrast
    with it. Otherwise the paper can be seen too and is the most common of what can.
    """
    grey, alpha = (
        np.asarray(channel, dtype=np.float32)
        for channel in image.convert("RGBA").convert("LA").split()
    )
    opacity = alpha / 255
    if opacity.mean() < 0.5:
        visible = (grey * opacity).sum() / max(opacity.sum(), 1)
        paper = 0.0 if visible >= 128 else 255.0
    else:
        paper = float(np.median(grey[opacity >= 0.5]))
    return Image.fromarray(np.rint(grey * opacity + paper * (1 - opacity)).astype(np.uint8))


def _as_grey(image: Image.Image) -> Image.Image:
    """Returns an image of any mode as 8-bit brightness."""
    if image.mode == "L" and not image.has_transparency_data:
        return image
    if image.mode.startswith(("I", "F")):
        values = np.array(image, dtype=np.float64)
        if not np.isfinite(values).all():
            raise UnreadableImage("holds pixels that are not finite numbers")
        values -= values.min()
        values *= 255 / (values.max() or 1)
        return Image.fromarray(np.rint(values, out=values).astype(np.uint8))
    if image.has_transparency_data:
        return _without_transparency(image)
    return image.convert("RGB").convert("L")


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[IO[bytes]]:
    """Opens a picture's file; what is no regular file is refused, since reading it may not end."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    kind = stat.S_IFMT(os.stat(source).st_mode)
    if kind in NOT_FILES:
        raise UnreadableImage(f"not a file but {NOT_FILES[kind]}")
    with open(source, "rb") as file:  # not its content: a huge file may well be no image
        yield file


def _decode(
    source: Source,
    mode: str,
    least: Callable[[int, int], tuple[int, int]],
    most_pixels: int | None = None,
) -> tuple[Image.Image, tuple[int, int]]:
    """Returns a file's picture, turned upright, and the width and height that the file gives it.

    Args:
        source: path or content of the file.
        mode: that a JPEG file is decoded to, L or RGB.
        least: from its width and height to those, px, that are enough: a photograph in such a
            file is decoded at a fraction of its size, many times faster, that is no smaller.
        most_pixels: that a file may say it has; None for as many as Pillow takes.
    """
    with _opened(source) as file:
        with Image.open(file, formats=FORMATS) as image:
            if most_pixels is not None:
                _require_at_most(most_pixels, image)
            image.verify()  # PNG alone: its checksums, which decoding skips; needs a second start
        with Image.open(file, formats=FORMATS) as image:
            size = image.size
            image.draft(mode, least(*size))
            decoded = image.size
            deep = image.mode.startswith(("I", "F")) or image.has_transparency_data
            _require_at_most(MOST_DEEP_PIXELS if deep else MOST_PIXELS, image)
            ImageOps.exif_transpose(image, in_place=True)
            image.load()
            if (image.width > image.height) != (decoded[0] > decoded[1]):
                size = size[::-1]
            return image, size


def _require_at_most(pixels: int, image: Image.Image) -> None:
    if image.width * image.height > pixels:
        raise UnreadableImage(
            f"has {image.width * image.height / 1e6:.0f} megapixels, and at most "
            f"{pixels / 1e6:.0f} are read; scale it down"
        )


def _fitting(image: Image.Image, height: int, width: int) -> Image.Image:
    """Returns a picture scaled as a whole until it just fits."""
    if image.size == (width, height):
        return image
    scale = min(width / image.width, height / image.height)
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    return image.resize(size, Image.Resampling.LANCZOS)


class Picture(NamedTuple):
    """A picture in a file.

    Attributes:
        pixels: uint8 [rows, columns] of brightness, or [rows, columns, 3] of red, green and blue.
        scale: px of the file for a pixel, 1 or above.
    """

    pixels: UInt8[np.ndarray, "rows columns"] | UInt8[np.ndarray, "rows columns 3"]
    scale: float


def read_picture(source: Source, largest: int, most_pixels: int | None = None) -> Picture:
    """Reads one image file as it is, upright; what is transparent becomes paper.

    Args:
        source: path or content of the file.
        largest: px; a picture with a longer side is scaled to it.
        most_pixels: that it may have; None for as many as Pillow takes.

    Raises:
        UnreadableImage: with a short reason, if the file cannot be decoded.
    """

    def within(width: int, height: int) -> tuple[int, int]:
        share = min(1.0, largest / max(width, height))
        return max(1, int(share * width)), max(1, int(share * height))

    try:
        image, size = _decode(source, "RGB", within, most_pixels)
        coloured = image.mode in ("RGB", "YCbCr", "CMYK", "P") and not image.has_transparency_data
        image = image.convert("RGB") if coloured else _as_grey(image)
        if max(image.size) > largest:
            image = _fitting(image, largest, largest)
        return Picture(np.asarray(image), max(size[0] / image.width, 1.0))
    except UnreadableImage:
        raise
    except Exception as error:  # what decoders raise on damaged files has no common base
        raise UnreadableImage(_reason(error)) from error


def _dark_on_light(pixels: UInt8[np.ndarray, "rows columns"]) -> bool:
    centred = pixels - pixels.mean(dtype=np.float32)
    return float(np.vdot(centred, centred * centred)) < 0


def _reason(error: Exception) -> str:
    """Returns in a few words why a file could not be decoded."""
    if isinstance(error, UnidentifiedImageError):
        return "not a PNG, JPEG, BMP, TIFF, WebP or GIF image, or damaged at its beginning"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"damaged or not supported: {_one_line(error) or type(error).__name__}"


def _one_line(message: Exception | Warning | str) -> str:
    return " ".join(str(message).split())


def read_image(
    source: Source, height: int, width: int, most_pixels: int | None = None
) -> tuple[UInt8[np.ndarray, "{height} {width}"], bool]:
    """Reads one image file as the head of this module tells.

    What Pillow finds odd about a file that it can read goes to `warnings`.

    Args:
        source: path or content of the file.
        height: px.
        width: px.
        most_pixels: that it may have; None for as many as Pillow takes.

    Returns:
        the number image, and whether the file was dark on light and hence inverted.

    Raises:
        UnreadableImage: with a short reason, if the file cannot be decoded or holds no ink.
    """
    try:
        twice = (2 * max(height, width),) * 2
        image, _ = _decode(source, "L", lambda *size: twice, most_pixels)
        pixels = np.asarray(_fitting(_as_grey(image), height, width))
    except UnreadableImage:
        raise
    except Exception as error:  # what decoders raise on damaged files has no common base
        raise UnreadableImage(_reason(error)) from error
    inverted = _dark_on_light(pixels)
    if inverted:
        pixels = 255 - pixels
    ranked = np.partition(pixels, (pixels.size // 2, max(pixels.size - SPECKS, 0)), axis=None)
    paper, ink = int(ranked[pixels.size // 2]), int(ranked[max(pixels.size - SPECKS, 0)])
    if ink - paper < LOWEST_CONTRAST:
        raise UnreadableImage(BLANK)
    if pixels.shape != (height, width):
        canvas = np.full((height, width), paper, dtype=np.uint8)
        top, left = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
        canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        pixels = canvas
    if paper > DARK_PAPER or ink < BRIGHT_INK:
        stretched = (pixels.astype(np.float32) - paper) * (255 / (ink - paper))
        pixels = np.rint(np.clip(stretched, 0, 255)).astype(np.uint8)
    return pixels, inverted


class ReadFile(NamedTuple):
    """A file, read.

    Attributes:
        value: what was read; None of an unreadable file.
        error: the reason why it is unreadable, else "".
        warning: what the decoder found odd about it, else "".
    """

    value: Any
    error: str = ""
    warning: str = ""


def read_files(
    sources: Sequence[Source],
    read: Callable[[Any], Any],
    batch_size: int,
    workers: int | Executor,
    one_at_a_time_below: int = 0,
) -> Iterator[list[ReadFile]]:
    """Yields what is read of files in order, `batch_size` at a time and the rest at the end.

    The next batch is read by `workers` while the caller uses this one; no more than two batches
    are held.

    Args:
        sources: paths or contents of the files.
        read: from one of them to what is read; raises `UnreadableImage`.
        batch_size: files.
        workers: so many threads, or what runs calls in other processes.
        one_at_a_time_below: bytes; threads take turns at files that are smaller in the mean, for
            which they would wait for each other longer than they decode.

    Raises:
        UserError: if a process was lost.
    """
    if isinstance(workers, Executor):
        yield from _batches(sources, functools.partial(_read_alone, read), batch_size, 1, workers)
        return
    together = min(TOGETHER, max(1, min(batch_size, len(sources)) // (4 * workers)))
    noted = functools.partial(_noted, read, below=one_at_a_time_below)
    with _warnings_by_thread(), ThreadPoolExecutor(workers) as pool:
        yield from _batches(sources, noted, batch_size, together, pool)


def _batches(
    sources: Sequence[Source],
    read: Callable[[Sequence[Source]], list[ReadFile]],
    batch_size: int,
    together: int,
    pool: Executor,
) -> Iterator[list[ReadFile]]:
    def collect(batch: list[Future]) -> list[ReadFile]:
        return [file for future in batch for file in future.result()]

    try:
        started: deque[list[Future]] = deque()
        for first in range(0, len(sources), batch_size):
            batch = sources[first : first + batch_size]
            parts = (batch[start : start + together] for start in range(0, len(batch), together))
            started.append([pool.submit(read, part) for part in parts])
            if len(started) == 2:
                yield collect(started.popleft())
        if started:
            yield collect(started.popleft())
    except BrokenExecutor as error:
        raise UserError(
            "a process that looked at pictures was killed, perhaps as memory ran out, or could not "
            "start; start again where more memory is free."
        ) from error


def _noted(read: Callable[[Any], Any], sources: Sequence[Source], below: int = 0) -> list[ReadFile]:
    """Returns what is read of files, with what the decoder found odd."""
    small = bool(below) and sum(map(_size, sources)) < below * len(sources)
    with _turns if small else contextlib.nullcontext():
        return [_read_noted(read, source) for source in sources]


def _size(source: Source) -> int:
    """Returns how many bytes a file has; 0 if it is not there."""
    if isinstance(source, bytes):
        return len(source)
    with contextlib.suppress(OSError, ValueError):
        return os.path.getsize(source)
    return 0


def _read_noted(read: Callable[[Any], Any], source: Source) -> ReadFile:
    _thread.notes = notes = []
    try:
        value = read(source)
    except UnreadableImage as error:
        return ReadFile(None, str(error))
    finally:
        _thread.notes = None
    return ReadFile(value, "", "; ".join(dict.fromkeys(notes)))


def _read_alone(read: Callable[[Any], Any], sources: Sequence[Source]) -> list[ReadFile]:
    """Returns the same, in a process that does nothing else."""
    with _warnings_by_thread():
        return _noted(read, sources)


_turns = threading.Lock()  # of threads that read small files
_thread = threading.local()  # notes: what was warned of while the thread reads an image, or None


@contextlib.contextmanager
def _warnings_by_thread() -> Iterator[None]:
    """Hands what Pillow warns of to the thread that reads, and all other warnings on.

    `warnings.catch_warnings` changes the whole process and is thus of no use within a thread.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("always", module=r"PIL\b")
        show = warnings.showwarning

        def note(message: Warning | str, *arguments: Any, **options: Any) -> None:
            notes = getattr(_thread, "notes", None)
            if notes is None:
                show(message, *arguments, **options)
            else:
                notes.append(_one_line(message))

        warnings.showwarning = note
        yield
