"""What a comparison tells the user, and the files that it leaves in the workdir."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from ml_collections import ConfigDict

from mnist3.data.splits import HELD_OUT
from mnist3.evaluation import curves
from mnist3.evaluation.classification import confusion
from mnist3.evaluation.selection import Comparison
from mnist3.jobs import fit_figures, fit_output, output
from mnist3.jobs.contenders import Contender, Fitted
from mnist3.reporting import classification_figures, drawing, report, study_figures
from mnist3.reporting import figures as number_figures
from mnist3.tasks import Task

WHERE = {"val": "val", "cross_validation": "cross-validation on train"}
COMPARED = {
    "accuracy": "right",
    "exact_match": "every digit right",
    "mse": "mean squared error (squared grey levels)",
}


def draw_figures(
    task: Task,
    comparison: Comparison,
    contenders: Mapping[str, Contender],
    data: str,
    by: str,
    folder: str,
) -> list[str]:
    """Draws the figures of a comparison into its folder and returns their files in reading order.

    Args:
        task: of all candidates.
        comparison: of the candidates.
        contenders: by the names of the candidates.
        data: what the images are.
        by: what chose the winner.
        folder: workdir of the run.
    """
    drawn = {"comparison": study_figures.comparison(comparison, f"{data}, {WHERE[by]}")}
    if task.kind == "binary":
        fitted = {each.name: contenders[each.name] for each in comparison.candidates}
        drawn |= _curves(task, fitted, f"{task.classes[1]} in {data}, val")
    targets, predictions = contenders[comparison.winner].val
    about = f"{comparison.winner} on {data}, val"
    if task.kind == "number":
        drawn["confusion"] = number_figures.position_confusion(targets, predictions, about)
    if task.kind in ("binary", "multiclass"):
        counts = confusion(targets, predictions, len(task.classes))
        drawn["confusion"] = classification_figures.confusion(counts, task.classes, about)
    return drawing.save_all(drawn, folder)


def _curves(task: Task, fitted: Mapping[str, Fitted], about: str) -> dict[str, Figure]:
    """Returns the curves of detectors side by side, of those that give scores."""
    scored = {
        name: each
        for name, contender in fitted.items()
        for each in fit_figures.detector_scores(
            task, contender.answers["val"], contender.val[0]
        ).values()
    }
    targets = next(iter(fitted.values())).val[0]
    if not scored or not 0 < targets.sum() < len(targets):
        return {}
    precisions = {name: curves.precision_recall(*each) for name, each in scored.items()}
    rocs = {name: curves.roc(*each) for name, each in scored.items()}
    return {
        "precision_recall": classification_figures.precision_recall_curves(precisions, about),
        "roc": classification_figures.roc_curves(rocs, about),
    }


def write_report(
    folder: str,
    config: ConfigDict,
    task: Task,
    metrics: Mapping[str, Any],
    figures: Sequence[str],
    command: str,
) -> None:
    """Writes the run's page, report.html."""
    data, by = metrics["dataset"], WHERE[metrics["chosen_by"]]
    shown = "test" if "test" in metrics else "val"
    page = report.Page(
        title=f"Comparison, task {task.name}, {report.SOURCE_WORDS[data['source']]}",
        headline=f"{metrics['model']['name']}: {fit_output.headline_text(task, metrics[shown])}",
        explanation=(
            f"{fit_output.explanation(task, metrics[shown], shown)} The winner was chosen by "
            f"{by}. {ties_text(metrics)}"
        ),
        facts=_facts(task, data),
        table_title="Candidates, best first (in brackets 95 % intervals)",
        columns=list(metrics["estimators"]),
        rows=_rows(task, metrics),
    )
    output.write_report(folder, page, config, figures, command)


def _facts(task: Task, data: Mapping[str, Any]) -> list[tuple[str, str]]:
    if task.kind == "number":
        return report.data_facts(data)
    return [
        ("task", f"{task.name}: {', '.join(task.classes)}"),
        ("source", report.SOURCE_WORDS[data["source"]]),
        ("fingerprint", data["fingerprint"]),
    ]


def _rows(task: Task, metrics: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Returns what the table of the page says of each candidate, the winner first."""
    lines, by, metric = metrics["estimators"], WHERE[metrics["chosen_by"]], metrics["metric"]
    chosen = [line["chosen_by"] for line in lines.values()]
    images, seconds = "training images", "seconds of the first fit"
    if task.kind == "number":
        images, seconds = "training images an epoch", "seconds of training"
    measured = [
        (
            f"{split}: {report.metric_text(name)}",
            [report.value_text(line[split], name) for line in lines.values()],
        )
        for split in HELD_OUT
        if split in metrics
        for name in task.metrics
        if any(isinstance(line[split].get(name), float) for line in lines.values())
    ]
    return [
        (f"{COMPARED[metric]}, {by}", [report.value_text(each, metric) for each in chosen]),
        ("behind the winner", [report.value_text(each, "behind") for each in chosen]),
        (
            f"p-value ({metrics['compared_with']}, Holm)",
            [_p_text(each["p_value"]) for each in chosen],
        ),
        *measured,
        (images, [f"{line['train_images']:,}" for line in lines.values()]),
        (seconds, [f"{line['fit_seconds']:.1f}" for line in lines.values()]),
        ("parameters", [_parameters_text(line["parameters"]) for line in lines.values()]),
    ]


def _p_text(p_value: float) -> str:
    """Returns a p-value as text; the smallest that a float can hold is not quite 0."""
    return f"{p_value:.2g}" if p_value else "< 1e-300"


def _parameters_text(parameters: Mapping[str, Any] | int) -> str:
    """Returns an estimator's parameters, or how many a model has, as text."""
    return f"{parameters:,}" if isinstance(parameters, int) else report.settings_text(parameters)


def ties_text(metrics: Mapping[str, Any]) -> str:
    """Returns a sentence on who cannot be told apart from the winner."""
    tied, subject = metrics["tied"], metrics["subject"]
    how = f"{metrics['compared_with']}, 5 %, Holm's correction"
    if not tied:
        return f"Each of the others is worse, of {subject} ({how})."
    return f"Cannot be told apart from it, of {subject} ({how}): {', '.join(tied)}."


def print_table(metrics: Mapping[str, Any], task: Task, folder: str) -> None:
    """Prints what each candidate reaches, and where the files of the run are."""
    by, metric = WHERE[metrics["chosen_by"]], metrics["metric"]
    headline = task.metrics[0]
    lines = metrics["estimators"]
    print(
        f"\ntask {task.name}, source {metrics['dataset']['source']}: {COMPARED[metric]} by {by}; "
        "in brackets 95 % intervals"
    )
    tested = "test" in metrics
    held_out = [f"test {headline}"] * tested
    rows = [("  candidate", by[:16], "behind the winner", "p", *held_out, "train", "fit")]
    for name, line in lines.items():
        chosen = line["chosen_by"]
        mark = "*" if name == metrics["model"]["name"] else "=" if chosen["tied"] else " "
        rows.append(
            (
                f"{mark} {name}",
                report.value_text(chosen, metric),
                report.value_text(chosen, "behind"),
                "" if mark == "*" else _p_text(chosen["p_value"]),
                *([report.value_text(line["test"], headline)] if tested else []),
                f"{line['train_images']:,}",
                f"{line['fit_seconds']:.1f} s",
            )
        )
    print(f"{output.aligned(rows)}\n* the winner. {ties_text(metrics)}\nfiles in {folder}")
