"""Trains the candidates of a population in one program, and compares them.

They differ in numbers alone. Each has a folder of its own, that of the run with these numbers; what
is chosen, and how surely, is as of a comparison.
"""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import tracking
from mnist3.errors import UserError
from mnist3.jobs import candidates, compare, output, parts, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.parts import Parts
from mnist3.reporting import comparison
from mnist3.results import Result
from mnist3.tracking import Stopped

Watch = Callable[[Mapping[str, Any]], None]
Outcome = Result | Stopped | UserError


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Trains a population from where it was stopped, and writes the files of a comparison.

    Raises:
        UserError: if no candidate comes to its end.
    """
    folder = arguments.workdir or workdir.fresh_workdir(arguments.experiment)
    with workdir.claimed(folder, config):
        logging.info("workdir: %s", folder)
        every, folders = _prepare(config, folder, arguments.data_dir)
        made = next(iter(every.values()))
        workdir.require_same_data(folder, made.dataset)
        workdir.write_start(folder, config, made.dataset)
        paths = [os.path.join(folder, own) for own in folders.values()]
        found = dict(zip(every, learn([*every.values()], paths), strict=True))
        results = {name: each for name, each in found.items() if isinstance(each, Result)}
        failures = {name: str(each) for name, each in found.items() if name not in results}
        compare.require_some(results, failures)
        with output.tracked(folder, config) as tracker:
            compared = compare.compare(config, results, folders, failures)
            for name, result in compared.results.items():
                output.write_numbers(result, os.path.join(folder, folders[name]))
            with compare.writing(compared, folder, arguments):
                tracker.summary(compared.metrics)
                print(comparison.text(compared, folder))
    return 0


def _prepare(
    config: ConfigDict, folder: str, data_dir: str | None
) -> tuple[dict[str, Parts], dict[str, str]]:
    """Returns the parts of each candidate by name, and their folders below the workdir."""
    made = parts.load(config, data_dir)
    group = os.path.basename(os.path.abspath(folder))
    every, folders = {}, {}
    for place, (name, own) in enumerate(configs.candidates_of(config).items(), start=1):
        own.wandb = tracking.part_of(config.wandb, group)
        every[name] = parts.load(own, data_dir, made.dataset, made.examples)
        folders[name] = candidates.folder_of(place, name)
    return every, folders


def learn(
    every: Sequence[Parts],
    folders: Sequence[str],
    watches: Sequence[Watch | None] = (),
    claim: Callable[[str, ConfigDict], contextlib.AbstractContextManager[None]] = workdir.claimed,
) -> list[Outcome]:
    """Trains candidates in one program, each in its folder, from where that was left, on val alone.

    Args:
        every: the parts of each candidate, alike as `mnist3.training.population` says.
        folders: their workdirs.
        watches: called with each epoch of each, may raise `Stopped`; () for none.
        claim: holds the folder of a run with a config.

    Returns:
        of each its result, or why it has none.

    Raises:
        UserError: if a folder holds another run, or files cannot be written.
    """
    learning = every[0].prepare_replicates(*[made.config for made in every])
    with contextlib.ExitStack() as held:
        stacks, trackers = [], []
        for made, folder, watch in zip(every, folders, watches or [None] * len(every), strict=True):
            stack = contextlib.ExitStack()
            held.push(stack)  # closed before, where all goes well, with what came of the candidate
            trackers.append(stack.enter_context(output.learning(made, folder, watch, claim)))
            stacks.append(stack)
        found = parts.learn_candidates(every, learning, folders, trackers)
        return [_end(*each) for each in zip(stacks, trackers, folders, found, strict=True)]


def _end(
    stack: contextlib.ExitStack, tracker: tracking.Tracker, folder: str, outcome: Outcome
) -> Outcome:
    """Writes what came of a candidate into its folder, and gives that back."""
    try:
        with stack:
            if not isinstance(outcome, Result):
                raise outcome
            output.write_numbers(outcome, folder)
            tracker.summary(outcome.metrics)
    except (Stopped, UserError) as error:
        if isinstance(error.__cause__, OSError):  # no fault of the candidate
            raise
        return error
    return outcome
