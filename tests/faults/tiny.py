"""A run of seconds to disturb: its command, what it leaves, and processes that begin at once."""

import contextlib
import csv
import hashlib
import json
import multiprocessing
import os
import pathlib
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from tests.times import without_times

ROOT = pathlib.Path(__file__).parent.parent.parent
ARGUMENTS = (
    "--config=experiments/quickstart.py",
    "--config.data.digits=2",
    "--config.data.height=28",
    "--config.data.width=56",
    "--config.data.composition.vertical_jitter=0",
    "--config.data.train_examples=128",
    "--config.data.val_examples=50",
    "--config.data.test_examples=50",
    "--config.model.stem=8",
    "--config.model.channels=(16,)",
    "--config.training.batch_size=64",
    "--config.training.epochs=2",
    "--config.training.ema_decay=0.9",
    "--config.training.log_steps=1",
    "--config.model.dropout=0.1",
    "--config.wandb.mode=disabled",
    "--figures=none",
)
QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    " --xla_cpu_use_fusion_emitters=false"
)
DEVICES = "xla_force_host_platform_device_count"
UNSET = ("MNIST3_DATA_DIR", "MNIST3_DEBUG", "WANDB_SWEEP_ID", "XDG_CACHE_HOME")
READ_AT_IMPORT = (  # by JAX, which a process here has imported before its variables are known
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
)
LONGEST = 300.0  # s that a process may take


class Done(NamedTuple):
    """How a command ended.

    Attributes:
        status: its exit status; negative the number of the signal that killed it.
        said: what it wrote to its standard streams.
    """

    status: int | None
    said: str

    @property
    def errors(self) -> list[str]:
        """The sentences that tell what a user is to mend."""
        return [line for line in self.said.splitlines() if line.startswith("Error: ")]

    @property
    def told(self) -> bool:
        """Whether one sentence says what went wrong, and the status that something did."""
        return self.status == 1 and len(self.errors) == 1 and "Traceback" not in self.said


def command(workdir: str | os.PathLike, *changes: str) -> list[str]:
    """Returns the command of the tiny run in a folder."""
    return ["launch.py", *ARGUMENTS, *changes, f"--workdir={os.fspath(workdir)}"]


@contextlib.contextmanager
def environment(cache: str | os.PathLike, **changes: str | None) -> Iterator[None]:
    """Sets what the processes of the block read: their cache folder, and nothing of the user's."""
    before = dict(os.environ)
    for name in UNSET:
        os.environ.pop(name, None)
    for name, value in {
        "MNIST3_CACHE_DIR": os.fspath(cache),
        "JAX_COMPILATION_CACHE_DIR": os.path.join(cache, "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.0",
        **changes,
    }.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    flags = os.environ.get("XLA_FLAGS", QUICK_TO_COMPILE)
    if DEVICES not in flags:  # this process goes on with what others began, on as many devices
        os.environ["XLA_FLAGS"] = f"{flags} --{DEVICES}=1"
    os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")  # or the program starts anew
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def left(workdir: str | os.PathLike) -> dict[str, Any]:
    """Returns what two runs of one command have alike: all but times, and names of Orbax's files.

    Of the checkpoints it has a hash of every array, of what else is in the folder the content.
    """
    folder = pathlib.Path(workdir)
    found: dict[str, Any] = {"names": sorted(_names(folder))}
    for path in sorted(folder.glob("*.json")):
        found[path.name] = without_times(json.loads(path.read_text()))
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            found[path.name] = list(csv.reader(file))
    lines = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    found["history.jsonl"] = [without_times(line) for line in lines]
    return found | {"checkpoints": _arrays(folder)}


def _names(folder: pathlib.Path) -> Iterator[str]:
    for path in folder.iterdir():
        yield path.name
        if path.name == "checkpoints":
            yield from (f"checkpoints/{each.name}" for each in path.iterdir())


def _arrays(folder: pathlib.Path) -> dict[str, str]:
    import jax
    import numpy as np

    from mnist3.jobs import parts
    from mnist3.jobs.workdir import read_config
    from mnist3.training.checkpoints import Checkpoints
    from mnist3.training.run import assemble

    config = read_config(str(folder))
    shapes = assemble(config, parts.task_of(config), config.data.train_examples).state_shapes()
    checkpoints = Checkpoints(str(folder), read_only=True)
    try:
        return {
            f"{name} {epoch}{jax.tree_util.keystr(path)}": hashlib.sha256(
                np.asarray(leaf).tobytes()
            ).hexdigest()
            for name in ("best", "latest")
            for epoch in [checkpoints.resolve(name)]
            for path, leaf in jax.tree_util.tree_leaves_with_path(
                checkpoints.restore(epoch, shapes)
            )
        }
    finally:
        checkpoints.close()


class Process:
    """A command in a process of its own, which was forked from one that has imported everything.

    Its standard streams are a pipe, which no limit of the size of files binds.

    Args:
        argv: of the command.
        said: file that gets what comes through them.
        prepare: called in the process before the command.
    """

    def __init__(
        self, argv: list[str], said: pathlib.Path, prepare: Callable[[], object] | None = None
    ):
        self._said = said
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.faults.preloaded"])
        reading, writing = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_answer, args=(argv, writing, dict(os.environ), prepare)
        )
        with writing:
            self._process.start()
        self.started = time.monotonic()
        self._copying = threading.Thread(target=_copy, args=(reading, said), daemon=True)
        self._copying.start()

    def wait(self, seconds: float = LONGEST) -> Done | None:
        """Returns how it ended; None if it did not within so long."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            return None
        self._copying.join()
        return Done(self._process.exitcode, self._said.read_text(errors="replace"))

    def signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.exitcode is None:
                os.kill(self._process.pid, number)


def _copy(reading: Connection, said: pathlib.Path) -> None:
    with reading, open(said, "wb", buffering=0) as file:
        while content := os.read(reading.fileno(), 1 << 16):
            file.write(content)


def _answer(
    argv: list[str],
    streams: Connection,
    variables: dict[str, str],
    prepare: Callable[[], object] | None,
) -> None:
    with streams:
        os.dup2(streams.fileno(), 1)
        os.dup2(streams.fileno(), 2)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(ROOT)
    import jax

    from mnist3 import runtime
    from mnist3.jobs import command_line

    runtime.prepare_process()
    for name in READ_AT_IMPORT:
        jax.config.update(name.lower(), type(getattr(jax.config, name.lower()))(os.environ[name]))
    if prepare is not None:
        prepare()
    raise SystemExit(command_line.main(argv, alone=True))


def run(
    workdir: str | os.PathLike,
    *changes: str,
    prepare: Callable[[], object] | None = None,
) -> Done:
    """Runs the tiny run in a process of its own to its end."""
    done = Process(command(workdir, *changes), _log(workdir), prepare).wait()
    return done or Done(None, "did not end")


def _log(workdir: str | os.PathLike) -> pathlib.Path:
    return pathlib.Path(f"{os.fspath(workdir)}.log")
