"""How learning went, by epoch and by step. Histories go in, figures come out."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mnist3.reporting.drawing import (
    BLUE,
    COLOURS,
    ORANGE,
    PAGE_WIDTH,
    PURPLE,
    SPLIT_COLOURS,
    VERMILLION,
    logarithmic_axis,
    new_figure,
    percent_axis,
    percent_text,
    plain_axes,
    write_title,
)

SMALLEST = 1e-12  # what is below is drawn as 0
NORMS = {  # those of the lines of a step, with their styles
    "gradient_norm": ("gradient", BLUE, "-"),
    "update_norm": ("update", VERMILLION, "--"),
    "parameter_norm": ("parameters", PURPLE, "-."),
}
_TRAIN, _VAL = "train, mean over the epoch's steps", "val, at the end of the epoch"


def learning_curves(
    history: Sequence[Mapping[str, Any]],
    description: str,
    *,
    metric: str = "exact_match",
    higher_is_better: bool = True,
    loss_unit: str = "nats",
    kept: int | None = None,
) -> Figure:
    """Draws the loss and a metric by epoch, and below them what was logged by step.

    Of a share the errors are drawn, 1 - share, so that 0.99 and 0.999 are told apart; both are on a
    logarithmic axis, at whose lower end stands what is 0.

    Args:
        history: the lines of `history.jsonl`, in their order, at least one. A line of an epoch has
            `step` and `epoch`; its `train` may have `loss` and the metric, its `val`, where there
            is one, the metric and perhaps `nll`. A line of a step has `step`, `loss` and, where
            they are known, `learning_rate`, `gradient_norm`, `parameter_norm` and `update_norm`.
        description: what was trained on what, for the title.
        metric: name of the metric.
        higher_is_better: whether the best epoch has the highest value of it, else the lowest.
        loss_unit: of the loss.
        kept: the epoch whose parameters were kept, to be marked; if not given, the best one on val.
    """
    epochs = [line for line in history if "epoch" in line]
    steps = [line for line in history if "epoch" not in line]
    rates = [line for line in steps if "learning_rate" in line]
    norms = [name for name in NORMS if any(name in line for line in steps)]
    shown = (True, bool(epochs), bool(rates), bool(norms))
    rows = -(-sum(shown) // 2)
    figure = new_figure(PAGE_WIDTH, 3.6 * rows + 0.9)
    panels = iter(figure.subplots(rows, 2, squeeze=False).flat)
    _draw_loss(next(panels), epochs, steps, loss_unit)
    if epochs:
        _draw_metric(next(panels), epochs, metric, higher_is_better, kept)
    if rates:
        axes = next(panels)
        axes.plot(*_series(rates, "step", "learning_rate"), color=BLUE)
        axes.set(title="Learning rate", xlabel="step", ylabel="learning rate")
        axes.set_ylim(bottom=0)
    if norms:
        axes = next(panels)
        for name in norms:
            words, colour, style = NORMS[name]
            axes.plot(*_series(steps, "step", name), style, color=colour, label=f"norm: {words}")
        axes.set(title="Norms", xlabel="step", ylabel="Euclidean norm")
        _logarithmic(axes)
    for axes in panels:
        axes.remove()
    for axes in figure.axes:
        plain_axes(axes, grid="both")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=3, frameon=False)
    write_title(figure, f"Learning curves: {description}")
    return figure


def replicate_curves(
    histories: Mapping[str, Mapping[int, Sequence[Mapping[str, Any]]]],
    description: str,
    *,
    metric: str = "exact_match",
    higher_is_better: bool = True,
) -> Figure:
    """Draws a metric of val by epoch: of each replicate, their mean, and their deviation as a band.

    Of a share the errors are drawn, on a logarithmic axis, see `learning_curves`.

    Args:
        histories: by the name of the candidate and the seed of its replicate, lines of
            `history.jsonl`, at least one epoch each.
        description: what was trained on what, for the title.
        metric: name of the metric.
        higher_is_better: whether a higher value of it is better.
    """
    found = {name: _by_epoch([*each.values()], metric) for name, each in histories.items()}
    every = np.concatenate([values.ravel() for values in found.values()])
    known = every[np.isfinite(every)]
    errors = bool(higher_is_better and (known >= 0).all() and (known <= 1).all())
    words = metric.replace("_", " ")
    figure = new_figure(7, 4.4 + 0.2 * (len(found) - 1))
    axes = figure.subplots()
    bands = []
    for (name, values), colour in zip(found.items(), itertools.cycle(COLOURS), strict=False):
        values = 1 - values if errors else values
        epochs = np.arange(1, values.shape[1] + 1)
        axes.plot(epochs, values.T, color=colour, alpha=0.45, lw=0.9)
        count = np.isfinite(values).sum(axis=0)
        mean = np.nansum(values, axis=0) / count
        deviation = np.sqrt(np.nansum((values - mean) ** 2, axis=0) / np.maximum(count - 1, 1))
        label = f"{name}, mean of {len(values)} seeds"
        axes.plot(epochs, mean, "-", color=colour, marker="o", ms=4, lw=2, label=label)
        bands.append((epochs, mean, deviation, colour))
    axes.set(xlabel="epoch", ylabel=f"share of errors, 1 - {words}" if errors else words)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    lowest = _logarithmic(axes) if errors or not higher_is_better else None
    floor = lowest or (1 - float(known.max()) if errors else -np.inf)
    for epochs, mean, deviation, colour in bands:
        below = np.maximum(mean - deviation, floor)
        axes.fill_between(epochs, below, mean + deviation, color=colour, alpha=0.15, lw=0)
    if errors:
        percent_axis(axes.yaxis)
    plain_axes(axes, grid="both")
    figure.legend(loc="outside lower center", ncols=1, frameon=False)
    write_title(figure, f"Replicates: {description}, val")
    return figure


def _by_epoch(
    histories: Sequence[Sequence[Mapping[str, Any]]], metric: str
) -> Float[np.ndarray, "replicates epochs"]:
    """Returns a metric of val of each replicate; nan after its last epoch."""
    series = [[line["val"][metric] for line in each if "epoch" in line] for each in histories]
    values = np.full((len(series), max(map(len, series))), np.nan)
    for row, each in zip(values, series, strict=True):
        row[: len(each)] = each
    return values


def loss_curve(losses: Sequence[float], description: str) -> Figure:
    """Draws the loss that a fit minimised, by pass over the training data.

    Args:
        losses: the mean of each pass, at least one.
        description: of which estimator on what, for the title.
    """
    figure = new_figure(7, 4)
    axes = figure.subplots()
    passes = np.arange(1, len(losses) + 1)
    axes.plot(passes, losses, "-", color=BLUE, marker="o" if len(losses) <= 40 else None, ms=5)
    axes.set(xlabel="pass over the training data (epoch)", ylabel="mean training loss")
    if min(losses) > 0:
        logarithmic_axis(axes, min(losses), max(losses))
        axes.set_ylabel("mean training loss (logarithmic)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    plain_axes(axes, grid="both")
    write_title(figure, f"Learning curve: {description}\n(last pass: {losses[-1]:.4f})")
    return figure


def _draw_loss(axes: Axes, epochs: list, steps: list, unit: str) -> None:
    """Draws the loss by epoch, and by step behind it, where there are lines of them."""
    a_step = epochs[-1]["epoch"] / epochs[-1]["step"] if epochs and steps else 1
    at, losses = _series(steps, "step", "loss")
    if len(losses):
        axes.plot(at * a_step, losses, color=ORANGE, alpha=0.5, lw=0.8, label="train, by step")
    _draw_split(axes, epochs, "train", "loss")
    found = _draw_split(axes, epochs, "val", "nll")
    title = "Loss that is minimised" + "; of val negative log likelihood" * bool(len(found))
    axes.set(title=title, xlabel="epoch" if epochs else "step", ylabel=unit)
    axes.title.set_fontsize(11)
    _logarithmic(axes)


def _draw_metric(
    axes: Axes, epochs: list, metric: str, higher_is_better: bool, kept: int | None
) -> None:
    """Draws a metric, or of a share its errors, and marks one epoch."""
    found = [line.get(split, {}).get(metric) for line in epochs for split in ("train", "val")]
    values = np.array([value for value in found if value is not None], np.float64)
    words = metric.replace("_", " ")
    errors = bool(higher_is_better and len(values) and (values >= 0).all() and (values <= 1).all())

    def cost(value: np.ndarray) -> np.ndarray:
        return 1 - value if errors else value

    _draw_split(axes, epochs, "train", metric, cost)
    scores = _draw_split(axes, epochs, "val", metric, cost)
    axes.set(
        title=f"Errors: 1 - {words}" if errors else f"Metric: {words}",
        xlabel="epoch",
        ylabel="share of errors" if errors else words,
    )
    axes.title.set_fontsize(11)
    lowest = _logarithmic(axes) if errors or not higher_is_better else None
    if errors:
        percent_axis(axes.yaxis)
    if not len(scores):
        return
    numbers = [line["epoch"] for line in epochs if metric in line.get("val", {})]
    best = int(np.nanargmin(scores) if errors or not higher_is_better else np.nanargmax(scores))
    if kept is not None:
        best = numbers.index(kept)
    value = percent_text(scores[best], 2) if errors else f"{scores[best]:.4g}"
    label = f"{'kept' if kept is not None else 'best on val'}: {value} after epoch {numbers[best]}"
    height = max(scores[best], lowest) if lowest else scores[best]
    style: Any = {"color": VERMILLION, "ms": 13, "zorder": 4, "clip_on": False}
    axes.plot(numbers[best], height, "*", label=label, **style)


def _draw_split(
    axes: Axes, epochs: list, split: str, metric: str, cost: Any = np.asarray
) -> Float[np.ndarray, "drawn"]:
    """Draws a metric of a split, if it has it, as `cost` makes it; returns what is drawn."""
    lines = [line for line in epochs if line.get(split, {}).get(metric) is not None]
    values = cost(np.array([line[split][metric] for line in lines], np.float64))
    if len(lines):
        axes.plot(
            [line["epoch"] for line in lines],
            values,
            "--" if split == "train" else "-",
            color=SPLIT_COLOURS[split],
            marker="o" if len(lines) <= 40 else None,
            ms=5,
            label=_TRAIN if split == "train" else _VAL,
        )
        axes.set_xlim(epochs[0]["epoch"] - 0.5, epochs[-1]["epoch"] + 0.5)
    return values


def _series(lines: list, across: str, up: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns two entries of the lines that have the second one."""
    pairs = [(line[across], line[up]) for line in lines if line.get(up) is not None]
    xs, ys = np.array(pairs, np.float64).reshape(-1, 2).T
    return xs, ys


def _logarithmic(axes: Axes) -> float | None:
    """Makes the y axis logarithmic where nothing is below 0, and lifts what is 0 to its lower end.

    Returns:
        the lower end where something was lifted, else None.
    """
    drawn = np.concatenate(
        [np.asarray(line.get_ydata(), np.float64) for line in axes.lines] or [np.empty(0)]
    )
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn) or drawn.min() < 0:
        return None
    positive = drawn[drawn > SMALLEST]
    lowest = None
    if len(positive) < len(drawn):
        lowest = float(positive.min() / 2) if len(positive) else 1e-4
        for line in axes.lines:
            line.set_ydata(np.maximum(line.get_ydata(), lowest))
            line.set_clip_on(False)
        axes.relim()
    logarithmic_axis(axes, lowest or positive.min(), drawn.max())
    axes.set_ylabel(f"{axes.get_ylabel()} (logarithmic{'; lower end: 0' * bool(lowest)})")
    if lowest:
        axes.set_ylim(lowest, max(1.2 * drawn.max(), 10 * lowest))
    return lowest
