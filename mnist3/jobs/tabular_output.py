"""What a run on a table tells the user, and the files that it leaves in the workdir."""

import csv
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from mnist3.data import tabular
from mnist3.data.tabular import Table
from mnist3.evaluation import classification, curves
from mnist3.evaluation.selection import Comparison
from mnist3.files import replacing
from mnist3.jobs import output
from mnist3.reporting import classification_figures, figures, report, study_figures

METRIC_WORDS = {"n": "rows", "positives": "rows of the positive class"}

FLATTERED = (
    "parameters were chosen by the same folds, so cross-validation flatters a little; test does not"
)


def log_table(table: Table, rows: Mapping[str, np.ndarray]) -> None:
    """Logs what the table holds and what kind each column is taken for."""
    counts = np.bincount(table.labels)
    logging.info(
        "%s: %d rows, target %s: %s",
        table.name,
        len(table.labels),
        table.target,
        ", ".join(f"{name} {count}" for name, count in zip(table.classes, counts, strict=True)),
    )
    if table.unlabelled:
        logging.warning("left out %d rows whose %s is missing", table.unlabelled, table.target)
    logging.info("%s", tabular.describe_columns(table))
    logging.info(
        "  another kind for a column: --config.data.columns=%s:categorical", next(iter(table.kinds))
    )
    logging.info("  train: %d rows, test: %d rows", len(rows["train"]), len(rows["test"]))


def write_predictions(
    path: str,
    rows: Int[np.ndarray, "n"],
    labels: Int[np.ndarray, "n"],
    probabilities: Float[np.ndarray, "n classes"],
    classes: tuple[str, ...],
) -> None:
    """Writes a line a row of the table, counted from 0: its class, the predicted one, how surely.

    Each class has a column with its probability.
    """
    with replacing(path, newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = [f"probability_{name}" for name in classes]
        writer.writerow(["index", "label", "prediction", "confidence", *names])
        for row, label, values in zip(rows, labels, probabilities, strict=True):
            texts = [f"{value:.6f}" for value in values]
            best = int(values.argmax())
            writer.writerow([row, classes[label], classes[best], texts[best], *texts])


def drawers(
    table: Table,
    labels: Mapping[str, Int[np.ndarray, "_"]],
    comparison: Comparison,
    probabilities: Mapping[str, Float[np.ndarray, "n classes"]],
    importances: Float[np.ndarray, "columns repeats"],
    search_results: Mapping[str, Any] | None,
) -> dict[str, Callable[[], Figure]]:
    """Returns what draws each figure of a run, by the figure's name, in reading order.

    Args:
        table: the table.
        labels: of train and test.
        comparison: of the estimators by cross-validation.
        probabilities: of the test rows, by estimator.
        importances: falls in accuracy, of each feature and repeat.
        search_results: what the winner's search tried; None without one.
    """
    data = data_text(table)
    winner = f"{comparison.winner} on {data}"
    chosen = probabilities[comparison.winner]
    counts = classification.confusion(labels["test"], chosen.argmax(axis=1), len(table.classes))
    found = {
        "comparison": lambda: study_figures.comparison(
            comparison, f"{data}, cross-validation on train", "rows"
        ),
        "confusion": lambda: classification_figures.confusion(
            counts, table.classes, f"{winner}, test", "rows"
        ),
        "roc": lambda: _roc(table, labels["test"], comparison.winner, probabilities, data),
        "importance": lambda: study_figures.feature_importance(
            list(table.features.columns), importances, "accuracy", f"{winner}, test"
        ),
        "class_balance": lambda: class_balance(table, labels),
    }
    if search_results is not None:
        found["search"] = lambda: study_figures.search_heat_map(search_results, "accuracy", winner)
    return found


def class_balance(table: Table, labels: Mapping[str, Int[np.ndarray, "_"]]) -> Figure:
    """Draws the share of each class in each split of a table."""
    return figures.class_balance(
        {split: each[:, None] for split, each in labels.items()},
        table.classes,
        data_text(table),
        examples="rows",
    )


def data_text(table: Table) -> str:
    """Returns what is predicted, for the title of a figure."""
    return f"{table.target} of {table.name}"


def write_report(
    folder: str,
    config: ConfigDict,
    metrics: Mapping[str, Any],
    figures: list[str],
    command: str,
) -> None:
    """Writes the run's page, report.html."""
    data, test, lines = metrics["dataset"], metrics["test"], metrics["estimators"]
    low, high = test["accuracy_ci95"]
    names = [name for name in test if name != "class_recall" and not name.endswith("_ci95")]
    rows = [
        (
            "cross-validation: accuracy",
            [report.value_text(each["cross_validation"], "accuracy") for each in lines.values()],
        )
    ]
    rows += [
        (
            f"test: {METRIC_WORDS.get(name) or report.metric_text(name)}",
            [report.value_text(line["test"], name) for line in lines.values()],
        )
        for name in names
    ]
    rows.append(
        ("chosen parameters", [report.settings_text(line["parameters"]) for line in lines.values()])
    )
    page = report.Page(
        title=f"{metrics['model']['name']} on {data['name']}, target {data['target']}",
        headline=f"{test['accuracy']:.2%} accuracy".replace("%", " %"),
        explanation=(
            f"Share of the {test['n']:,} test rows, a fifth that neither the training nor the "
            f"choice of the estimator saw, with the right {data['target']}; 95 % interval "
            f"{100 * low:.2f} % to {100 * high:.2f} %."
        ),
        facts=[
            ("table", f"{data['name']}, {data['source']}"),
            ("rows", f"{data['rows']:,}, and {data['unlabelled']:,} left out without a label"),
            ("classes", ", ".join(data["classes"])),
            ("columns", ", ".join(f"{name} ({kind})" for name, kind in data["columns"].items())),
            ("fingerprint", data["fingerprint"]),
            ("tied with the winner", _tied(lines)),
            *([("mind", FLATTERED)] if _tuned(lines) else []),
        ],
        table_title="Estimators, best first by cross-validation (in brackets 95 % intervals)",
        columns=[name.replace("_", " ") for name in lines],
        rows=rows,
    )
    output.write_report(folder, page, config, figures, command)


def print_table(metrics: Mapping[str, Any], folder: str) -> None:
    """Prints what each estimator reaches, and where the files of the run are."""
    data, test = metrics["dataset"], metrics["test"]
    f1 = "f1" if "f1" in test else "macro_f1"
    print(
        f"\n{data['target']} of {data['name']}, {data['rows']:,} rows: accuracy by "
        f"cross-validation on train, and on the {test['n']:,} test rows; in brackets 95 % intervals"
    )
    f1_text = report.metric_text(f1)
    rows = [("  estimator", "cross-validation", "test", f1_text, "ROC AUC", "search", "fit")]
    for name, line in metrics["estimators"].items():
        held_out, scores = line["cross_validation"], line["test"]
        mark = "*" if name == metrics["model"]["name"] else "=" if held_out["tied"] else " "
        rows.append(
            (
                f"{mark} {name}",
                report.value_text(held_out, "accuracy"),
                report.value_text(scores, "accuracy"),
                f"{scores[f1]:.4f}",
                f"{scores['roc_auc']:.4f}",
                f"{line['search_seconds']:.1f} s",
                f"{line['fit_seconds']:.1f} s",
            )
        )
    print(
        f"{output.aligned(rows)}\n"
        "* chosen by cross-validation; = cannot be told apart from it there (McNemar's test)"
    )
    if _tuned(metrics["estimators"]):
        print(FLATTERED)
    print(f"files in {folder}")


def _roc(
    table: Table,
    labels: Int[np.ndarray, "n"],
    winner: str,
    probabilities: Mapping[str, Float[np.ndarray, "n classes"]],
    data: str,
):
    """Draws the curves of all estimators, or with many classes of the winner's classes."""
    if len(table.classes) == 2:
        drawn = {name: curves.roc(labels == 1, each[:, 1]) for name, each in probabilities.items()}
        return classification_figures.roc_curves(
            drawn, f"{table.classes[1]} as {data}, test", "rows"
        )
    drawn = {
        name: curves.roc(labels == number, probabilities[winner][:, number])
        for number, name in enumerate(table.classes)
    }
    return classification_figures.roc_curves(
        drawn, f"{winner} on {data}, each class against the rest, test", "rows"
    )


def _tuned(lines: Mapping[str, Any]) -> bool:
    return any(line["parameters"] for line in lines.values())


def _tied(lines: Mapping[str, Any]) -> str:
    tied = [name for name, line in lines.items() if line["cross_validation"]["tied"]]
    return ", ".join(tied) or "none"
