"""The files that a job leaves in the workdir."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from mnist3 import profiling
from mnist3.files import RUN_FILES, replicate_folder, write_json
from mnist3.jobs import parts, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.parts import Parts
from mnist3.reporting import pages, pictures, report
from mnist3.reporting.drawers import Drawn, Saving
from mnist3.results import Replicated, Result, write_predictions
from mnist3.stopping import Interrupted
from mnist3.tracking import Stopped, Tracker


@contextlib.contextmanager
def tracked(
    folder: str,
    config: ConfigDict,
    watch: Callable[[Mapping[str, Any]], None] | None = None,
) -> Iterator[Tracker]:
    """Gives the tracker of a run, which is told at the end whether that failed or was stopped.

    Args:
        folder: workdir of the run.
        config: of the run.
        watch: called with each epoch, see `Tracker`; a run that it stops has not failed.
    """
    tracker = Tracker(folder, config, watch)
    failed, stopped = True, False
    try:
        yield tracker
        failed = False
    except Stopped:
        failed = False
        raise
    except Interrupted:
        stopped = True
        raise
    finally:
        paths = [os.path.join(folder, name) for name in RUN_FILES]
        tracker.finish([path for path in paths if os.path.exists(path)], failed, stopped)


@contextlib.contextmanager
def learning(
    made: Parts,
    folder: str,
    watch: Callable[[Mapping[str, Any]], None] | None = None,
    claim: Callable[[str, ConfigDict], contextlib.AbstractContextManager[None]] = workdir.claimed,
) -> Iterator[Tracker]:
    """Holds the folder of a run that learns, from where it was stopped, and gives its tracker.

    Args:
        made: the parts of the run.
        folder: its workdir.
        watch: see `tracked`.
        claim: holds the folder of a run with a config.

    Raises:
        UserError: if the folder cannot be written, or holds another run or one of other data, or
            what the run begins with is not there.
    """
    with claim(folder, made.config):
        logging.info("training in %s", folder)
        workdir.require_same_data(folder, made.dataset)
        parts.require_initial(made, folder)
        workdir.write_start(folder, made.config, made.dataset)
        with tracked(folder, made.config, watch) as tracker:
            yield tracker


def learned(
    made: Parts,
    learn: Callable[[str, Tracker], Result],
    folder: str,
    watch: Callable[[Mapping[str, Any]], None] | None = None,
    claim: Callable[[str, ConfigDict], contextlib.AbstractContextManager[None]] = workdir.claimed,
) -> Result:
    """Returns the result of a candidate or a trial, which has read val and is in its folder.

    Args:
        made: the parts of its run.
        learn: lets it learn in a folder, see `mnist3.jobs.parts.prepared`.
        folder: its workdir.
        watch: see `learning`, as `claim` and what is raised.
        claim: see there.
    """
    with learning(made, folder, watch, claim) as tracker:
        result = learn(folder, tracker)
        write_numbers(result, folder)
        tracker.summary(result.metrics)
    return result


@contextlib.contextmanager
def writing(result: Result, folder: str, arguments: Arguments) -> Iterator[None]:
    """Writes predictions, metrics.json, pictures and page of a result into the folder of a run.

    Predictions and metrics are there when the block begins, pictures and page when it has ended:
    they are drawn meanwhile.

    Args:
        result: with the splits that were read.
        folder: workdir of the run.
        arguments: with the command that made the run, and the pictures that it is to have.
    """
    write_numbers(result, folder)
    drawn = chosen(pictures.draw_all, result, arguments.figures)
    with writing_page(folder, lambda: pages.result_page(result), result.config, drawn, arguments):
        yield


def write_numbers(result: Result, folder: str) -> None:
    """Writes predictions and metrics.json, of replicates those of each into its own folder too."""
    write_predictions(result, folder)
    write_json(os.path.join(folder, "metrics.json"), result.metrics)
    if isinstance(result, Replicated):
        for each in result.replicates:
            write_numbers(each, replicate_folder(folder, each.config.seed))


def chosen(
    draw_all: Callable[..., Iterable[tuple[str, Drawn]]], of: Any, figures: str
) -> Iterable[tuple[str, Drawn]]:
    """Gives the pictures that a run is to have.

    Args:
        draw_all: gives those of a result or a comparison, all or those of some names alone.
        of: the result or the comparison.
        figures: `none`, `few` or `all`.
    """
    if figures == "none":
        return ()
    return draw_all(of) if figures == "all" else draw_all(of, pictures.FEW)


@contextlib.contextmanager
def writing_page(
    folder: str,
    page: Callable[[], report.Page],
    config: ConfigDict,
    drawn: Iterable[tuple[str, Drawn]],
    arguments: Arguments,
) -> Iterator[None]:
    """Writes the pictures of a run and its page, report.html, which are there when the block ends.

    Args:
        folder: workdir of the run.
        page: returns what to say.
        config: the whole config.
        drawn: names and pictures, in reading order.
        arguments: with the command that made the run, and the formats of the pictures.
    """
    with Saving(folder, arguments.figure_formats) as saving:
        with profiling.phase(profiling.DRAWING):
            for name, each in drawn:
                saving.add(name, each)
        yield
        with profiling.phase(profiling.DRAWING):
            said = page()
            report.template()  # read while pictures are drawn
            files = saving.wait()
    path = os.path.join(folder, "report.html")
    report.write_page(path, said, config=config.to_dict(), figures=files, command=arguments.command)


def track(result: Result, tracker: Tracker) -> None:
    """Tells the tracker of a run what was reached, and what was predicted wrong."""
    examples, predictions = result.shown
    right = result.outcomes(result.split)
    if right.dtype == bool and predictions.confidence is not None:
        labels, values = map(result.task.texts, (examples.targets, predictions.values))
        tracker.log_misread(examples.inputs, right, labels, values, predictions.confidence)
    tracker.summary(result.metrics)
