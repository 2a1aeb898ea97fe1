"""The pictures of a run that reads numbers. Arrays go in, figures come out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int32, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogFormatter, MaxNLocator, PercentFormatter

from mnist3.data.numbers import number_text
from mnist3.evaluation import error_analysis
from mnist3.evaluation.curves import CALIBRATION_BINS, calibration
from mnist3.evaluation.intervals import wilson_interval
from mnist3.reporting.drawing import (
    BLUE,
    GREY,
    SPLIT_COLOURS,
    VERMILLION,
    grid_shape,
    image_grid,
    new_figure,
    plain_axes,
    write_title,
)

DIGITS = np.arange(10)


def learning_curves(history: Sequence[Mapping[str, Any]], description: str) -> Figure:
    """Draws loss and share of images read right by epoch, and marks the best epoch on val.

    Args:
        history: the lines of `history.jsonl`; `train` has `loss` and `exact_match`, `val` has
            `nll` and `exact_match`. At least one line.
        description: what was trained on what, for the title.
    """
    figure = new_figure(10, 4)
    loss, exact_match = figure.subplots(1, 2)
    epochs = np.array([line["epoch"] for line in history])
    marker = "o" if len(epochs) <= 40 else None

    def draw(axes: Axes, split: str, metric: str, label: str) -> np.ndarray:
        values = np.array([line[split][metric] for line in history], np.float64)
        style = "--" if split == "train" else "-"
        colour = SPLIT_COLOURS[split]
        axes.plot(epochs, values, style, color=colour, marker=marker, ms=4, label=label)
        return values

    losses = (
        draw(loss, "train", "loss", "train: loss that is minimised"),
        draw(loss, "val", "nll", "val: negative log likelihood"),
    )
    loss.set(title="Loss", ylabel="nats an image")
    if np.min(losses) > 0 and np.max(losses) > 10 * np.min(losses):
        loss.set(ylabel="nats an image (logarithmic)", yscale="log")
        loss.yaxis.set_major_formatter("{x:g}")
    draw(exact_match, "train", "exact_match", "train: mean over the epoch's steps")
    scores = draw(exact_match, "val", "exact_match", "val: at the end of the epoch")
    best = int(np.argmax(scores))
    label = f"best on val: {scores[best]:.2%} after epoch {epochs[best]}"
    exact_match.plot(epochs[best], scores[best], "*", color=VERMILLION, ms=14, label=label)
    exact_match.set(title="Exact match", ylabel="images with every digit right")
    exact_match.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    for axes in (loss, exact_match):
        plain_axes(axes, grid="both")
        axes.set(xlabel="epoch", xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(frameon=False)
    write_title(figure, f"Learning curves: {description}")
    return figure


def examples(
    images: UInt8[np.ndarray, "n height width"],
    labels: Int32[np.ndarray, "n K"],
    description: str,
    limit: int = 24,
) -> Figure:
    """Draws the first `limit` images with their labels.

    Args:
        images: ink bright on dark, drawn as they are.
        labels: one digit a position.
        description: what the images are, for the title.
        limit: most images drawn.
    """
    captions = [number_text(label) for label in labels[:limit]]
    return image_grid(images[:limit], captions, f"Images and their labels: {description}")


def misread(
    images: UInt8[np.ndarray, "n height width"],
    labels: Int32[np.ndarray, "n K"],
    predictions: Int32[np.ndarray, "n K"],
    confidences: Float[np.ndarray, "n"],
    description: str,
    limit: int = 24,
) -> Figure:
    """Draws the misread images of a split, those read most confidently first.

    Args:
        images: all images of the split, ink bright on dark.
        labels: their labels.
        predictions: what was read.
        confidences: probability that the model gave its reading.
        description: what the images are, for the title.
        limit: most images drawn.
    """
    wrong = error_analysis.misread(labels, predictions, confidences)
    shown = wrong[:limit]
    captions = [
        f"{number_text(label)} read as\n{number_text(prediction)} ({confidence:.0%})"
        for label, prediction, confidence in zip(
            labels[shown], predictions[shown], confidences[shown], strict=True
        )
    ]
    few = f"the {len(shown)} most confident of " if len(shown) < len(wrong) else ""
    title = (
        f"Misread images with the reading's probability: {description}\n"
        f"{few}{len(wrong):,} of {len(labels):,} images"
    )
    return image_grid(images[shown], captions, title)


def position_confusion(
    labels: Int32[np.ndarray, "n K"], predictions: Int32[np.ndarray, "n K"], description: str
) -> Figure:
    """Draws for each position how often each digit was read as each.

    Args:
        labels: one digit a position.
        predictions: what was read.
        description: what the images are, for the title.
    """
    positions = labels.shape[1]
    rows, columns = grid_shape(positions, most_columns=3)
    figure = new_figure(4.6 * columns + 1, 4.7 * rows + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False)
    counts = np.zeros((positions, 10, 10), np.int64)
    for position in range(positions):
        np.add.at(counts[position], (labels[:, position], predictions[:, position]), 1)
    norm = LogNorm(1, max(counts.max(), 2))
    for position, axes in enumerate(panels.flat):
        if position >= positions:
            axes.remove()
            continue
        picture = axes.imshow(np.where(counts[position], counts[position], np.nan), "cividis", norm)
        for (row, column), count in np.ndenumerate(counts[position]):
            if count:
                colour = "white" if norm(count) < 0.55 else "black"
                axes.text(column, row, count, ha="center", va="center", color=colour, fontsize=8)
        wrong = int((labels[:, position] != predictions[:, position]).sum())
        axes.set(
            title=f"{_position(position, positions)}: {wrong:,} of {len(labels):,} wrong",
            xlabel="digit read",
            ylabel="digit of the label",
            xticks=DIGITS,
            yticks=DIGITS,
        )
    colorbar = figure.colorbar(picture, ax=figure.axes, shrink=0.8 / rows, format=LogFormatter())
    colorbar.set_label("images (logarithmic; blank: none)")
    write_title(figure, f"Confusion by position: {description}")
    return figure


def position_accuracy(
    accuracies: Mapping[str, Sequence[float]], sizes: Mapping[str, int], description: str
) -> Figure:
    """Draws the share of digits read right at each position, and wrong on a scale of its own.

    Args:
        accuracies: by split, the accuracy of each of the K positions.
        sizes: by split, its number of images.
        description: what the images are, for the title.
    """
    positions = len(next(iter(accuracies.values())))
    figure = new_figure(max(9, 2.2 * positions + 4), 4)
    right, wrong = figure.subplots(1, 2)
    width = 0.8 / len(accuracies)
    for number, (split, values) in enumerate(accuracies.items()):
        places = np.arange(positions) + (number - (len(accuracies) - 1) / 2) * width
        values = np.asarray(values)
        errors = 1 - values
        label = f"{split} ({sizes[split]:,} images)"
        style = {"width": 0.92 * width, "color": SPLIT_COLOURS[split], "label": label}
        bars = right.bar(places, values, **style)
        right.bar_label(bars, [f"{value:.2%}" for value in values], fontsize=8, padding=2)
        deviation = np.sqrt(values * errors / sizes[split])
        wrong.bar(places, errors, yerr=deviation, ecolor=GREY, capsize=3, **style)
    for axes in (right, wrong):
        plain_axes(axes, grid="y")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axes.set_xticks(
            range(positions), [_position(position, positions) for position in range(positions)]
        )
    right.set(title="Right", ylabel="digits read right", ylim=(0, 1.1), yticks=np.arange(6) / 5)
    wrong.set(title="Wrong (line: one standard error)", ylabel="digits misread")
    wrong.set_ylim(bottom=0)
    handles, names = right.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    write_title(figure, f"Accuracy by position: {description}")
    return figure


def reliability(
    confidences: Float[np.ndarray, "n"],
    labels: Int32[np.ndarray, "n K"],
    predictions: Int32[np.ndarray, "n K"],
    description: str,
) -> Figure:
    """Draws how often images read with a confidence are read right, against that confidence.

    Args:
        confidences: probability that the model gave its reading, from 0 to 1; n > 0.
        labels: the labels.
        predictions: what was read.
        description: what the images are, for the title.
    """
    right = (labels == predictions).all(axis=1)
    binned = calibration(confidences, right)
    used = binned.counts > 0
    share = binned.right[used]
    counts = binned.counts[used].tolist()
    hits = [round(each * count) for each, count in zip(share, counts, strict=True)]
    low, high = np.transpose(list(map(wilson_interval, hits, counts)))

    figure = new_figure(5.5, 6.9)
    curve, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curve.plot([0, 1], [0, 1], ":", color=GREY, label="perfectly calibrated")
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
    histogram.set(
        xlabel="confidence: probability given to the reading",
        ylabel="images\n(logarithmic)",
        yscale="log",
        xlim=(0, 1),
    )
    histogram.set_ylim(0.7, 2 * binned.counts.max())
    for axes in (curve, histogram):
        plain_axes(axes, grid="both")
        axes.yaxis.set_major_formatter("{x:g}")
    handles, names = curve.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", frameon=False)
    error_text = f"expected calibration error {binned.error:.4f}, {len(right):,} images"
    write_title(figure, f"Reliability: {description}\n{error_text}")
    return figure


def class_balance(
    labels: Mapping[str, Int32[np.ndarray, "_ K"]], description: str, composed: bool = False
) -> Figure:
    """Draws how often each digit stands at each position of each split.

    Args:
        labels: the labels by split, [n, K] each.
        description: what the images are, for the title.
        composed: whether train's are the numbers that its images may show, each as often.
    """
    positions = next(iter(labels.values())).shape[1]
    rows, columns = grid_shape(positions, most_columns=3)
    figure = new_figure(max(4.2 * columns, 7), 3 * rows + 1)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    width = 0.8 / len(labels)
    for position, axes in enumerate(panels.flat):
        if position >= positions:
            axes.remove()
            continue
        for number, (split, digits) in enumerate(labels.items()):
            share = np.bincount(digits[:, position], minlength=10) / len(digits)
            places = DIGITS + (number - (len(labels) - 1) / 2) * width
            axes.bar(places, share, width, color=SPLIT_COLOURS[split])
        axes.axhline(0.1, color=GREY, linestyle=":")
        plain_axes(axes, grid="y")
        axes.set(title=_position(position, positions), xlabel="digit", xticks=DIGITS)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    for axes in panels[:, 0]:
        axes.set_ylabel("share of the split's images")
    counted = {split: "images" for split in labels}
    if composed:
        counted["train"] = "numbers to compose"
    handles = [
        Patch(color=SPLIT_COLOURS[split], label=f"{split} ({len(digits):,} {counted[split]})")
        for split, digits in labels.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    write_title(figure, f"Class balance: {description} (dotted: one tenth)")
    return figure


def _position(position: int, positions: int) -> str:
    return f"position {position + 1}" if positions > 1 else "the digit"
