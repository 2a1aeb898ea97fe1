"""Reads a user's image files into a CSV file, with a checkpoint of a run."""

import csv
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import UInt8
from ml_collections import ConfigDict
from tqdm import tqdm

from mnist3.data.images import find_images, read_images
from mnist3.errors import UserError
from mnist3.files import (
    STANDARD_OUTPUT,
    opened_output,
    output_text,
    require_unread,
    require_writable,
)
from mnist3.jobs.arguments import Arguments
from mnist3.reporting.cells import confidence_text
from mnist3.tasks import Prediction
from mnist3.training.inference import load_reader

BATCH_SIZE = 256  # of every batch, the last one filled up, so that one compiled program serves
LOGGED_PATHS = 10  # of the inverted images, and of those that the decoder warned of


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


def number_columns(digits: int) -> list[str]:
    """Returns the columns of numbers of K digits: number, confidence, digit_1.., confidence_1.."""
    positions = [f"{name}_{k + 1}" for name in ("digit", "confidence") for k in range(digits)]
    return ["number", "confidence", *positions]


def number_cells(prediction: Prediction) -> list[list[str]]:
    """Returns the cells of every number, its leading zeros kept, under `number_columns`."""
    confidences = np.column_stack([prediction.confidence, prediction.digit_confidences]).tolist()
    cells = []
    for row, values in zip(prediction.digits.tolist(), confidences, strict=True):
        digits = [str(digit) for digit in row]
        confidence, *by_position = (confidence_text(value) for value in values)
        cells.append(["".join(digits), confidence, *digits, *by_position])
    return cells


def predict_files(
    paths: Sequence[str],
    canvas: tuple[int, int],
    predict: Callable[[UInt8[np.ndarray, "batch height width"]], Any],
    columns: Sequence[str],
    cells: Callable[[Any], Sequence[Sequence[str]]],
    output: str,
) -> int:
    """Writes what is predicted for each image file to a CSV file, one row an image, in order.

    The columns are path, those given and error; an unreadable file has its path and its error
    alone. The next batch is read from the disk while the model works on this one. A file appears
    whole or not at all; standard output gets the rows of a batch as they are known.

    Whoever reads the CSV with a number in it has to read that column as text, or leading zeros are
    lost: `pandas.read_csv(path, dtype={"number": str})`; in Excel, Data > From Text/CSV with the
    column's type set to Text. No way of quoting keeps them there.

    Args:
        paths: image files.
        canvas: (height, width) of the model's images.
        predict: returns predictions of images, `BATCH_SIZE` at a time.
        columns: names, between path and error.
        cells: returns, of what `predict` returned, a row an image under `columns`.
        output: path of the CSV file, one that exists is replaced and has to be none of the image
            files (`require_unread`); or `STANDARD_OUTPUT`.

    Returns:
        the number of unreadable files.

    Raises:
        UserError: if the output cannot be written.
        OutputClosed: if nobody reads standard output any more.
    """
    unread = [""] * len(columns)
    unreadable, inverted, odd = 0, [], []
    remaining = iter(paths)
    hidden = True if output == STANDARD_OUTPUT and sys.stdout.isatty() else None
    with (
        opened_output(output) as file,
        tqdm(total=len(paths), unit="image", disable=hidden) as progress,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", *columns, "error"])
        for batch in read_images(paths, *canvas, BATCH_SIZE, workers=os.cpu_count() or 1):
            rows = cells(predict(_filled(batch.images)))
            for row, error in enumerate(batch.errors):
                path = next(remaining)
                writer.writerow([path, *(unread if error else rows[row]), error])
                if batch.inverted[row]:
                    inverted.append(path)
                if batch.warnings[row]:
                    odd.append(f"{path}: {batch.warnings[row]}")
            unreadable += sum(map(bool, batch.errors))
            file.flush()
            progress.update(len(batch.errors))
    logging.info(
        "wrote %s: %d of %d images read, %d of them dark on light and therefore inverted",
        output_text(output),
        len(paths) - unreadable,
        len(paths),
        len(inverted),
    )
    _log_some(logging.INFO, "inverted", inverted)
    _log_some(logging.WARNING, "read although it is odd", odd)
    if unreadable:
        logging.warning("%d images could not be read; the column error says why", unreadable)
    return unreadable


def _log_some(level: int, what: str, lines: Sequence[str]) -> None:
    for line in lines[:LOGGED_PATHS]:
        logging.log(level, "  %s: %s", what, line)
    if len(lines) > LOGGED_PATHS:
        logging.log(level, "  and %d more", len(lines) - LOGGED_PATHS)


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Reads `arguments.images` with a checkpoint of the run in `arguments.workdir`.

    Args:
        config: of that run.
        arguments: needs workdir, images and output.

    Returns:
        the exit status: 0, or 2 if some images could not be read.

    Raises:
        UserError: for a missing argument, no image, an output that cannot be written or would
            replace an image or a file of the run, no such run or checkpoint, or a run with another
            config.
        OutputClosed: if nobody reads standard output any more.
    """
    folder = require(arguments.workdir, "workdir", "FOLDER_OF_A_RUN")
    images = require(arguments.images, "images", "FILE_OR_FOLDER_OR_'GLOB'")
    output = require(arguments.output, "output", "FILE.csv")
    require_writable(output)
    paths = find_images(images)
    require_unread(output, paths, folder)
    predict = load_reader(config, folder, arguments.checkpoint)
    logging.info(
        "reading %d images with %s, whose digit images are from source %s",
        len(paths),
        folder,
        config.data.source,
    )
    canvas, digits = (config.data.height, config.data.width), config.data.digits
    columns = number_columns(digits)
    return 2 if predict_files(paths, canvas, predict, columns, number_cells, output) else 0
