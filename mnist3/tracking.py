"""What a run tells the outside world while it runs: local files in every mode, W&B where it works.

`history.jsonl` in the workdir gets a line every so many steps and one an epoch. W&B gets the same
scalars by step, the resolved config, the summary metrics, a table of misread images and, when
asked, the run's files. W&B is a guest here: whatever goes wrong with it costs one warning and never
the run.
"""

import contextlib
import functools
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Bool, Float, UInt8
from ml_collections import ConfigDict

from mnist3.errors import UserError
from mnist3.files import replacing

INIT_SECONDS = 10.0  # how long a run waits for W&B at its start
FINISH_SECONDS = 120.0  # how long it waits for uploads at its end; what is left stays on disk
MISREAD_LIMIT = 100  # rows of the table of misread images
MISREAD_COLUMNS = ("image", "label", "prediction", "confidence")


class Stopped(Exception):
    """Who watches a run has stopped it before its last epoch; the message says why."""


class Tracker:
    """Logs one run to its workdir and to W&B.

    Epochs count from 1: `epoch` is how many the run has finished. Call `log_epoch` before the
    checkpoint of that epoch is saved, so that the history never lacks an epoch that a checkpoint
    has; the epochs it has too many are dropped on resuming and logged again.

    Args:
        workdir: folder of the run, which exists. W&B writes to `workdir/wandb`.
        config: the whole resolved config; its section `wandb` says where to log.
        watch: called with each epoch once it is logged; may raise `Stopped`.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        config: ConfigDict,
        watch: Callable[[Mapping[str, Any]], None] | None = None,
    ):
        self._watch = watch
        self._workdir = pathlib.Path(workdir)
        self._history = self._workdir / "history.jsonl"
        self._log_artifact = config.wandb.log_artifact
        self._warned = False
        self._run: Any = None  # of W&B
        self._start_wandb(config)

    def resume(self, epochs: int) -> None:
        """Drops what the history has beyond so many epochs; 0 starts a new one.

        Raises:
            UserError: if `history.jsonl` cannot be written.
        """
        try:
            kept = _whole_lines(self._history, epochs)
            with replacing(self._history, "wb") as file:
                file.writelines(kept)
        except OSError as error:
            raise _unwritable(self._history, error) from error

    def log_steps(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Appends lines of steps to the history and logs their scalars to W&B.

        Raises:
            UserError: if `history.jsonl` cannot be written.
        """
        for line in lines:
            self._append(line)
            if self._run:
                scalars, step = flatten({"steps": line}), int(line["step"])
                self._attempt(functools.partial(self._run.log, scalars, step=step))

    def log_epoch(self, entry: Mapping[str, Any]) -> None:
        """Appends one epoch to the history and logs its scalars to W&B.

        Args:
            entry: step, epoch, seconds, and the nested metrics `train` and `val`. In W&B a metric
                is named by its path: `val/exact_match`, `val/position_accuracy/1`.

        Raises:
            UserError: if `history.jsonl` cannot be written.
            Stopped: if who watches the run wants it to end here.
        """
        self._append(entry)
        if self._run:
            scalars, step = flatten(entry), int(entry["step"])
            self._attempt(functools.partial(self._run.log, scalars, step=step, commit=True))
        if self._watch:
            self._watch(entry)

    def log_misread(
        self,
        images: UInt8[np.ndarray, "n height width"],
        right: Bool[np.ndarray, "n"],
        labels: Sequence[str],
        predictions: Sequence[str],
        confidences: Float[np.ndarray, "n"],
    ) -> None:
        """Logs the misread images of a split to W&B as the table `misread`.

        The table has the 100 misread images that were read most confidently.

        Args:
            images: all images of the split, ink bright on dark.
            right: which of them are read right.
            labels: what they show.
            predictions: what was read.
            confidences: probability that the model gave its predictions.
        """
        if not self._run:
            return
        wrong = np.flatnonzero(~right)
        shown = wrong[np.argsort(-confidences[wrong], kind="stable")][:MISREAD_LIMIT]
        rows = [(images[i], labels[i], predictions[i], float(confidences[i])) for i in shown]

        def log() -> None:
            import wandb

            table = wandb.Table(columns=list(MISREAD_COLUMNS))
            for image, *cells in rows:
                table.add_data(wandb.Image(image), *cells)
            self._run.log({"misread": table})

        self._attempt(log)

    def summary(self, metrics: Mapping[str, Any]) -> None:
        """Sets W&B's summary from metrics as nested as `metrics.json`: `test/exact_match`."""
        if self._run:
            scalars = flatten(metrics)
            self._attempt(lambda: self._run.summary.update(scalars))

    def finish(
        self,
        files: Iterable[str | os.PathLike] = (),
        failed: bool = False,
        stopped: bool = False,
    ) -> None:
        """Ends the W&B run.

        Args:
            files: files and folders in the workdir to store as an artifact, if the config's
                `wandb.log_artifact` asks for one.
            failed: whether the run did not reach its end; then nothing is stored.
            stopped: whether a signal was the reason, for which W&B has the word preempted.
        """
        if not self._run:
            return
        root = self._workdir.resolve()
        named = {
            pathlib.Path(file): str(pathlib.Path(file).resolve().relative_to(root))
            for file in files
        }

        def finish() -> None:
            import wandb

            if self._log_artifact and not failed:
                artifact = wandb.Artifact(f"run-{self._run.id}", type="run")
                for file, name in named.items():
                    add = artifact.add_dir if file.is_dir() else artifact.add_file
                    add(str(file), name, policy="immutable", skip_cache=True)
                self._run.log_artifact(artifact)
            if stopped:
                self._run.mark_preempting()
            self._run.finish(exit_code=int(failed))

        self._attempt(finish)
        self._run = None

    def _append(self, entry: Mapping[str, Any]) -> None:
        line = (json.dumps(_plain(entry), allow_nan=False) + "\n").encode()
        try:
            _append(self._history, line)
        except OSError as error:
            raise _unwritable(self._history, error) from error

    def _start_wandb(self, config: ConfigDict) -> None:
        run_id = self._workdir / "wandb" / "run_id"
        options: dict[str, Any] = {
            "dir": str(self._workdir),
            "config": config.to_dict(),
            "group": config.wandb.group or None,
            "tags": list(config.wandb.tags),
        }
        # An agent has put run, project and entity of its sweep into the environment.
        if "WANDB_SWEEP_ID" not in os.environ:
            options["project"] = config.wandb.project
            options["entity"] = config.wandb.entity or None

        def start(mode: Any) -> None:
            import wandb

            if "WANDB_SWEEP_ID" not in os.environ and run_id.exists():
                options["id"] = run_id.read_text()
            self._run = wandb.init(
                **options,
                mode=mode,
                resume="allow",
                reinit="create_new",
                settings=wandb.Settings(
                    console="off",
                    silent=True,
                    init_timeout=INIT_SECONDS,
                    finish_timeout=FINISH_SECONDS,
                    finish_timeout_raises=True,
                ),
            )
            run_id.parent.mkdir(exist_ok=True)
            with replacing(run_id) as file:
                file.write(self._run.id)
            logging.info(
                "W&B run %s: %s", self._run.id, self._run.url if mode == "online" else mode
            )

        def restart_offline() -> None:
            import wandb

            wandb.teardown()  # its service would hold on to the run that failed
            start("offline")

        mode = config.wandb.mode
        if mode == "auto":
            modes = []
            self._attempt(lambda: modes.append(_automatic_mode()))
            mode = modes[0] if modes else "offline"
        if mode != "disabled":
            self._attempt(lambda: start(mode))
        if mode == "online" and self._run is None:
            self._attempt(restart_offline)

    def _attempt(self, action: Callable[[], object]) -> None:
        """Does something with W&B, which may fail; what an action tells is made before it."""
        try:
            action()
        except Exception as error:
            self._run = None
            with contextlib.suppress(Exception):
                import wandb

                wandb.teardown()  # else a service that died is told off again at exit
            if not self._warned:
                self._warned = True
                cause = f"{type(error).__name__}: {error}".splitlines()[0]
                logging.warning("W&B failed (%s); the run goes on and writes its files.", cause)


def part_of(config: ConfigDict, group: str) -> ConfigDict:
    """Returns the section `wandb` of a config for a run that is part of another.

    An agent's environment names a single run, which is the other; the part then has none.

    Args:
        config: the section of the other run.
        group: of the part, where the other has none.
    """
    part = config.copy_and_resolve_references()
    if "WANDB_SWEEP_ID" in os.environ:
        part.mode = "disabled"
    part.group = part.group or group
    return part


def read_history(workdir: str | os.PathLike, epochs: int) -> list[dict[str, Any]]:
    """Returns the lines of the first epochs in `history.jsonl`.

    Raises:
        UserError: if one of them is not there.
    """
    path = pathlib.Path(workdir) / "history.jsonl"
    try:
        lines = [json.loads(line) for line in _whole_lines(path, epochs)]
        lines = [line for line in lines if "epoch" in line]
    except (OSError, ValueError):
        lines = []
    if [line["epoch"] for line in lines] != list(range(1, epochs + 1)):
        raise UserError(
            f"{path} lacks epochs that the checkpoints beside it have; put the file back, or train "
            "anew in another --workdir."
        )
    return lines


class Silent(Tracker):
    """The tracker of a process that trains along with another, which logs for both."""

    def __init__(self) -> None:
        pass

    def resume(self, epochs: int) -> None:
        """Leaves the history to the other process."""

    def log_steps(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Logs nothing."""

    def log_epoch(self, entry: Mapping[str, Any]) -> None:
        """Logs nothing."""


def _whole_lines(path: pathlib.Path, epochs: int) -> list[bytes]:
    """Returns all lines up to the end of an epoch; a killed run may have left half a line."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    ends = [row for row, line in enumerate(whole) if 0 < json.loads(line).get("epoch", 0) <= epochs]
    return whole[: ends[-1] + 1] if ends else []


def flatten(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested metrics as one level of paths, positions of lists counted from 1.

    >>> flatten({"val": {"exact_match": 0.5, "position_accuracy": [0.8, 0.6]}})
    {'val/exact_match': 0.5, 'val/position_accuracy/1': 0.8, 'val/position_accuracy/2': 0.6}
    """
    flat = {}
    for name, value in _plain(metrics, keep_non_finite=True).items():
        if isinstance(value, list):
            value = {str(position): item for position, item in enumerate(value, start=1)}
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _automatic_mode() -> str:
    import wandb

    settings = wandb.setup(settings=wandb.Settings(silent=True)).settings
    if settings.mode != "online":  # the user's WANDB_MODE
        return settings.mode
    return "online" if wandb.login(prompt=False, verify=False) else "offline"


def _plain(value: Any, keep_non_finite: bool = False) -> Any:
    """Returns values as JSON has them: arrays as lists, and null for what is no finite number."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner, keep_non_finite) for name, inner in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(inner, keep_non_finite) for inner in value]
    if isinstance(value, float) and not math.isfinite(value) and not keep_non_finite:
        return None
    return value


def _append(path: pathlib.Path, line: bytes) -> None:
    """Appends a whole line or, if it does not fit on the disk, nothing."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        if file.write(line) < len(line):
            file.truncate(size)
            raise OSError("no space left for a whole line")


def _unwritable(path: pathlib.Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write {path} ({error.strerror or error}); free space there, or give a writable "
        "folder with --workdir, and run the same command again."
    )
