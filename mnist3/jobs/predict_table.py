"""Predicts the target column of a table for rows that lack it, with the model of a run."""

import os
from typing import Any

import numpy as np
from absl import logging
from ml_collections import ConfigDict
from sklearn.pipeline import Pipeline

from mnist3.data import tabular
from mnist3.data.table_files import read_table, to_csv
from mnist3.data.tabular import Table
from mnist3.errors import UserError
from mnist3.files import replacing
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.predict import require
from mnist3.jobs.workdir import MODEL_FILE, OLD_MODEL_FILE, require_writable
from mnist3.learners.saved import load_estimator, save_estimator

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
        "formats": dict(table.formats),
        "target": table.target,
        "classes": table.classes,
    }
    save_estimator(os.path.join(folder, MODEL_FILE), content)


def predict_table(folder: str, path: str, output: str, allow_pickle: bool = False) -> int:
    """Writes a table's rows with what a run predicts for each and how probable it is.

    Args:
        folder: workdir of the run.
        path: CSV or Parquet with the columns that the run learned from; others are kept. Cells are
            read as they were for training.
        output: the CSV file to write; one that exists is replaced.
        allow_pickle: whether to read the model of an older run, a pickle that can run any code.

    Returns:
        the number of rows.

    Raises:
        UserError: if there is no such run, the table lacks a column or cannot be read, or the
            output cannot be written.
    """
    require_writable(output)
    model = _load_model(folder, allow_pickle)
    cells = read_table(path)
    taken = [name for name in ADDED if name in cells.columns]
    if taken:
        raise UserError(
            f"{path} has a column {taken[0]} already, where the {taken[0]} would be written; "
            "rename it."
        )
    features, notes = tabular.as_features(
        tabular.mark_missing(cells), model["kinds"], model.get("formats", {}), path
    )
    for note in notes:
        logging.warning("%s: %s", path, note)
    probabilities = model["pipeline"].predict_proba(features)
    chosen = probabilities.argmax(axis=1)
    cells["prediction"] = np.array(model["classes"], dtype=object)[chosen]
    cells["probability"] = [f"{value:.6f}" for value in probabilities.max(axis=1)]
    with replacing(output, encoding="utf-8", newline="") as file:
        file.write(to_csv(cells))
    logging.info("wrote %s: %d rows with a predicted %s", output, len(cells), model["target"])
    return len(cells)


def _load_model(folder: str, allow_pickle: bool) -> dict[str, Any]:
    path = os.path.join(folder, MODEL_FILE)
    old = os.path.join(folder, OLD_MODEL_FILE)
    try:
        return load_estimator(path if os.path.exists(path) else old, allow_pickle)
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} holds no model of a table ({MODEL_FILE}); give --workdir the folder of a "
            "finished run of experiments/tabular.py."
        ) from error
