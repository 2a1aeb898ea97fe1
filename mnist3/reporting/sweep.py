"""The page, the pictures and the console table of a sweep."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from mnist3.evaluation.words import metric_text, plain_text
from mnist3.reporting import pages, report, sweep_figures
from mnist3.reporting.console import aligned
from mnist3.sweeps.study import Trial
from mnist3.sweeps.swept import Swept

UNSEEN = (
    "Chosen on val, which flatters the best of many a little; test is read by the command of the "
    "best trial alone."
)


def words(values: Mapping[str, Any]) -> str:
    """Returns the values of a trial's parameters as text."""
    return ", ".join(f"{name}={_value_words(value)}" for name, value in values.items())


def _value_words(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draw_all(swept: Swept) -> dict[str, Figure]:
    """Returns the pictures of a sweep by name, in reading order."""
    metric, maximizes = metric_text(swept.metric_name), swept.goal == "maximize"
    about = f"{swept.task.name}, {swept.task.data_text(swept.dataset)}"
    trials = swept.trials
    drawn = {
        "optimisation_history": sweep_figures.optimisation_history(
            trials, metric, maximizes, about
        ),
        "parameter_importance": sweep_figures.parameter_importance(swept.importances, about),
        "parallel_coordinates": sweep_figures.parallel_coordinates(
            trials, swept.sweep.parameters, swept.best, metric, about
        ),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def page(swept: Swept, command: str | None) -> report.Page:
    """Returns what there is to say of a sweep.

    Args:
        swept: as far as it has come.
        command: that trains as the best trial did; None without one.
    """
    metrics, best = swept.metrics, swept.best
    metric = metric_text(swept.metric_name)
    headline = "No trial is complete"
    if best is not None:
        headline = f"{metric} {plain_text(best.value)} on val, trial {best.number}"
    columns = [*swept.sweep.parameters, metric, "state", "epochs", "seconds", "attempts", "remark"]
    return report.Page(
        title=f"Sweep over {len(swept.sweep.parameters)} parameters on "
        f"{swept.task.data_text(swept.dataset)}",
        headline=headline,
        explanation=f"{_progress(swept)} {UNSEEN}",
        facts=[
            ("method", _method(swept)),
            *swept.task.facts(),
            *pages.data_facts(metrics["dataset"]),
            *pages.environment_facts(metrics["environment"]),
        ],
        commands=[("The best trial, trained anew and read on test", command)] if command else [],
        table_title="Trials",
        corner="trial",
        columns=columns,
        rows=[(str(trial.number), _cells(swept, trial)) for trial in swept.trials],
        tables=[_difference(swept)] if best is not None else [],
    )


def _method(swept: Swept) -> str:
    band = swept.sweep.hyperband
    early = "" if band is None else f", Hyperband from epoch {band.min_epochs} on, eta {band.eta}"
    return f"{swept.sweep.method}, to {swept.goal} {metric_text(swept.metric_name)} of val{early}"


def _progress(swept: Swept) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in swept.counts.items())
    return f"{len(swept.trials)} of {swept.budget} trials: {counts}."


def _cells(swept: Swept, trial: Trial) -> list[str]:
    values = [_value_words(trial.values.get(name, "-")) for name in swept.sweep.parameters]
    epochs = trial.outcome.get("epochs") or max(trial.by_epoch, default=None)
    seconds = trial.outcome.get("seconds")
    return [
        *values,
        plain_text(trial.value),
        trial.state,
        "-" if epochs is None else str(epochs),
        "-" if seconds is None else f"{seconds:.1f}",
        str(trial.attempts),
        _remark(swept, trial),
    ]


def _remark(swept: Swept, trial: Trial) -> str:
    if swept.best is not None and trial.number == swept.best.number:
        return "best"
    return trial.outcome.get("reason", "")


def _difference(swept: Swept) -> report.Table:
    """Returns what the best trial changes in the experiment's config."""
    rows = [
        (f"config.{name}", [_value_words(before), _value_words(after)])
        for name, (before, after) in swept.difference.items()
    ]
    title = "What the best trial changes in the experiment"
    return report.Table(title, ["experiment", "best trial"], rows)


def text(swept: Swept, folder: str, command: str | None) -> str:
    """Returns what each trial reaches, the best one's command, and where the files are.

    Args:
        swept: as far as it has come.
        folder: workdir of the sweep.
        command: that trains as the best trial did; None without one.
    """
    metric = metric_text(swept.metric_name)
    names = [name.rpartition(".")[2] for name in swept.sweep.parameters]
    rows = [("  trial", *names, metric, "state", "epochs", "seconds")]
    for trial in swept.trials:
        mark = "*" if swept.best is not None and trial.number == swept.best.number else " "
        rows.append((f"{mark} {trial.number}", *_cells(swept, trial)[:-2]))
    ended = [trial for trial in swept.trials if "reason" in trial.outcome]
    lines = [
        f"\nsweep of task {swept.task.name}, {pages.data_text(swept.metrics['dataset'])}: "
        f"{_method(swept)}",
        aligned(rows),
        *(f"trial {trial.number} {trial.state}: {trial.outcome['reason']}" for trial in ended),
        f"{_progress(swept)} {UNSEEN}",
    ]
    if swept.importances:
        shares = (f"{name} {share:.0%}" for name, share in swept.importances.items())
        lines.append(f"importance: {', '.join(shares)}")
    if command:
        lines.append(f"* the best; its command:\n{command}")
    return "\n".join([*lines, f"files in {folder}"])
