"""Predicts the target column of a table for rows that lack it, with the model of a run."""

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from mnist3.data import columns
from mnist3.data.table_files import read_table, to_csv
from mnist3.errors import UserError
from mnist3.evaluation.words import confidence_text
from mnist3.files import opened_output, output_text, require_unread, require_writable
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.predict import require
from mnist3.learners.estimator import load_model

ADDED = ("prediction", "probability")


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Predicts the rows of `arguments.table` with the run in `arguments.workdir`.

    Raises:
        UserError: for a missing argument, or as `predict_table`.
    """
    del config
    folder = require(arguments.workdir, "workdir", "FOLDER_OF_A_RUN")
    table = require(arguments.table, "table", "FILE.csv")
    output = require(arguments.output, "output", "FILE.csv")
    predict_table(folder, table, output, arguments.allow_pickle)
    return 0


def predict_table(folder: str, path: str, output: str, allow_pickle: bool = False) -> int:
    """Writes a table's rows with what a run predicts for each and how probable it is.

    Args:
        folder: workdir of the run.
        path: CSV or Parquet with the columns that the run learned from; others are kept. Cells are
            read as they were for training.
        output: the CSV file to write, one that exists is replaced; - for standard output.
        allow_pickle: whether to read the model of an older run, a pickle that can run any code.

    Returns:
        the number of rows.

    Raises:
        UserError: if there is no such run, the table lacks a column or cannot be read, or the
            output cannot be written or would replace the table or a file of the run.
        OutputClosed: if nobody reads standard output any more.
    """
    require_writable(output)
    require_unread(output, [path], folder)
    model = load_model(folder, allow_pickle)
    cells = read_table(path)
    taken = [name for name in ADDED if name in cells.columns]
    if taken:
        raise UserError(
            f"{path} has a column {taken[0]} already, where the {taken[0]} would be written; "
            "rename it."
        )
    features, notes = columns.as_features(
        columns.mark_missing(cells), model["kinds"], model.get("formats", {}), path
    )
    for note in notes:
        logging.warning("%s: %s", path, note)
    fitted = model["estimator"] if "estimator" in model else model["pipeline"]  # of older runs
    probabilities = fitted.predict_proba(features)
    chosen = probabilities.argmax(axis=1)
    cells["prediction"] = np.array(model["classes"], dtype=object)[chosen]
    cells["probability"] = [confidence_text(value) for value in probabilities.max(axis=1)]
    with opened_output(output) as file:
        file.write(to_csv(cells))
    logging.info(
        "wrote %s: %d rows with a predicted %s", output_text(output), len(cells), model["target"]
    )
    return len(cells)
