"""What the fits amount to: the numbers, the table and the plot."""

import math
import statistics
from collections.abc import Iterable
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from benchmarks.candidates import FITTING, Candidate, Task
from benchmarks.fit import Fit

# Okabe and Ito, Color Universal Design, https://jfly.uni-koeln.de/color/.
_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def summarise(
    fits: Iterable[Fit], candidates: dict[str, Candidate], tasks: dict[str, Task]
) -> dict[str, Any]:
    """Returns the numbers of each candidate that was fitted, by task, fastest first.

    The accuracy is the mean over the seeds at the end of the fits, with its standard deviation
    (None for one seed). Seconds are medians over the seeds, and ratios are to the medians of the
    task's reference (None if that was not fitted). The seconds to the target are None if half of
    the seeds or more did not reach it.
    """
    by_name: dict[str, list[Fit]] = {}
    for fit in fits:
        by_name.setdefault(fit.candidate, []).append(fit)
    summary = {}
    for key, task in tasks.items():
        rows = {
            name: _numbers(by_name[name], candidate, task)
            for name, candidate in candidates.items()
            if candidate.task == key and name in by_name
        }
        if not rows:
            continue
        reference = rows.get(task.reference, {})
        for row in rows.values():
            for measure in ("seconds", "seconds_to_target"):
                row[f"{measure}_ratio"] = _ratio(row[measure], reference.get(measure))
        summary[key] = {
            "title": task.title,
            "metric": task.metric,
            "target": task.target,
            "reference": task.reference,
            "clock": task.clock,
            "candidates": dict(sorted(rows.items(), key=lambda row: row[1]["seconds"])),
        }
    return summary


def _numbers(fits: list[Fit], candidate: Candidate, task: Task) -> dict[str, Any]:
    accuracies = [fit.accuracy for fit in fits]
    seconds = [fit.seconds for fit in fits]
    to_target = statistics.median(fit.seconds_to(task.target) for fit in fits)
    return {
        "title": candidate.title,
        "seeds": len(fits),
        "accuracy": statistics.fmean(accuracies),
        "accuracy_deviation": statistics.stdev(accuracies) if len(fits) > 1 else None,
        "seconds": statistics.median(seconds),
        "seconds_range": [min(seconds), max(seconds)],
        "seconds_to_target": to_target if math.isfinite(to_target) else None,
        "compile_seconds": statistics.median(fit.compile_seconds for fit in fits)
        if candidate.library == "jax" and task.clock == FITTING
        else None,
        "operations": fits[0].operations,
    }


def _ratio(value: float | None, reference: float | None) -> float | None:
    return value / reference if value is not None and reference else None


def as_markdown(summary: dict[str, Any], machine: dict[str, Any], rates: dict[str, float]) -> str:
    """Returns the tables, under a line on the machine.

    Args:
        summary: from `summarise`.
        machine: from `benchmarks.machine.describe`.
        rates: of a float32 matrix product by library, and of a training step of triple_mnist as
            `step`, GFLOP/s.
    """
    products = {library: rate for library, rate in rates.items() if library != "step"}
    lines = [
        "Machine: " + ", ".join(f"{key} {value}" for key, value in machine.items()) + ".",
        "",
        "Float32 matrix product, 2048 x 2048, in the same run: "
        + ", ".join(f"{rate:.0f} GFLOP/s in {library}" for library, rate in products.items())
        + ".",
    ]
    if "step" in rates:
        lines += [
            "",
            f"The training step of triple_mnist runs at {rates['step']:.0f} GFLOP/s, "
            f"{rates['step'] / rates['jax']:.0%} of that product in JAX.",
        ]
    for task in summary.values():
        target = f"{100 * task['target']:g} %"
        lines += [
            "",
            f"### {task['title']}",
            "",
            f"Seconds {task['clock']}.",
            "",
            f"| candidate | seeds | {task['metric']}, mean ± deviation | seconds (range) "
            f"| ratio | to {target}, s | to {target}, ratio | of these compiling, s "
            "| operations, 10^9 | of the product's rate |",
            "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
        ]
        for row in task["candidates"].values():
            low, high = row["seconds_range"]
            cells = (
                row["title"],
                str(row["seeds"]),
                _percent(row["accuracy"], row["accuracy_deviation"]),
                f"{_seconds(row['seconds'])} ({_seconds(low)} to {_seconds(high)})",
                _ratio_cell(row["seconds_ratio"]),
                _seconds(row["seconds_to_target"]),
                _ratio_cell(row["seconds_to_target_ratio"]),
                _seconds(row["compile_seconds"]),
                *_share(row["operations"], row["seconds"], rates.get("jax")),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _percent(value: float, deviation: float | None) -> str:
    spread = "" if deviation is None else f" ± {100 * deviation:.2f}"
    return f"{100 * value:.2f} %{spread}"


def _share(operations: float | None, seconds: float, rate: float | None) -> tuple[str, str]:
    """Returns the operations of a fit, and their rate as a share of the matrix product's."""
    if operations is None or rate is None:
        return "-", "-"
    return f"{operations / 1e9:.0f}", f"{operations / 1e9 / seconds / rate:.0%}"


def _ratio_cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _seconds(value: float | None) -> str:
    """Returns seconds to three significant digits."""
    if value is None:
        return "-"
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" if value > 0 else "0"


def plot(
    summary: dict[str, Any], fits: Iterable[Fit], candidates: dict[str, Candidate], path: str
) -> None:
    """Draws accuracy against seconds, a panel a task, into a PNG file.

    Large marks are a candidate's mean accuracy at its median seconds, small ones and thin lines
    the single fits; a hollow mark is a fit with a cold compilation cache.
    """
    fits = list(fits)
    figure = Figure(figsize=(1.5 + 5.5 * len(summary), 6), layout="constrained")
    panels = figure.subplots(1, len(summary), squeeze=False)[0]
    for axes, (key, task) in zip(panels, summary.items(), strict=True):
        colours = _colours(key, candidates)
        for name, row in task["candidates"].items():
            colour, marker = colours[name]
            hollow = candidates[name].cache == "cold"
            for fit in fits:
                if fit.candidate == name:
                    axes.plot(*zip(*fit.curve, strict=True), color=colour, lw=0.8, alpha=0.45)
                    axes.plot(
                        fit.seconds, fit.accuracy, marker, color=colour, ms=3.5, alpha=0.45, mew=0
                    )
            axes.plot(
                row["seconds"],
                row["accuracy"],
                marker,
                color=colour,
                mfc="white" if hollow else colour,
                mew=2 if hollow else 1,
                ms=11,
                ls="none",
                label=row["title"],
                zorder=3,
            )
        axes.axhline(task["target"], color="0.35", lw=1, ls="--", label=f"{task['target']:.0%}")
        axes.set_xscale("log")
        plain = FuncFormatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_major_formatter(plain)
        if max(row["seconds_range"][1] for row in task["candidates"].values()) < 30:
            axes.xaxis.set_minor_formatter(plain)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel(f"seconds {task['clock']} (log scale)")
        axes.set_ylabel(task["metric"])
        axes.set_title(task["title"], loc="left")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False, ncols=2)
    figure.savefig(path, dpi=150)


def _colours(task: str, candidates: dict[str, Candidate]) -> dict[str, tuple[str, str]]:
    """Returns a colour and a mark for each candidate of a task, one for each function fitted."""
    names = [name for name, candidate in candidates.items() if candidate.task == task]
    functions = list(dict.fromkeys(candidates[name].fit for name in names))
    return {
        name: (_COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)])
        for name in names
        for place in [functions.index(candidates[name].fit)]
    }
