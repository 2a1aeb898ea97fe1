"""Pictures of how well classes are told apart. Arrays go in, figures come out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MultipleLocator, PercentFormatter

from mnist3.evaluation.classification import by_row, errors_by_row
from mnist3.evaluation.curves import OperatingPoint, PrecisionRecall, Roc
from mnist3.reporting.drawing import (
    BLUE,
    COLOURS,
    GREY,
    LINES,
    SPLIT_COLOURS,
    VERMILLION,
    new_figure,
    plain_axes,
    write_title,
)

MOST_NUMBERS = 15  # classes, above which a matrix has no room for a number in every cell
CORNER = 0.2  # rates drawn in the close-up of the ROC curve


def class_balance(
    targets: Mapping[str, Int[np.ndarray, "_"]],
    classes: Sequence[str],
    description: str,
    examples: str = "images",
) -> Figure:
    """Draws the share of each class in each split.

    Args:
        targets: by split, the class 0, 1, ... of each image.
        classes: names of the classes.
        description: what the images are, for the title.
        examples: what there is of each class.
    """
    figure = new_figure(max(7, 0.8 * len(classes) + 2), 4)
    axes = figure.subplots()
    width = 0.8 / len(targets)
    for number, (split, each) in enumerate(targets.items()):
        share = np.bincount(each, minlength=len(classes)) / max(len(each), 1)
        places = np.arange(len(classes)) + (number - (len(targets) - 1) / 2) * width
        label = f"{split} ({len(each):,} {examples})"
        axes.bar(places, share, width, color=SPLIT_COLOURS[split], label=label)
    axes.axhline(1 / len(classes), color=GREY, linestyle=":", label="all classes alike")
    plain_axes(axes, grid="y")
    axes.set(xlabel="class", ylabel=f"share of the split's {examples}")
    axes.set_xticks(range(len(classes)), classes)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    write_title(figure, f"Class balance: {description}")
    return figure


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
    side = max(0.42 * len(classes) + 1.2, 4.2) if len(classes) <= MOST_NUMBERS else 6.5
    turned = len(classes) * max(map(len, classes)) > 30  # the names stand too close to lie flat
    shown = 3 if len(classes) > 2 else 2
    figure = new_figure(shown * side + 1.6, 0.88 * side + (1.2 if turned else 0.8))
    panels = figure.subplots(1, shown)
    wrong, total = int(counts.sum() - np.trace(counts)), int(counts.sum())
    for axes, (values, norm, title, label) in zip(
        panels,
        _confusion_panels(counts, examples),
        strict=False,
    ):
        picture = axes.imshow(np.where(values > 0, values, np.nan), "cividis", norm)
        if len(classes) <= MOST_NUMBERS:
            _write_cells(axes, values, norm)
        axes.set(title=title, xlabel="predicted class", ylabel="true class")
        style = {"rotation": 45, "ha": "right"} if turned else {}
        axes.set_xticks(range(len(classes)), classes, **style)
        axes.set_yticks(range(len(classes)), classes)
        colorbar = figure.colorbar(picture, ax=axes, shrink=0.8, label=f"{label}; blank: none")
        logarithmic = isinstance(norm, LogNorm)
        colorbar.formatter = LogFormatter() if logarithmic else PercentFormatter(1, decimals=0)
        if logarithmic:
            colorbar.minorformatter = LogFormatter()
    write_title(figure, f"Confusion: {description}\n{wrong:,} of {total:,} wrong")
    return figure


def _confusion_panels(
    counts: Int[np.ndarray, "classes classes"], examples: str
) -> tuple[tuple[np.ndarray, Normalize, str, str], ...]:
    """Returns values, colour scale, title and what a colour means of each panel."""
    errors = errors_by_row(counts)
    return (
        (
            counts,
            LogNorm(1, max(counts.max(), 2)),
            examples.capitalize(),
            f"{examples} (logarithmic)",
        ),
        (by_row(counts), Normalize(0, 1), "Share of the class, %", "share of the row"),
        (
            errors,
            Normalize(0, errors.max() or 1),
            "Share of the class's errors, %",
            "share of the row's errors",
        ),
    )


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
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
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
            f"{name} {value:.2%}",
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
    """Draws precision against recall of several estimators.

    Args:
        curves: by the estimator's name.
        description: what is detected in what, for the title.
        chosen: thresholds to mark, by the estimator's name.
    """
    figure = new_figure(6.4, 6)
    axes = figure.subplots()
    for name, curve, style in _styled(curves):
        label = f"{name}: average precision {curve.average_precision:.4f}"
        # From the top right: the lowest threshold has the highest recall.
        axes.plot(curve.recall, curve.precision, label=label, **style)
        if chosen and name in chosen:
            point = chosen[name]
            label = f"{name} at {_threshold(point)}: precision {point.precision:.1%}"
            axes.plot(point.recall, point.precision, "o", color=style["color"], ms=9, label=label)
    plain_axes(axes, grid="both")
    axes.set(
        xlabel="recall: share of the positive images that are found",
        ylabel="precision: share of those called positive that are",
        xlim=(0, 1.01),
        ylim=(0, 1.01),
        aspect="equal",
    )
    _percent_axes(axes)
    axes.legend(frameon=True, framealpha=0.9, edgecolor="none", loc="lower left", fontsize=9)
    write_title(figure, f"Precision and recall: {description}")
    return figure


def roc_curves(curves: Mapping[str, Roc], description: str, examples: str = "images") -> Figure:
    """Draws the ROC curves of several estimators, and a close-up of the corner that matters.

    Args:
        curves: by the estimator's name.
        description: what is detected in what, for the title.
        examples: what is positive or negative.
    """
    figure = new_figure(11, 5.8)
    whole, corner = figure.subplots(1, 2)
    for axes in (whole, corner):
        for name, curve, style in _styled(curves):
            label = f"{name}: area {curve.area:.4f}"
            axes.plot(curve.false_positive_rate, curve.true_positive_rate, label=label, **style)
        axes.plot([0, 1], [0, 1], ":", color=GREY, label="chance: area 0.5")
        plain_axes(axes, grid="both")
        axes.set(
            xlabel=f"false positive rate: negative {examples} called positive",
            ylabel="true positive rate (recall)",
            aspect="equal",
        )
        _percent_axes(axes)
    for axis in (corner.xaxis, corner.yaxis):
        axis.set_major_locator(MultipleLocator(CORNER / 4))
    whole.set(title="All", xlim=(-0.01, 1), ylim=(0, 1.01))
    corner.set(title="Upper left corner", xlim=(-0.002, CORNER), ylim=(1 - CORNER, 1.002))
    handles, names = whole.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    write_title(figure, f"ROC curves: {description}")
    return figure


def _write_cells(axes: Axes, values: np.ndarray, norm: Normalize) -> None:
    for (row, column), value in np.ndenumerate(values):
        if value > 0:
            text = f"{value}" if np.issubdtype(values.dtype, np.integer) else _percent(value)
            colour = "white" if norm(value) < 0.55 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)


def _percent(share: float) -> str:
    """Returns a share in percent, with a decimal where rounding would make it 0 or 100."""
    return f"{100 * share:.0f}" if 0.01 <= share <= 0.985 or share == 1 else f"{100 * share:.1f}"


def _threshold(point: OperatingPoint) -> str:
    far = abs(point.threshold) >= 1000
    return f"{point.threshold:,.0f}" if far else f"{point.threshold:.4g}"


def _percent_axes(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))


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
