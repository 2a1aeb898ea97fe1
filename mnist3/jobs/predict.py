"""Reads the numbers in a user's image files into a CSV file, with a checkpoint of a run."""

import csv
import os
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging
from jaxtyping import UInt8
from ml_collections import ConfigDict
from tqdm import tqdm

from mnist3.data.images import find_images, read_images
from mnist3.errors import UserError
from mnist3.files import replacing
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.workdir import require_writable, unwritable
from mnist3.tasks import Prediction, number_text
from mnist3.training.inference import load_reader

BATCH_SIZE = 256  # of every batch, the last one filled up, so that one compiled program serves
LOGGED_PATHS = 10  # of the inverted images


def require(value: str | None, flag: str, example: str) -> str:
    """Returns the value of a flag that predict needs.

    Raises:
        UserError: if it is not given.
    """
    if not value:
        raise UserError(f"--mode=predict needs --{flag}; add --{flag}={example}.")
    return value


def _filled(images: UInt8[np.ndarray, "n height width"]) -> UInt8[np.ndarray, "batch height width"]:
    return np.pad(images, ((0, BATCH_SIZE - len(images)), (0, 0), (0, 0)))


def _cells(prediction: Prediction, row: int) -> list[str]:
    """Returns number, confidence, the digits and their confidences as texts."""
    digits = [str(digit) for digit in prediction.digits[row]]
    confidences = [prediction.confidence[row], *prediction.digit_confidences[row]]
    confidence, *digit_confidences = (f"{value:.6f}" for value in confidences)
    return [number_text(prediction.digits[row]), confidence, *digits, *digit_confidences]


def predict_files(
    paths: Sequence[str],
    canvas: tuple[int, int],
    digits: int,
    predict: Callable[[UInt8[np.ndarray, "batch height width"]], Prediction],
    output: str,
) -> int:
    """Writes what each image file reads to a CSV file, one row an image, in order.

    The columns are path, number (leading zeros kept), confidence, digit_1 to digit_K,
    confidence_1 to confidence_K and error; an unreadable file has its path and its error alone.
    The next batch is read from the disk while the model works on this one. The output appears
    whole or not at all.

    Args:
        paths: image files.
        canvas: (height, width) of the model's number images.
        digits: K.
        predict: reads number images, `BATCH_SIZE` at a time.
        output: path of the CSV file; one that exists is replaced.

    Returns:
        the number of unreadable files.

    Raises:
        UserError: if the output cannot be written.
    """
    columns = [f"{name}_{k + 1}" for name in ("digit", "confidence") for k in range(digits)]
    unread = [""] * (2 + len(columns))
    unreadable, inverted = 0, []
    remaining = iter(paths)
    try:
        with (
            # File names need not be valid UTF-8: surrogateescape writes their bytes as they are.
            replacing(output, newline="", encoding="utf-8", errors="surrogateescape") as file,
            tqdm(total=len(paths), unit="image", disable=None) as progress,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["path", "number", "confidence", *columns, "error"])
            for batch in read_images(paths, *canvas, BATCH_SIZE, workers=os.cpu_count() or 1):
                prediction = predict(_filled(batch.images))
                for row, error in enumerate(batch.errors):
                    path = next(remaining)
                    cells = unread if error else _cells(prediction, row)
                    writer.writerow([path, *cells, error])
                    if batch.inverted[row]:
                        inverted.append(path)
                unreadable += sum(map(bool, batch.errors))
                progress.update(len(batch.errors))
    except OSError as error:
        raise unwritable(output, error) from error
    logging.info(
        "wrote %s: %d of %d images read, %d of them dark on light and therefore inverted",
        output,
        len(paths) - unreadable,
        len(paths),
        len(inverted),
    )
    for path in inverted[:LOGGED_PATHS]:
        logging.info("  inverted: %s", path)
    if len(inverted) > LOGGED_PATHS:
        logging.info("  and %d more", len(inverted) - LOGGED_PATHS)
    if unreadable:
        logging.warning(
            "%d images could not be read; the column error of %s says why", unreadable, output
        )
    return unreadable


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Reads `arguments.images` with a checkpoint of the run in `arguments.workdir`.

    Args:
        config: of that run.
        arguments: needs workdir, images and output.

    Returns:
        the exit status: 0, or 2 if some images could not be read.

    Raises:
        UserError: for a missing argument, no image, an unwritable output, no such run or
            checkpoint, or a run with another config.
    """
    folder = require(arguments.workdir, "workdir", "FOLDER_OF_A_RUN")
    images = require(arguments.images, "images", "FILE_OR_FOLDER_OR_'GLOB'")
    output = require(arguments.output, "output", "FILE.csv")
    require_writable(output)
    paths = find_images(images)
    predict = load_reader(config, folder, arguments.checkpoint)
    logging.info(
        "reading %d images with %s, whose digit images are from source %s",
        len(paths),
        folder,
        config.data.source,
    )
    canvas = (config.data.height, config.data.width)
    return 2 if predict_files(paths, canvas, config.data.digits, predict, output) else 0
