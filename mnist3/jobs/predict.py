"""Reads a user's image files into a CSV file, with a checkpoint of a run."""

import csv
import itertools
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from absl import logging
from jaxtyping import UInt8
from ml_collections import ConfigDict
from PIL import Image
from tqdm import tqdm

from mnist3 import learners
from mnist3.data.images import ReadImages, find_images, read_images
from mnist3.errors import UserError
from mnist3.files import (
    STANDARD_OUTPUT,
    opened_output,
    output_text,
    replacing,
    require_unread,
    require_writable,
)
from mnist3.jobs import parts, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.tasks import Predictions, Task

BATCH_SIZE = 256  # of every batch, the last one filled up, so that one compiled program serves
LOGGED_PATHS = 10  # of the inverted images, and of those that the decoder warned of

Predict = Callable[[UInt8[np.ndarray, "batch height width"]], Predictions]


def require(value: str | None, flag: str, example: str) -> str:
    """Returns the value of a flag that predict needs.

    Raises:
        UserError: if it is not given.
    """
    if not value:
        raise UserError(f"--mode=predict needs --{flag}; add --{flag}={example}.")
    return value


def predict_filled(predict: Predict, images: UInt8[np.ndarray, "n height width"]) -> Predictions:
    """Returns predictions of up to `BATCH_SIZE` images."""
    filled = np.pad(images, ((0, BATCH_SIZE - len(images)), (0, 0), (0, 0)))
    return predict(filled).of(slice(len(images)))


def read_batches(
    paths: Sequence[str], canvas: tuple[int, int], predict: Predict
) -> Iterator[tuple[ReadImages, Predictions]]:
    """Yields what is read of image files, and predictions of each, also of unreadable ones.

    The next batch is read from the disk while the model works on this one.

    Args:
        paths: image files.
        canvas: (height, width) of the model's images.
        predict: returns predictions of images, `BATCH_SIZE` at a time.
    """
    for batch in read_images(paths, *canvas, BATCH_SIZE, workers=os.cpu_count() or 1):
        yield batch, predict_filled(predict, batch.images)


def predict_files(
    paths: Sequence[str],
    canvas: tuple[int, int],
    predict: Predict,
    columns: Sequence[str],
    cells: Callable[[Predictions, Sequence[str]], Sequence[Sequence[str]]],
    output: str,
) -> int:
    """Writes what is predicted for each image file to a CSV file, one row an image, in order.

    The columns are path, those given and error; an unreadable file has its path and its error
    alone. A file appears whole or not at all; standard output gets the rows of a batch as they are
    known.

    Whoever reads the CSV with a number in it has to read that column as text, or leading zeros are
    lost: `pandas.read_csv(path, dtype={"number": str})`; in Excel, Data > From Text/CSV with the
    column's type set to Text. No way of quoting keeps them there.

    Args:
        paths: image files.
        canvas: (height, width) of the model's images.
        predict: returns predictions of images, `BATCH_SIZE` at a time.
        columns: names, between path and error.
        cells: returns, of predictions and the paths of their images, a row an image under
            `columns`.
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
    first = 0
    hidden = True if output == STANDARD_OUTPUT and sys.stdout.isatty() else None
    with (
        opened_output(output) as file,
        tqdm(total=len(paths), unit="image", disable=hidden) as progress,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", *columns, "error"])
        for batch, predicted in read_batches(paths, canvas, predict):
            of_batch = paths[first : (first := first + len(batch.errors))]
            read = [row for row, error in enumerate(batch.errors) if not error]
            predictions = predicted.of(np.asarray(read, int))
            rows = dict(zip(read, cells(predictions, [of_batch[row] for row in read]), strict=True))
            for row, (path, error) in enumerate(zip(of_batch, batch.errors, strict=True)):
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
    """Predicts `arguments.images` with what the run in `arguments.workdir` has learned.

    Of a comparison it is the candidate that was chosen. Where images are predicted, the output is a
    folder, which gets a PNG for each image and `predictions.csv`.

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
    workdir_of_run = require(arguments.workdir, "workdir", "FOLDER_OF_A_RUN")
    images = require(arguments.images, "images", "FILE_OR_FOLDER_OR_'GLOB'")
    output = require(arguments.output, "output", "FILE.csv")
    folder, config = workdir.chosen(workdir_of_run, config)
    task = parts.task_of(config)
    images_folder = None
    if task.model_output == "images":
        images_folder, output = output, os.path.join(output, "predictions.csv")
        make_folder(images_folder, "the predicted images")
    require_writable(output)
    paths = find_images(images)
    require_unread(output, paths, workdir_of_run)
    if images_folder is not None:
        _require_other_folder(images_folder, paths)
    learned = learners.load(config, task, folder, arguments.checkpoint, arguments.allow_pickle)
    logging.info(
        "reading %d images with %s, whose digit images are from source %s",
        len(paths),
        folder,
        config.data.source,
    )
    canvas = (config.data.height, config.data.width)
    columns, cells = task.predicted_columns, _cells(task, images_folder)
    return 2 if predict_files(paths, canvas, learned.predict, columns, cells, output) else 0


def _cells(
    task: Task, folder: str | None
) -> Callable[[Predictions, Sequence[str]], Sequence[Sequence[str]]]:
    """Returns what gives the cells of predictions; predicted images go into the folder."""
    if folder is None:
        return lambda predictions, paths: task.predicted_cells(predictions)
    taken: set[str] = set()

    def save(predictions: Predictions, paths: Sequence[str]) -> list[list[str]]:
        names = []
        images = task.predicted_images(predictions)
        for image, path in zip([] if images is None else images, paths, strict=True):
            stem = name = pathlib.PurePath(path).stem
            for number in itertools.count(2):
                if name not in taken:
                    break
                name = f"{stem}-{number}"
            taken.add(name)
            file = os.path.join(folder, f"{name}.png")
            with replacing(file, "wb") as opened:
                Image.fromarray(image).save(opened, format="png")
            names.append([os.path.basename(file)])
        return names

    return save


def _require_other_folder(folder: str, paths: Sequence[str]) -> None:
    """Checks that no predicted image can take the place of one that is read."""
    for path in paths:
        if os.path.realpath(os.path.dirname(os.path.abspath(path))) == os.path.realpath(folder):
            raise UserError(
                f"--output={folder} holds {path}, which is read; name another folder for the "
                "predicted images."
            )


def make_folder(folder: str, purpose: str) -> None:
    """Makes the folder that --output names, unless it is there.

    Raises:
        UserError: if it cannot be made; says for what it was to be.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder --output={folder} for {purpose}: "
            f"{error.strerror}; name another."
        ) from error
