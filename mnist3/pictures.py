"""Pictures in, predictions out: what a learner makes of image files, whatever it learned.

A picture is read as a whole, scaled to the size of the images of the run; or, by a task of lines,
the lines of writing on it are found and each is read as a strip.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8
from ml_collections import ConfigDict

from mnist3.data import strips
from mnist3.data.images import ReadFile, Source, read_files, read_image
from mnist3.data.lines import Box, Lines, Seen, lines_of, other_sights
from mnist3.errors import UserError
from mnist3.runtime import cores
from mnist3.tasks import Predictions, Task

BATCH_SIZE = 256  # files of a batch
SMALL = 6144  # bytes; where one thread at a time was quicker than two, of PNG and JPEG on a disk
STRIPS = 32  # of a batch of one width; both are filled up, so that one compiled program serves
NOTHING = "no number is found on it"
DOUBT = 0.6  # confidence; below it a picture is looked at in other ways too
PER_DIGIT = 0.4  # bits of confidence that a digit more is worth

Predict = Callable[[UInt8[np.ndarray, "batch height width"]], Predictions]


class Batch(NamedTuple):
    """Consecutive image files, read.

    Attributes:
        paths: of the files, or their contents.
        seen: of each file, the images that were read: one, or one a line; none of a file that
            could not be read.
        predictions: of all of them, in order; None where there is none.
        errors: why a file could not be read, else "".
        warnings: what is odd about a file that could be read, else "".
        inverted: of each file, whether it is dark on light and read as a whole.
    """

    paths: Sequence[Any]
    seen: list[list[Seen]]
    predictions: Predictions | None
    errors: list[str]
    warnings: list[str]
    inverted: list[bool]


Batches = Callable[[Sequence[Source]], Iterator[Batch]]


class Limits(NamedTuple):
    """How much is read at once.

    Attributes:
        sizes: how many images a program may read at once, from few to many; images are filled up
            to the next, and a program is compiled for each. Empty for the one that is best for
            many files.
        most_pixels: of a picture; None for as many as Pillow takes.
    """

    sizes: tuple[int, ...] = ()
    most_pixels: int | None = None


NO_LIMITS = Limits()


def reader_of(
    config: ConfigDict,
    task: Task,
    predict: Predict,
    every_line: bool = False,
    limits: Limits = NO_LIMITS,
    finders: Executor | None = None,
) -> Batches:
    """Returns what reads image files, a batch after the other, with what a run has learned.

    Args:
        config: of the run.
        task: that it learned.
        predict: returns the predictions of images.
        every_line: whether to read every line of a picture, by a task of lines.
        limits: of what is read at once.
        finders: runs calls in other processes, which then find the lines; None for threads.

    Raises:
        UserError: if every line is asked for and the task reads pictures as a whole.
    """
    require_lines(task, every_line)
    if task.reads_lines:
        return functools.partial(
            _read_lines,
            task=task,
            predict=predict,
            every_line=every_line,
            limits=limits,
            workers=finders or cores(),
        )
    size = config.data.height, config.data.width
    return functools.partial(_read_whole, size=size, predict=predict, limits=limits)


def shapes_read(config: ConfigDict, task: Task, limits: Limits) -> list[tuple[int, int, int]]:
    """Returns the shapes of all batches of images that `reader_of` predicts within limits."""
    if task.reads_lines:
        sizes, images = limits.sizes or (STRIPS,), [(strips.HEIGHT, w) for w in strips.WIDTHS]
    else:
        sizes, images = limits.sizes or (BATCH_SIZE,), [(config.data.height, config.data.width)]
    return [(size, *image) for image in images for size in sizes]


def require_lines(task: Task, every_line: bool) -> None:
    """Checks that a task reads lines, where every line of a picture is asked for.

    Raises:
        UserError: if it reads pictures as a whole.
    """
    if every_line and not task.reads_lines:
        raise UserError(
            f"--lines (every_line=True in Python) reads every line of a picture, which the task "
            f"{task.name} does not; give a run of experiments/people.py, or leave it out."
        )


def _read_whole(
    paths: Sequence[Source], size: tuple[int, int], predict: Predict, limits: Limits
) -> Iterator[Batch]:
    sizes = limits.sizes or (BATCH_SIZE,)
    read = functools.partial(
        read_image, height=size[0], width=size[1], most_pixels=limits.most_pixels
    )
    for first, files in _files(paths, read, sizes[-1], cores(), SMALL):
        images = [file.value[0] for file in files if not file.error]
        predictions = predict_filled(predict, np.stack(images), sizes) if images else None
        yield Batch(
            paths[first : first + len(files)],
            [[] if file.error else [Seen(file.value[0])] for file in files],
            predictions,
            [file.error for file in files],
            [file.warning for file in files],
            [not file.error and bool(file.value[1]) for file in files],
        )


def _files(
    paths: Sequence[Source],
    read: Callable[[Any], Any],
    batch_size: int,
    workers: int | Executor,
    one_at_a_time_below: int = 0,
) -> Iterator[tuple[int, list[ReadFile]]]:
    first = 0
    # The next batch is read from the disk while the learner works on this one.
    for files in read_files(paths, read, batch_size, workers, one_at_a_time_below):
        yield first, files
        first += len(files)


class Found(NamedTuple):
    """What is found on a picture.

    Attributes:
        seen: its lines.
        predictions: of these; None if there is none.
    """

    seen: list[Seen]
    predictions: Predictions | None


def _read_lines(
    paths: Sequence[Source],
    task: Task,
    predict: Predict,
    every_line: bool,
    limits: Limits,
    workers: int | Executor,
) -> Iterator[Batch]:
    sizes = limits.sizes or (STRIPS,)
    read = functools.partial(lines_of, every_line=every_line, most_pixels=limits.most_pixels)
    for first, files in _files(paths, read, BATCH_SIZE, workers):
        own = paths[first : first + len(files)]
        found = _surest_ways([file.value or [] for file in files], predict, sizes)
        if not every_line:
            readable = [not file.error for file in files]
            found = _settled(own, readable, found, task, predict, sizes, workers)
        parts = [each.predictions for each in found if each.predictions is not None]
        yield Batch(
            own,
            [each.seen for each in found],
            _joined(parts) if parts else None,
            [
                file.error or ("" if each.seen else NOTHING)
                for file, each in zip(files, found, strict=True)
            ],
            [file.warning for file in files],
            [False] * len(files),
        )


def _surest_ways(
    pictures: Sequence[Lines], predict: Predict, sizes: tuple[int, ...]
) -> list[Found]:
    """Returns the lines of each picture in the ways that are read with most confidence."""
    every = [way for lines in pictures for ways in lines for way in ways]
    predictions = predict_strips(predict, [way.image for way in every], sizes) if every else None
    confidence: Any = None if predictions is None else predictions.confidence
    found, row = [], 0
    for lines in pictures:
        rows = []
        for ways in lines:
            rows.append(row + int(np.argmax(confidence[row : row + len(ways)])))
            row += len(ways)
        own = None if predictions is None or not rows else predictions.of(np.asarray(rows))
        found.append(Found([every[best] for best in rows], own))
    return found


def _settled(
    paths: Sequence[Source],
    readable: Sequence[bool],
    found: Sequence[Found],
    task: Task,
    predict: Predict,
    sizes: tuple[int, ...],
    workers: int | Executor,
) -> list[Found]:
    """Returns what is found on pictures, looked at in other ways too where there is a doubt.

    What is read with most confidence is taken, by `_score`; it is sure only if it was read twice.
    """
    doubtful = [
        place
        for place, each in enumerate(found)
        if readable[place] and (each.predictions is None or _confidence(each) < DOUBT)
    ]
    again = [paths[place] for place in doubtful]
    read = read_files(again, other_sights, BATCH_SIZE, workers)
    # Of a file that is gone by now there is none.
    others: list[list[Lines | None]] = [file.value or [] for files in read for file in files]
    new = [lines for sights in others for lines in sights if lines is not None]
    more = iter(_surest_ways(new, predict, sizes))
    settled = list(found)
    for place, sights in zip(doubtful, others, strict=True):
        ways = [found[place]]
        ways += [found[place] if lines is None else next(more) for lines in sights]
        best = max(ways, key=lambda each: _score(task, each))
        times = [_text(task, each) for each in ways].count(_text(task, best))
        settled[place] = best if times > 1 else _unsure(best)
    return settled


def _confidence(found: Found) -> float:
    """Returns the confidence in the one line that was found."""
    predictions: Any = found.predictions
    return float(predictions.confidence[0])


def _text(task: Task, found: Found) -> str | None:
    """Returns the one line that was found; None if none was."""
    return None if found.predictions is None else task.texts(found.predictions.values)[0]


def _unsure(found: Found) -> Found:
    predictions = found.predictions
    if predictions is None or predictions.sure is None:
        return found
    return Found(found.seen, predictions.replaced(sure=np.zeros(len(predictions), bool)))


def _score(task: Task, found: Found) -> float:
    """Returns how likely something is to be the number: the logarithm of its confidence, mostly.

    Each digit counts a little for it: a piece of a line is read as a 1 by accident, hardly as a
    whole number. What shows no digit comes last.
    """
    if found.predictions is None:
        return -math.inf
    digits = task.probabilities_shown(found.predictions)[0]
    logarithm = math.log2(max(_confidence(found), 1e-300))
    return logarithm + PER_DIGIT * digits if digits else logarithm - 1e3


def predict_filled(
    predict: Predict,
    images: UInt8[np.ndarray, "n height width"],
    sizes: tuple[int, ...] = (BATCH_SIZE,),
) -> Predictions:
    """Returns predictions of images, at most as many as the last of the sizes of a batch."""
    size = next(each for each in sizes if len(images) <= each)
    filled = np.pad(images, ((0, size - len(images)), (0, 0), (0, 0)))
    return predict(filled).of(slice(len(images)))


def predict_strips(
    predict: Predict,
    images: Sequence[UInt8[np.ndarray, "32 _"]],
    sizes: tuple[int, ...] = (STRIPS,),
) -> Predictions:
    """Returns predictions of strips of any widths, in order; those of a width are read together."""
    rows, parts = [], []
    widths = np.array([strips.bucket(image.shape[1]) for image in images])
    for width in strips.WIDTHS:
        of_width = np.flatnonzero(widths == width)
        for first in range(0, len(of_width), sizes[-1]):
            chosen = of_width[first : first + sizes[-1]]
            size = next(each for each in sizes if len(chosen) <= each)
            filled = strips.stack([images[row] for row in chosen], width, size)
            parts.append(predict(filled).of(slice(len(chosen))))
            rows.append(chosen)
    return _joined(parts).of(np.argsort(np.concatenate(rows)))


def _joined(parts: Sequence[Predictions]) -> Predictions:
    """Returns the predictions of all parts, one after the other."""
    return Predictions(
        *(
            None if any(each is None for each in values) else np.concatenate(values)
            for values in zip(*parts, strict=True)
        )
    )


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
        box: left, top, right and bottom of the line in its picture, px; None where pictures are
            read as a whole.
        spans: the same of each digit; empty where the network does not say where it stands.
        confidences: probability that each digit is right; empty of a learner without any.
    """

    text: str = ""
    confidence: float | None = None
    probabilities: tuple[float, ...] = ()
    image: UInt8[np.ndarray, "height width"] | None = None
    error: str = ""
    sure: bool | None = None
    box: Box | None = None
    spans: tuple[Box, ...] = ()
    confidences: tuple[float, ...] = ()


def readings_of(task: Task, predictions: Predictions) -> list[Reading]:
    """Returns predictions one by one."""
    images = task.predicted_images(predictions)
    if images is not None:
        return [Reading(image=image) for image in images]
    texts = task.texts(predictions.values)
    confidences, probabilities = predictions.confidence, predictions.probabilities
    shown = task.probabilities_shown(predictions)
    of_digits = task.digit_confidences(predictions)
    return [
        Reading(
            text,
            None if confidences is None else float(confidences[row]),
            () if probabilities is None else tuple(map(float, probabilities[row][: shown[row]])),
            sure=None if predictions.sure is None else bool(predictions.sure[row]),
            confidences=of_digits[row],
        )
        for row, text in enumerate(texts)
    ]


def read_lists(sources: Sequence[Source], task: Task, batches: Batches) -> Iterator[list[Reading]]:
    """Yields the readings of each image file, in order; one that cannot be read has its error.

    Args:
        sources: paths or contents of image files.
        task: that the run learned.
        batches: of `reader_of`.
    """
    for batch in batches(sources):
        yield from readings_in(batch, task)


def readings_in(batch: Batch, task: Task) -> Iterator[list[Reading]]:
    """Yields the readings of each file of a batch, in order; one that cannot be read its error."""
    found, spans = batch.predictions, None if batch.predictions is None else batch.predictions.spans
    read = enumerate([] if found is None else readings_of(task, found))
    for seen, error in zip(batch.seen, batch.errors, strict=True):
        if error:
            yield [Reading(error=error)]
            continue
        readings = []
        for each in seen:
            row, reading = next(read)
            boxes = () if spans is None else _places(each, spans[row][: len(reading.confidences)])
            readings.append(reading._replace(box=each.box, spans=boxes))
        yield readings


def _places(seen: Seen, spans: Int[np.ndarray, "digits 2"]) -> tuple[Box, ...]:
    """Returns where the digits of a line stand in its picture: the upright box of each."""
    if seen.track is None or (spans < 0).any():
        return ()
    places = []
    for left, top, right, bottom in strips.digit_boxes(seen.image, spans):
        shares = np.array([top, bottom])[:, None, None] / strips.HEIGHT
        edges = seen.track[[left, right - 1]]
        corners = (1 - shares) * edges[:, 0] + shares * edges[:, 1]
        # The middles of the four sides, so that a slight turn of the line makes no box larger.
        sides = np.concatenate([corners.mean(axis=0), corners.mean(axis=1)])
        (x0, y0), (x1, y1) = sides.min(axis=0), sides.max(axis=0)
        places.append((int(x0), int(y0), math.ceil(x1), math.ceil(y1)))
    return tuple(places)
