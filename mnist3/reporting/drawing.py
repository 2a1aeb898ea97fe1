"""What all figures share: colours, texts, empty figures, grids of images, and files to end in.

Nothing here uses `matplotlib.pyplot`, whose figures are shared by the whole process. Colours are
those of Okabe and Ito (Color Universal Design, 2008), alone or paled to white, and the map
`cividis` (Nunez, Anderton and Renslow, 2018), which are told apart with every kind of colour
vision.
"""

import io
import itertools
import math
import os
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from jaxtyping import Num
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from mnist3.errors import UserError, nearest
from mnist3.files import replacing

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
LINES = ("-", "--", "-.", ":")  # a second way to tell curves apart, where colours come again
SPLIT_COLOURS = {"train": ORANGE, "val": BLUE, "test": GREEN}
GREY = "#666666"
PALE_BLUES = LinearSegmentedColormap.from_list("pale_blues", ["#e9f3f9", "#9dc7e0"])
VERMILLIONS = LinearSegmentedColormap.from_list("vermillions", ["#fdeee3", VERMILLION])
DOTS_PER_INCH = 120
PAGE_WIDTH = 10.0  # inches, above which a page would shrink a figure until its texts are too small
TITLE_LETTERS = 10  # an inch
CAPTION_SIZE = 9  # points
LINE = 0.17  # inches from a line of a caption to the next
MONOSPACE = 0.602  # width of a letter of DejaVu Sans Mono, which ships with Matplotlib, by its size
FORMATS: dict[str, dict[str, str | None]] = {  # with the dates that must not get into the files
    "png": {},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}


class Drawing(Figure):
    """A figure that a notebook shows where it is the value of a cell."""

    def _repr_png_(self) -> bytes:
        return _png(self)


def _png(figure: Figure) -> bytes:
    """Returns a figure as PNG of 256 colours, which takes half the bytes of one of all colours."""
    _lay_out(figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # once; `savefig` would draw twice
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    few = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    compressed = io.BytesIO()
    few.save(compressed, format="PNG", optimize=True)
    return compressed.getvalue()


def _lay_out(figure: Figure) -> None:
    """Gives everything its place for good: laid out again, a figure would move by a pixel."""
    engine = figure.get_layout_engine()
    if engine is not None and not isinstance(engine, PlaceHolderLayoutEngine):
        # The first round does not see yet how much axes or colour bars shrink to keep their shape.
        free = all(
            axes.get_aspect() == "auto" and axes.get_box_aspect() is None for axes in figure.axes
        )
        for _ in range(1 if free else 2):
            engine.execute(figure)
        figure.set_layout_engine("none")


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a figure, whole or not at all; the same figure gives the same bytes.

    Args:
        figure: to be written.
        path: whose suffix, `.png`, `.pdf` or `.svg`, says the format.

    Raises:
        UserError: if there is no such format.
        OSError: if the file cannot be written.
    """
    suffix = os.path.splitext(path)[1].removeprefix(".").lower()
    require_formats([suffix])
    with replacing(path, "wb") as file:
        if suffix == "png":
            file.write(_png(figure))
            return
        # Letters stay letters in a PDF (journals refuse Type 3) and are shapes in an SVG, which
        # looks the same where its font is missing. The salt makes the ids of an SVG the same.
        style: Any = {"pdf.fonttype": 42, "svg.hashsalt": "mnist3"}
        _lay_out(figure)
        with matplotlib.rc_context(style):
            figure.savefig(file, format=suffix, dpi=2 * DOTS_PER_INCH, metadata=FORMATS[suffix])


def require_formats(formats: Collection[str]) -> None:
    """Checks the names of file formats.

    Raises:
        UserError: if figures cannot be written in one of them.
    """
    for name in formats:
        if name not in FORMATS:
            raise UserError(
                f"figures cannot be written as {name!r}; use {', '.join(FORMATS)} "
                f"(did you mean {nearest(name, list(FORMATS))!r}?)."
            )


def save_all(
    figures: Mapping[str, Figure | None],
    folder: str | os.PathLike,
    formats: Collection[str] = ("png",),
) -> list[str]:
    """Writes figures as `figures/NAME.FORMAT` into the folder of a run.

    Args:
        figures: by name; those that are None are left out.
        folder: of the run.
        formats: of `FORMATS`. PNG is written in any case, since the page of a run shows it.

    Returns:
        The PNG files, in the order of the figures.

    Raises:
        UserError: if there is no such format.
        OSError: if one cannot be written.
    """
    require_formats(formats)
    place = os.path.join(folder, "figures")
    os.makedirs(place, exist_ok=True)
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    for name, figure in drawn.items():
        for suffix in dict.fromkeys(("png", *formats)):
            save(figure, os.path.join(place, f"{name}.{suffix}"))
    return [os.path.join(place, f"{name}.png") for name in drawn]


def new_figure(width: float | int, height: float | int) -> Figure:
    """Returns an empty figure of this size in inches, with room around what it will hold."""
    figure = Drawing(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.12, h_pad=0.1)
    return figure


def write_title(figure: Figure, title: str) -> None:
    """Writes the title of a figure, its lines broken where the figure ends."""
    figure.suptitle("\n".join(_title_lines(title, figure.get_figwidth())))


def _title_lines(title: str, width: float | int) -> list[str]:
    """Returns the lines of a title in a figure of this width in inches."""
    letters = int(width * TITLE_LETTERS)
    return [
        part
        for line in title.split("\n")
        for part in textwrap.wrap(line, letters, break_on_hyphens=False)
    ]


def percent_text(share: float, decimals: int = 0) -> str:
    """Returns a share in percent; one below 1 never reads 100 %, one above 0 never 0 %.

    Args:
        share: from 0 to 1.
        decimals: fewest decimals, at most 2; more where rounding would make it all or nothing.
    """
    for places in range(decimals, 3):
        text = f"{100 * share:.{places}f}"
        if share <= 0 or share >= 1 or 0 < float(text) < 100:
            return f"{text} %"
    return "< 0.01 %" if share < 0.5 else "> 99.99 %"


def image_grid(
    images: Num[np.ndarray, "n height width"],
    captions: Sequence[str],
    title: str,
    *,
    columns: int | None = None,
    inches: float = 1.4,
    row_names: Sequence[str] = (),
    marked: Sequence[Collection[int]] = (),
) -> Figure:
    """Draws all images on one axes, which takes a tenth of the time of one axes each.

    Args:
        images: grey levels 0-255, ink bright on dark.
        captions: a text above each image, which may be empty.
        title: of the figure.
        columns: most images side by side; if not given, six if a page has room for them.
        inches: the longer side of an image.
        row_names: texts to the left of the rows.
        marked: places of letters in each caption that are bold and in a colour of their own.
    """
    height, width = images.shape[1:]
    inch = max(height, width) / inches  # px
    lines = [caption.split("\n") for caption in captions if caption]
    caption_height = inch * (0.06 + LINE * max(map(len, lines), default=0))
    letters = max((len(line) for each in lines for line in each), default=0)
    caption_width = MONOSPACE * CAPTION_SIZE / 72 * inch * letters
    cell_height = height + caption_height + 0.08 * inch
    cell_width = max(width, caption_width) + 0.12 * inch
    if columns is None:
        columns = min(6, max(int(PAGE_WIDTH * inch / cell_width), 1))
    rows, columns = grid_shape(max(len(images), 1), columns)
    margin = 0.085 * inch * max(map(len, row_names), default=0)
    grid = (columns * cell_width + margin) / inch, rows * cell_height / inch
    figure_width = max(grid[0] + 0.24, 7.0)
    title_lines = _title_lines(title, figure_width)
    title_height = 0.15 + 0.2 * len(title_lines)
    size = figure_width, grid[1] + title_height + 0.1
    figure = Drawing(figsize=size, dpi=DOTS_PER_INCH)  # laid out here, for letters to have places
    left = (size[0] - grid[0]) / 2
    axes = figure.add_axes((left / size[0], 0.1 / size[1], grid[0] / size[0], grid[1] / size[1]))
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left = index % columns * cell_width + (cell_width - 0.12 * inch - width) / 2
        top = index // columns * cell_height
        extent = (left, left + width, top + height, top)
        axes.imshow(image, "gray", vmin=0, vmax=255, interpolation="nearest", extent=extent)
        place = (left + width / 2, top - 0.05 * inch)
        if marked:
            _write_marked(axes, caption, marked[index], place, inch)
        elif caption:
            axes.text(*place, caption, ha="center", va="bottom", fontsize=CAPTION_SIZE)
    for row, name in enumerate(row_names):
        place = (-0.08 * inch, row * cell_height + height / 2)
        axes.text(*place, name, ha="right", va="center", fontsize=10)
    axes.set(
        xlim=(-margin, columns * cell_width),
        ylim=(rows * cell_height - caption_height, -caption_height),
    )
    axes.axis("off")
    figure.suptitle("\n".join(title_lines), y=1 - 0.1 / size[1], va="top")
    return figure


def _write_marked(
    axes: Axes, caption: str, marked: Collection[int], place: tuple[float, float], inch: float
) -> None:
    """Writes lines above a place, of letters of one width, so that any can be marked.

    Args:
        axes: whose units are pixels of an image.
        caption: the lines.
        marked: places in the caption of the letters to mark.
        place: middle of the lower end.
        inch: in units of the axes.
    """
    step = MONOSPACE * CAPTION_SIZE / 72 * inch
    lines = caption.split("\n")
    first = 0
    for number, line in enumerate(lines):
        bottom = place[1] - LINE * inch * (len(lines) - 1 - number) - 0.03 * inch
        letters = range(len(line))
        for stands_out, group in itertools.groupby(letters, lambda each: first + each in marked):  # noqa: B023
            run = list(group)
            axes.text(
                place[0] + (run[0] - len(line) / 2) * step,
                bottom,
                line[run[0] : run[-1] + 1],
                ha="left",
                va="baseline",
                family="DejaVu Sans Mono",
                fontsize=CAPTION_SIZE,
                weight="bold" if stands_out else "normal",
                color=VERMILLION if stands_out else BLACK,
            )
        first += len(line) + 1


def grid_shape(cells: int, most_columns: int) -> tuple[int, int]:
    """Returns rows and columns of a grid with room for so many cells."""
    columns = min(cells, most_columns)
    return math.ceil(cells / columns), columns


def plain_axes(axes: Axes, grid: Literal["x", "y", "both"]) -> None:
    """Takes the box away and puts grey lines behind what is drawn; `grid` is x, y or both."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)


def percent_axis(axis: Axis) -> None:
    """Writes shares along an axis in percent, with as many decimals as the place needs."""
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.6g} %"))


def logarithmic_axis(axes: Axes, lowest: float | int, highest: float | int) -> None:
    """Makes the y axis logarithmic, with numbers at 1, 2 and 5 where the powers of ten are few.

    Args:
        axes: of which.
        lowest: above 0, what is drawn.
        highest: what is drawn.
    """
    axes.set_yscale("log")
    subs = (1, 2, 5) if highest < 500 * lowest else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def separator(classes: Sequence[str]) -> str:
    """Returns what stands between names of classes in a label: nothing if all are one letter."""
    return " " * (max(map(len, classes), default=1) > 1)


def label_text(label: Num[np.ndarray, "K"], classes: Sequence[str]) -> str:
    """Returns a label as text; entries below 0, which fill a short one up, are left out."""
    return separator(classes).join(classes[index] for index in label if index >= 0) or "nothing"
