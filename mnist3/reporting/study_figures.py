"""Pictures of a study: what a search tried, which features matter, which candidate is best."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mnist3.evaluation.selection import Comparison
from mnist3.reporting.drawing import (
    BLUE,
    GREY,
    ORANGE,
    PAGE_WIDTH,
    VERMILLION,
    new_figure,
    percent_axis,
    plain_axes,
    write_title,
)


def search_heat_map(results: Mapping[str, Any], score: str, description: str) -> Figure:
    """Draws the score of each combination that a search tried.

    The two parameters with the most values make the axes; of several combinations that share a
    cell, or a place, the best one is drawn. Of successive halving each combination has the score of
    its last iteration, and one that got further is better.

    Args:
        results: the search's `cv_results_`.
        score: what was maximised, for the colour bar.
        description: of which estimator on what, for the title.
    """
    trials = _last_trials(results)
    chosen = max(trials, key=_goodness)
    tried = {name: _values(results["params"], name) for name in results["params"][0]}
    tried = {name: values for name, values in tried.items() if len(values) > 1}
    names = sorted(tried, key=lambda name: -len(tried[name]))[:2]
    if len(names) < 2:
        return _search_line(trials, chosen, tried, score, description)
    across, down = names
    cells = np.full((len(tried[down]), len(tried[across])), np.nan)
    spread = cells.copy()
    for trial in sorted(reversed(trials), key=_goodness):  # the best of a cell comes last
        place = _place(trial, tried, names)
        cells[place], spread[place] = trial.score, trial.deviation
    figure = new_figure(max(1.25 * cells.shape[1] + 2.6, 8), max(0.9 * cells.shape[0] + 1.8, 3.6))
    axes = figure.subplots()
    picture = axes.imshow(cells, "cividis", aspect="auto")
    for (row, column), value in np.ndenumerate(cells):
        if not np.isnan(value):
            colour = "white" if float(np.asarray(picture.norm(value))) < 0.55 else "black"
            text = f"{value:.4f}\n± {spread[row, column]:.4f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    row, column = _place(chosen, tried, names)
    frame = Rectangle(
        (column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=VERMILLION, linewidth=3
    )
    axes.add_patch(frame)
    axes.set_xticks(range(cells.shape[1]), map(str, tried[across]))
    axes.set_yticks(range(cells.shape[0]), map(str, tried[down]))
    axes.set(xlabel=_short(across), ylabel=_short(down))
    figure.colorbar(picture, label=f"{score}, mean of the folds", format="{x:.4f}")
    others = len(tried) - 2
    best_of = f"; best over {others} more parameter{'s' * (others > 1)}" if others else ""
    best_of += "; each at its last iteration" * ("iter" in results)
    write_title(
        figure,
        f"Search: {description}\n"
        f"± standard deviation of the folds; framed: the chosen, {chosen.score:.4f}{best_of}",
    )
    return figure


class _Trial(NamedTuple):
    parameters: Mapping[str, Any]
    score: float
    deviation: float
    iteration: int  # of successive halving, else 0


def _last_trials(results: Mapping[str, Any]) -> list[_Trial]:
    """Returns the last trial of each combination, in the order of these trials."""
    iterations = results.get("iter", np.zeros(len(results["params"]), int))
    columns = (results["mean_test_score"], results["std_test_score"], iterations)
    trials = map(_Trial, results["params"], *(np.asarray(each).tolist() for each in columns))
    last = {}
    for trial in reversed(list(trials)):
        last.setdefault(str(trial.parameters), trial)
    return list(reversed(last.values()))


def _goodness(trial: _Trial) -> tuple[int, float]:
    """Returns what a search chooses by: it takes the highest, of several the first."""
    return trial.iteration, trial.score


def _place(trial: _Trial, tried: Mapping[str, Sequence], names: Sequence[str]) -> tuple[int, int]:
    """Returns row and column of a trial, where `names` are of the columns and of the rows."""
    across, down = (tried[name].index(trial.parameters[name]) for name in names)
    return down, across


def _search_line(
    trials: Sequence[_Trial],
    chosen: _Trial,
    tried: Mapping[str, Sequence],
    score: str,
    description: str,
) -> Figure:
    """Draws the scores of a search over one parameter, or over none."""
    [(name, values)] = tried.items() or [("", [None])]
    places = [values.index(trial.parameters.get(name)) for trial in trials]
    figure = new_figure(max(8, 0.7 * len(values) + 2), 4)
    axes = figure.subplots()
    _, scores, deviations, _ = zip(*trials, strict=True)
    axes.errorbar(places, scores, deviations, fmt="o", color=BLUE, ecolor=GREY, capsize=3)
    label = f"chosen: {chosen.score:.4f}"
    axes.plot(
        places[trials.index(chosen)],
        chosen.score,
        "*",
        color=VERMILLION,
        ms=15,
        label=label,
        zorder=5,
    )
    axes.set_xticks(range(len(values)), map(str, values) if name else [""])
    axes.set(xlabel=_short(name), ylabel=f"{score}, mean of the folds")
    plain_axes(axes, grid="y")
    figure.legend(loc="outside lower center", frameon=False)
    write_title(figure, f"Search: {description}\n(line: one standard deviation of the folds)")
    return figure


def feature_importance(
    names: Sequence[str],
    importances: Float[np.ndarray, "features repeats"],
    score: str,
    description: str,
    limit: int = 20,
) -> Figure:
    """Draws by how much a score falls when a feature is shuffled, the most important first.

    Args:
        names: of the features.
        importances: the fall in each repeat, as `permutation_importance` gives it.
        score: what falls.
        description: of which estimator on what, for the title.
        limit: most features drawn.
    """
    means = importances.mean(axis=1)
    order = np.argsort(-means, kind="stable")[:limit]
    low, high = importances[order].min(axis=1), importances[order].max(axis=1)
    figure = new_figure(8, 0.32 * len(order) + 1.8)
    axes = figure.subplots()
    places = np.arange(len(order))
    shown = means[order]
    axes.barh(places, shown, color=BLUE, height=0.7)
    axes.errorbar(
        shown,
        places,
        xerr=np.maximum([shown - low, high - shown], 0),
        fmt="none",
        ecolor=ORANGE,
        elinewidth=2,
        capsize=3,
    )
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(places, [names[index] for index in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlabel(f"fall in {score} when the feature's values are shuffled")
    plain_axes(axes, grid="x")
    few = f"the {len(order)} most important of {len(names)} features; " * (len(order) < len(names))
    write_title(
        figure,
        f"Feature importance: {description}\n"
        f"({few}line: lowest to highest of {importances.shape[1]} shuffles)",
    )
    return figure


def comparison(result: Comparison, description: str, examples: str = "images") -> Figure:
    """Draws how good each candidate is, and by how much it lies behind the winner.

    Args:
        result: of comparing the candidates; squared errors are those of grey levels.
        description: what was read, for the title.
        examples: what was right or wrong.
    """
    shares = (
        "Right",
        f"share of the {examples} that are right",
        "difference of the shares, percentage points",
        percent_axis,
    )
    title, value_label, behind_label, write_ticks = {
        "accuracy": shares,
        "exact_match": shares,
        "mse": (
            "Error",
            "mean squared error, squared grey levels",
            "difference of the errors, squared grey levels",
            lambda axis: axis.set_major_formatter("{x:g}"),
        ),
    }[result.metric]
    figure = new_figure(PAGE_WIDTH, 0.42 * len(result.candidates) + 2)
    values, behind = figure.subplots(1, 2, sharey=True)
    for place, candidate in enumerate(result.candidates):
        winner = candidate.name == result.winner
        colour, marker = (
            (VERMILLION, "*") if winner else (BLUE, "o") if candidate.tied else (GREY, "s")
        )
        for axes, value, ends in (
            (values, candidate.value, candidate.value_ci95),
            (behind, candidate.behind, candidate.behind_ci95),
        ):
            axes.plot(ends, (place, place), color=colour, linewidth=2)
            size = 13 if winner else 7
            axes.plot(value, place, marker, color=colour, ms=size)
        if not winner:
            text = "p < 0.0001" if candidate.p_value < 1e-4 else f"p = {candidate.p_value:.2g}"
            style = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center"}
            behind.annotate(text, (candidate.behind, place), fontsize=8, **style)
    for label, colour, marker in (
        ("winner", VERMILLION, "*"),
        ("cannot be told apart from it", BLUE, "o"),
        ("worse", GREY, "s"),
    ):
        values.plot([], [], marker, color=colour, label=label, ms=8)
    values.set_yticks(
        range(len(result.candidates)), [candidate.name for candidate in result.candidates]
    )
    values.set_ylim(len(result.candidates) - 0.5, -0.6)
    values.set(title=title, xlabel=value_label)
    behind.set(title="Behind the winner", xlabel=behind_label)
    behind.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
    for axes in (values, behind):
        plain_axes(axes, grid="x")
        write_ticks(axes.xaxis)
        axes.locator_params(axis="x", nbins=6)
    handles, names = values.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    write_title(
        figure,
        f"Comparison: {description}\n"
        f"(lines: 95 % intervals; p: {result.test}, Holm's correction; of {result.subject})",
    )
    return figure


def _values(tried: Sequence[Mapping[str, Any]], name: str) -> list:
    """Returns the values of a parameter, numbers by size and others as they come."""
    values = []
    for parameters in tried:
        if parameters[name] not in values:
            values.append(parameters[name])
    if all(isinstance(value, int | float) for value in values):
        return sorted(values)
    return values


def _short(name: str) -> str:
    """Returns a parameter's own name, without the steps of a pipeline."""
    return name.split("__")[-1]
