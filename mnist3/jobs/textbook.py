"""Runs the textbook study and sets its published figures beside ours."""

import os
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import joblib
import numpy
import scipy
import sklearn
from absl import logging
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from sklearn.exceptions import ConvergenceWarning
from tqdm import tqdm

from mnist3.data import sources
from mnist3.data.sources import DigitSource, load_source
from mnist3.errors import UserError
from mnist3.evaluation import published, textbook, textbook_steps
from mnist3.evaluation.cached import fits_cache
from mnist3.jobs import output, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.progress import moving
from mnist3.reporting import (
    classification_figures,
    drawing,
    image_figures,
    report,
    study_figures,
)

BOOK_SEED = 42
PROTOCOL = {"numbers": "shared", "digit_images": "disjoint"}  # of train and test
TEST_SHARE = 7  # of a source without a test split of its own, the last seventh, as in MNIST
DRAW: dict[str, Callable[..., Figure]] = {
    "augmented": image_figures.augmented,
    "confusion": classification_figures.confusion,
    "denoising": image_figures.denoising,
    "precision_recall": classification_figures.precision_recall_curves,
    "roc": classification_figures.roc_curves,
    "search": study_figures.search_heat_map,
    "thresholds": classification_figures.thresholds,
}


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Runs the parts that the config names and writes metrics.json, figures and the report."""
    began = time.perf_counter()
    folder = arguments.workdir or workdir.fresh_workdir(arguments.experiment)
    with workdir.claimed(folder, config):
        logging.info("workdir: %s", folder)
        source = load_source(config.data.source, arguments.data_dir)
        study = create_study(config, source)
        workdir.write_config(folder, config)
        rows, figures = [], []
        other = other_data(config)
        for finding, seconds in progress(study, config.textbook.parts):
            rows += published.compare(finding.figures, seconds, sklearn.__version__, other)
            figures += draw(finding, source, folder)
        metrics = {
            "dataset": {
                "name": config.data.name,
                "source": source.name,
                "fingerprint": source.fingerprint,
                "protocol": PROTOCOL,
            },
            "train": {"n": study.size, "seconds": time.perf_counter() - began},
            "test": {"n": len(study.test_labels)},
            "seed": config.seed,
            "libraries": {
                module.__name__: module.__version__ for module in (sklearn, numpy, scipy, joblib)
            },
            "figures": [row._asdict() for row in rows],
        }
        workdir.write_json(os.path.join(folder, "metrics.json"), metrics)
        output.write_report(folder, page(metrics, rows), config, figures, arguments.command)
    print(table(rows))
    print(f"\n{summary(rows)} {time.perf_counter() - began:.1f} s; files in {folder}")
    return 0


def create_study(config: ConfigDict, source: DigitSource) -> textbook.Study:
    """Returns the study of a source's images; one without a test split gives its last seventh.

    Raises:
        UserError: if there are too few images.
    """
    test = source.official_test or len(source.images) // TEST_SHARE
    train = len(source.images) - test
    kept = min(config.textbook.images or train, train)
    if kept < textbook.FEWEST_IMAGES:
        raise UserError(
            f"config.textbook.images is {kept}; give at least {textbook.FEWEST_IMAGES}, or 0 for "
            "all."
        )
    images, labels = (
        each if kept == train else numpy.concatenate([each[:kept], each[train:]])
        for each in (source.images, source.labels)
    )
    return textbook.Study(images, labels, test, source.fingerprint, config.seed, fits_cache())


def other_data(config: ConfigDict) -> str:
    """Returns what the book had otherwise, in a few words; empty if nothing."""
    if config.data.source != "mnist":
        return f"published of MNIST, here is the source {config.data.source}"
    if config.textbook.images:
        return f"published of 60,000 training images, here are {config.textbook.images:,}"
    if config.seed != BOOK_SEED:
        return f"published with seed {BOOK_SEED}, here is {config.seed}"
    return ""


def progress(
    study: textbook.Study, parts: tuple[str, ...]
) -> Iterator[tuple[textbook_steps.Finding, float]]:
    """Runs the steps of some parts; a bar tells which one runs, and how much is left.

    Yields:
        what a step found, and its seconds.
    """
    steps = [step for step in textbook_steps.STEPS if step.part in parts]
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
            # The book's estimators have their default number of iterations, and vote for grey
            # levels.
            with moving(bar, step.weight), warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
                finding = step.run(study)
            seconds = time.perf_counter() - began
            yield finding, seconds
        bar.set_description_str("done")


def draw(finding: textbook_steps.Finding, source: DigitSource, folder: str) -> list[str]:
    """Draws a step's pictures into the folder of the run and returns their files."""
    words = sources.title(source.name).partition(" ")[0]
    drawn = {
        picture.name: DRAW[picture.kind](
            **picture.arguments, description=f"{picture.description}, {words}"
        )
        for picture in finding.pictures
    }
    return drawing.save_all(drawn, folder)


def summary(rows: list[published.Row]) -> str:
    """Returns how many figures match."""
    count = {verdict: 0 for verdict in (published.MATCH, published.DIFFERS, published.OURS_ALONE)}
    for row in rows:
        count[row.verdict] += 1
    return (
        f"{count[published.MATCH]} published figures match, {count[published.DIFFERS]} differ, "
        f"{count[published.OURS_ALONE]} were not published;"
    )


def table(rows: list[published.Row]) -> str:
    """Returns the figures as text, and below the table why some differ."""
    cells = [("figure", "published", "ours", "", "seconds")]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        mark = row.verdict
        if row.reason:
            reasons.setdefault(row.reason, []).append(row.name)
            mark += f" [{list(reasons).index(row.reason) + 1}]"
        values = (published.text(each, row.decimals) for each in (row.published, row.ours))
        cells.append((row.name, *values, mark, f"{row.seconds:.1f}"))
    notes = [
        textwrap.fill(f"[{number}] {reason}", 100, subsequent_indent="    ")
        for number, reason in enumerate(reasons, 1)
    ]
    return "\n".join(["", output.aligned(cells, left=4), *([""] if notes else []), *notes])


def page(metrics: dict[str, Any], rows: list[published.Row]) -> report.Page:
    """Returns what the report says of the study."""
    dataset, train, test = metrics["dataset"], metrics["train"], metrics["test"]
    matching = sum(row.verdict == published.MATCH for row in rows)
    of_the_book = sum(row.published is not None for row in rows)
    return report.Page(
        title=f"The textbook study on {sources.title(dataset['source'])}",
        headline=f"{matching} of {of_the_book} figures match",
        explanation=(
            "Figures of A. Geron, Hands-On Machine Learning, 3rd edition, chapter 3, beside ours; "
            "where one differs, the last column says why."
        ),
        facts=[
            ("images", f"{train['n']:,} train, {test['n']:,} test"),
            ("fingerprint", dataset["fingerprint"]),
            ("seed", str(metrics["seed"])),
            ("libraries", ", ".join(f"{name} {is_}" for name, is_ in metrics["libraries"].items())),
            ("time", f"{train['seconds']:.1f} s"),
        ],
        table_title="Published and ours",
        columns=["published", "ours", "verdict", "seconds", "why"],
        rows=[
            (
                row.name,
                [
                    *(published.text(each, row.decimals) for each in (row.published, row.ours)),
                    row.verdict,
                    f"{row.seconds:.1f}",
                    row.reason,
                ],
            )
            for row in rows
        ],
    )
