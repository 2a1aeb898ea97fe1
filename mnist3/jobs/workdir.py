"""The folder of a run and the other files of a job: checked first, written without half files."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import upgrade, validation
from mnist3.config import NETWORK
from mnist3.data.splits import Dataset
from mnist3.data.table_dataset import TableDataset
from mnist3.errors import UserError
from mnist3.files import (
    DATASET_FILE,
    read_json,
    read_replicates,
    remove_partial,
    replicate_folder,
    write_json,
)
from mnist3.locking import locked
from mnist3.training.optimizer import schedule_extends

EPOCHS = "training.epochs"
UNLEARNED = ("wandb.", "training.segment_seconds", "training.log_steps")  # may change in a run


def fresh_workdir(experiment: str) -> str:
    """Returns a folder under runs/ that no run has yet, named by experiment and time."""
    return os.path.join("runs", f"{experiment}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")


def read_config(workdir: str) -> ConfigDict:
    """Returns the config that a run was started with, as this version has it.

    Raises:
        UserError: if the folder holds no run, or one that this version cannot have.
    """
    path = os.path.join(workdir, "config.json")
    try:
        with open(path) as file:
            config = upgrade.from_json(file.read(), path)
        validation.validate(config)
    except OSError as error:
        raise UserError(
            f"{workdir} holds no run: {path}: {error.strerror}; give --workdir the folder that a "
            "training wrote."
        ) from error
    except UserError:  # some are ValueErrors too
        raise
    except (ValueError, TypeError, AttributeError) as error:  # values of any type stand in a file
        raise UserError(f"{path} is no config in JSON ({error}); train the run anew.") from error
    return config


def chosen(
    workdir: str, config: ConfigDict | None = None, replicate: str = "best"
) -> tuple[str, ConfigDict]:
    """Returns the folder and the config of what a run predicts with: itself, or what it chose.

    Args:
        workdir: folder of the run.
        config: of the run, where it is at hand; None to read it.
        replicate: of a run with several seeds: `best`, the one that is the best on val; a seed; or
            `ensemble`, all of them, which is the run itself.

    Raises:
        UserError: if there is no finished run, or no such replicate.
    """
    if config is None:
        config = read_config(workdir)
    if config.kind != "comparison" and not configs.population_of(config):
        return _chosen_replicate(workdir, config, replicate)
    try:
        choice = read_json(os.path.join(workdir, "comparison.json"))
        own = choice["workdir"] if "workdir" in choice else _chosen_before(workdir, choice)
        folder = os.path.join(workdir, own)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the comparison in {workdir} has chosen nothing yet; run its command to the end."
        ) from error
    return _chosen_replicate(folder, read_config(folder), replicate)


def _chosen_replicate(workdir: str, config: ConfigDict, replicate: str) -> tuple[str, ConfigDict]:
    seeds, known = configs.seeds_of(config), read_replicates(workdir)
    names = ["best", "ensemble", *map(str, known["seeds"] if known else seeds)]
    if replicate not in names or (len(seeds) == 1 and replicate == "ensemble"):
        has = names if len(seeds) > 1 else ["best"]
        raise UserError(
            f"--replicate={replicate} is none of the run in {workdir}; it has {', '.join(has)}."
        )
    if len(seeds) == 1 or replicate == "ensemble":
        return workdir, config
    if replicate == "best":
        if known is None:
            raise UserError(
                f"the run in {workdir} has not come to its end; run its command again, or name a "
                f"replicate with --replicate={seeds[0]}."
            )
        replicate = known["best_on_val"]
    folder = replicate_folder(workdir, int(replicate))
    return folder, read_config(folder)


def _chosen_before(workdir: str, choice: dict[str, Any]) -> str:
    """Returns the folder of the winner of a comparison of the versions that did not say it."""
    winner = read_json(os.path.join(workdir, "metrics.json"))["estimators"][choice["winner"]]
    if "workdir" not in winner:
        raise UserError(
            f"the comparison in {workdir} is of a version of mnist3 that did not keep the model it "
            f"chose, {choice['winner']}; run its command again in another --workdir."
        )
    return os.path.join("candidates", os.path.basename(winner["workdir"]))


def require_same(
    workdir: str, config: ConfigDict, may_grow: bool = False, began: ConfigDict | None = None
) -> None:
    """Checks that the run in a folder has this config, but for what changes nothing it learns.

    That is how it is tracked, and how often it looks whether to stop.

    Args:
        workdir: folder of the run.
        config: that it is to have.
        may_grow: whether it may have more epochs, if its schedule allows that.
        began: the config of the run, where it is at hand; None to read it.

    Raises:
        UserError: names the first field that differs, or says why the run cannot be longer.
    """
    if began is None:
        began = read_config(workdir)
    before, now = (dict(configs.fields(each)) for each in (began, config))
    differing = {
        name: (before.get(name), now.get(name))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name) and not name.startswith(UNLEARNED)
    }
    if may_grow and [*differing] == [EPOCHS] and _grows(config, *differing[EPOCHS]):
        _require_extensible(workdir, began, config)
        return
    for name, (was, is_now) in differing.items():
        raise UserError(
            f"the run in {workdir} had another config: config.{name} was {was!r} "
            f"and is now {is_now!r}; choose another --workdir or the same config."
        )


def _grows(config: ConfigDict, was: Any, is_now: Any) -> bool:
    """Tells whether a network that was trained in its workdir is to be trained for longer."""
    trained = config.kind in ("numbers", "digits") and config.learner.name == NETWORK
    return trained and 0 < was < is_now


def _require_extensible(workdir: str, began: ConfigDict, config: ConfigDict) -> None:
    """Checks that a run of more epochs begins as the one in a folder did.

    Raises:
        UserError: says why it does not.
    """
    if not schedule_extends(config.optimizer):
        reason = (
            f"config.optimizer.schedule={config.optimizer.schedule} spreads the learning rates "
            "over all epochs, so that a longer run is another one from its first step"
        )
    elif (method := configs.search_method(config)) != "none":
        reason = (
            f"config.search.method={method} chose its settings for so many epochs, "
            "and might choose others for more"
        )
    else:
        return
    raise UserError(
        f"the run in {workdir} cannot grow from {began.training.epochs} to "
        f"{config.training.epochs} epochs: {reason}; choose another --workdir, and begin there "
        f"with the parameters of this run if you like: --config.training.init_from={workdir}."
    )


@contextlib.contextmanager
def held(workdir: str, require: Callable[[], None]) -> Iterator[None]:
    """Makes the folder of a run, and keeps it for this process alone for the length of the block.

    The block is to span all that writes into the folder. Half files that a killed run left in it
    are removed. A folder that is still empty when the block fails is removed again.

    Args:
        workdir: the folder.
        require: raises a UserError if the run that is in the folder already is another one.

    Raises:
        UserError: if the folder cannot be written, another process has it, or `require` does.
    """
    try:
        make(workdir)
        with locked(workdir):
            if os.path.exists(os.path.join(workdir, "config.json")):
                require()
                remove_partial(workdir)
                remove_partial(os.path.join(workdir, "figures"))
            yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.rmdir(workdir)
        raise


def make(workdir: str) -> None:
    """Makes a folder that can be written to.

    Raises:
        UserError: if it cannot.
    """
    try:
        os.makedirs(workdir, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write to the workdir {workdir}: {error.strerror}; choose another --workdir."
        ) from error


def claimed(workdir: str, config: ConfigDict) -> contextlib.AbstractContextManager[None]:
    """Returns what holds the folder of a run whose config is this one, see `held`.

    A run in it may be given more epochs than it had, see `require_same`.
    """
    return held(workdir, lambda: require_same(workdir, config, may_grow=True))


def write_start(workdir: str, config: ConfigDict, dataset: Dataset | TableDataset) -> None:
    """Writes config.json, and dataset.json with what the run learns from."""
    write_json(os.path.join(workdir, DATASET_FILE), dataset.describe())
    write_json(os.path.join(workdir, "config.json"), config.to_dict())


def require_same_data(workdir: str, dataset: Dataset | TableDataset) -> None:
    """Checks that the rows of every split are those that the run in a folder began with.

    An old run must not be evaluated on splits that were drawn anew: what it trained on may be in
    its test split by now.

    Raises:
        UserError: if they are others, or the folder has a run that does not say which they were.
    """
    remedy = (
        "give it the files and the version of mnist3 that it began with, or train anew in another "
        "--workdir. It can still predict."
    )
    for name in (DATASET_FILE, "metrics.json"):
        try:
            held = read_json(os.path.join(workdir, name))
            began = str(held.get("dataset", held)["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if began != dataset.fingerprint:
            raise UserError(
                f"the run in {workdir} began with other data (fingerprint {began[:12]}, now "
                f"{dataset.fingerprint[:12]}): its test images may be among those that it trained "
                f"on; {remedy}"
            )
        return
    if os.path.exists(os.path.join(workdir, "config.json")):
        raise UserError(
            f"the run in {workdir} does not say which data it began with, so test images may be "
            f"among those that it trained on; {remedy}"
        )


def environment_of(workdir: str) -> dict[str, Any] | None:
    """Returns where and with what a run learned, as its metrics.json says; None if it does not."""
    try:
        found = read_json(os.path.join(workdir, "metrics.json")).get("environment")
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
