"""From the command line to a job, and from errors to one sentence and an exit status.

Flags are read into values of their own: nothing of a command is left when `main` returns, so that
one process can run several.
"""

import contextlib
import gc
import importlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from mnist3 import exit_status, experiments, hosts, jobs, runtime, stopping
from mnist3.config import NETWORK, search_method
from mnist3.errors import UserError, nearest
from mnist3.files import require_unread
from mnist3.jobs.arguments import Arguments, arguments_of, define_flags
from mnist3.reporting import drawers
from mnist3.sweeps import Sweep, wandb_files

USAGE = """mnist3: reading handwritten digits, one or several in an image.

    mnist3 --config=experiments/quickstart.py
    mnist3 --mode=predict --workdir=RUN --images=FOLDER --output=FILE.csv
    mnist3 --mode=serve --workdir=RUN
    mnist3 --mode=sweep --config=experiments/quickstart.py --workdir=SWEEP

Flags:
"""


FIGURES = ("none", "few", "all")
DRAWING = ("train", "evaluate", "compare")  # modes that draw
KEEPING = ("run", "population", "predict", "serve")  # jobs of one config, whose programs are kept


def parse(argv: Sequence[str]) -> tuple[flags.FlagValues, list[str]]:
    """Returns the flags of a command line, and the words that are none of them.

    Args:
        argv: the program and its arguments.

    Raises:
        UserError: if a flag has no value or a wrong one.
    """
    values = flags.FlagValues()
    values.set_gnu_getopt()
    define_flags(values)
    try:
        return values, values(list(argv), known_only=True)[1:]
    except flags.Error as error:
        raise UserError(f"{' '.join(str(error).split())}; --help lists the flags.") from error


def _require_nothing_left(words: Sequence[str], values: flags.FlagValues) -> None:
    for word in words:
        if not word.startswith("-"):
            raise UserError(f"unexpected argument {word!r}; values belong behind --flag=.")
        name = word.lstrip("-").partition("=")[0]
        if name.startswith("config."):
            raise UserError(
                f"{word} changes an experiment; give it too, for instance "
                f"--config={experiments.EXAMPLE}."
            )
        raise UserError(
            f"unknown flag --{name}; did you mean --{nearest(name, list(values))}? "
            "--help lists the flags."
        )


def figures_of(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Returns which figures to draw, and in which formats.

    Raises:
        UserError: if a word is neither.
    """
    amounts = [word for word in words if word in FIGURES]
    if len(amounts) > 1:
        raise UserError(
            f"--figures={','.join(words)} names {' and '.join(amounts)}; give one of them."
        )
    formats = tuple(word for word in words if word not in FIGURES)
    if formats:
        from mnist3.reporting import drawing

        drawing.require_formats(formats)
    return (amounts or [Arguments.figures])[0], formats or Arguments.figure_formats


def _without_password(command: str) -> str:
    """Returns a command line without the password of a database, since pages show it."""
    return re.sub(r"(--storage[= ]\S+?://[^\s:@/]+):[^\s@/]+@", r"\1@", command)


def _require_mode_of_sweeps(values: flags.FlagValues) -> None:
    for name in ("sweep", "trials", "storage", "together"):
        if not values[name].using_default_value and values.mode != "sweep":
            raise UserError(
                f"--{name} is for sweeps, and --mode={values.mode} makes none; give --mode=sweep."
            )


def _require_steps(arguments: Arguments, config: ConfigDict) -> None:
    """Checks that a run which is to be profiled trains one network.

    Raises:
        UserError: if not.
    """
    network = config.kind in ("numbers", "digits") and config.learner.name == NETWORK
    if arguments.profile and hosts.several():
        raise UserError("--profile watches one process, and several train here; leave it out.")
    if arguments.profile and not (network and arguments.mode == "train"):
        raise UserError(
            "--profile follows the steps of a network while it trains; give --mode=train and the "
            f"experiment of a network, for instance --config={experiments.EXAMPLE}."
        )


def _join_others(values: flags.FlagValues) -> None:
    """Joins the processes that train together, if this is one of several.

    Raises:
        UserError: if flags say so of a mode that is for one process, or the others do not come.
    """
    given = {name: values[name].value for name in ("coordinator", "processes", "process")}
    named = [name for name, value in given.items() if value is not None]
    if named and values.mode != "train":
        raise UserError(
            f"--{named[0]} is for several processes that train together, and "
            f"--mode={values.mode} runs in one; leave it out."
        )
    if named and values.distributed == "off":
        raise UserError(f"--{named[0]} and --distributed=off contradict each other; give one.")
    if values.mode == "train" and values.distributed != "off":
        hosts.start(**given)


def _require_job_of_several(name: str, config: ConfigDict) -> None:
    """Checks that several processes, if there are, can share a job.

    Raises:
        UserError: if they cannot.
    """
    if not hosts.several():
        return
    one = "one process; start it alone, with --distributed=off in a cluster."
    if name != "run" or config.learner.name != NETWORK:
        raise UserError(f"several processes train a network together, and this learns in {one}")
    if (method := search_method(config)) != "none":
        raise UserError(f"config.search.method={method} tries its settings in {one}")


def _sweep_of(mode: str, experiment: str | None, content: Mapping[str, Any] | None) -> Sweep | None:
    """Returns what a sweep file of W&B or else the experiment wants to be searched.

    Raises:
        UserError: if it is no sweep.
    """
    if mode != "sweep" or experiment is None:
        return None
    if content is not None:
        return wandb_files.translate(content)
    found = experiments.read_sweep(experiment)
    if found is not None and not isinstance(found, Sweep):
        raise UserError(
            f"get_sweep of the experiment {experiments.file_of(experiment)} returns "
            f"{type(found).__name__} and not a Sweep; see {experiments.EXAMPLE}."
        )
    return found


def _checked_config(arguments: Arguments, given: ConfigDict | None) -> ConfigDict:
    """Returns the config of the flags, or for a run that exists that of its workdir."""
    from mnist3 import validation
    from mnist3.jobs import workdir

    if given is not None:
        validation.validate(given)
    of_a_run = arguments.mode in ("evaluate", "predict", "serve", "export")
    if of_a_run and arguments.workdir is None:
        raise UserError(
            f"--mode={arguments.mode} needs a finished run; give its folder with --workdir."
        )
    of_either = arguments.mode in ("audit", "inspect")
    if of_a_run or (of_either and arguments.workdir and given is None):
        config = workdir.read_config(arguments.workdir)
        if given is not None:
            workdir.require_same(arguments.workdir, given, began=config)
        return config
    if given is None:
        raise UserError(
            f"--mode={arguments.mode} needs an experiment; give for instance "
            f"--config={experiments.EXAMPLE}."
        )
    return given


def _stopped_by_signals(arguments: Arguments) -> contextlib.AbstractContextManager[None]:
    """Returns what lets a job of training stop where its state is saved; of others nothing."""
    if arguments.mode not in ("train", "compare", "sweep"):
        return contextlib.nullcontext()
    folder = "" if arguments.workdir else ", with --workdir set to the run's folder"
    return stopping.handled(f"run the same command to go on{folder}")


def _fitted_by(cluster: str | None, mode: str) -> contextlib.AbstractContextManager[None]:
    """Returns what has a cluster fit estimators during a job.

    Raises:
        UserError: if the job fits none.
    """
    if cluster is None:
        return contextlib.nullcontext()
    if mode not in DRAWING:
        raise UserError(
            f"--joblib says who fits estimators, and --mode={mode} fits none in folds; give "
            "--mode=train or --mode=compare."
        )
    from mnist3.learners import workers

    return workers.fitted_by(cluster)


def run(argv: Sequence[str], alone: bool = False) -> int:
    """Runs the job that a command line asks for and returns its exit status.

    Args:
        argv: the program and its arguments.
        alone: whether this process is the command's, so that others may be started to draw.

    Raises:
        UserError: for a mistake in it, or one that the job finds.
    """
    if alone:
        gc.disable()  # looking for garbage takes a sixth of the time of the imports
    values, words = parse(argv)
    figures, formats = figures_of(values.figures)
    if values.help:
        print(USAGE + values.get_help(include_special_flags=False))
        return 0
    if values.mode not in jobs.MODES:
        raise UserError(
            f"unknown --mode={values.mode}; did you mean {nearest(values.mode, jobs.MODES)}"
            f"? It is one of {', '.join(jobs.MODES)}."
        )
    if values.on is not None and values.mode != "evaluate":
        raise UserError(
            f"--on measures a finished run on other data, which --mode={values.mode} does not; "
            "give --mode=evaluate."
        )
    _require_mode_of_sweeps(values)
    elsewhere = values.mode == "evaluate" and bool(values.on or values.images)
    _join_others(values)
    if alone and hosts.first() and values.mode in DRAWING and figures != "none" and not elsewhere:
        drawers.start()
    experiment, content = values.config, None
    if values.sweep is not None:
        content = wandb_files.read(values.sweep)
        if experiment is None:
            experiment, own = wandb_files.experiment_of(content)
            words = own + words
    given, changes = None, []
    if experiment is not None:
        given = experiments.read(experiment)
        left = experiments.change(given, words)
        words, changes = left, [word for word in words if word not in left]
    _require_nothing_left(words, values)
    arguments = arguments_of(
        values,
        data_dir=values.data_dir,
        experiment=experiments.name_of(experiment) if given is not None else "",
        given=(f"--config={experiment}", *changes) if given is not None else (),
        command=_without_password(shlex.join([*["python"] * argv[0].endswith(".py"), *argv])),
        figures=figures,
        figure_formats=formats,
        sweep=_sweep_of(values.mode, experiment, content),
    )
    if arguments.output and given is not None:
        require_unread(arguments.output, [experiments.file_of(experiment)])
    config = _checked_config(arguments, given)
    _require_steps(arguments, config)
    name = jobs.job_of(arguments.mode, config, elsewhere)
    _require_job_of_several(name, config)
    if alone and name in KEEPING:
        from mnist3.training import kept

        code = [experiments.file_of(experiment)] if given is not None else []
        kept.keep(os.path.join(runtime.cache_dir(), "programs"), code)
    job = importlib.import_module(f"mnist3.jobs.{name}")
    if alone:
        gc.freeze()  # what the imports have made stays
        gc.enable()
    with _stopped_by_signals(arguments), _fitted_by(values.joblib, arguments.mode):
        status = job.run(config, arguments)
    from mnist3.learners.cache_size import trim_cache

    trim_cache()
    return status


def main(argv: Sequence[str], alone: bool = False) -> int:
    """Runs the job that the command line asks for and returns the exit status; see `run`."""
    try:
        status = exit_status.run(lambda: run(argv, alone))
    except Exception as error:
        if not hosts.several():
            raise
        status = hosts.failed(error)
    finally:
        drawers.stop()
    hosts.end(status)
    return status
