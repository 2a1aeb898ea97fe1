"""The files that a job leaves in the workdir."""

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping

from matplotlib.figure import Figure
from ml_collections import ConfigDict

from mnist3.files import REPLICATES_FILE, RUN_FILES, replicate_folder, write_json
from mnist3.reporting import drawing, pages, pictures, report
from mnist3.results import Replicated, Result, write_predictions
from mnist3.stopping import Stopped
from mnist3.tracking import Tracker


@contextlib.contextmanager
def tracked(folder: str, config: ConfigDict) -> Iterator[Tracker]:
    """Gives the tracker of a run, which is told at the end whether that failed or was stopped."""
    tracker = Tracker(folder, config)
    failed, stopped = True, False
    try:
        yield tracker
        failed = False
    except Stopped:
        stopped = True
        raise
    finally:
        paths = [os.path.join(folder, name) for name in RUN_FILES]
        tracker.finish([path for path in paths if os.path.exists(path)], failed, stopped)


def write_result(result: Result, folder: str, command: str, formats: Collection[str]) -> None:
    """Writes predictions, metrics.json, pictures and page of a result into the folder of a run.

    Args:
        result: with the splits that were read.
        folder: workdir of the run.
        command: that made the run.
        formats: of the pictures, beside PNG.
    """
    _write_numbers(result, folder)
    drawn = pictures.draw_all(result)
    write_page(folder, pages.result_page(result), result.config, drawn, command, formats)


def _write_numbers(result: Result, folder: str) -> None:
    """Writes predictions and metrics.json, of replicates those of each into its own folder too."""
    write_predictions(result, folder)
    write_json(os.path.join(folder, "metrics.json"), result.metrics)
    if not isinstance(result, Replicated):
        return
    for each in result.replicates:
        _write_numbers(each, replicate_folder(folder, each.config.seed))
    write_json(os.path.join(folder, REPLICATES_FILE), result.metrics["replicates"])


def write_page(
    folder: str,
    page: report.Page,
    config: ConfigDict,
    drawn: Mapping[str, Figure],
    command: str,
    formats: Collection[str],
) -> None:
    """Writes the pictures of a run and its page, report.html.

    Args:
        folder: workdir of the run.
        page: what to say.
        config: the whole config.
        drawn: pictures by name, in reading order.
        command: that made the run.
        formats: of the pictures, beside PNG.
    """
    files = drawing.save_all(drawn, folder, formats)
    path = os.path.join(folder, "report.html")
    report.write_page(path, page, config=config.to_dict(), figures=files, command=command)


def track(result: Result, tracker: Tracker) -> None:
    """Tells the tracker of a run what was reached, and what was predicted wrong."""
    examples, predictions = result.shown
    right = result.outcomes(result.split)
    if right.dtype == bool and predictions.confidence is not None:
        labels, values = map(result.task.texts, (examples.targets, predictions.values))
        tracker.log_misread(examples.inputs, right, labels, values, predictions.confidence)
    tracker.summary(result.metrics)
