"""A sweep of several workers on PostgreSQL, one of which is killed: `python -m benchmarks.workers`.

It starts a server in a folder of its own (Debian's package `postgresql`, and the extra of that
name), then the workers, each the command of docs/sweeps.md. One is killed with -9 in a trial that
has checkpoints, and the others work off the sweep. The table that it prints says what became of
the trials: each is to be counted once, none lost, the killed one's tried again from its checkpoint.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

from tests import postgresql

_ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMAND = (  # a trial of seconds, two embedded digits an image
    "--config=experiments/quickstart.py:model=logistic",
    *("--config.data.digits=2", "--config.data.width=56", "--config.wandb.mode=disabled"),
    *("--config.data.val_examples=100", "--config.data.test_examples=100"),
)
PARAMETERS = {
    "config.optimizer.learning_rate": {"values": [0.003, 0.006]},
    "config.training.label_smoothing": {"values": [0.0, 0.1]},
}


class Ended(NamedTuple):
    """What came of a sweep of which one worker was killed.

    Attributes:
        trials: of its metrics.json.
        killed: the process that was.
        held: numbers of the trials that it trained then, in one program where they were several.
        statuses: of the processes, by their ids.
        said: what each of them printed.
        seconds: from the kill to the end of the last worker.
    """

    trials: list[dict[str, Any]]
    killed: int
    held: list[int]
    statuses: dict[int, int]
    said: dict[int, str]
    seconds: float


def sweep(
    folder: pathlib.Path, url: str, trials: int, workers: int, epochs: int, images: int
) -> Ended:
    """Lets workers share a sweep, and kills one in a trial that has at least two checkpoints.

    Args:
        folder: for the sweep file and the workdir, `sweep`.
        url: of the database.
        trials: of the sweep, random ones.
        workers: processes, at once.
        epochs: of a trial, at least 6.
        images: of an epoch.

    Raises:
        RuntimeError: if the workers end before one could be killed.
    """
    file, workdir = folder / "sweep.yaml", folder / "sweep"
    changes = [f"--config.training.epochs={epochs}", f"--config.data.train_examples={images}"]
    content = {"method": "random", "command": [*COMMAND, *changes], "parameters": PARAMETERS}
    file.write_text(json.dumps(content))
    words = ["--mode=sweep", f"--sweep={file}", f"--workdir={workdir}", f"--storage={url}"]
    words += [f"--trials={trials}", "--figures=none"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "mnist3", *words],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(workers)
    ]
    try:
        killed = None
        while killed is None:
            if all(process.poll() is not None for process in processes):
                raise RuntimeError(f"all ended too early: {processes[0].communicate()[0]}")
            time.sleep(0.05)
            killed = _training(workdir, epochs)
        held = _held_by(killed, workdir)
        os.kill(killed, signal.SIGKILL)
        started = time.monotonic()
        said = {process.pid: process.communicate()[0] for process in processes}
    finally:
        for process in processes:
            process.kill()
    return Ended(
        json.loads((workdir / "metrics.json").read_text())["trials"],
        killed,
        held,
        {process.pid: process.returncode for process in processes},
        said,
        time.monotonic() - started,
    )


def _held_by(process: int, workdir: pathlib.Path) -> list[int]:
    """Returns the trials that a process trains."""
    return sorted(trial for trial, holder in _holders(workdir).items() if holder == process)


def _holders(workdir: pathlib.Path) -> dict[int, int]:
    """Returns which process trains a trial, by the trial's number."""
    found = {}
    for lock in workdir.glob("trials/*/.lock.json"):
        with contextlib.suppress(OSError, ValueError):
            found[int(lock.parent.name)] = json.loads(lock.read_text())["pid"]
    return found


def _training(workdir: pathlib.Path, epochs: int) -> int | None:
    """Returns a process that trains a trial which has checkpoints, and is not half done."""
    for trial, process in _holders(workdir).items():
        names = [path.name for path in workdir.glob(f"trials/{trial:04d}/checkpoints/*")]
        if 2 <= max((int(name) for name in names if name.isdigit()), default=0) < epochs // 2:
            return process
    return None


def table(ended: Ended) -> str:
    """Returns what became of the trials, as a table in Markdown."""
    states = [trial["state"] for trial in ended.trials]
    numbers = [trial["number"] for trial in ended.trials]
    again = [trial for trial in ended.trials if trial["attempts"] > 1]
    rows = {
        "workers, one of them killed with -9": len(ended.statuses),
        "trials, each counted once": len(set(numbers)) if len(set(numbers)) == len(numbers) else 0,
        "of these complete": states.count("complete"),
        "trials that the killed worker had": ", ".join(map(str, ended.held)),
        "tried again": ", ".join(
            f"{each['number']} ({each['attempts']} attempts)" for each in again
        ),
        "from a checkpoint": sum(
            said.count("going on after epoch") for said in ended.said.values()
        ),
        "seconds from the kill to the end": f"{ended.seconds:.0f}",
    }
    return "\n".join(
        ["| | |", "| --- | --: |", *(f"| {what} | {value} |" for what, value in rows.items())]
    )


def main() -> None:
    """Runs the sweep and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--images", type=int, default=512, help="of an epoch")
    options = parser.parse_args()
    if reason := postgresql.missing():
        parser.error(reason)
    with postgresql.running() as url, tempfile.TemporaryDirectory() as folder:
        print(table(sweep(pathlib.Path(folder), url, **vars(options))))


if __name__ == "__main__":
    main()
