"""Pictures of how well classes are told apart. Arrays go in, figures come out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from mnist3.evaluation.classification import by_row, errors_by_row
from mnist3.evaluation.curves import OperatingPoint, PrecisionRecall, Roc
from mnist3.reporting.drawing import (
    BLUE,
    COLOURS,
    GREY,
    LINES,
    PAGE_WIDTH,
    PALE_BLUES,
    VERMILLION,
    VERMILLIONS,
    grid_shape,
    new_figure,
    percent_axis,
    percent_text,
    plain_axes,
    write_title,
)

MOST_NUMBERS = 40  # classes, above which a matrix has no room for a number in every cell
TICKS = {0.01: 0.002, 0.02: 0.005, 0.05: 0.01, 0.1: 0.02, 0.2: 0.05, 0.4: 0.1, 1.0: 0.2}
CLOSE_UPS = tuple(TICKS)[:-1]  # sides of a close-up of a corner


def confusion(
    counts: Int[np.ndarray, "classes classes"],
    classes: Sequence[str],
    description: str,
    examples: str = "images",
) -> Figure:
    """Draws how often each class was taken for each: images, shares, and errors alone.

    Of two classes each has one kind of error, so that there the third panel is left out.

    Args:
        counts: images of each class (row) that were taken for each (column).
        classes: names of the classes.
        description: who classified what, for the title.
        examples: what was classified.
    """
    drawn = {
        examples.capitalize(): counts,
        "Share of the class, %": by_row(counts),
        "Share of the class's errors, %": errors_by_row(counts),
    }
    if len(classes) == 2:
        drawn.popitem()
    longest = 0.075 * max(map(len, classes))
    side = matrix_side(classes)
    wide, high = side + longest + 0.8, side + longest * _turned(classes) + 0.9
    rows, columns = grid_shape(len(drawn), max(int(PAGE_WIDTH / wide), 1))
    figure = new_figure(max(wide * columns, 7), high * rows + 0.6)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (title, values) in zip(panels, drawn.items(), strict=False):
        draw_confusion(axes, values, classes)
        axes.set(title=title, xlabel="predicted class", ylabel="true class")
    for axes in panels[len(drawn) :]:
        axes.remove()
    wrong, total = int(counts.sum() - np.trace(counts)), int(counts.sum())
    write_title(
        figure,
        f"Confusion: {description}\n{wrong:,} of {total:,} {examples} wrong "
        "(blue: right; orange: wrong; blank: none)",
    )
    return figure


def matrix_side(classes: Sequence[str]) -> float:
    """Returns the side of a confusion matrix in inches, as `draw_confusion` needs it."""
    if len(classes) > MOST_NUMBERS:
        return PAGE_WIDTH - 1.5
    return max((0.4 if len(classes) <= 15 else 0.3) * len(classes), 2.6)


def draw_confusion(
    axes: Axes, values: Num[np.ndarray, "classes classes"], classes: Sequence[str]
) -> None:
    """Draws a matrix in which mistakes stand out, what is right recedes and nothing is blank.

    Args:
        axes: to draw into.
        values: counts, or shares from 0 to 1, of each class (row) and what it was taken for.
        classes: names of the classes.
    """
    right = np.eye(len(values), dtype=bool)
    layers = (
        (np.where(right & (values > 0), values, np.nan), PALE_BLUES, Normalize(0, None)),
        # The root makes one mistake visible beside hundreds.
        (np.where(~right & (values > 0), values, np.nan), VERMILLIONS, PowerNorm(0.5, 0, None)),
    )
    for layer, colours, norm in layers:
        # Few mistakes stay pale, so that one matrix may be laid beside another.
        norm.vmax = np.nanmax(layer, initial=max(0.1 * values.max(), np.finfo(np.float32).tiny))
        picture = axes.imshow(layer, colours, norm=norm)
    places = np.arange(len(classes))
    turned: Any = {"rotation": 45, "ha": "right"} if _turned(classes) else {}
    axes.set_xticks(places, classes, **turned)
    axes.set_yticks(places, classes)
    axes.set_xticks(places[1:] - 0.5, minor=True)
    axes.set_yticks(places[1:] - 0.5, minor=True)
    axes.grid(which="minor", color="#e6e6e6", linewidth=0.5)
    axes.tick_params(which="both", length=0, labelsize=_name_size(classes))
    axes.spines[:].set_color("#bbbbbb")
    if len(classes) > MOST_NUMBERS:
        axes.figure.colorbar(picture, ax=axes, shrink=0.6, label="wrong (a scale of roots)")
        return
    whole = np.issubdtype(values.dtype, np.integer)
    size = 8 if len(classes) <= 15 else 6.5
    for (row, column), value in np.ndenumerate(values):
        if value > 0:
            text = f"{value}" if whole else _percent(float(value))
            axes.text(
                *(column, row, text), in_layout=False, ha="center", va="center", fontsize=size
            )


def _percent(share: float) -> str:
    """Returns a share in percent without the sign, with a decimal where that says much more."""
    middling = 0.01 <= share <= 0.985 or share == 1
    return percent_text(share, 0 if middling else 1).removesuffix(" %")


def _turned(classes: Sequence[str]) -> bool:
    """Returns whether names stand too close below a matrix to lie flat."""
    width = 0.0085 * _name_size(classes) * max(map(len, classes))  # inches
    return width > 0.9 * matrix_side(classes) / len(classes)


def _name_size(classes: Sequence[str]) -> int:
    """Returns the size of the names beside a matrix, points."""
    return 10 if len(classes) <= 15 else 8 if len(classes) <= MOST_NUMBERS else 6


def thresholds(curve: PrecisionRecall, chosen: OperatingPoint | None, description: str) -> Figure:
    """Draws precision and recall against the threshold, and marks the chosen one.

    Args:
        curve: precision and recall of a detector.
        chosen: its threshold, and what it gives; None if none is marked.
        description: which detector of what, for the title.
    """
    figure = new_figure(8, 4.4)
    axes = figure.subplots()
    for values, name, colour, style in (
        (curve.precision, "precision", BLUE, "-"),
        (curve.recall, "recall", VERMILLION, "--"),
    ):
        axes.plot(curve.thresholds, values, style, color=colour, label=name, linewidth=2)
    # Beyond these the curves are flat, and a score far out would squeeze what matters.
    ends = curve.thresholds[(curve.recall < 0.999) & (curve.recall > 0.001)]
    if chosen is not None:
        _mark_threshold(axes, chosen)
        ends = np.append(ends, chosen.threshold)
    if len(ends) and ends.max() > ends.min():
        reach = 0.03 * (ends.max() - ends.min())
        axes.set_xlim(ends.min() - reach, ends.max() + reach)
    plain_axes(axes, grid="both")
    axes.set(
        xlabel="threshold: called positive if the score is at least this",
        ylabel="precision, recall",
        ylim=(0, 1.03),
    )
    axes.xaxis.set_major_formatter("{x:,g}")
    percent_axis(axes.yaxis)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    write_title(
        figure,
        f"Precision and recall by threshold: {description}"
        + (f"\nchosen (dotted): {_threshold(chosen)}" if chosen else ""),
    )
    return figure


def _mark_threshold(axes: Axes, chosen: OperatingPoint) -> None:
    axes.axvline(chosen.threshold, color=GREY, linestyle=":")
    # Precision mostly rises with the threshold and recall falls: each text stands off its curve.
    for value, name, colour, side in (
        (chosen.precision, "precision", BLUE, "top"),
        (chosen.recall, "recall", VERMILLION, "bottom"),
    ):
        axes.plot(chosen.threshold, value, "o", color=colour, ms=8)
        axes.annotate(
            f"{name} {percent_text(value, 2)}",
            (chosen.threshold, value),
            xytext=(8, -5 if side == "top" else 5),
            textcoords="offset points",
            va=side,
        )


def precision_recall_curves(
    curves: Mapping[str, PrecisionRecall],
    description: str,
    chosen: Mapping[str, OperatingPoint] | None = None,
) -> Figure:
    """Draws precision against recall of several estimators, and their corner from nearby.

    Args:
        curves: by the estimator's name.
        description: what is detected in what, for the title.
        chosen: thresholds to mark, by the estimator's name.
    """

    def draw(axes: Axes) -> None:
        for name, curve, style in _styled(curves):
            label = f"{name}: average precision {curve.average_precision:.4f}"
            axes.plot(curve.recall, curve.precision, label=label, **style)
            if chosen and name in chosen:
                point = chosen[name]
                precision = percent_text(point.precision, 1)
                label = f"{name} at {_threshold(point)}: precision {precision}"
                dot = {"color": style["color"], "ms": 9, "clip_on": False}
                axes.plot(point.recall, point.precision, "o", label=label, **dot)
        axes.set(
            xlabel="recall: share of the positive images that are found",
            ylabel="precision: share of those called positive that are",
        )

    knees = [_knee(1 - curve.recall, 1 - curve.precision) for curve in curves.values()]
    figure = _with_close_up(draw, _close_up(knees), "right")
    write_title(figure, f"Precision and recall: {description}")
    return figure


def roc_curves(curves: Mapping[str, Roc], description: str, examples: str = "images") -> Figure:
    """Draws the ROC curves of several estimators, and their corner from nearby.

    Args:
        curves: by the estimator's name.
        description: what is detected in what, for the title.
        examples: what is positive or negative.
    """

    def draw(axes: Axes) -> None:
        for name, curve, style in _styled(curves):
            label = f"{name}: area {curve.area:.4f}"
            axes.plot(curve.false_positive_rate, curve.true_positive_rate, label=label, **style)
        axes.plot([0, 1], [0, 1], ":", color=GREY, label="chance: area 0.5")
        axes.set(
            xlabel=f"false positive rate: negative {examples} called positive",
            ylabel="true positive rate (recall)",
        )

    knees = [
        _knee(curve.false_positive_rate, 1 - curve.true_positive_rate) for curve in curves.values()
    ]
    figure = _with_close_up(draw, _close_up(knees), "left")
    write_title(figure, f"ROC curves: {description}")
    return figure


def _knee(across: Float[np.ndarray, "points"], up: Float[np.ndarray, "points"]) -> float:
    """Returns how near a curve comes to a corner, given both distances of its points from it."""
    return float(np.maximum(across, up).min())


def _close_up(knees: Sequence[float]) -> float | None:
    """Returns the side of a close-up in which the curves turn, None if they turn far away.

    A curve that comes nowhere near its corner does not count.
    """
    near = [knee for knee in knees if 2 * knee <= CLOSE_UPS[-1]]
    if not near:
        return None
    return next(side for side in CLOSE_UPS if 2 * max(near) <= side)


def _with_close_up(draw: Callable[[Axes], None], side: float | None, corner: str) -> Figure:
    """Draws curves of shares whole and, if a side is given, again from nearby.

    Args:
        draw: draws the curves.
        side: of the upper corner that is shown, a share.
        corner: which one, left or right.
    """
    figure = new_figure(PAGE_WIDTH if side else 6.4, 5.6)
    panels = figure.subplots(1, 2 if side else 1, squeeze=False)[0]
    for axes, size in zip(panels, (1.0, side) if side else (1.0,), strict=True):
        draw(axes)
        plain_axes(axes, grid="both")
        edge = 0.02 * size  # so that a curve along the border is seen
        across = (-edge, size) if corner == "left" else (1 - size, 1 + edge)
        axes.set(xlim=across, ylim=(1 - size, 1 + edge), aspect="equal")
        if size == 1:
            axes.set(xlim=(-edge, 1 + edge), ylim=(-edge, 1 + edge))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MultipleLocator(TICKS[size]))
            percent_axis(axis)
    panels[0].set_title("Whole")
    if side:
        panels[1].set_title(f"Upper {corner} corner, {percent_text(side)} wide and high")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _threshold(point: OperatingPoint) -> str:
    far = abs(point.threshold) >= 1000
    return f"{point.threshold:,.0f}" if far else f"{point.threshold:.4g}"


def _styled(curves: Mapping[str, tuple]) -> list[tuple]:
    """Returns name, curve and a style of its own for each."""
    return [
        (
            name,
            curve,
            {
                "color": COLOURS[number % len(COLOURS)],
                "linestyle": LINES[number % len(LINES)],
                "linewidth": 1.8,
            },
        )
        for number, (name, curve) in enumerate(curves.items())
    ]
