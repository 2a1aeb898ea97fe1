"""How a command ends: its errors as one sentence, and its exit status."""

import contextlib
import errno
import logging as stdlib_logging
import pathlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence

from absl import flags, logging

from mnist3.errors import UserError, debugging, missing_library
from mnist3.files import OutputClosed, drop_standard_output
from mnist3.stopping import Interrupted

INTERRUPTED = 130  # as shells have it of Ctrl-C

CLOSED_PIPE = 141  # 128 + SIGPIPE, as a shell has it of other programs

_PACKAGE = pathlib.Path(__file__).parent
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FAILED = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ETIMEDOUT)


def run(command: Callable[[], int | None], logged: Sequence[pathlib.Path] = (_PACKAGE,)) -> int:
    """Runs a command and returns its exit status, also when it fails or is interrupted.

    An error that a user can mend is one sentence; with MNIST3_DEBUG=1 its traceback stands before.

    Args:
        command: returns its exit status, or raises SystemExit with it.
        logged: folders of the code whose progress is shown; of other code, warnings alone.
    """
    with _progress_of(logged):
        try:
            status = _status_of(command)
            _end_standard_output()
            return status
        except OutputClosed:
            return CLOSED_PIPE
        except Interrupted as stop:
            print(f"\n{stop}", file=sys.stderr)
            return stop.status
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
            if debugging():
                traceback.print_exception(error)
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


def _sentence(error: BaseException) -> str | None:
    """Returns what to tell the user of an error, None if it is not the user's to mend.

    What an error was raised from counts, and of the disk also what was being handled when it came:
    then the rest follows from it. Another error that comes while a user's mistake is handled is not
    that mistake.
    """
    seen: BaseException | None = error
    said = True
    while seen is not None:
        if isinstance(seen, UserError) and said:
            return str(seen)
        if (sentence := missing_library(seen)) and said:
            return sentence
        if isinstance(seen, OSError) and seen.errno in _NO_SPACE:
            return (
                f"no space left to write {seen.filename or 'the files of the run'}: free some, "
                "then run the same command again."
            )
        if isinstance(seen, OSError) and seen.errno in _REFUSED:
            return (
                f"{seen.filename or 'a file of the run'} cannot be opened ({seen.strerror}); check "
                "its permissions or choose another --workdir."
            )
        if isinstance(seen, OSError) and seen.errno in _FAILED:
            return (
                f"{seen.filename or 'a file of the run'} cannot be read or written "
                f"({seen.strerror}); check the disk or the network that it is on, then run the "
                "same command again."
            )
        said = said and seen.__cause__ is not None
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return None


@contextlib.contextmanager
def _progress_of(folders: Sequence[pathlib.Path]) -> Iterator[None]:
    """Shows what the code in these folders logs, and of other code warnings alone.

    Orbax logs with a traceback what it raises too. Logging is as before when the block ends.
    """
    own = tuple(f"{folder}/" for folder in folders)

    def shown(record: stdlib_logging.LogRecord) -> bool:
        return record.pathname.startswith(own) or (
            record.levelno >= stdlib_logging.WARNING and "orbax" not in record.pathname
        )

    root, handler = stdlib_logging.root, logging.get_absl_handler()
    verbosity, level = logging.get_verbosity(), root.level
    formatter, attached = handler.python_handler.formatter, handler in root.handlers
    parsed = flags.FLAGS.is_parsed()
    flags.FLAGS.mark_as_parsed()  # or absl would warn that nobody has
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    stream = handler.python_handler.setStream(sys.stderr)
    handler.addFilter(shown)
    handler.setFormatter(stdlib_logging.Formatter("%(message)s"))
    try:
        yield
    finally:
        handler.setFormatter(formatter)
        handler.removeFilter(shown)
        if stream is not None:
            handler.python_handler.setStream(stream)
        if not attached:
            root.removeHandler(handler)
        logging.set_verbosity(verbosity)
        root.setLevel(level)
        if not parsed:
            flags.FLAGS.unparse_flags()
