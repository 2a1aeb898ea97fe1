"""Views: of each picture what was found on it, and what the network saw, with what it read."""

import itertools
import os
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from mnist3.data.images import read_picture
from mnist3.evaluation.words import confidence_text
from mnist3.files import free_name, replacing
from mnist3.pictures import Batch, Seen
from mnist3.reporting.drawing import BLUE, GREY, VERMILLION
from mnist3.tasks import Predictions, Task

WIDTH = 640  # px of a view
ENLARGED = 3  # times, of what the network saw
_TEXT = 16  # px of a line of text
_GAP = 8  # px


def saver(task: Task, folder: str) -> Callable[[Batch], None]:
    """Returns what saves a view of each picture of a batch as a PNG file in a folder.

    A view shows the picture with a box around each line that was found, and under it each image
    as the network saw it, with what was read, its confidence, and whether it is sure. Pictures of
    one name get numbers; one that could not be read has no view.

    Args:
        task: that the run learned.
        folder: that is there.
    """
    taken: set[str] = set()

    def save(batch: Batch) -> None:
        rows = itertools.count()
        for path, seen in zip(batch.paths, batch.seen, strict=True):
            texts = [_text(task, batch.predictions, next(rows)) for _ in seen]
            if not seen:
                continue
            with replacing(os.path.join(folder, f"{free_name(path, taken)}.png"), "wb") as file:
                view(path, seen, texts).save(file, format="png")

    return save


def view(path: str, seen: Sequence[Seen], texts: Sequence[str]) -> Image.Image:
    """Returns the view of a picture.

    Args:
        path: of the picture.
        seen: the images that were read of it.
        texts: what was read of each.
    """
    picture = read_picture(path, WIDTH)
    shown = Image.fromarray(picture.pixels).convert("RGB")
    draw = ImageDraw.Draw(shown)
    for each in seen:
        if each.box is not None:
            draw.rectangle([edge / picture.scale for edge in each.box], outline=VERMILLION, width=2)
    images = [_enlarged(each.image) for each in seen]
    height = shown.height + sum(image.height + _TEXT + 2 * _GAP for image in images)
    sheet = Image.new("RGB", (max(WIDTH, *(i.width for i in (shown, *images))), height), "white")
    sheet.paste(shown, (0, 0))
    draw, top = ImageDraw.Draw(sheet), shown.height + _GAP
    for image, text in zip(images, texts, strict=True):
        draw.text((0, top), text, fill=GREY if text.endswith("not sure") else BLUE)
        sheet.paste(image, (0, top + _TEXT))
        top += image.height + _TEXT + 2 * _GAP
    return sheet


def _enlarged(image: UInt8[np.ndarray, "height width"]) -> Image.Image:
    rows, columns = image.shape
    times = max(1, min(ENLARGED, WIDTH // columns))
    return Image.fromarray(image).resize((times * columns, times * rows), Image.Resampling.NEAREST)


def _text(task: Task, predictions: Predictions | None, row: int) -> str:
    assert predictions is not None  # there is one of each image
    of_row = predictions.of(slice(row, row + 1))
    images = task.predicted_images(of_row)
    text = "" if images is not None else task.texts(of_row.values)[0] or "no number"
    if of_row.confidence is not None:
        text += f", confidence {confidence_text(of_row.confidence[0])}"
    if of_row.sure is not None:
        text += ", sure" if of_row.sure[0] else ", not sure"
    return text
