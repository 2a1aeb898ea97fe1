"""Evaluates a checkpoint on val and test: metrics, predictions, figures and the report."""

import csv
import os
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from mnist3 import models, runtime
from mnist3.data import dataset as datasets
from mnist3.data.composition import overlap
from mnist3.data.splits import Split
from mnist3.errors import UserError
from mnist3.evaluation.metrics import number_metrics
from mnist3.files import replacing
from mnist3.jobs import workdir
from mnist3.jobs.arguments import Arguments
from mnist3.reporting import figures, report
from mnist3.tracking import Tracker
from mnist3.training import program
from mnist3.training.checkpoints import Checkpoints
from mnist3.training.run import Run, assemble


class SplitOnDevice(NamedTuple):
    """A split ready to be read: uint8 [batches, size, height, width] and its labels."""

    batches: jax.Array
    labels: jax.Array


def on_device(split: Split, mesh: jax.sharding.Mesh) -> SplitOnDevice:
    """Copies a split to every device."""
    return SplitOnDevice(program.batched(split.images, mesh), program.replicate(split.labels, mesh))


def score_on_device(compute_logits, params, split: SplitOnDevice) -> program.Scores:
    """Returns what the model makes of a split, still on the device."""
    return program.score(compute_logits(params, split.batches), split.labels)


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Evaluates a checkpoint of a run that exists and writes its files anew."""
    dataset = datasets.load(config.data, arguments.data_dir, runtime.cache_dir())
    log_dataset(dataset)
    if not dataset.splits.keys() & {"val", "test"}:
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
    print_table(metrics, arguments.workdir)
    return 0


def log_dataset(dataset: datasets.Dataset) -> None:
    """Logs what the data are, and which split is not there."""
    logging.info(
        "dataset %s from source %s, numbers %s, digit images %s, fingerprint %s",
        dataset.name,
        dataset.source,
        dataset.protocol["numbers"],
        dataset.protocol["digit_images"],
        dataset.fingerprint[:12],
    )
    if dataset.composition is not None:
        logging.info(
            "  a digit's right neighbour covers %.0f %% of its box",
            100 * overlap(dataset.composition),
        )
    for name in ("train", "val", "test"):
        if name in dataset.splits:
            logging.info("  %s: %d images", name, len(dataset.splits[name]))
        elif name == "train" and dataset.stream:
            logging.info("  train: composed on the device as it trains")
        else:
            logging.info("  %s: not there, so nothing will be said of it", name)


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
    epoch = checkpoints.resolve(checkpoint)
    _, history = checkpoints.restore(checkpoints.resolve("latest"), parts.initial_state())
    state, _ = checkpoints.restore(epoch, parts.initial_state())
    compute_logits = program.create_compute_logits(parts.model, parts.mesh)
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
            "examples_per_second": images_seen / history[-1]["seconds"],
            "epochs": len(history),
            "steps": history[-1]["step"],
            "checkpoint_epoch": epoch,
        },
    }
    scored = {}
    for name in ("val", "test"):
        if name not in dataset.splits:
            continue
        split = dataset.splits[name]
        scores = jax.device_get(
            score_on_device(compute_logits, state.inference_params, on_device(split, parts.mesh))
        )
        scored[name] = scores
        metrics[name] = number_metrics(
            split.labels,
            scores.prediction.digits,
            scores.prediction.confidence,
            scores.log_likelihood,
        )
        write_predictions(
            os.path.join(folder, f"predictions_{name}.csv"), split.labels, scores.prediction
        )
    workdir.write_json(os.path.join(folder, "metrics.json"), metrics)
    report.write(
        os.path.join(folder, "report.html"),
        config=parts.config.to_dict(),
        metrics=metrics,
        history=history,
        figures=draw_figures(dataset, scored, metrics, history, folder),
        command=command,
    )
    if tracker is not None:
        tracker.log_misread(*misreadings(dataset, scored))
        tracker.summary(metrics)
    return metrics


def misreadings(
    dataset: datasets.Dataset, scored: dict[str, program.Scores]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns images, labels, predictions and confidences to find mistakes in.

    They are those of val where there is a val: who looks for mistakes in order to mend them must
    not look at test.
    """
    name = next(iter(scored))
    prediction = scored[name].prediction
    split = dataset.splits[name]
    return split.images, split.labels, prediction.digits, prediction.confidence


def draw_figures(
    dataset: datasets.Dataset,
    scored: dict[str, program.Scores],
    metrics: dict[str, Any],
    history: list[dict[str, Any]],
    folder: str,
) -> list[str]:
    """Draws the figures of a run into its folder and returns their files in reading order."""
    name = next(iter(scored))
    data = f"{dataset.name} from {dataset.source}"
    model = f"{metrics['model']['name']} on {data}"
    images, labels, predictions, confidences = misreadings(dataset, scored)
    drawn = {
        "learning_curves": figures.learning_curves(history, model),
        "position_accuracy": figures.position_accuracy(
            {split: metrics[split]["position_accuracy"] for split in scored},
            {split: metrics[split]["n"] for split in scored},
            model,
        ),
        "misread": figures.misread(images, labels, predictions, confidences, f"{model}, {name}"),
        "confusion": figures.position_confusion(labels, predictions, f"{model}, {name}"),
        "reliability": figures.reliability(confidences, labels, predictions, f"{model}, {name}"),
        "examples": figures.examples(images, labels, f"{data}, {name}"),
        "class_balance": figures.class_balance(
            {split: held.labels for split, held in dataset.splits.items()}, data
        ),
    }
    os.makedirs(os.path.join(folder, "figures"), exist_ok=True)
    paths = {file: os.path.join(folder, "figures", f"{file}.png") for file in drawn}
    for file, path in paths.items():
        figures.save(drawn[file], path)
    return list(paths.values())


def files_of(folder: str) -> list[str]:
    """Returns what a finished run leaves in its folder and may be stored elsewhere."""
    names = ("config.json", "metrics.json", "history.jsonl", "report.html", "figures")
    predictions = [f"predictions_{split}.csv" for split in ("val", "test")]
    paths = [os.path.join(folder, name) for name in (*names, *predictions, "checkpoints")]
    return [path for path in paths if os.path.exists(path)]


def number_text(digits: np.ndarray) -> str:
    """Returns a number as text, leading zeros kept."""
    return "".join(map(str, digits))


def write_predictions(path: str, labels: np.ndarray, prediction) -> None:
    """Writes a row an image: its number, what was read, how surely, and each position."""
    positions = [f"digit_{position + 1}" for position in range(labels.shape[1])]
    with replacing(path, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "label", "prediction", "confidence", *positions])
        for index, (label, digits, confidence) in enumerate(
            zip(labels, prediction.digits, prediction.confidence, strict=True)
        ):
            writer.writerow(
                [index, number_text(label), number_text(digits), f"{confidence:.6f}", *digits]
            )


def print_table(metrics: dict[str, Any], folder: str) -> None:
    """Prints the result of a run, and where its files are."""
    data, model = metrics["dataset"], metrics["model"]
    print(
        f"\n{model['name']} ({model['parameters']:,} parameters) on {data['name']}, source "
        f"{data['source']}, numbers {data['protocol']['numbers']}, digit images "
        f"{data['protocol']['digit_images']}"
    )
    print(
        f"{'split':<6}{'images':>8}{'exact match':>13}{'95 % interval':>18}{'digit accuracy':>16}"
    )
    for name in ("val", "test"):
        if name in metrics:
            split = metrics[name]
            low, high = split["exact_match_ci95"]
            print(
                f"{name:<6}{split['n']:>8}{split['exact_match']:>13.4f}"
                f"{f'{low:.4f} to {high:.4f}':>18}{split['digit_accuracy']:>16.4f}"
            )
    train = metrics["train"]
    print(
        f"trained {train['epochs']} epochs in {train['seconds']:.1f} s (and "
        f"{train['compile_seconds']:.1f} s to compile); files in {folder}"
    )
