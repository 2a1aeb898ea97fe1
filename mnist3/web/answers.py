"""What is answered of a picture: the fields of a reading as JSON has them."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mnist3.data import numbers
from mnist3.data.images import BLANK
from mnist3.pictures import NOTHING, Batches, Reading, Seen, readings_in
from mnist3.tasks import Task


class Answer(NamedTuple):
    """What was read from a picture.

    Attributes:
        reading: of its best line, or of it as a whole.
        image: as the network saw it; None where the picture could not be read.
    """

    reading: Reading
    image: UInt8[np.ndarray, "height width"] | None = None

    @property
    def is_picture(self) -> bool:
        """Whether a picture was looked at, even if nothing was found on it."""
        return self.reading.error in ("", BLANK, NOTHING)


Read = Callable[[list[bytes]], list[list[Answer]]]


def reader(task: Task, batches: Batches) -> Read:
    """Returns what reads pictures: from the contents of their files to the answers for each.

    Those are one of a picture that is read for its best line, or as a whole, or that cannot be
    read; else one a line.

    Args:
        task: that the run learned.
        batches: of `mnist3.pictures.reader_of`.
    """

    def read(pictures: list[bytes]) -> list[list[Answer]]:
        return [
            _answers(readings, seen)
            for batch in batches(pictures)
            for readings, seen in zip(readings_in(batch, task), batch.seen, strict=True)
        ]

    return read


def _answers(readings: Sequence[Reading], seen: Sequence[Seen]) -> list[Answer]:
    """Returns the readings of a picture with what was seen of it, where anything was."""
    if not seen:
        return [Answer(reading) for reading in readings]
    pairs = zip(readings, seen, strict=True)
    return [Answer(reading, each.image) for reading, each in pairs]


def as_json(answer: Answer, classes: Sequence[str], view: bool = False) -> dict[str, Any]:
    """Returns an answer as it is sent; what is not known is None, or an empty list.

    Args:
        answer: what was read.
        classes: that a number is made of.
        view: whether to send the image as the network saw it.
    """
    reading = answer.reading
    fields = {
        "number": reading.text,
        "confidence": reading.confidence,
        "confidences": list(reading.confidences),
        "sure": reading.sure,
        "length": len(numbers.parts(reading.text, classes)),
        "box": None if reading.box is None else list(reading.box),
        "spans": [list(span) for span in reading.spans],
        "error": reading.error,
    }
    if view:
        fields["view"] = None if answer.image is None else data_url(answer.image)
    return fields


def data_url(image: UInt8[np.ndarray, "height width"]) -> str:
    """Returns an image as a PNG file in a data URL."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="png")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
