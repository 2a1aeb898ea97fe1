"""What a fitted estimator's run tells the user, and the files that it leaves in the workdir."""

import csv
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from mnist3.data import sources
from mnist3.data.splits import HELD_OUT
from mnist3.evaluation.answers import Answer
from mnist3.evaluation.denoising import squared_errors
from mnist3.evaluation.error_analysis import Confused
from mnist3.files import replacing
from mnist3.jobs import output, study
from mnist3.reporting import report, tables
from mnist3.tasks import Task

HEADLINES = {
    "number": "Share of the {n:,} images of {split} with every digit right",
    "multiclass": "Share of the {n:,} images of {split} that got the right class",
    "binary": "Share of the {n:,} images of {split} that got the right class",
    "multilabel": "Share of the {n:,} images of {split} with every label right",
    "denoise": "Root of the mean squared error of the {n:,} cleaned images of {split}, grey levels",
}


def write_predictions(path: str, task: Task, examples: study.Examples, said: Answer) -> None:
    """Writes a row an image: its class, the predicted one and how surely, empty if not known.

    Several labels are joined by + and have a column each. Of a cleaned image it says how far it is
    from the clean one, in grey levels.
    """
    with replacing(path, newline="") as file:
        writer = csv.writer(file)
        if task.kind == "denoise":
            writer.writerow(["index", "label", "rmse"])
            errors = squared_errors(
                study.as_images(examples.targets), study.as_images(said.predictions)
            )
            for index, (digit, error) in enumerate(zip(examples.digits, errors, strict=True)):
                writer.writerow([index, digit, f"{error**0.5:.4f}"])
            return
        labels = list(task.classes) if task.kind == "multilabel" else []
        writer.writerow(["index", "label", "prediction", "confidence", *labels])
        sure = confidences(task, said)
        for index, (target, prediction) in enumerate(
            zip(examples.targets, said.predictions, strict=True)
        ):
            names = [class_text(task, each) for each in (target, prediction)]
            confidence = "" if sure is None else f"{sure[index]:.6f}"
            writer.writerow([index, *names, confidence, *np.ravel(prediction)[: len(labels)]])


def confidences(task: Task, said: Answer) -> np.ndarray | None:
    """Returns the probability of what is predicted for each image; None if there is none."""
    if said.probabilities is None:
        return None
    if task.kind == "multilabel":
        chosen = np.where(said.predictions, said.probabilities, 1 - said.probabilities)
        return chosen.prod(axis=1)
    return np.take_along_axis(said.probabilities, said.predictions[:, None], axis=1)[:, 0]


def class_text(task: Task, target: np.ndarray | np.integer) -> str:
    """Returns the name of a class, or of all labels that an image has."""
    if task.kind != "multilabel":
        return task.classes[int(target)]
    return "+".join(np.array(task.classes)[np.asarray(target, bool)]) or "none"


def write_report(
    folder: str,
    config: ConfigDict,
    task: Task,
    metrics: Mapping[str, Any],
    figures: Sequence[str],
    command: str,
) -> None:
    """Writes the run's page, report.html."""
    test, train = metrics["test"], metrics["train"]
    name = metrics["model"]["name"]
    page = report.Page(
        title=f"{name}, task {task.name}, {sources.title(metrics['dataset']['source'])}",
        headline=f"{headline_text(task, test)}",
        explanation=explanation(task, test, "test"),
        facts=[
            *data_facts(config, task, metrics),
            ("estimator", name),
            ("its parameters", report.settings_text(metrics["model"]["parameters"])),
            (
                "training",
                f"{train['n']:,} images, fitted in {train['seconds']:.1f} s after "
                f"{train['search_seconds']:.1f} s of searching parameters",
            ),
        ],
        table_title="Metrics by split (in brackets 95 % intervals)",
        columns=HELD_OUT,
        rows=[
            (
                report.metric_text(metric),
                [report.value_text(metrics[split], metric) for split in HELD_OUT],
            )
            for metric in test
            if not metric.endswith("_ci95")
        ],
        tables=confusions(task, metrics),
    )
    output.write_report(folder, page, config, figures, command)


def confusions(task: Task, metrics: Mapping[str, Any]) -> list[pd.DataFrame]:
    """Returns the table of the classes most often taken for others; none without such a mistake."""
    found = [Confused(**each) for each in metrics["val"].get("most_confused", ())]
    data = study.data_text(task, metrics["dataset"]["source"])
    about = f"Most confused by {metrics['model']['name']}: {data}, val"
    return [tables.of_confusions(found, task.classes, about)] if found else []


def data_facts(config: ConfigDict, task: Task, metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns what a report says of the data and the task."""
    data = metrics["dataset"]
    facts = [("task", f"{task.name}: {', '.join(task.classes)}")]
    if task.kind == "denoise":
        facts = [("task", f"denoise: integers of 0 to {config.task.noise} on every pixel")]
    return [
        *facts,
        ("source", sources.title(data["source"])),
        ("fingerprint", data["fingerprint"]),
    ]


def headline_text(task: Task, metrics: Mapping[str, Any]) -> str:
    """Returns the metric of a split that matters most, as text with its name."""
    value = metrics[task.metrics[0]]
    if task.kind == "denoise":
        return f"{value:.2f} grey levels off"
    return f"{100 * value:.2f} % {report.metric_text(task.metrics[0])}"


def explanation(task: Task, metrics: Mapping[str, Any], split: str) -> str:
    """Returns what the headline is, and its interval."""
    low, high = metrics[f"{task.metrics[0]}_ci95"]
    words = HEADLINES[task.kind].format(n=metrics["n"], split=split)
    if task.kind == "denoise":
        return f"{words}; 95 % interval {low:.2f} to {high:.2f}."
    return f"{words}; 95 % interval {100 * low:.2f} % to {100 * high:.2f} %."


def print_table(metrics: Mapping[str, Any], task: Task, folder: str) -> None:
    """Prints the result of a run, and where its files are."""
    data, model, train = metrics["dataset"], metrics["model"], metrics["train"]
    print(
        f"\n{model['name']} with {report.settings_text(model['parameters'])}; task {task.name}, "
        f"source {data['source']}, {train['n']:,} training images, fitted in "
        f"{train['seconds']:.1f} s"
    )
    shown = [
        name
        for name in task.metrics
        if any(isinstance(metrics[split].get(name), float) for split in HELD_OUT)
    ]
    rows = [("", *(f"{split} ({metrics[split]['n']:,} images)" for split in HELD_OUT))]
    rows += [
        (
            report.metric_text(name),
            *(report.value_text(metrics[split], name) for split in HELD_OUT),
        )
        for name in shown
    ]
    print(f"{output.aligned(rows)}\nin brackets 95 % intervals; files in {folder}")
