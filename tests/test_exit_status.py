"""How commands end: one sentence for what a user can mend, and the exit status."""

import errno
import pathlib

import pytest
from absl import logging

from mnist3.errors import UserError
from mnist3 import exit_status


@pytest.fixture(autouse=True)
def unchanged_logging():
    handler = logging.get_absl_handler()
    filters, formatter, verbosity = [*handler.filters], handler.formatter, logging.get_verbosity()
    yield
    handler.filters[:] = filters
    handler.setFormatter(formatter)
    logging.set_verbosity(verbosity)


def raising(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("ending", "status"), [(0, 0), (2, 2), (None, 0), ("not found", 1), ("", 0)]
)
def test_the_status_is_that_of_the_command(ending, status):
    assert exit_status.run(raising(SystemExit(ending))) == status
    if not isinstance(ending, str):
        assert exit_status.run(lambda: ending) == status


def test_what_a_user_can_mend_is_one_sentence(capsys):
    wrapped = ValueError("inner")
    wrapped.__cause__ = UserError("no such column; choose another.")
    full = OSError(errno.ENOSPC, "No space left on device", "runs/a/metrics.json")
    closed = PermissionError(errno.EACCES, "Permission denied", "runs/a")
    for error, said in [
        (UserError("no data; give --data_dir."), "Error: no data; give --data_dir.\n"),
        (wrapped, "Error: no such column; choose another.\n"),
        (full, "Error: no space left to write runs/a/metrics.json: free some"),
        (closed, "Error: runs/a cannot be opened (Permission denied); check"),
    ]:
        assert exit_status.run(raising(error)) == 1
        told = capsys.readouterr().err
        assert told.startswith(said)
        assert told.count("\n") == 1


def test_what_a_user_cannot_mend_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        exit_status.run(raising(ZeroDivisionError()))


def test_an_interrupted_command_says_how_to_go_on(capsys):
    assert exit_status.run(raising(KeyboardInterrupt())) == 130
    assert "--workdir" in capsys.readouterr().err


def test_progress_of_the_commands_own_code_is_shown_and_that_of_libraries_is_not(capsys):
    def command():
        logging.info("told")

    here = pathlib.Path(__file__).parent
    for folders, shown in [((here,), True), ((here / "elsewhere",), False)]:
        logging.get_absl_handler().filters.clear()
        exit_status.run(command, logged=folders)
        assert ("told" in capsys.readouterr().err) == shown
