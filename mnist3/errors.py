"""The errors that users meet, and whose code an error comes from.

Nothing here imports a library: `mnist3.__main__` tells with it that one is missing.
"""

import difflib
import os
import pathlib
import sys
import traceback
from collections.abc import Iterable, Sequence

_PACKAGE = pathlib.Path(__file__).parent
_LONGEST = 1500  # letters of a sentence


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one sentence: what was wrong, where, and what to do. `mnist3.exit_status`
    prints it without a traceback, and the command exits with status 1. What it quotes of a file may
    be anything, and is shown as one line that can be printed.
    """

    def __str__(self) -> str:
        said = " ".join(super().__str__().split())
        said = "".join(each if each.isprintable() else repr(each)[1:-1] for each in said)
        half = _LONGEST // 2
        return said if len(said) <= _LONGEST else f"{said[:half]} ... {said[-half:]}"


class EstimatorError(UserError, ValueError):
    """What this package's estimators refuse of settings or data, as scikit-learn's users expect."""


def debugging() -> bool:
    """Tells whether the environment variable MNIST3_DEBUG asks for tracebacks."""
    return os.environ.get("MNIST3_DEBUG", "") not in ("", "0")


def comes_from(error: BaseException, folder: str, without: Sequence[str] = ()) -> bool:
    """Tells whether the code in a folder raised an error, or what that code called.

    What this package was called for in between is not of the folder: the last to call decides.

    Args:
        error: that was caught.
        folder: of a library.
        without: files and folders in it that do not count.
    """
    left_out = tuple(os.path.join(folder, each) for each in without)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(f"{_PACKAGE}{os.sep}"):
            return False
        if frame.filename.startswith(f"{folder}{os.sep}"):
            return not frame.filename.startswith(left_out)
    return False


def missing_library(error: BaseException) -> str | None:
    """Returns what to do about a library that Python does not find; None for any other error."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    name = error.name.partition(".")[0]
    if name in (_PACKAGE.name, "experiments"):
        return None
    local = pathlib.Path(".venv", "bin", "python")
    installed = f"run the same command with {local}" if local.exists() else "run `make run` once"
    return (
        f"{sys.executable or 'python'} has no library {name}; {installed}, or install with "
        "`pip install -e .` in the folder of mnist3."
    )


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Returns the candidate that looks most like the word, of several alike the first."""
    return max(candidates, key=lambda each: difflib.SequenceMatcher(None, each, word).ratio())
