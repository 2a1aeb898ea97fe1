"""Pictures of digit images, and of what a model makes of them. Arrays go in, figures come out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Num, UInt8
from matplotlib.figure import Figure

from mnist3.reporting.drawing import grid_shape, image_grid, new_figure, write_title

LONG_NAME = 4  # letters, above which two names do not stand side by side over an image
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
    captions = [
        f"{target}{between}read as {prediction}\nloss {loss:.2f}"
        for target, prediction, loss in zip(targets, predictions, losses, strict=True)
    ]
    title = f"The images with the highest loss, in nats: {description}"
    return image_grid(images, captions, title)


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
        f"labelled {label}\n{prediction} with {confidence:.0%}"
        for label, prediction, confidence in zip(labels, predictions, confidences, strict=True)
    ]
    return image_grid(images, captions, f"Suspected label errors: {description}")


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
    figure = new_figure(7.4, 8)
    for axes, images, (row, column) in zip(
        figure.subplots(2, 2).flat,
        (quarters[row][column][:25] for row in (0, 1) for column in (0, 1)),
        ((row, column) for row in (0, 1) for column in (0, 1)),
        strict=True,
    ):
        verb = "rightly read as" if row == column else "misread as"
        shown = f"{len(images)} shown" if len(images) else "none"
        axes.set_title(f"{names[row]} {verb} {names[column]} ({shown})", fontsize=11)
        axes.imshow(_montage(images, 5, rows=5), "gray", vmin=0, vmax=255, interpolation="nearest")
        axes.axis("off")
    write_title(figure, f"{names[0]} and {names[1]}: {description}")
    return figure


def denoising(
    noisy: Num[np.ndarray, "n height width"],
    cleaned: Num[np.ndarray, "n height width"],
    clean: UInt8[np.ndarray, "n height width"],
    description: str,
    limit: int = 8,
) -> Figure:
    """Draws noisy, cleaned and clean images below each other, with their distance to the clean one.

    Args:
        noisy: grey levels; those above 255 are drawn white.
        cleaned: what was made of them.
        clean: the images before the noise.
        description: what cleaned which images, for the title.
        limit: most images drawn.
    """
    rows = [each[:limit].astype(np.float32) for each in (noisy, cleaned, clean)]

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
    """Draws the filters of a first layer, all on one scale.

    Args:
        kernels: weights by pixel of each filter.
        description: of which model, for the title.
    """
    channels = kernels.shape[-1]
    rows, columns = grid_shape(channels, 8)
    figure = new_figure(max(columns * 0.95 + 1.4, 6), rows * 0.95 + 1.4)
    axes = figure.subplots()
    limit = float(np.abs(kernels).max()) or 1.0
    picture = axes.imshow(
        _montage(np.moveaxis(kernels, -1, 0), columns),
        SIGNED,
        vmin=-limit,
        vmax=limit,
        interpolation="nearest",
    )
    axes.axis("off")
    figure.colorbar(picture, label="weight of a pixel's ink")
    height, width = kernels.shape[:2]
    write_title(figure, f"First-layer filters, {height} x {width} px: {description}")
    return figure


def feature_maps(
    image: Num[np.ndarray, "height width"],
    maps: Mapping[str, Float[np.ndarray, "_ _ _"]],
    description: str,
    limit: int = 16,
) -> Figure:
    """Draws what each layer makes of one image, a block a layer.

    Args:
        image: ink bright on dark.
        maps: by the layer's name its output, [rows, columns, channels].
        description: of which model and image, for the title.
        limit: most channels drawn of a layer.
    """
    columns = 8
    heights = [
        1.6,
        *(1.05 * -(-min(each.shape[-1], limit) // columns) + 0.3 for each in maps.values()),
    ]
    figure = new_figure(9.4, sum(heights) + 0.6)
    panels = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    panels[0].imshow(image, "gray", interpolation="nearest")
    panels[0].set_title("the image", fontsize=10)
    for axes, (name, each) in zip(panels[1:], maps.items(), strict=True):
        rows, width, channels = each.shape
        shown = np.moveaxis(each[..., :limit], -1, 0)
        few = f"{len(shown)} of {channels}" if channels > limit else f"{channels}"
        picture = axes.imshow(_montage(shown, columns), "cividis", vmin=0, interpolation="nearest")
        axes.set_title(f"{name}: {few} channels of {rows} x {width}", fontsize=10)
        figure.colorbar(picture, ax=axes, label="activation")
    for axes in panels:
        axes.axis("off")
    write_title(figure, f"Feature maps: {description}")
    return figure


def saliency(
    images: Num[np.ndarray, "n height width"],
    gradients: Float[np.ndarray, "n height width"],
    names: Sequence[str],
    description: str,
    limit: int = 6,
) -> Figure:
    """Draws images and below each by how much every pixel speaks for what was read.

    Args:
        images: ink bright on dark.
        gradients: of the logit of what was read, by the ink of each pixel.
        names: what was read.
        description: of which model, for the title.
        limit: most images drawn.
    """
    count = min(len(images), limit)
    height, width = images.shape[1:]
    figure = new_figure(max(1.75 * count * max(width / height, 1) + 1.2, 6), 4.6)
    panels = figure.subplots(2, count, squeeze=False)
    for index in range(count):
        above, below = panels[:, index]
        above.imshow(images[index], "gray", interpolation="nearest")
        above.set_title(f"read as {names[index]}", fontsize=10)
        share = gradients[index] / (np.abs(gradients[index]).max() or 1)
        picture = below.imshow(share, SIGNED, vmin=-1, vmax=1, interpolation="nearest")
        if images[index].max() > images[index].min():
            below.contour(images[index], [images[index].max() / 2], colors="black", linewidths=0.7)
    for axes in panels.flat:
        axes.axis("off")
    colorbar = figure.colorbar(picture, ax=panels[1, :], label="gradient by ink", ticks=[-1, 0, 1])
    colorbar.ax.set_yticklabels(["against", "0", "for"])
    write_title(
        figure,
        f"Saliency: {description}\n(would more ink there speak for what was read? "
        "each map on its own scale; line: the digit's outline)",
    )
    return figure


def _montage(
    images: Num[np.ndarray, "n height width"], columns: int, rows: int | None = None
) -> Float[np.ndarray, "rows columns"]:
    """Returns one image with all images side by side, and nan, which is not drawn, between them."""
    count, height, width = images.shape
    rows = rows or grid_shape(max(count, 1), columns)[0]
    gap_height, gap_width = max(height // 14, 1), max(width // 14, 1)
    sheet = np.full((rows * columns, height + gap_height, width + gap_width), np.nan)
    sheet[:count, :height, :width] = images
    sheet = sheet.reshape(rows, columns, *sheet.shape[1:]).swapaxes(1, 2)
    return sheet.reshape(rows * (height + gap_height), -1)[:-gap_height, :-gap_width]
