"""One run of the study: the figures of its steps, and the files that it leaves in a workdir."""

import json
import os
import time
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import joblib
import numpy
import scipy
import sklearn
from absl import logging
from sklearn.exceptions import ConvergenceWarning
from tqdm import tqdm

from experiments.textbook import page, published
from experiments.textbook.steps import STEPS, Finding
from experiments.textbook.study import FEWEST_IMAGES, Study
from mnist3.data import sources
from mnist3.data.sources import DIGITS, DigitSource, load_source
from mnist3.errors import UserError
from mnist3.files import write_json
from mnist3.jobs.workdir import held
from mnist3.learners.cached import fits_cache
from mnist3.learners.progress import moving
from mnist3.reporting import drawing, report

PROTOCOL = {"numbers": "shared", "digit_images": "disjoint"}  # of train and test
TEST_SHARE = 7  # of a source without a test split of its own, the last seventh, as in MNIST


class Settings(NamedTuple):
    """What decides the figures of a run.

    Attributes:
        source: where the digit images come from, 'mnist' or 'digits'.
        parts: which parts of the study to run, of `steps.PARTS`.
        images: how many training images to keep, the first ones; 0 = all.
        seed: of the noise, and of every estimator that draws at random.
    """

    source: str
    parts: tuple[str, ...]
    images: int
    seed: int


def run(settings: Settings, workdir: str, data_dir: str | None, command: str) -> None:
    """Runs parts of the study, prints their figures beside the published ones and writes both.

    Leaves config.json, metrics.json, report.html and figures/*.png.

    Args:
        settings: what to run, on what.
        workdir: folder to write to; it may have an earlier run of the same settings.
        data_dir: folder with MNIST's four files; None to have them downloaded.
        command: command line that makes this run, for its report.

    Raises:
        UserError: if the data are not to be had or too few, or the workdir cannot be written, is in
            use or has a run of other settings.
    """
    began = time.perf_counter()
    source = load_source(settings.source, data_dir)
    study = create_study(settings, source)
    config = {"kind": "textbook", **settings._asdict(), "parts": list(settings.parts)}
    path = os.path.join(workdir, "config.json")
    with held(workdir, lambda: _require_same(path, config)):
        write_json(path, config)
        logging.info("workdir: %s", workdir)
        rows, figures = [], []
        other = other_data(source.name, study.size, settings.seed)
        for finding, seconds in progress(study, settings.parts):
            rows += published.compare(finding.figures, seconds, sklearn.__version__, other)
            figures += draw(finding, source.name, workdir)
        metrics = {
            "dataset": {
                "name": "single_digit",
                "source": source.name,
                "fingerprint": source.fingerprint,
                "protocol": PROTOCOL,
            },
            "train": {"n": study.size, "seconds": time.perf_counter() - began},
            "test": {"n": len(study.test_labels)},
            "seed": settings.seed,
            "libraries": {
                module.__name__: module.__version__ for module in (sklearn, numpy, scipy, joblib)
            },
            "figures": [row._asdict() for row in rows],
        }
        write_json(os.path.join(workdir, "metrics.json"), metrics)
        content = page.page(metrics, rows)
        report.write_page(
            os.path.join(workdir, "report.html"),
            content,
            config=config,
            figures=figures,
            command=command,
        )
    print(page.table(rows))
    print(f"\n{page.summary(rows)} {time.perf_counter() - began:.1f} s; files in {workdir}")


def create_study(settings: Settings, source: DigitSource) -> Study:
    """Returns the study of a source's images; one without a test split gives its last seventh.

    Raises:
        UserError: if the source is not of digits, or fewer training images are asked for than every
            fold needs.
    """
    if source.classes != DIGITS:
        raise UserError(
            f"--source={source.name} is not of digits, which the study is about; give mnist or "
            "digits."
        )
    test = source.official_test or len(source.images) // TEST_SHARE
    train = len(source.images) - test
    kept = min(settings.images or train, train)
    if kept < FEWEST_IMAGES:
        raise UserError(f"--images is {kept}; give at least {FEWEST_IMAGES}, or 0 for all.")
    images, labels = (
        each if kept == train else numpy.concatenate([each[:kept], each[train:]])
        for each in (source.images, source.labels)
    )
    return Study(images, labels, test, source.fingerprint, settings.seed, fits_cache())


def other_data(source: str, images: int, seed: int) -> str:
    """Returns how data and seed differ from those of the book, in a few words; empty if they don't.

    Args:
        source: name of the source of the digit images.
        images: how many of them are for training.
        seed: of the study.
    """
    if source != "mnist":
        return f"published of MNIST, here is the source {source}"
    if images != published.BOOK_IMAGES:
        return f"published of {published.BOOK_IMAGES:,} training images, here are {images:,}"
    if seed != published.BOOK_SEED:
        return f"published with seed {published.BOOK_SEED}, here is {seed}"
    return ""


def _require_same(path: str, config: dict[str, Any]) -> None:
    try:
        with open(path) as file:
            before = json.load(file)
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); choose another --workdir.") from error
    if not isinstance(before, dict) or before.keys() != config.keys():
        raise UserError(f"{path} is of another kind of run; choose another --workdir.")
    for name, is_now in config.items():
        if before[name] != is_now:
            raise UserError(
                f"the run in {os.path.dirname(path)} had other settings: {name} was "
                f"{before[name]!r} and is now {is_now!r}; choose another --workdir or the same "
                "settings."
            )


def progress(study: Study, parts: tuple[str, ...]) -> Iterator[tuple[Finding, float]]:
    """Runs the steps of some parts; a bar tells which one runs, and how much is left.

    Yields:
        what a step found, and its seconds.
    """
    steps = [step for step in STEPS if step.part in parts]
    bar = tqdm(
        total=sum(step.weight for step in steps),
        bar_format="{percentage:3.0f} %|{bar:20}| {elapsed}, left {remaining} | {desc}",
    )
    with bar:
        for number, step in enumerate(steps):
            left = len(steps) - number - 1
            then = f", then {left} more" if left else ""
            bar.set_description_str(f"{number + 1} of {len(steps)}: {step.name}{then}")
            began = time.perf_counter()
            # As in the book, SGD stops after its default number of iterations, and nearest
            # neighbours that clean noise have the grey levels of each pixel for classes.
            with moving(bar, step.weight), warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
                finding = step.run(study)
            seconds = time.perf_counter() - began
            yield finding, seconds
        bar.set_description_str("done")


def draw(finding: Finding, source: str, workdir: str) -> list[str]:
    """Draws a step's pictures into the folder of the run and returns their files."""
    words = sources.title(source).partition(" ")[0]
    drawn = {
        picture.name: picture.draw(
            **picture.arguments, description=f"{picture.description}, {words}"
        )
        for picture in finding.pictures
    }
    return drawing.save_all(drawn, workdir)
