"""Measures what a run has learned on other data: those of an experiment, or a folder of pictures.

The files of the run stay as they are. Beside them, or in the folder that --output names, stand
`metrics_on_NAME.json` and what was predicted; a replicate that was asked for is part of the name.
"""

import csv
import hashlib
import os
import pathlib
import re
import shlex
from typing import Any

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from mnist3 import experiments, learners, results, runtime, tasks, validation
from mnist3.data import dataset as datasets
from mnist3.data import numbers, sources
from mnist3.data.labelled import LABELS_FILE, LabelledPictures, read_labels
from mnist3.data.splits import HELD_OUT, Dataset
from mnist3.errors import UserError
from mnist3.evaluation.pictures import grouping, picture_metrics
from mnist3.evaluation.words import confidence_text
from mnist3.files import STANDARD_OUTPUT, replacing, require_writable, write_json
from mnist3.jobs import parts, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.predict import make_folder
from mnist3.pictures import Reading, read_lists, reader_of
from mnist3.reporting import console
from mnist3.results import Result

LONGEST_NAME = 180  # bytes, so that a file's name has room for what stands before and after it


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Measures on the data of `arguments.on`, or on the pictures in `arguments.images`.

    Of a comparison it is the candidate that was chosen.

    Args:
        config: of the run.
        arguments: needs workdir, and either on or images; output may name a folder.

    Returns:
        the exit status: 0, or 2 if some pictures could not be read.

    Raises:
        UserError: if both or neither are given, the data are not there or are none that the run
            reads, or the files cannot be written.
    """
    if arguments.on and arguments.images:
        raise UserError(
            "--on and --images name two sets of data to measure on; give one of them at a time."
        )
    if arguments.output == STANDARD_OUTPUT:
        raise UserError(
            "--output=- has no place for several files; give --output a folder, or leave it out to "
            "write into the folder of the run."
        )
    folder, config = workdir.chosen(str(arguments.workdir), config, arguments.replicate)
    measure = _on_experiment if arguments.on else _on_pictures
    return measure(folder, config, arguments)


def _on_experiment(folder: str, config: ConfigDict, arguments: Arguments) -> int:
    text = str(arguments.on)
    other = experiments.load(text)
    validation.validate(other)
    _require_fit(config, other, text, folder)
    name = _name(text) + _of_replicate(arguments)
    output = _output(arguments, f"metrics_on_{name}.json")
    dataset = datasets.load(other.data, arguments.data_dir, runtime.cache_dir())
    parts.log_dataset(dataset)
    reason = _may_share(folder, config, other, dataset, arguments.data_dir)
    note = (
        f"val and test of {name} may hold digit images that the run was trained on ({reason}), so "
        "that these figures may be better than those of unseen ones"
        if reason
        else f"val and test of {name} hold no digit image that the run was trained on"
    )
    (logging.warning if reason else logging.info)("%s", note)
    task = parts.task_of(config)
    measured = ConfigDict(config.to_dict() | {"data": other.data.to_dict()})
    examples = learners.examples_of(measured, dataset, task, HELD_OUT)
    if not examples:
        raise UserError(
            f"{dataset.name} has neither val nor test here, so there is nothing to measure on; "
            "give --on another experiment."
        )
    learned = learners.load(config, task, folder, arguments.checkpoint)
    predictions = results.read(learned, examples)
    trained_in = workdir.environment_of(folder)
    result = Result(measured, dataset, task, examples, learned, predictions, trained_in)
    on = {"experiment": text, "may_share_digit_images": bool(reason), "note": note}
    results.write_predictions(result, output, f"on_{name}_")
    write_json(os.path.join(output, f"metrics_on_{name}.json"), {"on": on} | result.metrics)
    print(f"{console.result_text(result, output)}\nmeasured on {text}: {note}")
    return 0


def _require_fit(config: ConfigDict, other: ConfigDict, text: str, folder: str) -> None:
    """Checks that a run can read the images of another experiment.

    Raises:
        UserError: names what differs.
    """
    if other.kind not in ("numbers", "digits"):
        raise UserError(
            f"--on={text} is of kind {other.kind} and has no images of its own; give an experiment "
            "of kind numbers or digits."
        )
    (fewest, most), (shortest, longest) = (
        numbers.digit_range(each.data.digits) for each in (config, other)
    )
    reads_lines = parts.task_of(config).reads_lines
    if longest > most or (not reads_lines and (fewest, most) != (shortest, longest)):
        raise UserError(
            f"the run in {folder} reads numbers of {_some(fewest, most)} digits, and --on={text} "
            f"has some of {_some(shortest, longest)}; give an experiment with "
            f"config.data.digits={config.data.digits}."
        )
    if reads_lines != tasks.REGISTRY[other.task.name].reads_lines:
        raise UserError(
            f"the run in {folder} reads {'strips' if reads_lines else 'whole images'}, and "
            f"--on={text} has {'whole images' if reads_lines else 'strips'}; give an experiment of "
            f"the same data, {config.data.name}."
        )
    had, has = (sources.REGISTRY[each.data.source].classes for each in (config, other))
    if had != has:
        raise UserError(
            f"the run in {folder} reads the classes {', '.join(had)}, and --on={text} has "
            f"{', '.join(has)}; give an experiment with the classes of source {config.data.source}."
        )
    sizes = [(each.data.height, each.data.width) for each in (config, other)]
    if sizes[0] != sizes[1] and not reads_lines:  # strips may have any width
        (height, width), (high, wide) = sizes
        raise UserError(
            f"the run in {folder} reads images of {height}x{width} px, and --on={text} has images "
            f"of {high}x{wide}; give one that has such images, or change it where it can be "
            f"composed so: --on='{text} --config.data.height={height} --config.data.width={width}'."
        )


def _some(fewest: int, most: int) -> str:
    return f"{fewest}" if fewest == most else f"{fewest} to {most}"


def _may_share(
    folder: str, config: ConfigDict, other: ConfigDict, dataset: Dataset, data_dir: str | None
) -> str:
    """Returns why held-out images of a dataset may hold digit images that a run trained on.

    The same fields divide them alike only if this version draws as that of the run did, which its
    own dataset shows.
    """
    if reason := datasets.may_share_digit_images(config.data, other.data):
        return reason
    if config.get("training", {}).get("init_from"):
        return "it began with the parameters of another run"
    own = dataset
    if config.data.to_dict() != other.data.to_dict():
        own = datasets.load(config.data, data_dir, runtime.cache_dir())
    try:
        workdir.require_same_data(folder, own)
    except UserError:
        return "the run began with other splits than this version draws"
    return ""


def _on_pictures(folder: str, config: ConfigDict, arguments: Arguments) -> int:
    images = str(arguments.images)
    task = parts.task_of(config)
    if task.number_lengths is None:
        raise UserError(
            f"the run in {folder} has learned the task {task.name}, which reads no numbers to "
            f"compare with {LABELS_FILE}; {tasks.readers_text()}."
        )
    classes = sources.REGISTRY[config.data.source].classes
    pictures = read_labels(images, classes)
    lengths = np.array([len(numbers.parts(text, classes)) for text in pictures.numbers])
    fewest, most = task.number_lengths
    fitting = (lengths >= fewest) & (lengths <= most)
    if not fitting.any() and lengths.any():
        raise UserError(
            f"the run in {folder} reads numbers of {_some(fewest, most)} digits, and "
            f"{images}/{LABELS_FILE} has none of them but of "
            f"{', '.join(map(str, np.unique(lengths)))}; give a run that reads so many."
        )
    if not fitting.all():
        logging.warning(
            "%d of %d pictures have numbers that the run cannot read, which has learned %d to %d "
            "digits; they count as read wrong",
            *(len(lengths) - fitting.sum(), len(lengths), fewest, most),
        )
    name = f"pictures_{_as_file_name(pathlib.Path(images).resolve().name)}"
    name += _of_replicate(arguments)
    output = _output(arguments, f"metrics_on_{name}.json")
    learned = learners.load(config, task, folder, arguments.checkpoint)
    batches = reader_of(config, task, learned.predict)
    readings = [each[0] for each in read_lists(pictures.paths, task, batches)]
    kept, remarks = grouping(pictures.groups)
    if remarks:
        logging.info("no groups by %s, which has too many values", ", ".join(remarks))
    groups = {column: pictures.groups[column] for column in kept}
    metrics = {
        "on": {"images": images, "fingerprint": _fingerprint(pictures)},
        "task": task.name,
        "model": {"name": learned.name, "parameters": learned.parameters},
        "environment": workdir.environment_of(folder),
        "evaluated_in": runtime.environment(),
        "unreadable": sum(bool(reading.error) for reading in readings),
        **_measure(readings, pictures.numbers, classes, groups),
    }
    _write_readings(os.path.join(output, f"predictions_on_{name}.csv"), pictures, readings)
    write_json(os.path.join(output, f"metrics_on_{name}.json"), metrics)
    print(console.pictures_text(metrics, images, output))
    return 2 if metrics["unreadable"] else 0


def _measure(
    readings: list[Reading],
    labels: list[str],
    classes: tuple[str, ...],
    groups: dict[str, list[str]],
) -> dict[str, Any]:
    """Returns the metrics of readings; one that failed is right where nothing was written."""
    read = [reading for reading in readings if not reading.error]
    confidences = [reading.confidence or 0.0 for reading in readings]
    return picture_metrics(
        np.array([each.text == label for each, label in zip(readings, labels, strict=True)]),
        np.array([len(numbers.parts(label, classes)) for label in labels]),
        np.array([len(numbers.parts(each.text, classes)) for each in readings]),
        None if any(each.confidence is None for each in read) else np.clip(confidences, 0, 1),
        None
        if not read or any(each.sure is None for each in read)
        else np.array([bool(each.sure) for each in readings]),
        groups,
    )


def _write_readings(path: str, pictures: LabelledPictures, readings: list[Reading]) -> None:
    """Writes a row a picture, with what labels.csv says of it."""
    names = list(pictures.groups)
    others = zip(*pictures.groups.values(), strict=True) if names else [()] * len(readings)
    with replacing(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "prediction", "confidence", "sure", "error", *names])
        for picture, label, reading, other in zip(
            pictures.files, pictures.numbers, readings, others, strict=True
        ):
            confidence = "" if reading.confidence is None else confidence_text(reading.confidence)
            sure = "" if reading.sure is None else int(reading.sure)
            writer.writerow([picture, label, reading.text, confidence, sure, reading.error, *other])


def _name(text: str) -> str:
    """Returns what files call an experiment, with its variants and changes."""
    first, *changes = shlex.split(text)
    _, *variants = first.split(":", 1)
    words = [experiments.name_of(first), *variants]
    words += [change.lstrip("-").removeprefix("config.") for change in changes]
    return _as_file_name("-".join(words))


def _of_replicate(arguments: Arguments) -> str:
    return f"_{arguments.replicate}" if arguments.replicate != "best" else ""


def _as_file_name(text: str) -> str:
    """Returns a text as part of a file's name, of a long one its beginning and a hash."""
    name = re.sub(r"[^\w.=+-]+", "-", text)
    encoded = name.encode()
    if len(encoded) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{encoded[: LONGEST_NAME - 9].decode(errors='ignore')}-{digest}"


def _output(arguments: Arguments, file: str) -> str:
    """Returns the folder to write into, in which a file can be written."""
    folder = str(arguments.output or arguments.workdir)
    if arguments.output:
        make_folder(folder, "what is measured")
    require_writable(os.path.join(folder, file))
    return folder


def _fingerprint(pictures: LabelledPictures) -> str:
    """Returns the sha256 over all pictures and what is known of them, in hex."""
    known = [pictures.files, pictures.numbers, pictures.groups]
    digest = hashlib.sha256(repr(known).encode(errors="surrogateescape"))
    for path in pictures.paths:
        digest.update(hashlib.sha256(pathlib.Path(path).read_bytes()).digest())
    return digest.hexdigest()
