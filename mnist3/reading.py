"""The call for programs: what a run has learned, applied to images in memory or in files."""

import io
import os
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from mnist3 import learners
from mnist3.data.images import Source, find_images
from mnist3.errors import UserError
from mnist3.jobs import parts, workdir
from mnist3.pictures import (
    BATCH_SIZE,
    Reading,
    predict_filled,
    read_lists,
    reader_of,
    readings_of,
)
from mnist3.tasks import Task

__all__ = ["Reader", "Reading", "load"]

Path = str | os.PathLike
Picture = Path | bytes | Image.Image | np.ndarray


class Reader:
    """What a run has learned, ready to read images; made by `mnist3.load`.

    Attributes:
        folder: of the run, of a comparison that of the candidate that was chosen.
        task: that it learned.
        size: height and width of the images that it reads, px.
    """

    def __init__(
        self, folder: str, config: ConfigDict, task: Task, learned: learners.Learned
    ) -> None:
        self.folder, self.task = folder, task
        self.size = config.data.height, config.data.width
        self._config, self._learned = config, learned

    def read(
        self, images: Path | Sequence[Picture] | np.ndarray, every_line: bool = False
    ) -> list[Reading]:
        """Reads images.

        Args:
            images: a path, which may be that of a folder or a glob; a list of pictures, each the
                path or the content of a file, a Pillow image, or uint8 pixels `[height, width]` or
                `[height, width, 3]`, of any size, dark ink on light or light on dark; or an array
                of uint8 pixels of the run's size, ink bright on dark, of one image
                `[height, width]` or of several `[n, height, width]`, which are read as they are.
            every_line: of pictures, by a run of strings: every line, not the best alone.

        Returns:
            A reading of each image, in order; of a folder or a glob in natural order. Of every
            line one, from the top, each with its box.

        Raises:
            UserError: if pixels have another type or size, or there is no such file.
        """
        if isinstance(images, np.ndarray):
            return self._read_pixels(images)
        if isinstance(images, str | os.PathLike):
            sources: list[Source] = [*find_images(os.fspath(images))]
        else:
            sources = [_source(image) for image in images]
        batches = reader_of(self._config, self.task, self._learned.predict, every_line)
        return [one for each in read_lists(sources, self.task, batches) for one in each]

    def _read_pixels(self, pixels: np.ndarray) -> list[Reading]:
        if pixels.ndim == 2:
            pixels = pixels[None]
        if pixels.dtype != np.uint8 or pixels.shape[1:] != self.size:
            raise UserError(
                f"the pixels are {pixels.dtype} of shape {pixels.shape}; the run in {self.folder} "
                f"reads uint8 of shape (n, {self.size[0]}, {self.size[1]}), ink bright on dark; "
                "pass other images as a list, or the paths of files, to have them brought to that."
            )
        batches = [
            predict_filled(self._learned.predict, pixels[start : start + BATCH_SIZE])
            for start in range(0, len(pixels), BATCH_SIZE)
        ]
        return [reading for batch in batches for reading in readings_of(self.task, batch)]


def _source(picture: Picture) -> Source:
    """Returns the path of a picture, or the content of a file that holds it."""
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3):
            raise UserError(
                f"a picture is {picture.dtype} of shape {picture.shape}; give uint8 of shape "
                "(height, width) or (height, width, 3)."
            )
        picture = Image.fromarray(picture)
    if isinstance(picture, Image.Image):
        content = io.BytesIO()
        image = picture.convert("RGB") if picture.mode in ("CMYK", "YCbCr") else picture
        image.save(content, "PNG", compress_level=1)
        return content.getvalue()
    return os.fspath(picture)


def load(
    folder: Path,
    checkpoint: str = "best",
    allow_pickle: bool = False,
    replicate: str = "best",
) -> Reader:
    """Returns what the run in a folder has learned, ready to read images.

        reader = mnist3.load("runs/a")
        for reading in reader.read("scans/*.png"):
            print(reading.text, reading.confidence)

    Args:
        folder: workdir of a finished run of images, whatever learned it; of a comparison, its
            choice reads.
        checkpoint: of a network: `best`, `latest` or the number of an epoch.
        allow_pickle: whether to read the model of an older run, a pickle that can run any code.
        replicate: of a run with several seeds: `best`, a seed, or `ensemble`.

    Raises:
        UserError: if there is no such run, checkpoint or replicate, or the run is of a table.
    """
    chosen, config = workdir.chosen(os.fspath(folder), replicate=replicate)
    if config.kind == "table":
        raise UserError(
            f"the run in {folder} is of a table, not of images; predict rows with "
            "--mode=predict --table=FILE."
        )
    task = parts.task_of(config)
    learned = learners.load(config, task, chosen, checkpoint, allow_pickle)
    return Reader(chosen, config, task, learned)
