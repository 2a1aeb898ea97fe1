"""Writing files so that they are whole or not there, and never over what was read."""

import contextlib
import errno
import io
import itertools
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

from mnist3.errors import UserError

STANDARD_OUTPUT = "-"  # as --output
DATASET_FILE = "dataset.json"  # in the folder of a run: what it learns from, since its start
TUNED_FILE = "tuned.json"  # the config with what a search chose for a network
MODEL_FILE = "model.skops"  # in the folder of a run whose learner is an estimator
FITTING_FILE = "fitting.json"  # beside it: how it was fitted, and how long that took
REPLICATES_FILE = "replicates.json"  # of a run with several seeds: which ended, and the best
CALIBRATION_FILE = "calibration.json"  # what val has taught about the confidence of a learner
RUN_FILES = (  # what a finished run leaves in its folder and may be stored elsewhere
    "config.json",
    DATASET_FILE,
    "metrics.json",
    "comparison.json",
    "history.jsonl",
    "report.html",
    "figures",
    "predictions_val.csv",
    "predictions_test.csv",
    "checkpoints",
    "candidates",
    "replicates",
    REPLICATES_FILE,
    TUNED_FILE,
    MODEL_FILE,
    FITTING_FILE,
    CALIBRATION_FILE,
)


def replicate_folder(folder: str, seed: int) -> str:
    """Returns where, in the folder of a run with several seeds, one of its replicates is."""
    return os.path.join(folder, "replicates", str(seed))


def read_replicates(folder: str) -> dict[str, Any] | None:
    """Returns what a run with several seeds says of its replicates; None if it did not end.

    They are the entry `replicates` of its metrics.json: `seeds`, `best_on_val` and, by seed,
    `failures`.
    """
    try:
        found = read_json(os.path.join(folder, REPLICATES_FILE))
        seeds, failures = found["seeds"], found.get("failures", {})
        whole = isinstance(seeds, list) and isinstance(failures, dict)
        return found if whole and found["best_on_val"] in seeds else None
    except (OSError, ValueError, KeyError):
        return None


class OutputClosed(Exception):
    """Who reads standard output has had enough, as `head` has after its lines."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike, mode: str = "w", **options: Any) -> Iterator[IO]:
    """Opens a file for writing that takes the place of `path` once the block has ended well.

    The file is on the disk before it takes that place, and has it on the disk when the block has
    ended: a power cut leaves the old file or the new one.

    Raises:
        OSError: names `path` if it cannot be written; the old file is as it was.
    """
    target = os.path.realpath(path)
    # Containers that share a folder may have processes of one number.
    partial = f"{target}.{os.getpid()}-{os.urandom(4).hex()}.partial"
    try:
        with open(partial, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
        sync(os.path.dirname(target))
    except BaseException as error:
        if isinstance(error, OSError) and error.filename in (None, partial):
            error.filename, error.filename2 = target, None
        with contextlib.suppress(OSError):
            os.remove(partial)
        raise


def sync(path: str | os.PathLike) -> None:
    """Has the content of a file, or the names in a folder, outlast a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without it
            raise
    finally:
        os.close(descriptor)


def sync_all(folder: str | os.PathLike) -> None:
    """Has a folder with all that is in it outlast a power cut."""
    for place, _, names in os.walk(os.fspath(folder)):
        for name in names:
            sync(os.path.join(place, name))
        sync(place)
    sync(os.path.dirname(os.path.abspath(folder)))


def write_json(path: str | os.PathLike, value: Any, **options: Any) -> None:
    """Writes a value as indented JSON; options are those of `json.dumps`."""
    with replacing(path) as file:
        file.write(json.dumps(value, indent=2, **options) + "\n")


def from_json(text: str | bytes) -> dict[str, Any]:
    """Returns the fields that a JSON text holds.

    Raises:
        ValueError: if it is none, or holds something else.
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("it holds no fields")
    return found


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the fields that a JSON file holds.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no JSON, or holds something else.
    """
    with open(path, "rb") as file:
        return from_json(file.read())


def free_name(path: str | os.PathLike, taken: set[str]) -> str:
    """Returns the name of a file without its ending, numbered if it is taken, which it then is."""
    stem = name = pathlib.PurePath(path).stem
    for number in itertools.count(2):
        if name not in taken:
            break
        name = f"{stem}-{number}"
    taken.add(name)
    return name


def remove_partial(folder: str | os.PathLike) -> None:
    """Removes what `replacing` had not ended in a folder when its process was killed."""
    for path in pathlib.Path(folder).glob("*.[0-9]*.partial"):
        if path.is_file():
            path.unlink(missing_ok=True)


def require_writable(output: str) -> None:
    """Tries, before long work, whether a file can be written at this path; leaves nothing there.

    Args:
        output: path of a file, or `STANDARD_OUTPUT`.

    Raises:
        UserError: if it cannot.
    """
    if output == STANDARD_OUTPUT:
        if sys.stdout is None:
            raise UserError("standard output is closed; give --output a file.")
        return
    if os.path.exists(output) and not os.path.isfile(output):
        raise UserError(
            f"--output={output} is not a file; name the file to write, or - for standard output."
        )
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(output))):
            pass
    except OSError as error:
        raise _unwritable(output, error) from error


def require_unread(
    output: str, read: Iterable[str | os.PathLike], run: str | os.PathLike | None = None
) -> None:
    """Checks that a file to be written takes the place of none that the job reads.

    Two names are of the same file if their links lead to one path or if the file system has the
    same device and number for both, so that neither a symbolic nor a hard link hides it.

    Args:
        output: path of the file to write, or `STANDARD_OUTPUT`.
        read: files and folders that the job reads; a folder stands for all that is in it.
        run: folder of a run, whose own files (`RUN_FILES`, W&B's) are not to be replaced either,
            whether they are there yet or not.

    Raises:
        UserError: names the file that would be lost.
    """
    if output == STANDARD_OUTPUT:
        return
    target = os.path.realpath(output)
    if run is not None:
        for name in (*RUN_FILES, "wandb"):
            if _same_or_below(os.path.join(run, name), target):
                raise UserError(
                    f"{output} would replace a file of the run itself, {name} in {run}; write it "
                    "under another name."
                )
    if os.path.exists(target):
        for path in read:
            if _same_or_below(path, target):
                raise UserError(
                    f"{output} would replace {os.fspath(path)}, which is read; write it under "
                    "another name."
                )


def _same_or_below(path: str | os.PathLike, target: str) -> bool:
    """Tells whether a real path is that of a file, or of something in a folder."""
    with contextlib.suppress(OSError):
        if os.path.samefile(path, target):
            return True
    real = os.path.realpath(path)
    return target == real or target.startswith(os.path.join(real, ""))


@contextlib.contextmanager
def opened_output(output: str) -> Iterator[IO[str]]:
    """Opens what --output names for text in UTF-8, with line ends as they are written.

    A file appears whole or not at all, in the place of one that exists. File names that are not
    UTF-8 are written as the bytes that they are.

    Args:
        output: path of the file, or `STANDARD_OUTPUT`, to which lines go as they are flushed.

    Raises:
        UserError: if it cannot be written.
        OutputClosed: if nobody reads standard output any more.
    """
    options = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
    standard = output == STANDARD_OUTPUT
    try:
        opened = _standard_output(**options) if standard else replacing(output, **options)
        with opened as file:
            yield file
    except BrokenPipeError as error:
        raise OutputClosed from error
    except OSError as error:
        raise _unwritable(output, error) from error


@contextlib.contextmanager
def _standard_output(**options: Any) -> Iterator[IO[str]]:
    sys.stdout.flush()
    # PYTHONUNBUFFERED leaves no buffer, and without one a long text is cut where the pipe is full.
    raw = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    file = io.TextIOWrapper(io.BufferedWriter(raw), **options)
    try:
        yield file
        file.flush()
    except OSError:
        drop_standard_output()
        raise
    finally:
        file.detach().detach()  # or the end of this file would close standard output


def output_text(output: str) -> str:
    """Returns what messages call an output."""
    return "standard output" if output == STANDARD_OUTPUT else output


def drop_standard_output() -> None:
    """Sends nowhere what is still to be written to a standard output that takes no more.

    The interpreter would try again at its exit, fail and tell.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _unwritable(output: str, error: OSError) -> UserError:
    if output == STANDARD_OUTPUT:
        return UserError(
            f"cannot write to standard output: {error.strerror or error}; give --output a file."
        )
    return UserError(
        f"cannot write --output={output}: {error.strerror or error}; name a file in a folder that "
        "exists, can be written to and has space left."
    )
