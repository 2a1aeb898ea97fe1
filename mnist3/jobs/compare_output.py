"""What a comparison tells the user, and the files that it leaves in the workdir."""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from mnist3.evaluation import curves
from mnist3.evaluation.answers import Answer
from mnist3.evaluation.classification import confusion
from mnist3.evaluation.selection import TESTS, Comparison
from mnist3.jobs import fit_figures, fit_output, output, study
from mnist3.reporting import classification_figures, drawing, report, study_figures
from mnist3.tasks import Task

WHERE = {"val": "val", "cross_validation": "cross-validation on train"}
COMPARED = {"accuracy": "right", "mse": "mean squared error (squared grey levels)"}


def draw_figures(
    task: Task,
    val: study.Examples,
    comparison: Comparison,
    answers: Mapping[str, Answer],
    data: str,
    by: str,
    folder: str,
) -> list[str]:
    """Draws the figures of a comparison into its folder and returns their files in reading order.

    Args:
        task: of all candidates.
        val: its images.
        comparison: of the candidates.
        answers: of each candidate for val, the winner's first.
        data: what the images are.
        by: what chose the winner.
        folder: workdir of the run.
    """
    drawn = {"comparison": study_figures.comparison(comparison, f"{data}, {WHERE[by]}")}
    if task.kind == "binary":
        scored = {
            name: each
            for name, said in answers.items()
            for each in fit_figures.detector_scores(task, said, val.targets).values()
        }
        about = f"{task.classes[1]} in {data}, val"
        if scored and 0 < val.targets.sum() < len(val.targets):
            precisions = {name: curves.precision_recall(*each) for name, each in scored.items()}
            drawn["precision_recall"] = classification_figures.precision_recall_curves(
                precisions, about
            )
            drawn["roc"] = classification_figures.roc_curves(
                {name: curves.roc(*each) for name, each in scored.items()}, about
            )
    if task.kind in ("binary", "multiclass"):
        counts = confusion(val.targets, answers[comparison.winner].predictions, len(task.classes))
        drawn["confusion"] = classification_figures.confusion(
            counts, task.classes, f"{comparison.winner} on {data}, val"
        )
    return drawing.save_all(drawn, folder)


def write_report(
    folder: str,
    config: ConfigDict,
    task: Task,
    metrics: Mapping[str, Any],
    figures: Sequence[str],
    command: str,
) -> None:
    """Writes the run's page, report.html."""
    lines, by, metric = metrics["estimators"], WHERE[metrics["chosen_by"]], metrics["metric"]
    chosen = [line["chosen_by"] for line in lines.values()]
    rows = [
        (f"{COMPARED[metric]}, {by}", [report.value_text(each, metric) for each in chosen]),
        ("behind the winner", [report.value_text(each, "behind") for each in chosen]),
        (f"p-value ({TESTS[metric]}, Holm)", [f"{each['p_value']:.2g}" for each in chosen]),
    ]
    rows += [
        (
            f"{split}: {report.metric_text(name)}",
            [report.value_text(line[split], name) for line in lines.values()],
        )
        for split in study.HELD_OUT
        for name in task.metrics
        if any(isinstance(line[split].get(name), float) for line in lines.values())
    ]
    rows += [
        ("training images", [f"{line['train_images']:,}" for line in lines.values()]),
        ("seconds of the first fit", [f"{line['fit_seconds']:.1f}" for line in lines.values()]),
        ("parameters", [report.settings_text(line["parameters"]) for line in lines.values()]),
    ]
    page = report.Page(
        title=f"Comparison, task {task.name}, {report.SOURCE_WORDS[metrics['dataset']['source']]}",
        headline=f"{metrics['model']['name']}: {fit_output.headline_text(task, metrics['test'])}",
        explanation=(
            f"{fit_output.explanation(task, metrics['test'], 'test')} The winner was chosen by "
            f"{by}. {ties_text(metrics)}"
        ),
        facts=[
            ("task", f"{task.name}: {', '.join(task.classes)}"),
            ("source", report.SOURCE_WORDS[metrics["dataset"]["source"]]),
            ("fingerprint", metrics["dataset"]["fingerprint"]),
        ],
        table_title="Estimators, best first (in brackets 95 % intervals)",
        columns=list(lines),
        rows=rows,
    )
    output.write_report(folder, page, config, figures, command)


def ties_text(metrics: Mapping[str, Any]) -> str:
    """Returns a sentence on who cannot be told apart from the winner."""
    tied, test = metrics["tied"], TESTS[metrics["metric"]]
    if not tied:
        return f"Each of the others is worse ({test}, 5 %, Holm's correction)."
    return f"Cannot be told apart from it ({test}, 5 %, Holm's correction): {', '.join(tied)}."


def print_table(metrics: Mapping[str, Any], task: Task, folder: str) -> None:
    """Prints what each candidate reaches, and where the files of the run are."""
    by, metric = WHERE[metrics["chosen_by"]], metrics["metric"]
    headline = task.metrics[0]
    lines = metrics["estimators"]
    print(
        f"\ntask {task.name}, source {metrics['dataset']['source']}: {COMPARED[metric]} by {by}; "
        "in brackets 95 % intervals"
    )
    rows = [("  estimator", by[:16], "behind the winner", "p", f"test {headline}", "train", "fit")]
    for name, line in lines.items():
        chosen = line["chosen_by"]
        mark = "*" if name == metrics["model"]["name"] else "=" if chosen["tied"] else " "
        rows.append(
            (
                f"{mark} {name}",
                report.value_text(chosen, metric),
                report.value_text(chosen, "behind"),
                "" if mark == "*" else f"{chosen['p_value']:.2g}",
                report.value_text(line["test"], headline),
                f"{line['train_images']:,}",
                f"{line['fit_seconds']:.1f} s",
            )
        )
    print(f"{output.aligned(rows)}\n* the winner. {ties_text(metrics)}\nfiles in {folder}")
