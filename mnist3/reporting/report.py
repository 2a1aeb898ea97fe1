"""The report of a run: one page that carries its pictures inside and needs no other file."""

import base64
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
import pandas as pd

from mnist3.data import sources
from mnist3.data.splits import HELD_OUT
from mnist3.files import replacing

METRIC_WORDS = {
    "n": "images",
    "exact_match": "exact match",
    "exact_match_ci95": "exact match, 95 % interval",
    "digit_accuracy": "digit accuracy",
    "position_accuracy": "accuracy by position",
    "macro_f1": "macro F1",
    "nll": "negative log likelihood (nats)",
    "ece": "expected calibration error",
    "positives": "images of the positive class",
    "f1": "F1",
    "weighted_f1": "weighted F1",
    "label_f1": "F1 by label",
    "label_accuracy": "accuracy by label",
    "class_recall": "recall by class",
    "roc_auc": "area under the ROC curve",
    "log_loss": "log loss (nats)",
    "rmse": "root mean squared error (grey levels)",
    "psnr": "peak signal-to-noise ratio (dB)",
}


class Page(NamedTuple):
    """What a report says of a run beside its pictures, its command and its config.

    Attributes:
        title: what was trained on what.
        headline: the figure that matters most.
        explanation: what that figure is.
        facts: names and values, one below the other.
        table_title: what the table shows.
        columns: its header.
        rows: name and cells of each row.
        tables: more tables of texts, as `reporting.tables` makes them; what stands at the corner
            becomes the title.
        epoch_columns, epoch_rows: the history; empty for a run without epochs.
    """

    title: str
    headline: str
    explanation: str
    facts: Sequence[tuple[str, str]]
    table_title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]
    tables: Sequence[pd.DataFrame] = ()
    epoch_columns: Sequence[str] = ()
    epoch_rows: Sequence[Sequence[str]] = ()


def write_page(
    path: str | os.PathLike,
    page: Page,
    *,
    config: Mapping[str, Any],
    figures: Sequence[str | os.PathLike],
    command: str,
) -> None:
    """Writes a page, whole or not at all; the other arguments and errors are those of `write`."""
    pictures = {pathlib.Path(file).stem: pathlib.Path(file).read_bytes() for file in figures}
    text = _render(page, config, pictures, command)
    with replacing(path, encoding="utf-8") as file:
        file.write(text)


def write(
    path: str | os.PathLike,
    *,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    figures: Sequence[str | os.PathLike],
    command: str,
) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: the file to write, `report.html`.
        config: the resolved config.
        metrics: what `metrics.json` holds; of `val` and `test` at least one.
        history: the lines of `history.jsonl`.
        figures: PNG files in the order in which to show them; the name describes the picture.
        command: the command that writes the page.

    Raises:
        OSError: if a figure cannot be read or the page not be written.
    """
    write_page(path, number_page(metrics, history), config=config, figures=figures, command=command)


def render(
    *,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, bytes],
    command: str,
) -> str:
    """Returns the page as text; `pictures` are PNG bytes by name, the rest is as for `write`."""
    return _render(number_page(metrics, history), config, pictures, command)


def number_page(metrics: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> Page:
    """Returns what there is to say of a run that read numbers; see `write`."""
    splits = [split for split in HELD_OUT if split in metrics]
    shown = metrics[splits[-1]]
    low, high = shown["exact_match_ci95"]
    dataset, model, train = metrics["dataset"], metrics["model"], metrics["train"]
    source = sources.title(dataset["source"])
    epochs = [_flat(line) for line in history]
    columns = list(dict.fromkeys(name for line in epochs for name in line))
    names = list(dict.fromkeys(name for split in splits for name in metrics[split]))
    return Page(
        title=f"{model['name']} on {dataset['name']}, source {source}",
        headline=f"{_percent(shown['exact_match'])} exact match",
        explanation=(
            f"Share of the {shown['n']:,} images of the {splits[-1]} split with every digit right; "
            f"95 % interval {_percent(low)} to {_percent(high)}."
        ),
        facts=[
            *data_facts(dataset),
            ("model", f"{model['name']}, {model['parameters']:,} parameters"),
            (
                "training",
                f"{train['seconds']:.1f} s after {train['compile_seconds']:.1f} s of compilation, "
                f"{train['epochs']} epochs, {train['steps']:,} steps, "
                f"{train['examples_per_second']:,.0f} images a second",
            ),
        ],
        table_title="Metrics by split",
        columns=splits,
        rows=[
            (metric_text(name), [_text(metrics[split].get(name)) for split in splits])
            for name in names
        ],
        epoch_columns=[name.replace("_", " ") for name in columns],
        epoch_rows=[[_text(line.get(name)) for name in columns] for line in epochs],
    )


def data_facts(dataset: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns what a report says of number images: the entry `dataset` of metrics.json."""
    protocol = dataset["protocol"]
    return [
        ("dataset", dataset["name"]),
        ("source", sources.title(dataset["source"])),
        (
            "protocol",
            f"numbers {protocol['numbers']}, digit images {protocol['digit_images']} "
            "between the splits",
        ),
        ("fingerprint", dataset["fingerprint"]),
    ]


def _render(
    page: Page, config: Mapping[str, Any], pictures: Mapping[str, bytes], command: str
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mnist3.reporting", "."),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.jinja").render(
        page._asdict(),
        pictures=[
            (name.replace("_", " "), base64.b64encode(data).decode())
            for name, data in pictures.items()
        ],
        command=command,
        config=json.dumps(config, indent=2),
    )


def metric_text(name: str) -> str:
    """Returns what a metric of metrics.json is called in prose."""
    return METRIC_WORDS.get(name, name.replace("_", " "))


def value_text(metrics: Mapping[str, Any], name: str) -> str:
    """Returns a metric of a split as text, with its 95 % interval in brackets where it has one."""
    text = _text(metrics.get(name))
    if metrics.get(f"{name}_ci95") is None or metrics[name] is None:
        return text
    low, high = map(_text, metrics[f"{name}_ci95"])
    return f"{text} ({low}-{high})"


def settings_text(parameters: Mapping[str, Any]) -> str:
    """Returns parameters of an estimator as text."""
    return ", ".join(f"{name}={value}" for name, value in parameters.items()) or "its defaults"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _flat(line: Mapping[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {inner}": number for inner, number in value.items()}
        else:
            flat[name] = value
    return flat


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
