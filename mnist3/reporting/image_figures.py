"""Pictures of digit images, and of what a model makes of them. Arrays go in, figures come out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Num, UInt8
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import gaussian_filter

from mnist3.reporting.drawing import (
    GREY,
    PAGE_WIDTH,
    VERMILLIONS,
    grid_shape,
    image_grid,
    new_figure,
    percent_text,
    write_title,
)

CHANNELS = 16  # of a layer, most that are drawn
CLEANED = 8  # images, most that are drawn with and without noise
LONG_NAME = 4  # letters, above which two names do not stand side by side over an image
SMOOTHING = 1.0  # px, standard deviation of the Gaussian over a saliency map
SIGNED = "PuOr"  # orange below zero, purple above; told apart with every kind of colour vision


def digit(image: UInt8[np.ndarray, "height width"], name: str, description: str) -> Figure:
    """Draws one image as a heat map of its grey levels.

    Args:
        image: ink bright on dark.
        name: of its class.
        description: where it is from, for the title.
    """
    figure = new_figure(6, 5.2)
    axes = figure.subplots()
    picture = axes.imshow(image, "cividis", vmin=0, vmax=255, interpolation="nearest")
    height, width = image.shape
    axes.set_xticks(np.arange(width + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(height + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.3, alpha=0.4)
    axes.tick_params(which="minor", length=0)
    axes.set(xlabel="column, px", ylabel="row, px")
    figure.colorbar(picture, label="grey level: 0 is no ink, 255 is full ink")
    write_title(figure, f"The pixels of a {name}: {description}")
    return figure


def digit_grid(images: UInt8[np.ndarray, "n height width"], description: str) -> Figure:
    """Draws the first hundred images, ten by ten.

    Args:
        images: ink bright on dark.
        description: what they are, for the title.
    """
    shown = images[:100]
    title = f"The first {len(shown)} images: {description}"
    return image_grid(shown, [""] * len(shown), title, columns=10, inches=0.62)


def worst(
    images: UInt8[np.ndarray, "n height width"],
    targets: Sequence[str],
    predictions: Sequence[str],
    losses: Float[np.ndarray, "n"],
    description: str,
) -> Figure:
    """Draws the images with the highest losses.

    Args:
        images: the worst ones, the very worst first.
        targets: names of their classes.
        predictions: names of what they were taken for.
        losses: negative log probability of the true class, nats.
        description: what they are, for the title.
    """
    longest = max(map(len, [*targets, *predictions]), default=0)
    between = "\n" if longest > LONG_NAME else " "
    captions, marked = [], []
    for target, prediction, loss in zip(targets, predictions, losses, strict=True):
        before = f"{target}{between}read as "
        size = f"{loss:.2f}" if loss >= 0.01 else "< 0.01"
        captions.append(f"{before}{prediction}\nloss {size}")
        end = len(before) + len(prediction) * (target != prediction)
        marked.append(range(len(before), end))
    title = f"The images with the highest loss, in nats: {description}\n(bold: read wrongly)"
    return image_grid(images, captions, title, marked=marked)


def suspects(
    images: UInt8[np.ndarray, "n height width"],
    labels: Sequence[str],
    predictions: Sequence[str],
    confidences: Float[np.ndarray, "n"],
    description: str,
) -> Figure:
    """Draws images whose label is probably wrong.

    Args:
        images: the suspected ones, the most suspicious first.
        labels: names of the classes that they are labelled with.
        predictions: names of what an estimator takes them for that was not fitted on them.
        confidences: probability of that.
        description: what they are, for the title.
    """
    captions = [
        f"labelled {label}\n{prediction} with {percent_text(float(confidence))}"
        for label, prediction, confidence in zip(labels, predictions, confidences, strict=True)
    ]
    title = f"Suspected label errors, with the other class's probability: {description}"
    return image_grid(images, captions, title)


def pair_gallery(
    quarters: Sequence[Sequence[UInt8[np.ndarray, "_ height width"]]],
    names: tuple[str, str],
    description: str,
) -> Figure:
    """Draws images of two classes, by what they were taken for, 2 x 2.

    Args:
        quarters: by class, then by what they were taken for; up to 25 images of each are drawn.
        names: of the two classes.
        description: what they are, for the title.
    """
    shown = [[images[:25] for images in row] for row in quarters]
    heights = [max(grid_shape(max(len(images), 1), 5)[0] for images in row) for row in shown]
    figure = new_figure(7.4, 0.72 * sum(heights) + 1.5)
    panels = figure.subplots(2, 2, height_ratios=heights)
    for row, column in np.ndindex(2, 2):
        axes, images = panels[row, column], shown[row][column]
        verb = "rightly read as" if row == column else "misread as"
        how_many = f"{len(images)} shown" if len(images) else "none"
        axes.set_title(f"{names[row]} {verb} {names[column]} ({how_many})", fontsize=11)
        sheet = _montage(images, 5, rows=heights[row])
        axes.imshow(sheet, "gray", vmin=0, vmax=255, interpolation="nearest")
        axes.axis("off")
    write_title(figure, f"{names[0]} and {names[1]}: {description}")
    return figure


def denoising(
    noisy: Num[np.ndarray, "n height width"],
    cleaned: Num[np.ndarray, "n height width"],
    clean: UInt8[np.ndarray, "n height width"],
    description: str,
) -> Figure:
    """Draws noisy, cleaned and clean images below each other, with their distance to the clean one.

    Args:
        noisy: grey levels; those above 255 are drawn white.
        cleaned: what was made of them.
        clean: the images before the noise.
        description: what cleaned which images, for the title.
    """
    rows = [each[:CLEANED].astype(np.float32) for each in (noisy, cleaned, clean)]

    def distance(images: np.ndarray) -> list[str]:
        errors = np.sqrt(((images - rows[2]) ** 2).mean(axis=(1, 2)))
        return [f"off by {error:.1f}" for error in errors]

    captions = [*distance(rows[0]), *distance(rows[1]), *[""] * len(rows[2])]
    return image_grid(
        np.concatenate(rows),
        captions,
        f"Noise removed: {description}\n"
        "(off by: root of the mean squared difference to the clean image, grey levels)",
        columns=len(rows[0]),
        inches=1.1,
        row_names=("noisy", "cleaned", "clean"),
    )


def augmented(
    images: UInt8[np.ndarray, "n height width"],
    copies: UInt8[np.ndarray, "n copies height width"],
    description: str,
    names: Sequence[str] = (),
) -> Figure:
    """Draws images, one a row, and beside each what augmentation makes of it.

    Args:
        images: before augmentation.
        copies: the same images augmented, several times each.
        description: how they were augmented, for the title.
        names: of the copies; numbers if not given.
    """
    rows = np.concatenate([images[:, None], copies], axis=1)
    columns = rows.shape[1]
    captions = ["original", *(names or (f"augmented {number}" for number in range(1, columns)))]
    captions += [""] * (columns * (len(images) - 1))
    return image_grid(
        rows.reshape(-1, *images.shape[1:]),
        captions,
        f"Augmented images: {description}",
        columns=columns,
        inches=1.1,
    )


def filters(kernels: Float[np.ndarray, "height width channels"], description: str) -> Figure:
    """Draws the filters of a first layer, all on one scale that is symmetric about 0.

    Args:
        kernels: weights by pixel of each filter.
        description: of which model, for the title.
    """
    height, width, channels = kernels.shape
    rows, columns = grid_shape(channels, 8)
    cell = (PAGE_WIDTH - 1.2) / 8  # inches
    figure = new_figure(max(columns * cell + 1.2, 6), max(rows * cell * height / width + 0.9, 2.8))
    axes = figure.subplots()
    limit = float(np.abs(kernels).max()) or 1.0
    sheet = _montage(np.moveaxis(kernels, -1, 0), columns)
    picture = axes.imshow(sheet, SIGNED, interpolation="nearest", vmin=-limit, vmax=limit)
    gap_height, gap_width = _gaps(height, width)
    for index in range(channels):
        corner = (
            index % columns * (width + gap_width) - 0.5,
            index // columns * (height + gap_height) - 0.5,
        )
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=GREY, lw=0.8))
    axes.set(xlim=(-1, sheet.shape[1]), ylim=(sheet.shape[0], -1))
    axes.axis("off")
    figure.colorbar(picture, label="weight of a pixel's ink", shrink=0.9)
    write_title(
        figure,
        f"First-layer filters, {height} x {width} px: {description}\n"
        f"(one scale for all, from -{limit:.2g} to {limit:.2g}; white: 0)",
    )
    return figure


def feature_maps(
    image: Num[np.ndarray, "height width"],
    maps: Mapping[str, Float[np.ndarray, "_ _ _"]],
    description: str,
) -> Figure:
    """Draws what each layer makes of one image, a block a layer.

    Args:
        image: ink bright on dark.
        maps: by the layer's name its output, [rows, columns, channels].
        description: of which model and image, for the title.
    """
    columns = 8
    heights = [
        1.6,
        *(1.05 * -(-min(each.shape[-1], CHANNELS) // columns) + 0.3 for each in maps.values()),
    ]
    figure = new_figure(9.4, sum(heights) + 0.6)
    panels = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    panels[0].imshow(image, "gray", interpolation="nearest")
    panels[0].set_title("the image", fontsize=10)
    for axes, (name, each) in zip(panels[1:], maps.items(), strict=True):
        rows, width, channels = each.shape
        shown = np.moveaxis(each[..., :CHANNELS], -1, 0)
        few = f"{len(shown)} of {channels}" if channels > CHANNELS else f"{channels}"
        picture = axes.imshow(_montage(shown, columns), "cividis", vmin=0, interpolation="nearest")
        axes.set_title(f"{name}: {few} channels of {rows} x {width}", fontsize=10)
        figure.colorbar(picture, ax=axes, label="activation")
    for axes in panels:
        axes.axis("off")
    write_title(figure, f"Feature maps: {description}")
    return figure


def saliency(
    images: Float[np.ndarray, "n height width"],
    gradients: Float[np.ndarray, "n height width"],
    names: Sequence[str],
    description: str,
) -> Figure:
    """Draws images, and over them in colour where the ink is that what was read hangs on.

    That is the magnitude of gradient times ink, which says by how much the logit would fall, to the
    first order, were the ink of a pixel taken away; smoothed, since single gradients are noisy.

    Args:
        images: ink from 0 to 1.
        gradients: of the logit of what was read, by the ink of each pixel.
        names: what was read.
        description: of which model, for the title.

    Source: A. Shrikumar et al., Not just a black box: learning important features through
    propagating activation differences, arXiv:1605.01713, 2016, for gradient times input; smoothed
    over space, with a Gaussian of one pixel.
    """
    count = len(images)
    height, width = images.shape[1:]
    cell = min(1.75 * max(width / height, 1), (PAGE_WIDTH - 1.2) / count)  # inches
    figure = new_figure(max(cell * count + 1.2, 6.5), 2 * cell * height / width + 1.5)
    panels = figure.subplots(2, count, squeeze=False)
    for index in range(count):
        above, below = panels[:, index]
        above.imshow(images[index], "gray_r", vmin=0, vmax=1, interpolation="nearest")
        above.set_title(f"read as {names[index]}", fontsize=10)
        weight = gaussian_filter(np.abs(gradients[index] * images[index]), SMOOTHING)
        share = weight / (weight.max() or 1)
        below.imshow(images[index], "gray_r", vmin=0, vmax=3, interpolation="nearest")
        picture = below.imshow(share, VERMILLIONS, vmin=0, vmax=1, alpha=share.clip(0, 1))
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#cccccc")
    scale = ScalarMappable(picture.norm, VERMILLIONS)
    figure.colorbar(scale, ax=panels[1, :], label="share of the highest")
    write_title(
        figure,
        f"Saliency: {description}\n(grey: ink; orange: |gradient of the logit x ink|, smoothed)",
    )
    return figure


def _montage(
    images: Num[np.ndarray, "n height width"], columns: int, rows: int | None = None
) -> Float[np.ndarray, "rows columns"]:
    """Returns one image with all images side by side, and nan, which is not drawn, between them."""
    count, height, width = images.shape
    rows = rows or grid_shape(max(count, 1), columns)[0]
    gap_height, gap_width = _gaps(height, width)
    sheet = np.full((rows * columns, height + gap_height, width + gap_width), np.nan)
    sheet[:count, :height, :width] = images
    sheet = sheet.reshape(rows, columns, *sheet.shape[1:]).swapaxes(1, 2)
    return sheet.reshape(rows * (height + gap_height), -1)[:-gap_height, :-gap_width]


def _gaps(height: int, width: int) -> tuple[int, int]:
    """Returns the pixels between the rows and the columns of a montage."""
    return max(height // 14, 1), max(width // 14, 1)
