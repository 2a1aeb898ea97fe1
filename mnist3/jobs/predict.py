"""Reads a user's image files into a CSV file, with a checkpoint of a run."""

import contextlib
import csv
import os
import sys
from collections.abc import Callable, Sequence

from absl import logging
from ml_collections import ConfigDict
from PIL import Image
from tqdm import tqdm

from mnist3 import learners
from mnist3.data.images import find_images
from mnist3.data.processes import finders
from mnist3.errors import UserError
from mnist3.files import (
    STANDARD_OUTPUT,
    free_name,
    opened_output,
    output_text,
    replacing,
    require_unread,
    require_writable,
)
from mnist3.jobs import parts, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.pictures import Batch, Batches, reader_of, require_lines
from mnist3.tasks import Predictions, Task

MANY = 64  # images with lines; for fewer no processes are started
LOGGED_PATHS = 10  # of the inverted images, and of those that the decoder warned of


def require(value: str | None, flag: str, example: str, mode: str = "predict") -> str:
    """Returns the value of a flag that a mode needs.

    Raises:
        UserError: if it is not given.
    """
    if not value:
        raise UserError(f"--mode={mode} needs --{flag}; add --{flag}={example}.")
    return value


def predict_files(
    paths: Sequence[str],
    batches: Batches,
    columns: Sequence[str],
    cells: Callable[[Predictions, Sequence[str]], Sequence[Sequence[str]]],
    output: str,
    by_line: bool = False,
    save_views: Callable[[Batch], None] | None = None,
) -> int:
    """Writes what is predicted for each image file to a CSV file, one row an image, in order.

    The columns are path, those given and error; an unreadable file has its path and its error
    alone. Where pictures are read line by line there is a row a line, with its number from 1 in the
    column `line` and its box, `left top right bottom` in px, in the column `box`. A file appears
    whole or not at all; standard output gets the rows of a batch as they are known.

    Whoever reads the CSV with a number in it has to read that column as text, or leading zeros are
    lost: `pandas.read_csv(path, dtype={"number": str})`; in Excel, Data > From Text/CSV with the
    column's type set to Text. No way of quoting keeps them there.

    Args:
        paths: image files.
        batches: reads them, see `mnist3.pictures.reader_of`.
        columns: names, between path and error.
        cells: returns, of predictions and the paths of their images, a row an image under
            `columns`.
        output: path of the CSV file, one that exists is replaced and has to be none of the image
            files (`require_unread`); or `STANDARD_OUTPUT`.
        by_line: whether pictures are read line by line.
        save_views: given each batch.

    Returns:
        the number of unreadable files.

    Raises:
        UserError: if the output cannot be written.
        OutputClosed: if nobody reads standard output any more.
    """
    names = ["path", "line", *columns, "box", "error"] if by_line else ["path", *columns, "error"]
    unreadable, inverted, odd = 0, [], []
    hidden = True if output == STANDARD_OUTPUT and sys.stdout.isatty() else None
    with (
        opened_output(output) as file,
        tqdm(total=len(paths), unit="image", disable=hidden) as progress,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for batch in batches(paths):
            owners = [
                path for path, seen in zip(batch.paths, batch.seen, strict=True) for _ in seen
            ]
            found = iter([] if batch.predictions is None else cells(batch.predictions, owners))
            for path, seen, error in zip(batch.paths, batch.seen, batch.errors, strict=True):
                if error:
                    writer.writerow([path, *[""] * (len(names) - 2), error])
                for line, each in enumerate(seen, start=1):
                    row, box = next(found), " ".join(map(str, each.box or ()))
                    writer.writerow([path, line, *row, box, ""] if by_line else [path, *row, ""])
            inverted += [p for p, dark in zip(batch.paths, batch.inverted, strict=True) if dark]
            noted = zip(batch.paths, batch.warnings, strict=True)
            odd += [f"{path}: {warning}" for path, warning in noted if warning]
            unreadable += sum(map(bool, batch.errors))
            if save_views is not None:
                save_views(batch)
            file.flush()
            progress.update(len(batch.paths))
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
    folder, config = workdir.chosen(workdir_of_run, config, arguments.replicate)
    task = parts.task_of(config)
    images_folder = None
    if task.model_output == "images":
        images_folder, output = output, os.path.join(output, "predictions.csv")
        make_folder(images_folder, "the predicted images")
    require_writable(output)
    paths = find_images(images)
    require_unread(output, paths, workdir_of_run)
    require_lines(task, arguments.lines)
    if arguments.save_views:
        make_folder(arguments.save_views, "the views", flag="save_views")
        _require_other_folder(arguments.save_views, paths, "views", "save_views")
    if images_folder is not None:
        _require_other_folder(images_folder, paths, "predicted images", "output")
    learned = learners.load(config, task, folder, arguments.checkpoint, arguments.allow_pickle)
    logging.info(
        "reading %d images with %s, whose digit images are from source %s",
        len(paths),
        folder,
        config.data.source,
    )
    many = task.reads_lines and len(paths) >= MANY
    with finders() if many else contextlib.nullcontext() as pool:
        unreadable = predict_files(
            paths,
            reader_of(config, task, learned.predict, arguments.lines, finders=pool),
            task.predicted_columns,
            _cells(task, images_folder),
            output,
            task.reads_lines,
            _save_views(task, arguments.save_views),
        )
    return 2 if unreadable else 0


def _save_views(task: Task, folder: str | None) -> Callable[[Batch], None] | None:
    if not folder:
        return None
    from mnist3.reporting import views  # which takes a while to import

    return views.saver(task, folder)


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
            file = os.path.join(folder, f"{free_name(path, taken)}.png")
            with replacing(file, "wb") as opened:
                Image.fromarray(image).save(opened, format="png")
            names.append([os.path.basename(file)])
        return names

    return save


def _require_other_folder(folder: str, paths: Sequence[str], what: str, flag: str) -> None:
    """Checks that no image that is written can take the place of one that is read."""
    for path in paths:
        if os.path.realpath(os.path.dirname(os.path.abspath(path))) == os.path.realpath(folder):
            raise UserError(
                f"--{flag}={folder} holds {path}, which is read; name another folder for the "
                f"{what}."
            )


def make_folder(folder: str, purpose: str, flag: str = "output") -> None:
    """Makes the folder that a flag names, unless it is there.

    Raises:
        UserError: if it cannot be made; says for what it was to be.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder --{flag}={folder} for {purpose}: "
            f"{error.strerror}; name another."
        ) from error
