"""Orbax checkpoints: the latest to go on from, and the best to read images with."""

import contextlib
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

import jax
from orbax import checkpoint as ocp

from mnist3.errors import UserError
from mnist3.training.state import TrainState

ITEMS = ("default", "metrics")


def _rank(metrics: dict[str, float]) -> tuple[float, float]:
    return metrics["exact_match"], -metrics["nll"]


def _remove_incomplete(folder: str | os.PathLike) -> None:
    """Removes what a killed process had begun to delete, and a save that was cut short."""
    for path in pathlib.Path(folder).glob("*"):
        committed = [path / item / "commit_success.txt" for item in (".", *ITEMS)]
        if path.is_dir() and not all(file.exists() for file in committed):
            shutil.rmtree(path)


@contextlib.contextmanager
def _told_when_full(folder: os.PathLike) -> Iterator[None]:
    """Turns what TensorStore says of a full disk, a ValueError, into a UserError."""
    try:
        yield
    except Exception as error:
        if re.search(r"os_error_code='?(27|28|122)\b|No space left|File too large", str(error)):
            raise UserError(
                f"no space left to save a checkpoint in {folder}: free some, then run the same "
                "command again."
            ) from error
        raise


def _require_space(folder: os.PathLike, state: TrainState) -> None:
    """Tries, before Orbax begins in threads of its own, whether a state has room in a folder."""
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)


class Checkpoints:
    """The folder `checkpoints/` of a workdir, one checkpoint an epoch.

    A checkpoint holds the training state. The latest is kept, and the best by val exact match (val
    negative log likelihood among equals). Saving goes on in the background; a process that dies
    leaves only whole checkpoints behind.
    """

    def __init__(self, workdir: str, read_only: bool = False):
        policies = ocp.checkpoint_managers
        folder = os.path.join(os.path.abspath(workdir), "checkpoints")
        self._read_only = read_only
        if not read_only:
            _remove_incomplete(folder)
        self._manager = ocp.CheckpointManager(
            folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(
                    [policies.LatestN(1), policies.BestN(get_metric_fn=_rank, n=1)]
                ),
                best_fn=_rank,  # without it Orbax does not keep the metrics
                cleanup_tmp_directories=not read_only,
                read_only=read_only,
                create=not read_only,
            ),
        )

    def save(self, epoch: int, state: TrainState, metrics: dict[str, float]) -> None:
        """Saves the state after an epoch, counted from 1; metrics are those of val."""
        with _told_when_full(self._manager.directory):
            _require_space(self._manager.directory, state)
            self._manager.save(epoch, args=ocp.args.StandardSave(state), metrics=metrics)

    def latest(self) -> int | None:
        """Returns the epoch of the latest checkpoint, None before the first."""
        return self._manager.latest_step()

    def best(self) -> int | None:
        """Returns the epoch of the best checkpoint, None before the first."""
        epochs = self._manager.all_steps()
        return max(
            epochs, key=lambda epoch: (*_rank(self._manager.metrics(epoch)), epoch), default=None
        )

    def restore(self, epoch: int, like: TrainState) -> TrainState:
        """Returns the state of an epoch, placed as the state `like`, whose shapes alone count."""
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return self._manager.restore(epoch, args=ocp.args.StandardRestore(shapes))

    def wait(self) -> None:
        """Waits for the saves under way."""
        with _told_when_full(self._manager.directory):
            self._manager.wait_until_finished()

    def resolve(self, name: str) -> int:
        """Returns the epoch that `best`, `latest` or a number names.

        Raises:
            UserError: if there is no such checkpoint.
        """
        known = {"best": self.best(), "latest": self.latest()}
        known |= {str(epoch): epoch for epoch in self._manager.all_steps()}
        if known.get(name) is None:
            names = ", ".join(key for key, epoch in known.items() if epoch is not None)
            raise UserError(
                f"unknown checkpoint {name!r} in {self._manager.directory}; "
                + (f"there are {names}." if names else "there is none yet: train first.")
            )
        return known[name]

    def close(self) -> None:
        """Gives up what the manager holds, and removes a save that failed.

        Call `wait` before to be sure that all is saved.
        """
        with contextlib.suppress(Exception):
            self._manager.close()
        if not self._read_only:
            _remove_incomplete(self._manager.directory)
