"""From the command line to a job, and from errors to one sentence and an exit status."""

import ast
import contextlib
import importlib
import os
import pathlib
import re
import shlex
import sys
from typing import Any

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from mnist3 import config as configs
from mnist3 import exit_status, experiments, jobs, validation
from mnist3.errors import UserError, nearest
from mnist3.files import require_unread
from mnist3.jobs import workdir
from mnist3.jobs.arguments import Arguments

FLAGS = flags.FLAGS
_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "The experiment: a file, with variants behind a colon, as in "
    "experiments/triple_mnist.py:model=logistic. Single values: --config.section.field=value.",
)
_MODE = flags.DEFINE_string("mode", "train", f"The job: {', '.join(jobs.MODES)}.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run; a fresh one under runs/ if not given."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    os.environ.get("MNIST3_DATA_DIR"),
    "Folder with MNIST's four files (or mnist/ with them) and triple_mnist.zip; "
    "the environment variable MNIST3_DATA_DIR gives the default.",
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "best", "For evaluate and predict: best, latest or the number of an epoch."
)
_IMAGES = flags.DEFINE_string("images", None, "For predict: an image, a folder or a glob.")
_TABLE = flags.DEFINE_string("table", None, "For predict of a table: the CSV or Parquet file.")
_ALLOW_PICKLE = flags.DEFINE_bool(
    "allow_pickle",
    False,
    "For predict: also read the model of an older run, a pickle; reading one runs any code in it.",
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "The file to write: CSV for predict, JSON for audit; - for standard output."
)


def _fields_of_experiment(argv: list[str]) -> dict[str, Any]:
    """Returns the fields of the experiment without the command line's changes."""
    for word in argv:
        if match := re.match(r"--?config=(.+)", word):
            with contextlib.suppress(Exception):
                return dict(configs.fields(experiments.load(shlex.quote(match[1]))))
    return dict(configs.fields(configs.numbers()))


def _config_mistake(argv: list[str]) -> str | None:
    """Returns what is wrong with the first --config.key=value that the experiment refuses."""
    known = _fields_of_experiment(argv)
    for word in argv:
        match = re.match(r"--?config\.([\w.]+)(?:=(.*))?", word)
        if match is None:
            continue
        name, value = match.groups()
        if any(field.startswith(f"{name}.") for field in known):
            return f"config.{name} is a section; set one of its fields, config.{name}.FIELD=VALUE."
        if name not in known:
            return (
                f"unknown config key config.{name}; did you mean "
                f"config.{nearest(name, list(known))}?"
            )
        kind = type(known[name])
        if known[name] is None:
            try:
                ast.literal_eval(value)
            except (TypeError, ValueError, SyntaxError):
                return f"config.{name} got {value}; put a text into quotes twice: \"'{value}'\"."
        try:
            if kind in (int, float):
                kind(value)
        except (TypeError, ValueError):
            return (
                f"config.{name} got {value!r}, which is not of type {kind.__name__}; its default "
                f"is {known[name]!r}."
            )
    return None


def _parse(argv: list[str]) -> list[str]:
    try:
        rest = FLAGS(argv)
        if _CONFIG.value is not None:
            _CONFIG.value.items()  # raises what went wrong when the file was loaded
    except UserError:
        raise
    except (OSError, SyntaxError) as error:
        if isinstance(error, SyntaxError):
            what = f"{error.filename}:{error.lineno} ({error.msg})"
        else:
            what = str(error).rsplit("Errno ", 1)[-1].partition("] ")[2] or str(error)
        raise UserError(
            f"cannot read the experiment {what}; give --config a Python file such as "
            "experiments/quickstart.py."
        ) from error
    except Exception as error:
        message = _config_mistake(argv) or " ".join(str(error).split())
        raise UserError(message) from error
    if rest[1:]:
        raise UserError(f"unexpected argument {rest[1]!r}; values belong behind --flag=.")
    return rest


def _checked_config(arguments: Arguments) -> ConfigDict:
    """Returns the config of the flags, or for a run that exists that of its workdir."""
    if _CONFIG.value is not None:
        validation.validate(_CONFIG.value)
    of_a_run = arguments.mode in ("evaluate", "predict")
    if of_a_run and arguments.workdir is None:
        raise UserError(
            f"--mode={arguments.mode} needs a finished run; give its folder with --workdir."
        )
    if of_a_run or (arguments.mode == "audit" and arguments.workdir and _CONFIG.value is None):
        config = workdir.read_config(arguments.workdir)
        if _CONFIG.value is not None:
            workdir.require_same(arguments.workdir, _CONFIG.value)
        return config
    if _CONFIG.value is None:
        raise UserError(
            f"--mode={arguments.mode} needs an experiment; give for instance "
            "--config=experiments/quickstart.py."
        )
    return _CONFIG.value


def _experiment() -> str:
    if _CONFIG.value is None:
        return ""
    return pathlib.Path(config_flags.get_config_filename(FLAGS["config"])).stem


def _run(argv: list[str]) -> int:
    del argv
    if _MODE.value not in jobs.MODES:
        raise UserError(
            f"unknown --mode={_MODE.value}; did you mean {nearest(_MODE.value, jobs.MODES)}"
            f"? It is one of {', '.join(jobs.MODES)}."
        )
    arguments = Arguments(
        mode=_MODE.value,
        workdir=_WORKDIR.value,
        data_dir=_DATA_DIR.value,
        experiment=_experiment(),
        checkpoint=_CHECKPOINT.value,
        images=_IMAGES.value,
        table=_TABLE.value,
        output=_OUTPUT.value,
        allow_pickle=_ALLOW_PICKLE.value,
        command=shlex.join(["python", *sys.argv]),
    )
    if arguments.output and _CONFIG.value is not None:
        experiment = config_flags.get_config_filename(FLAGS["config"]).partition(":")[0]
        require_unread(arguments.output, [experiment])
    config = _checked_config(arguments)
    job = importlib.import_module(f"mnist3.jobs.{jobs.job_of(arguments.mode, config)}")
    return job.run(config, arguments)


def main(argv: list[str]) -> int:
    """Runs the job that the command line asks for and returns the exit status."""
    return exit_status.run(lambda: app.run(_run, argv=argv, flags_parser=_parse))
