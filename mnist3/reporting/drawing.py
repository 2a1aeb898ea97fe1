"""What all figures share: colours, empty figures, grids of images, and the file they end in.

Nothing here uses `matplotlib.pyplot`, whose figures are shared by the whole process. Colours are
those of Okabe and Ito (Color Universal Design, 2008) and the map `cividis` (Nunez, Anderton and
Renslow, 2018), which are told apart with every kind of colour vision.
"""

import io
import math
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Num
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnist3.config import nearest
from mnist3.errors import UserError
from mnist3.files import replacing

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
LINES = ("-", "--", "-.", ":")  # a second way to tell curves apart, where colours come again
SPLIT_COLOURS = {"train": ORANGE, "val": BLUE, "test": GREEN}
GREY = "#666666"
DOTS_PER_INCH = 120
NOTEBOOK_DOTS_PER_INCH = 75  # so that a notebook with its pictures stays a small file
TITLE_LETTERS = 10  # an inch


class Drawing(Figure):
    """A figure that a notebook shows where it is the value of a cell."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=NOTEBOOK_DOTS_PER_INCH, facecolor="white")
        return buffer.getvalue()


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a figure as PNG, whole or not at all; the same figure gives the same bytes.

    Raises:
        OSError: if the file cannot be written.
    """
    with replacing(path, "wb") as file:
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH, facecolor="white")


def draw(name: str, drawers: Mapping[str, Callable[[], Figure | None]]) -> Figure:
    """Returns one of several figures.

    Args:
        name: of the figure.
        drawers: what draws each, by name.

    Raises:
        UserError: if there is none of the name, or it has nothing to show.
    """
    if name not in drawers:
        raise UserError(
            f"there is no figure {name!r}; did you mean {nearest(name, list(drawers))!r}? "
            f"There are {', '.join(drawers)}."
        )
    figure = drawers[name]()
    if figure is None:
        raise UserError(f"the figure {name} does not go with this task and estimator.")
    return figure


def save_all(figures: Mapping[str, Figure | None], folder: str | os.PathLike) -> list[str]:
    """Writes figures as `figures/NAME.png` into the folder of a run and returns their files.

    Those that are None are left out.

    Raises:
        OSError: if one cannot be written.
    """
    place = os.path.join(folder, "figures")
    os.makedirs(place, exist_ok=True)
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    paths = {name: os.path.join(place, f"{name}.png") for name in drawn}
    for name, path in paths.items():
        save(drawn[name], path)
    return list(paths.values())


def new_figure(width: float | int, height: float | int) -> Figure:
    """Returns an empty figure of this size in inches, with room around what it will hold."""
    figure = Drawing(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    return figure


def write_title(figure: Figure, title: str) -> None:
    """Writes the title of a figure, its lines broken where the figure ends."""
    letters = int(figure.get_figwidth() * TITLE_LETTERS)
    lines = (textwrap.fill(line, letters) for line in title.split("\n"))
    figure.suptitle("\n".join(lines))


def image_grid(
    images: Num[np.ndarray, "n height width"],
    captions: Sequence[str],
    title: str,
    *,
    columns: int = 6,
    inches: float = 1.4,
    row_names: Sequence[str] = (),
) -> Figure:
    """Draws all images on one axes, which takes a tenth of the time of one axes each.

    Args:
        images: grey levels 0-255, ink bright on dark.
        captions: a text above each image, which may be empty.
        title: of the figure.
        columns: most images side by side.
        inches: the longer side of an image.
        row_names: texts to the left of the rows.
    """
    rows, columns = grid_shape(max(len(images), 1), columns)
    height, width = images.shape[1:]
    inch = max(height, width) / inches  # px
    lines = max((caption.count("\n") + bool(caption) for caption in captions), default=0)
    caption_height = inch * (0.06 + 0.17 * lines)
    cell_height, cell_width = height + caption_height + 0.08 * inch, width + 0.12 * inch
    margin = 0.085 * inch * max(map(len, row_names), default=0)
    size = (
        max((columns * cell_width + margin) / inch, 7),
        rows * cell_height / inch + 0.25 + 0.2 * (1 + title.count("\n")),
    )
    figure = new_figure(*size)
    axes = figure.subplots()
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = index % columns * cell_width, index // columns * cell_height
        extent = (left, left + width, top + height, top)
        axes.imshow(image, "gray", vmin=0, vmax=255, interpolation="nearest", extent=extent)
        if caption:
            place = (left + width / 2, top - 0.05 * inch)
            axes.text(*place, caption, ha="center", va="bottom", fontsize=9)
    for row, name in enumerate(row_names):
        place = (-0.08 * inch, row * cell_height + height / 2)
        axes.text(*place, name, ha="right", va="center", fontsize=10)
    axes.set(xlim=(-margin, columns * cell_width), ylim=(rows * cell_height, -caption_height))
    axes.axis("off")
    write_title(figure, title)
    return figure


def grid_shape(cells: int, most_columns: int) -> tuple[int, int]:
    """Returns rows and columns of a grid with room for so many cells."""
    columns = min(cells, most_columns)
    return math.ceil(cells / columns), columns


def plain_axes(axes: Axes, grid: str) -> None:
    """Takes the box away and puts grey lines behind what is drawn; `grid` is x, y or both."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
