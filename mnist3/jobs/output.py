"""What a job tells the user, and the files that it leaves in the workdir."""

import contextlib
import csv
import os
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from mnist3 import models
from mnist3.data import dataset as datasets
from mnist3.data.composition import overlap
from mnist3.data.splits import HELD_OUT
from mnist3.files import RUN_FILES, replacing
from mnist3.reporting import report
from mnist3.reporting.cells import confidence_text
from mnist3.tasks import Prediction, number_text
from mnist3.tracking import Tracker
from mnist3.training.run import Run


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


def log_model(parts: Run) -> None:
    """Logs the layers of the model and how many parameters it has."""
    config = parts.config
    table = parts.model.tabulate(
        jax.random.key(0),
        jnp.zeros((1, config.data.height, config.data.width)),
        console_kwargs={"width": 100, "force_terminal": False},
    )
    parameters = models.parameter_count(parts.state_shapes().params)
    logging.info("%s: %d parameters%s", config.model.name, parameters, table)


@contextlib.contextmanager
def tracked(folder: str, config: ConfigDict, epoch: int = 0) -> Iterator[Tracker]:
    """Gives the tracker of a run, which is told at the end whether the run failed.

    Args:
        folder: workdir of the run.
        config: the whole config.
        epoch: after which the run goes on.
    """
    tracker = Tracker(folder, config, resume_epoch=epoch)
    failed = True
    try:
        yield tracker
        failed = False
    finally:
        paths = [os.path.join(folder, name) for name in RUN_FILES]
        tracker.finish([path for path in paths if os.path.exists(path)], failed)


def write_report(
    folder: str, page: report.Page, config: ConfigDict, figures: Sequence[str], command: str
) -> None:
    """Writes the page of a run, report.html.

    Args:
        folder: workdir of the run.
        page: what to say.
        config: the whole config.
        figures: their files in reading order.
        command: that made the run.
    """
    path = os.path.join(folder, "report.html")
    report.write_page(path, page, config=config.to_dict(), figures=figures, command=command)


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Returns rows of cells as a table, its first columns flush left and the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ways = [str.ljust] * left + [str.rjust] * (len(widths) - left)
    lines = (
        "   ".join(way(cell, width) for way, cell, width in zip(ways, row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def write_predictions(path: str, labels: np.ndarray, prediction: Prediction) -> None:
    """Writes a row an image: its number, what was read, how surely, and each position."""
    positions = [f"digit_{position + 1}" for position in range(labels.shape[1])]
    with replacing(path, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "label", "prediction", "confidence", *positions])
        for index, (label, digits, confidence) in enumerate(
            zip(labels, prediction.digits, prediction.confidence, strict=True)
        ):
            writer.writerow(
                [
                    index,
                    number_text(label),
                    number_text(digits),
                    confidence_text(confidence),
                    *digits,
                ]
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
    for name in HELD_OUT:
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
