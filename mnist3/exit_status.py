"""How a command ends: its errors as one sentence, and its exit status."""

import errno
import logging as stdlib_logging
import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import logging

from mnist3.errors import UserError
from mnist3.files import OutputClosed, drop_standard_output

INTERRUPTED = 130  # as shells have it of Ctrl-C

CLOSED_PIPE = 141  # 128 + SIGPIPE, as a shell has it of other programs

_PACKAGE = pathlib.Path(__file__).parent
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(command: Callable[[], int | None], logged: Sequence[pathlib.Path] = (_PACKAGE,)) -> int:
    """Runs a command and returns its exit status, also when it fails or is interrupted.

    Args:
        command: returns its exit status, or raises SystemExit with it.
        logged: folders of the code whose progress is shown; of other code, warnings alone.
    """
    _log_progress_of(logged)
    try:
        status = _status_of(command)
        _end_standard_output()
        return status
    except OutputClosed:
        return CLOSED_PIPE
    except KeyboardInterrupt:
        print(
            "\nStopped; the same command with --workdir set to the run's folder goes on.",
            file=sys.stderr,
        )
        return INTERRUPTED
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        print(f"Error: {sentence}", file=sys.stderr)
        return 1


def _status_of(command: Callable[[], int | None]) -> int:
    try:
        return command() or 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))


def _end_standard_output() -> None:
    """Writes what was printed, since the interpreter would tell of a closed pipe at its exit.

    Raises:
        OutputClosed: if nobody reads standard output any more.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError as error:
        drop_standard_output()
        raise OutputClosed from error


def _sentence(error: BaseException | None) -> str | None:
    """Returns what to tell the user of an error, None if it is not the user's to mend."""
    while error is not None:
        if isinstance(error, UserError):
            return str(error)
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            return (
                f"no space left to write {error.filename or 'the files of the run'}: free some, "
                "then run the same command again."
            )
        if isinstance(error, OSError) and error.errno in _REFUSED and error.filename:
            return (
                f"{error.filename} cannot be opened ({error.strerror}); check its permissions or "
                "choose another --workdir."
            )
        error = error.__cause__ or error.__context__
    return None


def _log_progress_of(folders: Sequence[pathlib.Path]) -> None:
    """Shows what the code in these folders logs, and of other code warnings alone.

    Orbax logs with a traceback what it raises too.
    """
    own = tuple(f"{folder}/" for folder in folders)
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(
        lambda record: (
            record.pathname.startswith(own)
            or (record.levelno >= stdlib_logging.WARNING and "orbax" not in record.pathname)
        )
    )
    logging.get_absl_handler().setFormatter(stdlib_logging.Formatter("%(message)s"))
