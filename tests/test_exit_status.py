"""How commands end: one sentence for what a user can mend, and the exit status."""

import errno
import logging as stdlib_logging
import pathlib
import re

import pytest
from absl import logging

from mnist3 import exit_status
from mnist3.errors import UserError


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
    failed = OSError(errno.EIO, "Input/output error", "runs/a")
    closed = PermissionError(errno.EACCES, "Permission denied", "runs/a")
    for error, said in [
        (UserError("no data; give --data_dir."), "Error: no data; give --data_dir.\n"),
        (wrapped, "Error: no such column; choose another.\n"),
        (full, "Error: no space left to write runs/a/metrics.json: free some"),
        (closed, "Error: runs/a cannot be opened (Permission denied); check"),
        (failed, "Error: runs/a cannot be read or written (Input/output error); check the disk"),
        (UserError("holds 'a\nb\0\ud800'; mend it."), "Error: holds 'a b\\x00\\ud800'; mend it.\n"),
        (UserError("9" * 10**6), "Error: 999"),
    ]:
        assert exit_status.run(raising(error)) == 1
        told = capsys.readouterr().err
        assert told.startswith(said)
        assert told.count("\n") == 1 and len(told) < 2000


def test_what_a_user_cannot_mend_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        exit_status.run(raising(ZeroDivisionError()))


def test_an_interrupted_command_says_how_to_go_on(capsys):
    assert exit_status.run(raising(KeyboardInterrupt())) == 130
    assert "--workdir" in capsys.readouterr().err


def test_progress_of_the_commands_own_code_is_shown_and_of_other_code_warnings_alone(tmp_path):
    handler = logging.get_absl_handler()
    handler.filters.clear()

    def command():
        for file, level, shown in [
            (tmp_path / "run.py", stdlib_logging.INFO, True),
            (tmp_path.with_name(f"{tmp_path.name}_beside") / "run.py", stdlib_logging.INFO, False),
            ("/site-packages/jax/lax.py", stdlib_logging.INFO, False),
            ("/site-packages/jax/lax.py", stdlib_logging.WARNING, True),
            ("/site-packages/orbax/save.py", stdlib_logging.WARNING, False),
        ]:
            record = stdlib_logging.LogRecord("absl", level, str(file), 1, "told", None, None)
            assert bool(handler.filter(record)) == shown

    assert exit_status.run(command, logged=[tmp_path]) == 0


def test_a_command_leaves_logging_as_it_was(capsys):
    handler, root = logging.get_absl_handler(), stdlib_logging.root

    def state():
        attached = handler in root.handlers
        return [*handler.filters], attached, root.level, logging.get_verbosity()

    before = state()
    for _ in range(2):
        here = pathlib.Path(__file__).parent
        assert exit_status.run(lambda: logging.info("told once"), logged=[here]) == 0
        assert state() == before
        assert capsys.readouterr().err == "told once\n"


def test_a_missing_library_is_told_with_what_to_do(capsys):
    error = ModuleNotFoundError("No module named 'jax.numpy'", name="jax.numpy")
    assert exit_status.run(raising(error)) == 1
    assert re.fullmatch(
        r"Error: \S+python\S* has no library jax; run .*, or install with `pip install -e \.` in "
        r"the folder of mnist3\.\n",
        capsys.readouterr().err,
    )
    with pytest.raises(ModuleNotFoundError):
        exit_status.run(raising(ModuleNotFoundError("ours", name="mnist3.absent")))


def test_a_fault_that_comes_while_a_mistake_is_handled_is_not_that_mistake():
    def command():
        try:
            raise UserError("no data; give --data_dir.")
        finally:
            {}["closed"]

    with pytest.raises(KeyError):
        exit_status.run(command)


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), ("", False)])
def test_the_traceback_is_shown_to_who_asks_for_it(capsys, monkeypatch, value, shown):
    monkeypatch.setenv("MNIST3_DEBUG", value)
    assert exit_status.run(raising(UserError("no data; give --data_dir."))) == 1
    told = capsys.readouterr().err
    assert ("Traceback" in told) == shown
    assert told.endswith("Error: no data; give --data_dir.\n")
