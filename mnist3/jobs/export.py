"""Writes what a network has learned as files that other programs read."""

import contextlib
import os

from absl import logging
from ml_collections import ConfigDict

from mnist3 import export, learners
from mnist3.errors import UserError
from mnist3.files import replacing, require_unread, require_writable
from mnist3.jobs import parts, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.predict import make_folder, require
from mnist3.learners.network import Network


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Writes the network of the run in `arguments.workdir` in the formats that are asked for.

    Of a comparison it is the candidate that was chosen. Files appear whole or not at all, and none
    before all of them are made.

    Args:
        config: of that run.
        arguments: needs workdir and output, the folder for the files.

    Returns:
        the exit status, 0.

    Raises:
        UserError: for a missing argument, an unknown format or one whose library is missing, an
            output that cannot be written or would replace a file of the run, no such run or
            checkpoint, a run of an estimator, or a network that a format cannot hold.
    """
    workdir_of_run = require(arguments.workdir, "workdir", "FOLDER_OF_A_RUN", "export")
    output = require(arguments.output, "output", "FOLDER", "export")
    export.require_formats(arguments.formats)
    folder, config = workdir.chosen(workdir_of_run, config, arguments.replicate)
    task = parts.task_of(config)
    learned = learners.load(config, task, folder, arguments.checkpoint, arguments.allow_pickle)
    if not isinstance(learned, Network):
        raise UserError(
            f"the run in {folder} is of the learner {learned.name}, and networks alone are "
            "exported; read pictures with it by --mode=predict."
        )
    make_folder(output, "the exported files")
    reader = export.reader_of(learned)
    for note in reader.metadata["notes"]:
        logging.warning("%s", note)
    contents = {
        os.path.join(output, name): content
        for each in dict.fromkeys(arguments.formats)
        for name, content in export.FORMATS[each](reader).items()
    }
    for path in contents:
        require_writable(path)
        require_unread(path, [], workdir_of_run)
        require_unread(path, [], folder)
    with contextlib.ExitStack() as stack:
        for path, content in contents.items():
            stack.enter_context(replacing(path, "wb")).write(content)
    for path, content in contents.items():
        logging.info("wrote %s, %s bytes", path, f"{len(content):,}")
    return 0
