"""Learns a column of a table from the others, with several estimators, and chooses one.

Each estimator is tuned by cross-validation on the training rows, which also chooses among them. The
test rows are read once, at the end, for the winner and the table.
"""

import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from absl import logging
from jaxtyping import Bool, Float, Int
from ml_collections import ConfigDict
from sklearn.base import clone
from sklearn.inspection import permutation_importance
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from mnist3 import tasks
from mnist3.data import tabular
from mnist3.data.tabular import Table
from mnist3.estimators import tabular as estimators
from mnist3.evaluation import selection
from mnist3.evaluation.cached import CachedEstimator, Inputs, fits_cache
from mnist3.evaluation.classification import classification_metrics
from mnist3.evaluation.search import search
from mnist3.jobs import output, tabular_output, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.tabular_predict import save_model
from mnist3.reporting import drawing

IMPORTANCE_REPEATS = 5
SMALL = 10_000  # training rows; below, OpenMP's threads wait for each other longer than they work


class Examples(NamedTuple):
    """Rows of a table: their features and the class of each."""

    features: pd.DataFrame
    labels: Int[np.ndarray, "n"]


class Candidate(NamedTuple):
    """An estimator with the parameters that cross-validation chose.

    Attributes:
        pipeline: not fitted.
        parameters: the chosen ones, under the estimator's own names.
        right: which training rows it predicts right when they are held out.
        search_results: what the search tried; None without a search.
        seconds: that the search took.
    """

    pipeline: Pipeline
    parameters: dict[str, Any]
    right: Bool[np.ndarray, "n"]
    search_results: dict[str, Any] | None
    seconds: float


class Scored(NamedTuple):
    """A candidate fitted to train that has read test."""

    pipeline: Pipeline
    probabilities: Float[np.ndarray, "n classes"]
    metrics: dict[str, Any]
    seconds: float


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Tunes and compares the config's estimators on a table, and writes the files of a run."""
    folder = arguments.workdir or workdir.fresh_workdir(arguments.experiment)
    with workdir.claimed(folder, config):
        logging.info("workdir: %s", folder)
        table = tabular.load(config.data)
        rows = tabular.split_rows(table, config.data.seed, config.search.folds)
        tabular_output.log_table(table, rows)
        workdir.write_config(folder, config)
    with output.tracked(folder, config) as tracker:
        metrics = study(config, table, rows, folder, arguments.command)
        tracker.summary(metrics)
    tabular_output.print_table(metrics, folder)
    return 0


def study(
    config: ConfigDict,
    table: Table,
    rows: Mapping[str, Int[np.ndarray, "_"]],
    folder: str,
    command: str,
) -> dict[str, Any]:
    """Chooses an estimator on train, reads test and writes every file that rests on that.

    Args:
        config: the whole config.
        table: the table.
        rows: of train and test.
        folder: workdir of the run.
        command: that made the run.

    Returns:
        The content of metrics.json.
    """
    train, test = (examples_of(table, rows[split]) for split in ("train", "test"))
    task = task_of(table)
    candidates = {}
    names = config.tabular.estimators
    for name in (progress := tqdm(names, desc="tuning", unit="estimator", disable=None)):
        progress.set_postfix_str(name)
        candidates[name] = tune(name, config, table, task, train)
    comparison = selection.compare(
        {name: each.right for name, each in candidates.items()},
        folds=selection.fold_of_each(train.labels, config.search.folds),
    )
    scored = {
        each.name: score(candidates[each.name].pipeline, task, train, test)
        for each in comparison.candidates
    }
    winner = scored[comparison.winner]
    importances = importances_of(winner.pipeline, test, config.seed)
    lines = {
        each.name: _line(each, candidates[each.name], scored[each.name])
        for each in comparison.candidates
    }
    metrics = {
        "dataset": table.describe() | {"source": config.data.path or "embedded, synthetic"},
        "model": {
            "name": comparison.winner,
            "parameters": lines[comparison.winner]["parameters"],
        },
        "train": {
            "n": len(train.labels),
            "folds": config.search.folds,
            "seconds": sum(line["search_seconds"] + line["fit_seconds"] for line in lines.values()),
        },
        "test": winner.metrics,
        "importance": {
            name: {"mean": float(falls.mean()), "std": float(falls.std())}
            for name, falls in zip(table.features.columns, importances, strict=True)
        },
        "estimators": lines,
    }
    save_model(folder, winner.pipeline, table)
    tabular_output.write_predictions(
        os.path.join(folder, "predictions_test.csv"),
        table.features.index[rows["test"]].to_numpy(),
        test.labels,
        winner.probabilities,
        table.classes,
    )
    drawers = tabular_output.drawers(
        table,
        {"train": train.labels, "test": test.labels},
        comparison,
        {name: each.probabilities for name, each in scored.items()},
        importances,
        candidates[comparison.winner].search_results,
    )
    figures = drawing.save_all({name: draw() for name, draw in drawers.items()}, folder)
    workdir.write_json(os.path.join(folder, "metrics.json"), metrics)
    tabular_output.write_report(folder, config, metrics, figures, command)
    return metrics


def examples_of(table: Table, rows: Int[np.ndarray, "n"]) -> Examples:
    """Returns some rows of a table."""
    return Examples(table.features.iloc[rows], table.labels[rows])


def importances_of(
    fitted: Pipeline, examples: Examples, seed: int
) -> Float[np.ndarray, "columns repeats"]:
    """Returns by how much accuracy falls when a column is shuffled, several times each."""
    return permutation_importance(
        fitted, *examples, n_repeats=IMPORTANCE_REPEATS, random_state=seed, scoring="accuracy"
    ).importances


def task_of(table: Table) -> tasks.Task:
    """Returns the task of predicting a table's target."""
    kind = "binary" if len(table.classes) == 2 else "multiclass"
    return tasks.Task(name=table.target, kind=kind, classes=table.classes, metrics=(), figures=())


def tune(
    name: str, config: ConfigDict, table: Table, task: tasks.Task, train: Examples
) -> Candidate:
    """Returns an estimator with its best parameters; fits are cached.

    The values tried are those of config.search.grid, or without them the estimator's in
    `mnist3.estimators.tabular.GRIDS`.
    """
    started = time.perf_counter()
    pipeline = estimators.create(
        name, table.kinds, task, config.estimator.parameters.to_dict(), config.seed
    )
    memory = fits_cache()
    inputs = Inputs(train.features)
    parameters, results = {}, None
    if config.search.method != "none":
        grid = config.search.grid.to_dict() or dict(estimators.GRIDS[name])
        wanted = ConfigDict({**config.search.to_dict(), "grid": grid})
        with _few_threads(len(train.labels)):
            found = search(pipeline, wanted, inputs, train.labels, config.seed, memory)
        results = found.cv_results_
        pipeline = clone(pipeline).set_params(**found.best_params_)
        parameters = {key.split("__")[-1]: value for key, value in found.best_params_.items()}
    held_out = cross_val_predict(
        CachedEstimator(pipeline, inputs, memory), inputs.rows, train.labels, cv=config.search.folds
    )
    right = held_out == train.labels
    seconds = time.perf_counter() - started
    logging.info(
        "%s: accuracy %.4f by cross-validation with %s, %.1f s",
        name,
        right.mean(),
        ", ".join(f"{key}={value}" for key, value in parameters.items()) or "its own parameters",
        seconds,
    )
    return Candidate(pipeline, parameters, right, results, seconds)


def _few_threads(rows: int) -> contextlib.AbstractContextManager:
    return threadpool_limits(1, "openmp") if rows < SMALL else contextlib.nullcontext()


def score(pipeline: Pipeline, task: tasks.Task, train: Examples, test: Examples) -> Scored:
    """Fits a pipeline to train and reads test with it."""
    started = time.perf_counter()
    fitted = clone(pipeline).fit(*train)
    seconds = time.perf_counter() - started
    probabilities = fitted.predict_proba(test.features)
    predictions = probabilities.argmax(axis=1)
    metrics = classification_metrics(task.kind, test.labels, predictions, probabilities)
    return Scored(fitted, probabilities, metrics, seconds)


def _line(compared: selection.Candidate, candidate: Candidate, scored: Scored) -> dict[str, Any]:
    """Returns what metrics.json says of one estimator."""
    return {
        "parameters": candidate.parameters,
        "cross_validation": compared.measures(),
        "test": scored.metrics,
        "search_seconds": candidate.seconds,
        "fit_seconds": scored.seconds,
    }
