"""Pictures of numbers and how they were read. Arrays go in, figures come out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, UInt8
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mnist3.data.numbers import NO_DIGIT
from mnist3.evaluation import error_analysis
from mnist3.evaluation.calibration import RISKS, upper_bound
from mnist3.evaluation.calibration import risk_coverage as measure_risk_coverage
from mnist3.evaluation.clusters import share_interval
from mnist3.evaluation.curves import CALIBRATION_BINS, calibration
from mnist3.reporting.classification_figures import draw_confusion, matrix_side
from mnist3.reporting.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PAGE_WIDTH,
    SPLIT_COLOURS,
    VERMILLION,
    grid_shape,
    image_grid,
    label_text,
    new_figure,
    percent_axis,
    percent_text,
    plain_axes,
    separator,
    write_title,
)

ALIKE = 3  # misread images shown of the same confusion of two classes
MOST_FLAT = 12  # bars whose shares are written side by side


def examples(
    images: UInt8[np.ndarray, "n height width"],
    labels: Int32[np.ndarray, "n K"],
    classes: Sequence[str],
    description: str,
    limit: int = 24,
) -> Figure:
    """Draws the first `limit` images with their labels.

    Args:
        images: ink bright on dark, drawn as they are.
        labels: one class a position.
        classes: names of the classes.
        description: what the images are, for the title.
        limit: most images drawn.
    """
    captions = [label_text(label, classes) for label in labels[:limit]]
    return image_grid(images[:limit], captions, f"Images and their labels: {description}")


def misread(
    images: UInt8[np.ndarray, "n height width"],
    labels: Int32[np.ndarray, "n K"],
    predictions: Int32[np.ndarray, "n K"],
    confidences: Float[np.ndarray, "n"],
    classes: Sequence[str],
    description: str,
    *,
    digit_images: Int[np.ndarray, "n K"] | None = None,
    limit: int = 24,
) -> Figure:
    """Draws misread images of a split, those read most confidently first and the wrong digits bold.

    No digit image is shown twice for the same mistake. Where it is not known which digit images the
    images are made of, each confusion of two digits is shown three times at most.

    Args:
        images: all images of the split, ink bright on dark.
        labels: their labels.
        predictions: what was read.
        confidences: probability that the model gave its reading, from 0 to 1.
        classes: names of the classes.
        description: what the images are, for the title.
        digit_images: which digit image stands at each position, if that is known.
        limit: most images drawn.
    """
    wrong = error_analysis.misread(labels, predictions, confidences)
    shown = wrong[_unlike(labels[wrong], predictions[wrong], _rows(digit_images, wrong))][:limit]
    captions, marked = [], []
    for label, prediction, confidence in zip(
        labels[shown], predictions[shown], confidences[shown], strict=True
    ):
        above = f"{label_text(label, classes)} read as\n"
        reading, places = _marked_reading(label, prediction, classes, len(above))
        captions.append(f"{above}{reading} ({percent_text(float(confidence))})")
        marked.append(places)
    alike = "one a digit image" if digit_images is not None else f"{ALIKE} a confusion"
    few = f"{len(shown)} of " if len(shown) < len(wrong) else ""
    at_most = f", at most {alike}" if few else ""
    title = (
        f"Misread images, in brackets the reading's probability: {description}\n"
        f"{few}{len(wrong):,} misread of {len(labels):,} images{at_most}; wrong digits bold"
    )
    return image_grid(images[shown], captions, title, marked=marked)


def _rows(values: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[rows]


def _unlike(
    labels: Int32[np.ndarray, "misread K"],
    predictions: Int32[np.ndarray, "misread K"],
    digit_images: Int[np.ndarray, "misread K"] | None,
) -> Bool[np.ndarray, "misread"]:
    """Returns which misread images to show, so that the same mistake does not come again and again.

    An image is left out if each of its mistakes has been shown often enough.
    """
    most = ALIKE if digit_images is None else 1
    count: dict[tuple, int] = {}
    chosen = np.zeros(len(labels), bool)
    for row, (label, prediction) in enumerate(zip(labels, predictions, strict=True)):
        mistakes = {
            (_class(label, true), _class(prediction, read))
            if digit_images is None or true is None
            else (int(digit_images[row, true]),)
            for true, read in error_analysis.paired_digits(label, prediction)
            if _class(label, true) != _class(prediction, read)
        }
        chosen[row] = any(count.get(mistake, 0) < most for mistake in mistakes)
        if chosen[row]:
            for mistake in mistakes:
                count[mistake] = count.get(mistake, 0) + 1
    return chosen


def _marked_reading(
    label: Int32[np.ndarray, "K"],
    prediction: Int32[np.ndarray, "K"],
    classes: Sequence[str],
    start: int,
) -> tuple[str, set[int]]:
    """Returns what was read as text, and which of its letters are wrong, counted from `start`."""
    text, places = "", set()
    for true, read in error_analysis.paired_digits(label, prediction):
        if read is None:
            continue
        text += separator(classes) * bool(text)
        name = classes[prediction[read]]
        if _class(label, true) != prediction[read]:
            places |= set(range(start + len(text), start + len(text) + len(name)))
        text += name
    return text or "nothing", places


def _class(digits: Int32[np.ndarray, "K"], place: int | None) -> int:
    """Returns the class at a position, NO_DIGIT for none."""
    return NO_DIGIT if place is None else int(digits[place])


def position_confusion(
    labels: Int32[np.ndarray, "n K"],
    predictions: Int32[np.ndarray, "n K"],
    classes: Sequence[str],
    description: str,
) -> Figure:
    """Draws for each position how often each class was read as each.

    Args:
        labels: one class a position; below 0 where a short label has none.
        predictions: what was read, likewise.
        classes: names of the classes.
        description: what the images are, for the title.
    """
    positions = labels.shape[1]
    side = matrix_side(classes) + 0.8
    rows, columns = grid_shape(positions, most_columns=max(int(PAGE_WIDTH / side), 1))
    figure = new_figure(max(side * columns, 7), side * rows + 0.7)
    panels = figure.subplots(rows, columns, squeeze=False)
    for position, axes in enumerate(panels.flat):
        if position >= positions:
            axes.remove()
            continue
        counts = np.zeros((len(classes), len(classes)), np.int64)
        pairs = np.stack([labels[:, position], predictions[:, position]])
        np.add.at(counts, tuple(pairs[:, (pairs >= 0).all(axis=0)]), 1)
        draw_confusion(axes, counts, classes)
        wrong = int((pairs[0] != pairs[1]).sum())
        name = _position(position, positions)
        axes.set(
            title=f"{name}{': ' * bool(name)}{wrong:,} of {len(labels):,} wrong",
            xlabel="read",
            ylabel="label",
        )
        axes.title.set_fontsize(11)
    write_title(
        figure,
        f"Confusion by position, images: {description}\n"
        "(blue: read right; orange: misread; blank: none)",
    )
    return figure


def position_accuracy(
    right: Mapping[str, Bool[np.ndarray, "_ K"]],
    description: str,
    digit_images: Mapping[str, Int[np.ndarray, "_ K"] | None] | None = None,
) -> Figure:
    """Draws the share of digits misread at each position, with 95 % intervals.

    Args:
        right: by split, whether each digit of each image is read right.
        description: what the images are, for the title.
        digit_images: by split, which digit image stands at each position, where that is known. The
            intervals are then of new digit images: at a position the reader meets the same one
            again on many images. Where they stand at other positions makes no difference to it.
    """
    positions = next(iter(right.values())).shape[1]
    bars = {}
    for split, each in right.items():
        known = (digit_images or {}).get(split)
        bars[split] = [
            _bar(each[:, place], None if known is None else known[:, [place]])
            for place in range(positions)
        ]
    names = [_position(place, positions) for place in range(positions)]
    figure = _error_bars(bars, names, {split: len(each) for split, each in right.items()})
    figure.axes[0].set(ylabel="share of the digits misread")
    write_title(figure, f"Errors by position: {description}\n(line: 95 % interval)")
    return figure


def accuracy_by_length(
    right: Mapping[str, Bool[np.ndarray, "_"]],
    lengths: Mapping[str, Int[np.ndarray, "_"]],
    description: str,
    digit_images: Mapping[str, Int[np.ndarray, "_ longest"] | None] | None = None,
) -> Figure:
    """Draws the share of images misread by how many digits they show, with 95 % intervals.

    Args:
        right: by split, whether each image is read right.
        lengths: by split, how many digits each shows.
        description: what the images are, for the title.
        digit_images: by split, which digit images stand on each image, -1 where there is none,
            where that is known. The intervals are then of new digit images.
    """
    drawn = np.unique(np.concatenate(list(lengths.values()))).tolist()
    bars = {}
    for split, each in right.items():
        rows = [lengths[split] == length for length in drawn]
        known = (digit_images or {}).get(split)
        bars[split] = [_bar(each[chosen], _rows(known, chosen)) for chosen in rows]
    names = [str(length) for length in drawn]
    figure = _error_bars(bars, names, {split: len(each) for split, each in right.items()})
    figure.axes[0].set(xlabel="digits on the image", ylabel="share of the images misread")
    write_title(figure, f"Errors by length: {description}\n(line: 95 % interval)")
    return figure


def _bar(
    right: Bool[np.ndarray, "n"], digit_images: Int[np.ndarray, "n _"] | None
) -> tuple[float, float, float]:
    """Returns the share that is misread and the ends of its interval; no numbers where n is 0."""
    if not len(right):
        return np.nan, np.nan, np.nan
    low, high = share_interval(right, digit_images)
    return 1 - float(right.mean()), 1 - high, 1 - low


def _error_bars(
    bars: Mapping[str, Sequence[tuple[float, float, float]]],
    names: Sequence[str],
    counts: Mapping[str, int],
) -> Figure:
    """Draws a group of bars for each name, a bar a split, with its interval and share in percent.

    Args:
        bars: by split, share and ends of its interval for each name.
        names: of the groups.
        counts: images of each split.
    """
    figure = new_figure(min(max(7, 1.5 * len(names) + 2), PAGE_WIDTH), 4)
    axes = figure.subplots()
    width = 0.8 / len(bars)
    crowded = len(names) * len(bars) > MOST_FLAT
    for number, (split, each) in enumerate(bars.items()):
        places = np.arange(len(names)) + (number - (len(bars) - 1) / 2) * width
        errors, low, high = np.transpose(each)
        axes.bar(
            places,
            errors,
            0.92 * width,
            yerr=np.maximum([errors - low, high - errors], 0),
            color=SPLIT_COLOURS[split],
            label=f"{split} ({counts[split]:,} images)",
            ecolor=GREY,
            capsize=3,
        )
        for place, error, top in zip(places, errors, high, strict=True):
            if np.isnan(error):
                continue
            style: Any = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center"}
            style |= {"xytext": (0, 6), "rotation": 90} if crowded else {}
            axes.annotate(percent_text(error, 2), (place, max(top, error)), fontsize=9, **style)
    plain_axes(axes, grid="y")
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, (1.25 if crowded else 1.08) * axes.get_ylim()[1])
    percent_axis(axes.yaxis)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def reliability(
    confidences: Float[np.ndarray, "n"],
    labels: Int[np.ndarray, "n K"],
    predictions: Int[np.ndarray, "n K"],
    description: str,
    digit_images: Int[np.ndarray, "n digits"] | None = None,
    *,
    before: Float[np.ndarray, "n"] | None = None,
    error: float | None = None,
) -> Figure:
    """Draws how often images read with a confidence are read right, against that confidence.

    Args:
        confidences: probability that the model gave its reading, from 0 to 1; n > 0.
        labels: the labels.
        predictions: what was read.
        description: what the images are, for the title.
        digit_images: which digit images stand on each image, if that is known; the intervals are
            then of new digit images.
        before: the confidences before calibration, where there was one.
        error: the expected calibration error, where it was measured on other images than these,
            which calibrated the model.
    """
    right = (labels == predictions).all(axis=1)
    binned = calibration(confidences, right)
    used = binned.counts > 0
    share = binned.right[used]
    bins = np.split(np.argsort(confidences), np.cumsum(binned.counts)[:-1])
    ends = [share_interval(right[rows], _rows(digit_images, rows)) for rows in bins if len(rows)]
    low, high = np.transpose(ends)

    figure = new_figure(5.5, 6.9)
    curve, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curve.plot([0, 1], [0, 1], ":", color=GREY, label="perfectly calibrated")
    if before is not None:
        first = calibration(before, right)
        drawn = first.counts > 0
        style: Any = {"marker": "x", "linestyle": "--", "color": ORANGE}
        curve.plot(first.confidence[drawn], first.right[drawn], label="before calibration", **style)
    curve.errorbar(
        binned.confidence[used],
        share,
        np.maximum([share - low, high - share], 0),  # rounding may step over an end
        marker="o",
        color=BLUE,
        ecolor=GREY,
        capsize=3,
        label="this model (line: 95 % interval)",
    )
    curve.set(
        ylabel="share of the bin's images read right",
        ylim=(-0.02, 1.02),
    )
    edges = np.arange(CALIBRATION_BINS) / CALIBRATION_BINS
    width = 1 / CALIBRATION_BINS
    histogram.bar(edges, binned.counts, width, align="edge", color=BLUE, edgecolor="white")
    highest = binned.counts.max()
    if before is not None:
        highest = max(highest, first.counts.max())
        histogram.stairs(first.counts, np.append(edges, 1), color=ORANGE, linewidth=1.5)
    histogram.set(
        xlabel="confidence: probability given to the reading",
        ylabel="images\n(logarithmic)",
        yscale="log",
        xlim=(-0.01, 1.01),
    )
    histogram.set_ylim(0.7, 2 * highest)
    histogram.yaxis.set_major_formatter("{x:,.0f}")
    percent_axis(curve.yaxis)
    percent_axis(histogram.xaxis)
    for axes in (curve, histogram):
        plain_axes(axes, grid="both")
    handles, names = curve.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", frameon=False)
    error = binned.error if error is None else error
    was = "" if before is None else f" ({first.error:.4f} before)"
    error_text = f"expected calibration error {error:.4f}{was}, {len(right):,} images"
    write_title(figure, f"Reliability: {description}\n{error_text}")
    return figure


def risk_coverage(
    confidences: Float[np.ndarray, "n"],
    right: Bool[np.ndarray, "n"],
    description: str,
    threshold: float | None = None,
) -> Figure:
    """Draws the share of errors among the images read, by how many are read.

    Args:
        confidences: probability that the model gave its reading, from 0 to 1; n > 0.
        right: whether it is right.
        description: what the images are, for the title.
        threshold: confidence from which readings are sure; None where none is said to be.
    """
    curve = measure_risk_coverage(confidences, right)
    figure = new_figure(7, 4.6)
    axes = figure.subplots()
    bounds = upper_bound(curve.errors, curve.read)
    least = 0.5 / curve.n  # where an error in all images would still be drawn
    axes.plot(curve.coverage, bounds, "--", color=GREY, label="95 % bound of the errors")
    risk = np.where(curve.errors > 0, curve.risk, np.nan)
    axes.plot(curve.coverage, risk, color=BLUE, label="errors")
    for wanted, colour, marker in zip(RISKS, (ORANGE, VERMILLION), ("o", "s"), strict=True):
        coverage = curve.coverage_at(wanted)
        text = f"{percent_text(coverage, 1)} read with at most {100 * wanted:g} % of errors"
        axes.axhline(wanted, color=colour, linestyle=":")
        axes.plot(coverage, wanted, marker, color=colour, label=text, linestyle="none")
    if threshold is not None:
        coverage = float((confidences >= threshold).mean())
        axes.axvline(
            coverage,
            color=GREEN,
            label=f"{percent_text(coverage, 1)} sure, of a confidence from {threshold:.6g} on",
        )
    axes.set(
        xlabel="coverage: share of the images that are read, the most confident first",
        ylabel="share of errors among them\n(logarithmic)",
        yscale="log",
        xlim=(-0.01, 1.01),
        ylim=(min(least, RISKS[-1] / 2), 1),
    )
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    plain_axes(axes, grid="both")
    figure.legend(loc="outside lower center", ncols=1, frameon=False)
    area = f"area under the curve {curve.area:.5f}, {curve.n:,} images"
    write_title(figure, f"Risk and coverage: {description}\n{area}")
    return figure


def class_balance(
    labels: Mapping[str, Int[np.ndarray, "_ K"]],
    classes: Sequence[str],
    description: str,
    *,
    examples: str = "images",
    composed: bool = False,
) -> Figure:
    """Draws how often each class stands at each position of each split.

    Args:
        labels: the labels by split, [n, K] each; below 0 where a short label has none.
        classes: names of the classes.
        description: what the images are, for the title.
        examples: what has the labels.
        composed: whether train's are the numbers that its images may show, each as often.
    """
    positions = next(iter(labels.values())).shape[1]
    wide = max(map(len, classes)) * len(classes) > 40  # the names stand too close to lie flat
    panel = min(max(3.1, 0.32 * len(classes)), PAGE_WIDTH)
    rows, columns = grid_shape(positions, most_columns=max(int(PAGE_WIDTH / panel), 1))
    figure = new_figure(max(panel * columns, 7), (3 + 0.5 * wide) * rows + 1)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    width = 0.8 / len(labels)
    places = np.arange(len(classes))
    for position, axes in enumerate(panels.flat):
        if position >= positions:
            axes.remove()
            continue
        for number, (split, each) in enumerate(labels.items()):
            there = each[:, position][each[:, position] >= 0]
            share = np.bincount(there, minlength=len(classes)) / max(len(there), 1)
            shift = (number - (len(labels) - 1) / 2) * width
            axes.bar(places + shift, share, width, color=SPLIT_COLOURS[split])
        axes.axhline(1 / len(classes), color=GREY, linestyle=":")
        plain_axes(axes, grid="y")
        axes.set(title=_position(position, positions), xlabel="class")
        style = {"rotation": 45, "ha": "right"} if wide else {}
        axes.set_xticks(places, classes, **style)
        percent_axis(axes.yaxis)
    for axes in panels[:, 0]:
        axes.set_ylabel(f"share of the split's {examples}")
    counted = {split: examples for split in labels}
    if composed:
        counted["train"] = "numbers to compose"
    handles = [
        Patch(color=SPLIT_COLOURS[split], label=f"{split} ({len(each):,} {counted[split]})")
        for split, each in labels.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    write_title(figure, f"Class balance: {description}\n(dotted: all classes alike)")
    return figure


def _position(position: int, positions: int) -> str:
    """Returns what a panel of a position is called: nothing if it is the only one."""
    return f"position {position + 1}" if positions > 1 else ""
