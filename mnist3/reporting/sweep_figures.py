"""What a sweep found: its trials one after the other, side by side, and what mattered."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mnist3.reporting.drawing import (
    BLUE,
    GREY,
    PAGE_WIDTH,
    VERMILLION,
    new_figure,
    percent_axis,
    plain_axes,
    write_title,
)
from mnist3.sweeps import Choices, Range
from mnist3.sweeps.study import Trial

MOST_TICKS = 12  # of the choices of a parameter that are named


def optimisation_history(
    trials: Sequence[Trial], metric: str, maximizes: bool, description: str
) -> Figure | None:
    """Draws the value of each trial in their order, and the best so far.

    Args:
        trials: by number.
        metric: what their value is.
        maximizes: whether the highest is the best.
        description: of what on what, for the title.

    Returns:
        None where no trial has a value.
    """
    complete, pruned = _values(trials, "complete"), _values(trials, "pruned")
    if not complete and not pruned:
        return None
    figure = new_figure(PAGE_WIDTH, 4.2)
    axes = figure.subplots()
    for found, style, words in (
        (complete, "o", "complete"),
        (pruned, "v", "stopped early, after its last epoch"),
    ):
        if found:
            colour = BLUE if found is complete else GREY
            axes.plot([*found], [*found.values()], style, color=colour, label=words, zorder=3)
    if complete:
        best = np.maximum if maximizes else np.minimum
        so_far = best.accumulate([*complete.values()])
        axes.step([*complete], so_far, where="post", color=VERMILLION, label="best so far")
    axes.set(xlabel="trial", ylabel=f"{metric}, val")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    plain_axes(axes, grid="y")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    write_title(figure, f"Optimisation history: {description}")
    return figure


def parameter_importance(importances: Mapping[str, float], description: str) -> Figure | None:
    """Draws how much of the trials' variance each parameter explains; None where unknown.

    Args:
        importances: shares by parameter, the largest first.
        description: of what on what, for the title.
    """
    if not importances:
        return None
    figure = new_figure(8, 0.34 * len(importances) + 1.8)
    axes = figure.subplots()
    places = np.arange(len(importances))
    axes.barh(places, list(importances.values()), color=BLUE, height=0.7)
    axes.set_yticks(places, list(importances))
    axes.set_ylim(len(importances) - 0.4, -0.6)
    axes.set(xlabel="share of the variance that it explains", xlim=(0, 1))
    percent_axis(axes.xaxis)
    plain_axes(axes, grid="x")
    write_title(figure, f"Importance of each parameter: {description}\n(fANOVA of complete trials)")
    return figure


def parallel_coordinates(
    trials: Sequence[Trial],
    parameters: Mapping[str, Choices | Range],
    best: Trial | None,
    metric: str,
    description: str,
) -> Figure | None:
    """Draws each trial as a line over its parameters to the value that it reached.

    Args:
        trials: by number; those without a value are left out.
        parameters: what was searched, by field.
        best: the trial to stand out.
        metric: what the value is.
        description: of what on what, for the title.

    Returns:
        None where no trial has a value.
    """
    reached = _values(trials, "complete", "pruned")
    drawn = [trial for trial in trials if trial.number in reached]
    searched = {
        name: each
        for name, each in parameters.items()
        if isinstance(each, Range) or len(each.values) > 1
    }
    if not drawn or not searched:
        return None
    figure = new_figure(PAGE_WIDTH, 5)
    axes = figure.subplots()
    ends = (min(reached.values()), max(reached.values()))
    colours = matplotlib.colormaps["cividis"]
    norm = Normalize(*ends)
    for trial in drawn:
        value = reached[trial.number]
        heights = [_height(each, trial.values[name]) for name, each in searched.items()]
        heights.append((value - ends[0]) / (ends[1] - ends[0]) if ends[0] < ends[1] else 0.5)
        is_best = best is not None and trial.number == best.number
        axes.plot(
            heights,
            "-" if trial.state == "complete" else ":",
            color=VERMILLION if is_best else colours(norm(value)),
            linewidth=3 if is_best else 1.2,
            zorder=3 if is_best else 2,
            label="best" if is_best else None,
        )
    for place, (name, each) in enumerate(searched.items()):
        _draw_axis(axes, place, _marks(each))
        axes.text(place, 1.07, name.replace(".", ".\n"), ha="center", va="bottom", fontsize=9)
    _draw_axis(axes, len(searched), [])
    axes.text(len(searched), 1.07, metric, ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(-0.3, len(searched) + 0.1), ylim=(-0.08, 1.3))
    axes.axis("off")
    figure.colorbar(ScalarMappable(norm, colours), ax=axes, label=f"{metric}, val", pad=0.01)
    if best is not None:
        figure.legend(loc="outside lower center", frameon=False)
    write_title(figure, f"Parallel coordinates: {description}\n(dotted: stopped early)")
    return figure


def _values(trials: Sequence[Trial], *states: str) -> dict[int, float]:
    """Returns the value of each trial in one of some states that has one, by number."""
    return {
        trial.number: trial.value
        for trial in trials
        if trial.state in states and trial.value is not None
    }


def _height(parameter: Choices | Range, value: Any) -> float:
    """Returns where a value stands between the ends of a parameter, from 0 to 1."""
    if isinstance(parameter, Choices):
        return parameter.values.index(value) / (len(parameter.values) - 1)
    scale = np.log if parameter.log else float
    low, high, own = map(scale, (parameter.low, parameter.high, value))
    return float((own - low) / (high - low))


def _marks(parameter: Choices | Range) -> list[tuple[float, str]]:
    """Returns heights on a parameter's axis, and what stands there."""
    if isinstance(parameter, Choices):
        values = parameter.values if len(parameter.values) <= MOST_TICKS else parameter.values[::2]
    elif parameter.log:
        values = tuple(np.geomspace(parameter.low, parameter.high, 5).tolist())
    else:
        values = tuple(np.linspace(parameter.low, parameter.high, 5).tolist())
    texts = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in values]
    return [(_height(parameter, value), text) for value, text in zip(values, texts, strict=True)]


def _draw_axis(axes: Axes, place: int, marks: Sequence[tuple[float, str]]) -> None:
    axes.vlines(place, 0, 1, color=GREY, linewidth=0.8)
    behind = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
    style: Any = {"ha": "right", "va": "center", "fontsize": 8, "bbox": behind, "zorder": 4}
    for height, text in marks:
        axes.text(place - 0.03, height, text, **style)
