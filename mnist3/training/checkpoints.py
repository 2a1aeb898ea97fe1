"""Orbax checkpoints: the latest to go on from, and the best to read images with."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Float64
from orbax import checkpoint as ocp

from mnist3 import hosts, profiling
from mnist3.errors import UserError
from mnist3.files import sync_all
from mnist3.training.state import TrainState
from mnist3.training.step import StepMetrics

PARAMS, TRAINING = "params", "training"  # the items of a checkpoint
WHOLE_STATE = "default"  # the one item of checkpoints of earlier versions
WITHIN = "within"  # the folder of what is saved within an epoch
REMOVED = "removed"  # where a checkpoint goes in one step, before its files are deleted one by one
_ITS_OWN = 1 << 20  # bytes, at most, that a checkpoint takes beside its state
_REASON = 200  # letters of what TensorStore says, which may be pages
BEST, KEEP, DEVICES = "best", "keep", "devices"  # what is saved beside the metrics


def best_by_val(metrics: Mapping[int, Mapping[str, Any]]) -> int | None:
    """Returns the epoch with the best val exact match, None without any.

    Among equals the one with the lower negative log likelihood counts, then the later one.

    Args:
        metrics: `exact_match` and `nll` of val, by epoch.
    """

    def rank(epoch: int) -> tuple[float, float, int]:
        return metrics[epoch]["exact_match"], -metrics[epoch]["nll"], epoch

    return max(metrics, key=rank, default=None)


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


def _require_space(folder: pathlib.Path, state: TrainState) -> None:
    """Tries, before Orbax begins in threads of its own, whether a state has room in a folder.

    A disk that is full when it has begun it answers with tracebacks. So there has to be room for
    its own files as well, and for what it may still have to write of the state before.
    """
    size = 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + _ITS_OWN
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)


class Within(NamedTuple):
    """A training that was stopped within an epoch.

    Attributes:
        state: after the steps that were taken.
        measured: by those steps, float32 [steps of the epoch].
        seconds: of all training so far with reading val, and of training alone, float64 [2].
    """

    state: TrainState
    measured: StepMetrics
    seconds: Float64[np.ndarray, "2"]


class Checkpoints:
    """The folder `checkpoints/` of a workdir, one checkpoint an epoch.

    A checkpoint has two items: `params`, the parameters to read images with, and `training`, what
    else is needed to go on. Beside the metrics of its epoch it says which epoch was the best when
    it was saved; the latest checkpoint decides. It and the epochs that it names are kept, others
    are removed once it is whole. Saving goes on in the background. A checkpoint appears and
    disappears by renaming its folder, so a process that dies at any moment leaves whole checkpoints
    behind, and the best and the latest among them.

    What counts is what lies on the disk: a save under way, or one that failed, is not named.

    A training that is asked to stop within an epoch leaves that part of it in the folder `within`,
    until the epoch is saved.

    The folder is this process's alone, also where others train with it, see `SharedCheckpoints`.

    Args:
        workdir: folder of the run.
        read_only: whether another process may be training there.
        devices: that share a batch, and processes that have them, as each checkpoint says.
    """

    def __init__(self, workdir: str, read_only: bool = False, devices: tuple[int, int] = (0, 0)):
        self._devices = devices
        self._processes = ocp.options.MultiprocessingOptions(
            primary_host=jax.process_index(),
            active_processes={jax.process_index()} if jax.process_count() > 1 else None,
        )
        folder = os.path.join(os.path.abspath(workdir), "checkpoints")
        alone = self._processes.active_processes is None
        if not (alone or read_only):
            os.makedirs(folder, exist_ok=True)  # Orbax makes it for all processes or for none
        self._read_only = read_only
        self._folder = pathlib.Path(folder)
        options = ocp.CheckpointManagerOptions(
            best_fn=lambda metrics: 0.0,  # without one Orbax does not keep the metrics
            todelete_subdir=None if read_only else REMOVED,
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
            create=alone and not read_only,
            multiprocessing_options=self._processes,
        )
        with self._metrics_read():
            self._manager = ocp.CheckpointManager(folder, options=options)
        self._synced: int | None = None  # the latest epoch that is known to be on the disk

    @profiling.phase(profiling.SAVING)
    def save(
        self,
        epoch: int,
        state: TrainState,
        metrics: Mapping[str, Any],
        best: int,
        keep: Collection[int] = (),
    ) -> None:
        """Saves the state after an epoch, in the background, once the save before has ended.

        Args:
            epoch: counted from 1, later than all saved before.
            state: after the epoch; its arrays may be donated as soon as this has returned.
            metrics: of val, and whatever else of this epoch can be written as JSON.
            best: the epoch that is now the best, this or one that was kept until now.
            keep: other epochs that were kept until now and may still become the best.

        Raises:
            UserError: if the disk is full, for this save or for the one before.
            ValueError: if an epoch to be kept is none of those that there are, or the epoch is not
                later than those.
        """
        self.wait()
        if absent := {best, *keep} - {epoch, *self._metrics()}:
            raise ValueError(f"there is no checkpoint of epoch {min(absent)} to be kept")
        params, training = _divide(jax.tree.map(_on_one_device, state))
        with _told_when_full(self._folder):
            _require_space(self._folder, state)
            saved = self._manager.save(
                epoch,
                args=ocp.args.Composite(
                    **{
                        PARAMS: ocp.args.StandardSave(params),
                        TRAINING: ocp.args.StandardSave(training),
                    }
                ),
                metrics={**metrics, BEST: best, KEEP: sorted(keep), DEVICES: self._devices},
            )
        if not saved:
            raise ValueError(f"epoch {epoch} is not later than those that were saved before")

    def save_within(self, epoch: int, steps: int, within: Within) -> None:
        """Saves a part of an epoch, in place of a shorter one.

        Args:
            epoch: that was begun, counted from 1.
            steps: that were taken of it.
            within: what they made.

        Raises:
            UserError: if the disk is full.
        """
        folder = self._folder / WITHIN
        if self.steps_within(epoch) == steps:
            return
        path = folder / "-".join(map(str, (epoch, steps, *self._devices)))
        params, training = _divide(within.state)
        parts = {**within._asdict(), "state": [params, training]}
        with _told_when_full(self._folder):
            folder.mkdir(exist_ok=True)
            _require_space(self._folder, within.state)
            with self._checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
                checkpointer.save(
                    path, args=ocp.args.StandardSave(jax.tree.map(_on_one_device, parts))
                )
        sync_all(folder)
        for before in set(folder.iterdir()) - {path}:
            shutil.rmtree(before, ignore_errors=True)

    def steps_within(self, epoch: int) -> int:
        """Returns how many steps of an epoch were saved, 0 for none."""
        return max((part[1] for part in self._parts() if part[0] == epoch), default=0)

    def restore_within(self, epoch: int, steps: int, like: Within) -> Within:
        """Returns the part of an epoch, placed as `like`, whose shapes alone count.

        Raises:
            UserError: if it is damaged.
        """
        params, training = _divide(like.state)
        parts = {**like._asdict(), "state": [params, training]}
        [saved] = [part for part in self._parts() if part[:2] == (epoch, steps)]
        folder = self._folder / WITHIN / "-".join(map(str, saved))
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, parts)
        try:
            with self._checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
                found = checkpointer.restore(folder, args=ocp.args.StandardRestore(shapes))
        except Exception as error:  # what a damaged file makes of Orbax has no common base
            raise _damaged(folder, error) from error
        return Within(**{**found, "state": _unite(*found["state"])})

    def latest(self) -> int | None:
        """Returns the epoch of the latest checkpoint, None before the first."""
        return max(self._metrics(), default=None)

    def best(self) -> int | None:
        """Returns the epoch of the best checkpoint, None before the first.

        It is what the latest checkpoint says; in folders of versions that did not say it, the best
        by val.
        """
        return _best(self._metrics())

    def metrics(self, epoch: int) -> dict[str, Any]:
        """Returns what was saved as the metrics of an epoch."""
        metrics = self._metrics()[epoch]
        own = (BEST, KEEP, DEVICES)
        return {name: value for name, value in metrics.items() if name not in own}

    def devices(self) -> tuple[int, ...] | None:
        """Returns how many devices shared a batch at last, and the processes that had them.

        None where it is not said, as of a run that has saved nothing yet.
        """
        metrics = self._metrics()
        latest = max(metrics, default=0)
        later = [part for part in self._parts() if part[0] > latest]
        if later:
            return max(later)[2:] or None
        return (tuple(metrics[latest].get(DEVICES, ())) or None) if latest else None

    def restore(self, epoch: int, like: TrainState) -> TrainState:
        """Returns the state of an epoch, placed as the state `like`, whose shapes alone count.

        Raises:
            UserError: if it is damaged.
        """
        if self._has(epoch, WHOLE_STATE):
            return self._restore_item(epoch, WHOLE_STATE, like)
        params, training = (
            self._restore_item(epoch, item, part)
            for item, part in zip((PARAMS, TRAINING), _divide(like), strict=True)
        )
        return _unite(params, training)

    def restore_params(self, epoch: int, like: optax.Params) -> optax.Params:
        """Returns the parameters of an epoch to read images with, and reads no others.

        They are the moving average where there is one.

        Args:
            epoch: of a checkpoint.
            like: parameters of a model, whose shapes, dtypes and places alone count.
        """
        if not self._has(epoch, WHOLE_STATE):
            return self._restore_item(epoch, PARAMS, like)
        with self._opened(epoch, ocp.PyTreeCheckpointHandler()) as (checkpointer, folder):
            tree = checkpointer.metadata(folder / WHOLE_STATE).item_metadata.tree
            name = "params" if tree["average"] is None else "average"
            shapes = {name: jax.tree.map(ocp.utils.to_shape_dtype_struct, like)}
            return checkpointer.restore(
                folder / WHOLE_STATE,
                args=ocp.args.PyTreeRestore(
                    shapes,
                    restore_args=ocp.checkpoint_utils.construct_restore_args(shapes),
                    partial_restore=True,
                ),
            )[name]

    def read_params(self, epoch: int) -> optax.Params:
        """Returns the parameters of an epoch to read images with, whatever model they are of.

        They are on the first device.
        """
        whole = self._has(epoch, WHOLE_STATE)
        with self._opened(epoch, ocp.PyTreeCheckpointHandler()) as (checkpointer, folder):
            metadata = checkpointer.metadata(folder / (WHOLE_STATE if whole else PARAMS))
            tree = metadata.item_metadata.tree
        like = _shapes_here(tree["params"] if whole else tree)
        return Checkpoints.restore_params(self, epoch, like)

    @profiling.phase(profiling.SAVING)
    def wait(self) -> None:
        """Waits for the save under way, then removes the checkpoints that it has superseded.

        They are removed only once the later one is on the disk, so that a power cut leaves one.

        Raises:
            UserError: if the disk was full.
        """
        with _told_when_full(self._folder):
            self._manager.wait_until_finished()
        if not self._read_only:
            self._remove_superseded()

    def resolve(self, name: str) -> int:
        """Returns the epoch that `best`, `latest` or a number names.

        Raises:
            UserError: if there is no such checkpoint.
        """
        metrics = self._metrics()
        known = {"best": _best(metrics), "latest": max(metrics, default=None)}
        known |= {str(epoch): epoch for epoch in metrics}
        resolved = known.get(name)
        if resolved is None:
            names = ", ".join(key for key, epoch in known.items() if epoch is not None)
            raise UserError(
                f"unknown checkpoint {name!r} in {self._folder}; "
                + (f"there are {names}." if names else "there is none yet: train first.")
            )
        return resolved

    def close(self) -> None:
        """Gives up what the manager holds, and removes a save that failed.

        Call `wait` before to be sure that all is saved.
        """
        with contextlib.suppress(Exception):
            self._manager.close()
        if not self._read_only:
            for path in [*self._folder.iterdir(), *self._folder.glob(f"{WITHIN}/*")]:
                if path.is_dir() and ocp.utils.is_tmp_checkpoint(path):
                    shutil.rmtree(path, ignore_errors=True)

    def _metrics(self) -> dict[int, dict[str, Any]]:
        """Returns the metrics of the whole checkpoints on the disk, by epoch in order.

        A folder without metrics is what earlier versions left when they were killed while they
        deleted a checkpoint that was neither the best nor the latest.
        """
        with self._metrics_read():
            self._manager.reload()
            while True:  # until nothing has come or gone meanwhile: another process may be training
                epochs = list(self._manager.all_steps())
                found = {epoch: self._manager.metrics(epoch) for epoch in epochs}
                self._manager.reload()
                if epochs == list(self._manager.all_steps()):
                    break
            for metrics in found.values():
                _require_metrics(metrics)
        whole = {epoch: metrics for epoch, metrics in found.items() if metrics is not None}
        if found and not whole:
            raise UserError(
                f"the checkpoints in {self._folder} have no metrics that can be read, so they are "
                "of another program or damaged; choose another --workdir."
            )
        return whole

    def _checkpointer(self, handler: ocp.CheckpointHandler) -> ocp.Checkpointer:
        return ocp.Checkpointer(handler, multiprocessing_options=self._processes)

    @contextlib.contextmanager
    def _metrics_read(self) -> Iterator[None]:
        """Says of metrics that cannot be read which epoch they are of."""
        try:
            yield
        except (UserError, OSError):
            raise
        except Exception as error:  # what a damaged file makes of Orbax has no common base
            for path in self._folder.glob("[0-9]*/metrics/metrics"):
                try:
                    _require_metrics(json.loads(path.read_text()))
                except Exception as damaged:
                    raise _damaged(path.parent.parent, damaged) from error
            raise

    def _parts(self) -> list[tuple[int, ...]]:
        """Returns which epochs were saved in part: epoch, steps, devices, processes.

        Earlier versions did not say the last two. They are the name of the folder.
        """
        names = [path.name for path in self._folder.glob(f"{WITHIN}/*")]
        whole = [name for name in names if re.fullmatch(r"\d+-\d+(-\d+-\d+)?", name)]
        return [tuple(map(int, name.split("-"))) for name in whole]

    def _has(self, epoch: int, item: str) -> bool:
        return (self._folder / str(epoch) / item).is_dir()

    def _restore_item(self, epoch: int, item: str, like: Any) -> Any:
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        with self._opened(epoch, ocp.StandardCheckpointHandler()) as (checkpointer, folder):
            return checkpointer.restore(folder / item, args=ocp.args.StandardRestore(shapes))

    @contextlib.contextmanager
    def _opened(
        self, epoch: int, handler: ocp.CheckpointHandler
    ) -> Iterator[tuple[ocp.Checkpointer, pathlib.Path]]:
        """Gives what reads items of an epoch, and the folder that they lie in."""
        folder = self._folder / str(epoch)
        try:
            with self._checkpointer(handler) as checkpointer:
                yield checkpointer, folder
        except UserError:
            raise
        except Exception as error:  # what a damaged file makes of Orbax has no common base
            if folder.is_dir():
                raise _damaged(folder, error) from error
            raise UserError(
                f"the checkpoint of epoch {epoch} in {self._folder} is there no more: its run goes "
                "on and has saved a later one; run the same command again."
            ) from error

    def _remove_superseded(self) -> None:
        """Removes the checkpoints that the latest one does not keep, and what was begun before."""
        shutil.rmtree(self._folder / REMOVED, ignore_errors=True)
        metrics = self._metrics()
        if not metrics:
            return
        latest = max(metrics)
        if latest != self._synced:
            sync_all(self._folder / str(latest))
            self._synced = latest
        if any(part[0] <= latest for part in self._parts()):
            shutil.rmtree(self._folder / WITHIN, ignore_errors=True)
        kept = {latest, _best(metrics), *metrics[latest].get(KEEP, ())}
        for epoch in sorted(set(self._manager.all_steps()) - kept):
            self._manager.delete(epoch)
        shutil.rmtree(self._folder / REMOVED, ignore_errors=True)


class SharedCheckpoints(Checkpoints):
    """Checkpoints of a run on several processes: the first has the folder, and tells the others.

    All have to call the same methods in the same order, but for what is read once all is trained.
    Orbax's own saving from several processes wants a folder that each of them reaches, and has all
    wait for the slowest file system at each step of a save. As every process has the whole state,
    the first one saves it alone: into the same files as a run on one process, so that either goes
    on from the other.

    Args:
        workdir: folder of the run in the first process, None in the others.
        devices: see `Checkpoints`.
    """

    def __init__(self, workdir: str | None, devices: tuple[int, int]):
        self._writes = workdir is not None
        if workdir is not None:
            super().__init__(workdir, devices=devices)

    def save(
        self,
        epoch: int,
        state: TrainState,
        metrics: Mapping[str, Any],
        best: int,
        keep: Collection[int] = (),
    ) -> None:
        """Saves in the first process, see `Checkpoints.save`."""
        if self._writes:
            super().save(epoch, state, metrics, best, keep)

    def save_within(self, epoch: int, steps: int, within: Within) -> None:
        """Saves in the first process, see `Checkpoints.save_within`."""
        if self._writes:
            super().save_within(epoch, steps, within)

    def steps_within(self, epoch: int) -> int:
        """Returns how many steps of an epoch were saved, 0 for none."""
        read = super().steps_within
        return hosts.from_first(lambda: read(epoch))

    def restore_within(self, epoch: int, steps: int, like: Within) -> Within:
        """Returns the part of an epoch, on the host."""
        read, like = super().restore_within, like._replace(state=_shapes_here(like.state))
        return hosts.from_first(lambda: jax.device_get(read(epoch, steps, like)))

    def latest(self) -> int | None:
        """Returns the epoch of the latest checkpoint, None before the first."""
        return hosts.from_first(super().latest)

    def devices(self) -> tuple[int, ...] | None:
        """Returns how many devices shared a batch at last, see `Checkpoints.devices`."""
        return hosts.from_first(super().devices)

    def restore(self, epoch: int, like: TrainState) -> TrainState:
        """Returns the state of an epoch on the host."""
        read = super().restore
        return hosts.from_first(lambda: jax.device_get(read(epoch, _shapes_here(like))))

    def restore_params(self, epoch: int, like: optax.Params) -> optax.Params:
        """Returns the parameters of an epoch on the host."""
        read = super().restore_params
        return hosts.from_first(lambda: jax.device_get(read(epoch, _shapes_here(like))))

    def wait(self) -> None:
        """Waits in the first process, see `Checkpoints.wait`."""
        if self._writes:
            super().wait()

    def close(self) -> None:
        """Gives up what the manager holds, in the first process."""
        if self._writes:
            super().close()


def _shapes_here(like: Any) -> Any:
    """Returns shapes and dtypes placed on the first device of this process."""
    place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), like
    )


def _damaged(folder: pathlib.Path, error: Exception) -> UserError:
    reason = str(error).strip().partition("\n")[0][:_REASON] or type(error).__name__
    return UserError(
        f"{folder} cannot be read, since it is damaged or of other versions of the libraries "
        f"({reason}); remove that folder, and the same command goes on from what was saved before."
    )


def _require_metrics(metrics: Any) -> None:
    """Checks what was saved beside a checkpoint, where something was.

    Raises:
        ValueError: if that says neither which epochs to keep nor how good this one is.
    """
    if metrics is None:
        return
    named = [*metrics[KEEP], metrics[BEST]] if BEST in metrics else []
    scores = [] if BEST in metrics else [metrics["exact_match"], metrics["nll"]]
    if not all(type(epoch) is int for epoch in named) or not all(
        isinstance(score, int | float) for score in scores
    ):
        raise ValueError("its metrics are none")


def _best(metrics: Mapping[int, Mapping[str, Any]]) -> int | None:
    """Returns the best epoch, given what was saved beside each, None if it is not there."""
    if not metrics:
        return None
    best = metrics[max(metrics)].get(BEST)
    if best is None:
        return best_by_val(metrics)
    return best if best in metrics else None


def _on_one_device(leaf: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """Returns a copy of what every device of this host has alike.

    Of copies Orbax has each device save a part, with a compiled program for each part.
    """
    if isinstance(leaf, np.ndarray) or not (leaf.is_fully_addressable and leaf.is_fully_replicated):
        return leaf
    copy = leaf.addressable_data(0)
    return jax.device_put(copy, copy.sharding, may_alias=False)


def _divide(state: TrainState) -> tuple[optax.Params, dict[str, Any]]:
    """Returns the two items of a checkpoint: parameters to read with, and what else goes on."""
    training = {"step": state.step, "opt_state": state.opt_state}
    if state.average is not None:
        training["params"] = state.params
    return state.inference_params, training


def _unite(params: optax.Params, training: Mapping[str, Any]) -> TrainState:
    """Returns the state of which `_divide` made these items."""
    averaged = "params" in training
    return TrainState(
        step=training["step"],
        params=training["params"] if averaged else params,
        average=params if averaged else None,
        opt_state=training["opt_state"],
    )
