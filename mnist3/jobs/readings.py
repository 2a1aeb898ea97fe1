"""What is read from one image after the other, for programs and for measuring."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from mnist3.jobs.predict import Predict, read_batches
from mnist3.tasks import Predictions, Task


class Reading(NamedTuple):
    """What is read from one image.

    Attributes:
        text: the number with its leading zeros, the class, or the labels; "" where images are
            predicted or the file cannot be read.
        confidence: probability that all of it is right; None of a learner without probabilities.
        probabilities: of each digit of a number, or of each class or label of the task; empty of a
            learner without them.
        image: the predicted image, where the task predicts images.
        error: why the file cannot be read; "" where it can.
        sure: whether to rely on it, see `config.evaluation.wanted_error`; None where the run does
            not know.
    """

    text: str = ""
    confidence: float | None = None
    probabilities: tuple[float, ...] = ()
    image: UInt8[np.ndarray, "height width"] | None = None
    error: str = ""
    sure: bool | None = None


def readings_of(task: Task, predictions: Predictions) -> list[Reading]:
    """Returns predictions one by one."""
    images = task.predicted_images(predictions)
    if images is not None:
        return [Reading(image=image) for image in images]
    texts = task.texts(predictions.values)
    confidences, probabilities = predictions.confidence, predictions.probabilities
    return [
        Reading(
            text,
            None if confidences is None else float(confidences[row]),
            () if probabilities is None else tuple(map(float, probabilities[row])),
            sure=None if predictions.sure is None else bool(predictions.sure[row]),
        )
        for row, text in enumerate(texts)
    ]


def read_files(
    paths: Sequence[str], canvas: tuple[int, int], task: Task, predict: Predict
) -> Iterator[Reading]:
    """Yields a reading of each image file, in order; one that cannot be read has its error.

    Args:
        paths: image files.
        canvas: (height, width) of the model's images.
        task: that the model learned.
        predict: returns predictions of images, see `read_batches`.
    """
    for batch, predictions in read_batches(paths, canvas, predict):
        for reading, error in zip(readings_of(task, predictions), batch.errors, strict=True):
            yield Reading(error=error) if error else reading
