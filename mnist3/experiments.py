"""Experiments by the text that names them on a command line."""

import ast
import os
import pathlib
import re
import runpy
import shlex
import site
import sysconfig
import traceback
from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from mnist3 import config as configs
from mnist3 import upgrade
from mnist3.errors import UserError, missing_library, nearest

EXAMPLE = "experiments/quickstart.py"
_CHANGE = re.compile(r"--?(?:no)?config\.([\w.]+)(?:=(.*))?", re.DOTALL)
_STAMP = re.compile(r"-\d{8}-\d{6}-\d+$")  # of a folder under runs/


def load(text: str) -> ConfigDict:
    """Returns the config of an experiment.

    Args:
        text: what stands behind --config= on a command line, and flags that change single values:
            "experiments/classify.py:learner=knn --config.learner.parameters.n_neighbors=3".

    Raises:
        UserError: if there is no such experiment, it fails, or it has not what the flags change.
    """
    try:
        experiment, *words = shlex.split(text) or [""]
    except ValueError as error:
        raise UserError(f"cannot read the experiment {text!r} ({error}).") from error
    config = read(experiment)
    if rest := change(config, words):
        raise UserError(f"unexpected {rest[0]!r} behind the experiment {experiment}; leave it out.")
    return config


def file_of(experiment: str) -> str:
    """Returns the file of an experiment, without its variants."""
    return experiment.partition(":")[0]


def name_of(experiment: str) -> str:
    """Returns what a run of an experiment is called: its file, or the run that it repeats."""
    path = pathlib.Path(file_of(experiment))
    if path.suffix != ".json":
        return path.stem
    return _STAMP.sub("", path.absolute().parent.name) or path.stem


def read(experiment: str) -> ConfigDict:
    """Returns the config of an experiment as its file has it.

    Args:
        experiment: a Python file, with variants behind a colon, or the config.json of a run.

    Raises:
        UserError: if it cannot be read, or fails.
    """
    file, *variants = experiment.split(":", 1)
    try:
        text = pathlib.Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise _unreadable(f"{file}: {error.strerror or error}") from error
    except ValueError as error:
        raise _unreadable(f"{file}, which is not text") from error
    return _of_run(file, text) if file.endswith(".json") else _of_code(file, variants)


def _unreadable(what: str) -> UserError:
    return UserError(
        f"cannot read the experiment {what}; give a Python file such as {EXAMPLE}, or the "
        "config.json of a run."
    )


def _of_run(file: str, text: str) -> ConfigDict:
    try:
        return upgrade.from_json(text, file)
    except (ValueError, TypeError, AttributeError) as error:  # values of any type stand in a file
        raise _unreadable(f"{file}, which is not valid JSON ({error})") from error


def _of_code(file: str, variants: Sequence[str]) -> ConfigDict:
    config = _call(file, "get_config", variants, absent=_ABSENT)
    if config is _ABSENT:
        raise UserError(
            f"the experiment {file} has no get_config(argument), the function that returns "
            f"its config; see {EXAMPLE}."
        )
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"get_config of the experiment {file} returns {type(config).__name__} and not a "
            f"config; see {EXAMPLE}."
        )
    return config


def read_sweep(experiment: str) -> Any:
    """Returns what an experiment's `get_sweep` does; None where it has none.

    Args:
        experiment: as `read` takes it.

    Raises:
        UserError: if it cannot be read, or fails.
    """
    file, *variants = experiment.split(":", 1)
    return None if file.endswith(".json") else _call(file, "get_sweep", variants)


_ABSENT = object()  # where a file has no such function


def _call(file: str, name: str, variants: Sequence[str], absent: Any = None) -> Any:
    """Returns what a function of an experiment's file does; `absent` where there is none.

    Raises:
        UserError: if the file cannot be read, or fails.
    """
    try:
        defined = runpy.run_path(file)
        return defined[name](*variants) if name in defined else absent
    except UserError:
        raise
    except SyntaxError as error:
        raise _unreadable(f"{error.filename}:{error.lineno} ({error.msg})") from error
    except Exception as error:
        if missing_library(error) and _of_library(traceback.extract_tb(error.__traceback__)[-1]):
            raise
        raise UserError(
            f"the experiment {file} fails{_place(error, file)} with {_said(error)}; mend it there "
            "(MNIST3_DEBUG=1 shows the traceback)."
        ) from error


def _place(error: BaseException, file: str) -> str:
    """Returns the last line of the user's own code that an error went through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _of_library(frame)]
    if not own:
        return ""
    same = os.path.realpath(own[-1].filename) == os.path.realpath(file)
    return f" at {file if same else own[-1].filename}:{own[-1].lineno}"


def _of_library(frame: traceback.FrameSummary) -> bool:
    """Tells whether a line of code is of this package, another one or Python."""
    folders = (os.path.dirname(__file__), sysconfig.get_path("stdlib"), *site.getsitepackages())
    return frame.filename.startswith((*(f"{folder}{os.sep}" for folder in folders), "<frozen"))


def _said(error: BaseException) -> str:
    """Returns an error as one line; the text alone of a KeyError would be the bare key."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".").removesuffix(":")


def change(config: ConfigDict, words: Sequence[str]) -> list[str]:
    """Sets fields of a config, which is locked then.

    Args:
        config: of an experiment.
        words: of a command line; --config.section.field=value changes a field.

    Returns:
        the words that change nothing.

    Raises:
        UserError: names what the config does not take.
    """
    before = dict(configs.fields(config))
    values = flags.FlagValues()
    values.set_gnu_getopt()
    argv = ["", *words]
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        return values(argv, known_only=True)[1:]
    except Exception as error:
        message = mistake(before, words) or " ".join(str(error).split())
        raise UserError(message) from error


def mistake(known: dict[str, Any], words: Sequence[str]) -> str | None:
    """Returns what is wrong with the first --config.field=value that a config refuses.

    Args:
        known: fields of the config with their values.
        words: of a command line.
    """
    for word in words:
        match = _CHANGE.fullmatch(word)
        if match is None:
            continue
        name, value = match.groups()
        if any(field.startswith(f"{name}.") for field in known):
            return f"config.{name} is a section; set one of its fields, config.{name}.FIELD=VALUE."
        if name not in known and name.startswith("population."):
            return configs.fixed_text(name.removeprefix("population."))
        if name not in known:
            return (
                f"unknown config key config.{name}; did you mean "
                f"config.{nearest(name, list(known))}?"
            )
        if value is None:
            continue
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
