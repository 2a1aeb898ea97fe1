"""Pictures by the renderer of the tests, which shares no code with the composition.

    python -m benchmarks.rendered FOLDER        # writes FOLDER/numbers and FOLDER/others
    mnist3 --mode=evaluate --workdir=RUN --images=FOLDER/numbers
    mnist3 --mode=predict --workdir=RUN --images=FOLDER/others --output=others.csv
    python -m benchmarks.rendered FOLDER --workdir=RUN --failures=docs/failures.png

`numbers` holds 1,000 pictures of numbers of 1 to 10 digits, half in the renderer's own strokes and
half of MNIST's test images, with labels.csv; each fifth shows one kind of trouble alone. `others`
holds 400 pictures of no number: letters, blank sheets, scribbles, noise and textures. The last line
draws pictures that a run misreads: what was found, what the network saw, and what it read.
"""

import argparse
import csv
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageDraw

from tests import renderer

SEED = 20240611
NUMBERS, OTHERS = 1000, 400
SHOWN = 12  # misread pictures
COLUMNS, GAP, TITLE = 3, 10, 16  # of their sheet; px


def main() -> None:
    """Writes the pictures, or draws those that a run misreads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--workdir", help="of a run of experiments/people.py")
    parser.add_argument("--failures", help="PNG file for pictures that the run misreads")
    arguments = parser.parse_args()
    if bool(arguments.workdir) != bool(arguments.failures):
        parser.error("--workdir and --failures go together")
    if arguments.failures:
        draw_failures(arguments.folder / "numbers", arguments.workdir, arguments.failures)
    else:
        write_numbers(arguments.folder / "numbers")
        write_others(arguments.folder / "others")


def write_numbers(folder: pathlib.Path) -> None:
    """Writes pictures of numbers and labels.csv: file, number, kind, hand, length."""
    from mnist3.data.sources import load_source

    source = load_source("mnist", os.environ.get("MNIST3_DATA_DIR"))
    test = slice(-source.official_test, None)
    images = source.images[test], source.labels[test].astype(int)
    rows = []
    folder.mkdir(parents=True)
    for index in range(NUMBERS):
        rng = np.random.default_rng([SEED, index])
        length = 1 + index // 2 % 10
        text = "".join(map(str, rng.integers(0, 10, length)))
        alone = index // 20 % 5 == 0
        kinds = [renderer.KINDS[int(rng.integers(len(renderer.KINDS)))]] if alone else None
        picture, facts = renderer.render(
            rng, text, kinds, images if index % 2 else None, width=int(rng.integers(400, 1001))
        )
        Image.fromarray(picture).save(folder / f"{index:04d}.png", compress_level=1)
        kind = kinds[0] if kinds else "mixed"
        rows.append([f"{index:04d}.png", text, kind, facts["hand"], length])
    _write_labels(folder, ["file", "number", "kind", "hand", "length"], rows)


def write_others(folder: pathlib.Path) -> None:
    """Writes pictures of no number, with a file of their kinds."""
    folder.mkdir(parents=True)
    rows = []
    for index in range(OTHERS):
        rng = np.random.default_rng([SEED, 1, index])
        kind = renderer.NOT_NUMBERS[index % len(renderer.NOT_NUMBERS)]
        picture, _ = renderer.not_numbers(rng, kind, width=int(rng.integers(400, 1001)))
        Image.fromarray(picture).save(folder / f"{index:03d}.png", compress_level=1)
        rows.append([f"{index:03d}.png", kind])
    _write_labels(folder, ["file", "kind"], rows)


def _write_labels(folder: pathlib.Path, names: list[str], rows: list[list]) -> None:
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


def draw_failures(folder: pathlib.Path, workdir: str, output: str) -> None:
    """Draws pictures in own strokes that a run misreads: the first of each kind, then others."""
    import mnist3

    with open(folder / "labels.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["hand"] == "strokes"]
    readings = mnist3.load(workdir).read([folder / row["file"] for row in rows])
    for row, each in zip(rows, readings, strict=True):
        row["read"] = each.text
    wrong = [row for row in rows if row["read"] != row["number"]]
    first = {row["kind"]: row for row in reversed(wrong) if row["kind"] != "mixed"}
    chosen = [*first.values(), *(row for row in wrong if row["kind"] == "mixed")][:SHOWN]
    with tempfile.TemporaryDirectory() as images, tempfile.TemporaryDirectory() as views:
        for row in chosen:
            shutil.copy(folder / row["file"], images)
        command = [sys.executable, "-m", "mnist3", "--mode=predict", f"--workdir={workdir}"]
        command += [f"--images={images}", f"--output={views}/read.csv", f"--save_views={views}"]
        subprocess.run(command, check=True)
        shown = [Image.open(os.path.join(views, row["file"])).convert("RGB") for row in chosen]
    titles = [f"{row['number']} ({row['kind']}): {row['read'] or 'no number'}" for row in chosen]
    _sheet(shown, titles).save(output)


def _sheet(images: list[Image.Image], titles: list[str]) -> Image.Image:
    """Returns the views in three columns, each under its title."""
    views = [image.reduce(2) for image in images]
    width, tops = max(view.width for view in views) + 2 * GAP, [0] * COLUMNS
    places = []
    for view in views:
        column = int(np.argmin(tops))
        places.append((column * width + GAP, tops[column] + GAP))
        tops[column] += view.height + TITLE + 2 * GAP
    sheet = Image.new("RGB", (COLUMNS * width, max(tops)), "white")
    draw = ImageDraw.Draw(sheet)
    for view, title, (left, top) in zip(views, titles, places, strict=True):
        draw.text((left, top), title, fill="black")
        sheet.paste(view, (left, top + TITLE))
    return sheet


if __name__ == "__main__":
    main()
