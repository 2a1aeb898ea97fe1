"""Evaluates a checkpoint on val and test: metrics, predictions, figures and the report."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from mnist3 import models, runtime
from mnist3.data import dataset as datasets
from mnist3.data.splits import HELD_OUT
from mnist3.errors import UserError
from mnist3.evaluation.metrics import number_metrics
from mnist3.jobs import output, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.reader import Reader
from mnist3.reporting import drawing, report
from mnist3.tracking import Tracker, read_history
from mnist3.training import program
from mnist3.training.checkpoints import Checkpoints
from mnist3.training.run import Run, assemble


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Evaluates a checkpoint of a run that exists and writes its files anew."""
    dataset = datasets.load(config.data, arguments.data_dir, runtime.cache_dir())
    output.log_dataset(dataset)
    if not dataset.splits.keys() & set(HELD_OUT):
        raise UserError(
            f"{dataset.name} has neither val nor test here, so there is nothing to evaluate; add "
            "the folder of one to its images."
        )
    parts = assemble(config, config.training.batch_size)
    checkpoints = Checkpoints(arguments.workdir, read_only=True)
    try:
        metrics = evaluate_run(
            parts, dataset, checkpoints, arguments.checkpoint, arguments.workdir, arguments.command
        )
    finally:
        checkpoints.close()
    output.print_table(metrics, arguments.workdir)
    return 0


def evaluate_run(
    parts: Run,
    dataset: datasets.Dataset,
    checkpoints: Checkpoints,
    checkpoint: str,
    folder: str,
    command: str,
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Reads val and test with a checkpoint and writes every file of the run that rests on them.

    Returns:
        The content of metrics.json.

    Raises:
        UserError: if there is no such checkpoint.
    """
    reader = read(parts, dataset, checkpoints, checkpoint, folder)
    write_predictions(folder, dataset, reader.scored)
    workdir.write_json(os.path.join(folder, "metrics.json"), reader.metrics)
    report.write(
        os.path.join(folder, "report.html"),
        config=parts.config.to_dict(),
        metrics=reader.metrics,
        history=reader.history,
        figures=drawing.save_all({name: draw() for name, draw in reader.drawers().items()}, folder),
        command=command,
    )
    if tracker is not None:
        tracker.log_misread(*reader.misreadings)
        tracker.summary(reader.metrics)
    return reader.metrics


def read(
    parts: Run,
    dataset: datasets.Dataset,
    checkpoints: Checkpoints,
    checkpoint: str,
    folder: str,
    splits: Sequence[str] = HELD_OUT,
) -> Reader:
    """Reads val and test, or one of them, with a checkpoint of a run.

    Args:
        parts: of the run.
        dataset: with val, test or both.
        checkpoints: of the run.
        checkpoint: `best`, `latest` or the number of an epoch.
        folder: workdir of the run.
        splits: to read, of those that the dataset has.

    Raises:
        UserError: if there is no such checkpoint.
    """
    epoch = checkpoints.resolve(checkpoint)
    history = read_history(folder, checkpoints.resolve("latest"))
    state = checkpoints.restore(epoch, parts.state_shapes())
    images_seen = history[-1]["step"] * parts.config.training.batch_size
    metrics = {
        "dataset": dataset.describe(),
        "model": {
            "name": parts.config.model.name,
            "parameters": models.parameter_count(state.params),
        },
        "train": {
            "seconds": history[-1]["seconds"],
            "compile_seconds": history[-1]["compile_seconds"],
            "examples_per_second": images_seen / history[-1]["train_seconds"],
            "epochs": len(history),
            "steps": history[-1]["step"],
            "checkpoint_epoch": epoch,
        },
    }
    scored = score_splits(parts, dataset, state.inference_params, splits)
    metrics |= measure(dataset, scored)
    params = jax.device_get(state.inference_params)
    return Reader(parts.config, dataset, parts.model, params, history, scored, metrics)


def score_splits(
    parts: Run,
    dataset: datasets.Dataset,
    params: optax.Params,
    splits: Sequence[str] = HELD_OUT,
) -> dict[str, program.Scores]:
    """Returns what a model makes of val and of test, of those that the dataset has."""
    compute_logits = program.create_compute_logits(
        parts.model, parts.mesh, parts.config.evaluation.shift
    )
    return {
        name: jax.device_get(
            program.score_split(
                compute_logits, params, program.put_split(dataset.splits[name], parts.mesh)
            )
        )
        for name in splits
        if name in dataset.splits
    }


def measure(
    dataset: datasets.Dataset, scored: Mapping[str, program.Scores]
) -> dict[str, dict[str, Any]]:
    """Returns the metrics of each split that was read, under the names of metrics.json."""
    return {
        name: number_metrics(
            dataset.splits[name].labels,
            scores.prediction.digits,
            scores.prediction.confidence,
            scores.log_likelihood,
            (dataset.digit_indices or {}).get(name),
        )
        for name, scores in scored.items()
    }


def write_predictions(
    folder: str, dataset: datasets.Dataset, scored: Mapping[str, program.Scores]
) -> None:
    """Writes what was read of each split into the folder of a run."""
    for name, scores in scored.items():
        path = os.path.join(folder, f"predictions_{name}.csv")
        output.write_predictions(path, dataset.splits[name].labels, scores.prediction)
