"""Predicts the target column of a table for rows that lack it, with the model of a run."""

import os
from typing import Any

import joblib
import numpy as np
from absl import logging
from ml_collections import ConfigDict
from sklearn.pipeline import Pipeline

from mnist3.data import tabular
from mnist3.data.table_files import read_table, to_csv
from mnist3.data.tabular import Table
from mnist3.errors import UserError
from mnist3.files import (
    MODEL_FILE,
    opened_output,
    output_text,
    replacing,
    require_unread,
    require_writable,
)
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.predict import require
from mnist3.reporting.cells import confidence_text

ADDED = ("prediction", "probability")


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Predicts the rows of `arguments.table` with the run in `arguments.workdir`.

    Raises:
        UserError: for a missing argument, or as `predict_table`.
    """
    del config
    folder = require(arguments.workdir, "workdir", "FOLDER_OF_A_RUN")
    table = require(arguments.table, "table", "FILE.csv")
    predict_table(folder, table, require(arguments.output, "output", "FILE.csv"))
    return 0


def save_model(folder: str, pipeline: Pipeline, table: Table) -> None:
    """Saves a fitted pipeline in a workdir, with what is needed to prepare new rows for it."""
    content = {
        "pipeline": pipeline,
        "kinds": dict(table.kinds),
        "target": table.target,
        "classes": table.classes,
    }
    with replacing(os.path.join(folder, MODEL_FILE), "wb") as file:
        joblib.dump(content, file, compress=3)


def predict_table(folder: str, path: str, output: str) -> int:
    """Writes a table's rows with what a run predicts for each and how probable it is.

    Args:
        folder: workdir of the run. Its model is a pickle, which can run any code when it is read:
            predict with your own runs alone.
        path: CSV or Parquet with the columns that the run learned from; others are kept.
        output: the CSV file to write, one that exists is replaced; - for standard output.

    Returns:
        the number of rows.

    Raises:
        UserError: if there is no such run, the table lacks a column or cannot be read, or the
            output cannot be written or would replace the table or a file of the run.
        OutputClosed: if nobody reads standard output any more.
    """
    require_writable(output)
    require_unread(output, [path], folder)
    model = _load_model(folder)
    cells = read_table(path)
    taken = [name for name in ADDED if name in cells.columns]
    if taken:
        raise UserError(
            f"{path} has a column {taken[0]} already, where the {taken[0]} would be written; "
            "rename it."
        )
    features = tabular.as_features(tabular.mark_missing(cells), model["kinds"], path)
    probabilities = model["pipeline"].predict_proba(features)
    chosen = probabilities.argmax(axis=1)
    cells["prediction"] = np.array(model["classes"], dtype=object)[chosen]
    cells["probability"] = [confidence_text(value) for value in probabilities.max(axis=1)]
    with opened_output(output) as file:
        file.write(to_csv(cells))
    logging.info(
        "wrote %s: %d rows with a predicted %s", output_text(output), len(cells), model["target"]
    )
    return len(cells)


def _load_model(folder: str) -> dict[str, Any]:
    path = os.path.join(folder, MODEL_FILE)
    try:
        return joblib.load(path)
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} holds no model of a table ({MODEL_FILE}); give --workdir the folder of a "
            "finished run of experiments/tabular.py."
        ) from error
    except Exception as error:  # a pickle that is damaged or of other versions can raise anything
        raise UserError(
            f"{path} cannot be read ({' '.join(repr(error).split())}); train the run anew."
        ) from error
