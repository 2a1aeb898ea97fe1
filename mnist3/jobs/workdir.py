"""The folder of a run and the other files of a job: checked first, written without half files."""

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import validation
from mnist3.data.splits import Dataset
from mnist3.errors import UserError
from mnist3.files import remove_partial, replacing
from mnist3.locking import locked

DATASET_FILE = "dataset.json"  # what a run learns from, since its start


def write_json(path: str, value: Any) -> None:
    """Writes a value as indented JSON."""
    with replacing(path) as file:
        file.write(json.dumps(value, indent=2) + "\n")


def fresh_workdir(experiment: str) -> str:
    """Returns a folder under runs/ that no run has yet, named by experiment and time."""
    return os.path.join("runs", f"{experiment}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")


def read_config(workdir: str) -> ConfigDict:
    """Returns the config that a run was started with.

    Raises:
        UserError: if the folder holds no run, or one of another version.
    """
    path = os.path.join(workdir, "config.json")
    try:
        with open(path) as file:
            config = configs.from_json(file.read())
    except OSError as error:
        raise UserError(
            f"{workdir} holds no run: {path}: {error.strerror}; give --workdir the folder that a "
            "training wrote."
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); train the run anew.") from error
    validation.validate(config)
    return config


def chosen(workdir: str) -> tuple[str, ConfigDict]:
    """Returns the folder and the config of what a run predicts with: itself, or what it chose.

    Raises:
        UserError: if there is no finished run.
    """
    config = read_config(workdir)
    if "experiments" not in config.get("compare", {}):
        return workdir, config
    try:
        with open(os.path.join(workdir, "comparison.json")) as file:
            folder = os.path.join(workdir, json.load(file)["workdir"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"the comparison in {workdir} has chosen nothing yet; run its command to the end."
        ) from error
    return folder, read_config(folder)


def require_same(workdir: str, config: ConfigDict) -> None:
    """Checks that the run in a folder has this config; how it is tracked may differ.

    Raises:
        UserError: names the first field that differs.
    """
    before, now = (dict(configs.fields(each)) for each in (read_config(workdir), config))
    for name in sorted(before.keys() | now.keys()):
        was, is_now = before.get(name), now.get(name)
        if was != is_now and not name.startswith("wandb."):
            raise UserError(
                f"the run in {workdir} had another config: config.{name} was {was!r} "
                f"and is now {is_now!r}; choose another --workdir or the same config."
            )


@contextlib.contextmanager
def claimed(workdir: str, config: ConfigDict) -> Iterator[None]:
    """Makes the folder of a run, or checks that the run in it has the same config.

    The folder is this process's alone for the length of the block, which is to span all that writes
    into it. Half files that a killed run left in it are removed. A folder that is still empty when
    the block fails is removed again.

    Raises:
        UserError: if the folder cannot be written, another process has it, or its run had another
            config.
    """
    try:
        os.makedirs(workdir, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write to the workdir {workdir}: {error.strerror}; choose another --workdir."
        ) from error
    try:
        with locked(workdir):
            if os.path.exists(os.path.join(workdir, "config.json")):
                require_same(workdir, config)
                remove_partial(workdir)
                remove_partial(os.path.join(workdir, "figures"))
            yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.rmdir(workdir)
        raise


def write_config(workdir: str, config: ConfigDict) -> None:
    """Writes the resolved config of a run that is about to begin or to go on."""
    with replacing(os.path.join(workdir, "config.json")) as file:
        file.write(configs.to_json(config))


def write_start(workdir: str, config: ConfigDict, dataset: Dataset) -> None:
    """Writes config.json, and dataset.json with what the run learns from."""
    write_json(os.path.join(workdir, DATASET_FILE), dataset.describe())
    write_config(workdir, config)


def require_same_data(workdir: str, dataset: Dataset) -> None:
    """Checks that the rows of every split are those that the run in a folder began with.

    An old run must not be evaluated on splits that were drawn anew: what it trained on may be in
    its test split by now.

    Raises:
        UserError: if they are others.
    """
    for name in (DATASET_FILE, "metrics.json"):
        try:
            with open(os.path.join(workdir, name)) as file:
                held = json.load(file)
        except (OSError, ValueError):
            continue
        began = held.get("dataset", held).get("fingerprint", "")
        if began != dataset.fingerprint:
            raise UserError(
                f"the run in {workdir} began with other data (fingerprint {began[:12]}, now "
                f"{dataset.fingerprint[:12]}): its test images may be among those that it trained "
                "on; give it the files and the version of mnist3 that it began with, or train "
                "anew in another --workdir. It can still predict."
            )
        return
