"""Learns a task, from where the run in the folder was stopped, and evaluates what was learned."""

import dataclasses
import os

from absl import logging
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import hosts, learners, profiling
from mnist3.config import seeds_of
from mnist3.data.splits import HELD_OUT
from mnist3.errors import UserError
from mnist3.evaluation.calibration import UNCALIBRATED
from mnist3.jobs import output, parts, profile, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.learners import calibrated
from mnist3.locking import locked
from mnist3.reporting import console
from mnist3.results import Result


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Learns and evaluates, or with --mode=evaluate only evaluates, and writes the run's files."""
    return evaluate(config, arguments) if arguments.mode == "evaluate" else learn(config, arguments)


def learn(config: ConfigDict, arguments: Arguments) -> int:
    """Learns, evaluates on val and test, and writes the files of a run into its workdir.

    Of several processes the first does, and the others train along with it.
    """
    if not hosts.first():
        made = parts.load(config, arguments.data_dir)
        _require_alike(made)
        learners.follow(config, made.dataset, made.task, made.examples)
        return 0
    folder = arguments.workdir or workdir.fresh_workdir(arguments.experiment)
    with workdir.claimed(folder, config):
        logging.info("workdir: %s", folder)
        if not arguments.profile:
            _learn(config, arguments, folder)
            return 0
        with profiling.profiled(os.path.join(folder, profile.FOLDER)) as profiled:
            result = _learn(config, arguments, folder)
        profile.write(profiled, result, folder)
    return 0


def _learn(config: ConfigDict, arguments: Arguments, folder: str) -> Result:
    """Returns what is learned in a folder that this process holds, with its files written."""
    made = parts.load(config, arguments.data_dir)
    workdir.require_same_data(folder, made.dataset)
    learn_all = parts.prepared(made)
    parts.require_initial(made, folder)
    _require_alike(made)
    workdir.write_start(folder, config, made.dataset)
    with output.tracked(folder, config) as tracker:
        result = learn_all(folder, tracker).with_splits("test")
        with output.writing(result, folder, arguments):
            output.track(result, tracker)
            print(console.result_text(result, folder))
    return result


def _require_alike(made: parts.Parts) -> None:
    """Checks that this process trains what the first one does.

    Raises:
        UserError: names the first field that differs, or says that the data do.
    """
    own = {name: value for name, value in configs.fields(made.config) if name[:6] != "wandb."}
    own["data"] = made.dataset.fingerprint
    firsts = hosts.from_first(lambda: own)
    place = hosts.place()
    for name in firsts.keys() | own.keys():
        if firsts.get(name) != own.get(name):
            what = "other data" if name == "data" else f"another config.{name}, {own.get(name)!r}"
            raise UserError(
                f"process {place.process} of {place.processes} was started with {what} than the "
                "first; start the same command with the same data in each, or --distributed=off "
                "for runs of their own."
            )


def evaluate(config: ConfigDict, arguments: Arguments) -> int:
    """Evaluates the run in `arguments.workdir` on val and test, and writes its files anew.

    Raises:
        UserError: if the data are others than the run began with, or have neither val nor test.
    """
    folder = str(arguments.workdir)  # without one there is no run to evaluate
    made = parts.load(config, arguments.data_dir)
    workdir.require_same_data(folder, made.dataset)
    if not made.examples.keys() & set(HELD_OUT):
        raise UserError(
            f"{made.dataset.name} has neither val nor test here, so there is nothing to evaluate; "
            "add the folder of one to its images."
        )
    trained_in = workdir.environment_of(folder)
    if len(seeds_of(config)) > 1:
        with locked(folder):
            several = parts.load_replicates(made, folder, arguments.checkpoint)
            several = dataclasses.replace(several, trained_in=trained_in)
            with output.writing(several, folder, arguments):
                print(console.result_text(several, folder))
        return 0
    with locked(folder):
        learned = learners.load(config, made.task, folder, arguments.checkpoint)
        if learned.calibrator == UNCALIBRATED:  # of an older run, or not the best checkpoint
            learners.calibrate(config, made.dataset, made.examples, learned)
            if arguments.checkpoint == "best":
                calibrated.save(folder, learned.calibrator)
        result = dataclasses.replace(made.result(learned, HELD_OUT), trained_in=trained_in)
        with output.writing(result, folder, arguments):
            print(console.result_text(result, folder))
    return 0
