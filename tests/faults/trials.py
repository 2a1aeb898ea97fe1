"""What the tiny run is put through; each function returns a row of the table."""

import contextlib
import errno
import functools
import io
import itertools
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from unittest import mock

from tests.faults import tiny
from tests.faults.calls import Calls
from tests.faults.tiny import Done, Process

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
JUMPS = (-86400.0, 86400.0, -3600.0, 31536000.0)  # s, by which a clock is wrong from then on
STOPPED = "run the same command to go on"


class Row(NamedTuple):
    """What came of a kind of trials.

    Attributes:
        what: was done to the run.
        tried: how often.
        failures: of the promise, a line each.
        note: further figures.
    """

    what: str
    tried: int
    failures: Sequence[str]
    note: str = ""

    @property
    def held(self) -> int:
        """How often the run kept what it promises."""
        return self.tried - len(self.failures)


class Reference(NamedTuple):
    """The run that nothing disturbs.

    Attributes:
        left: in its folder.
        seconds: that it takes in a process of its own, compiled programs at hand.
    """

    left: dict[str, Any]
    seconds: float


def reference(folder: pathlib.Path) -> Reference:
    """Runs what nothing disturbs: once to compile, once for its time."""
    taken = []
    for name in ("first", "second"):
        process = Process(tiny.command(folder / name), folder / f"{name}.log")
        done = process.wait()
        taken.append(time.monotonic() - process.started)
        if done is None or done.status != 0:
            raise RuntimeError(f"the undisturbed run failed: {done}")
    found = [tiny.left(folder / name) for name in ("first", "second")]
    if found[0] != found[1]:
        raise RuntimeError("two undisturbed runs differ")
    return Reference(found[0], taken[-1])


def here(workdir: pathlib.Path) -> Done:
    """Runs the tiny run in this process, which reads each compiled program once."""
    from mnist3.jobs import command_line
    from mnist3.training import kept

    said = io.StringIO()
    with (
        mock.patch.object(kept, "_read", _read_once()),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        status = command_line.main(tiny.command(workdir), alone=True)
    return Done(status, said.getvalue())


@functools.cache
def _read_once() -> Callable[[str], Any]:
    from mnist3.training import kept

    programs: dict[str, Any] = {}

    def read(path: str) -> Any:
        if programs.get(path) is None:
            programs[path] = original(path)
        return programs[path]

    original = kept._read
    return read


def failing_calls(
    folder: pathlib.Path, errors: Sequence[int] = ERRORS, first: int = 1, every: int = 1
) -> Row:
    """Lets each of the run's calls fail in turn, in this process.

    Args:
        folder: for the runs.
        errors: to fail with.
        first: call that fails.
        every: how far the next is.
    """
    workdir = folder / "calls"
    here(workdir)  # compiles
    shutil.rmtree(workdir)
    with Calls() as calls:
        here(workdir)
    wanted, made = tiny.left(workdir), len(calls.made)
    kinds = Counter(call.split(" ", 1)[0] for call in calls.made)
    tried, failures, unharmed = 0, [], Counter()
    for number in errors:
        failing, reached = first, True
        while reached:
            shutil.rmtree(workdir, ignore_errors=True)
            with Calls(failing, number) as calls:
                done = _caught(lambda: here(workdir))
            reached = len(calls.made) >= failing
            if reached:
                tried += 1
                what = f"{errno.errorcode[number]} at {failing}, {calls.made[failing - 1]}"
                unharmed[what.split()[3]] += done.status == 0
                if problem := _told_or_unharmed(done) or _continued(workdir, wanted):
                    failures.append(f"{what}: {problem}")
            failing += every
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    note = f"{made} calls: {listed}; {unharmed.total()} of the failures cost nothing"
    return Row("a call fails", tried, failures, note)


def _caught(run: Callable[[], Done]) -> Done:
    try:
        return run()
    except BaseException as error:
        return Done(None, f"Traceback: {type(error).__name__}: {error}")


def _told_or_unharmed(done: Done) -> str:
    """Returns what is wrong with how a run that was disturbed ended; "" if nothing is."""
    if done.status == 0 and not done.errors and "Traceback" not in done.said:
        return ""
    return "" if done.told else f"status {done.status}, {_last(done.said)}"


def _continued(
    workdir: pathlib.Path, wanted: dict[str, Any], run: Callable[[pathlib.Path], Done] = here
) -> str:
    """Returns what is wrong once the same command has been given again; "" if nothing is."""
    done = _caught(lambda: run(workdir))
    if done.status != 0:
        return f"does not go on: status {done.status}, {_last(done.said)}"
    found = tiny.left(workdir)
    differing = [name for name in wanted | found if wanted.get(name) != found.get(name)]
    return f"other bytes in {', '.join(differing)}" if differing else ""


def _last(said: str) -> str:
    return " | ".join(said.strip().splitlines()[-3:])[-600:]


def killed(folder: pathlib.Path, undisturbed: Reference, trials: int, seed: int = 0) -> Row:
    """Kills runs at random moments, and gives the same command again."""
    moments, failures, early = random.Random(seed), [], 0
    for trial in range(trials):
        workdir = folder / f"killed{trial}"
        moment = moments.uniform(0, undisturbed.seconds)
        process = Process(tiny.command(workdir), folder / f"killed{trial}.log")
        done = process.wait(moment)
        if done is None:
            process.signal(signal.SIGKILL)
            done = process.wait()
        early += done is not None and done.status == 0
        if problem := _continued(workdir, undisturbed.left):
            failures.append(f"after {moment:.2f} s: {problem}")
        shutil.rmtree(workdir, ignore_errors=True)
    return Row("kill -9 at a random moment", trials, failures, f"{early} had ended before")


def asked_to_stop(folder: pathlib.Path, undisturbed: Reference, trials: int, seed: int = 0) -> Row:
    """Sends runs SIGTERM at random moments, and gives the same command again."""
    moments, failures, early, longest = random.Random(seed), [], 0, 0.0
    for trial in range(trials):
        workdir = folder / f"stopped{trial}"
        moment = moments.uniform(0, undisturbed.seconds)
        process = Process(tiny.command(workdir), folder / f"stopped{trial}.log")
        done = process.wait(moment)
        if done is None:
            process.signal(signal.SIGTERM)
            asked = time.monotonic()
            done = process.wait()
            longest = max(longest, time.monotonic() - asked)
        early += done is not None and done.status == 0
        if problem := _stopped(done) or _continued(workdir, undisturbed.left):
            failures.append(f"after {moment:.2f} s: {problem}")
        shutil.rmtree(workdir, ignore_errors=True)
    note = f"{early} had ended before; the longest took {longest:.1f} s to end"
    return Row("SIGTERM at a random moment", trials, failures, note)


def _stopped(done: Done | None) -> str:
    """Returns what is wrong with how a run that was asked to stop ended; "" if nothing is.

    Before it has read its command line a signal ends it as any program.
    """
    if done is None:
        return "did not end"
    if done.status in (0, -signal.SIGTERM) and "Traceback" not in done.said:
        return ""
    if done.status == 128 + signal.SIGTERM and "Traceback" not in done.said:
        return "" if STOPPED in done.said else "does not say how to go on"
    return f"status {done.status}, {_last(done.said)}"


def stopped_in_a_long_epoch(
    folder: pathlib.Path, trials: int, within: float, examples: int, seed: int = 0
) -> Row:
    """Sends SIGTERM again and again to a run that trains, of one epoch which takes long.

    A run that has come to its end meanwhile is compared with one that nothing disturbed, and
    another begins.

    Args:
        folder: for the runs.
        trials: signals.
        within: s from a signal to the end of the process.
        examples: of the epoch.
        seed: of the moments.
    """
    what = "SIGTERM within an epoch"
    long = (f"--config.data.train_examples={examples}", "--config.training.epochs=1")
    alone, workdir, log = folder / "alone", folder / "long", folder / "long.log"
    if tiny.run(alone, *long).status != 0:
        raise RuntimeError("the undisturbed run failed")
    wanted, moments, failures, taken, runs = tiny.left(alone), random.Random(seed), [], [], 0

    def compare() -> None:
        if tiny.left(workdir) != wanted:
            failures.append(f"other bytes at the end, after {len(taken)} signals")
        shutil.rmtree(workdir)

    while len(taken) < trials:
        log.unlink(missing_ok=True)
        process = Process(tiny.command(workdir, *long), log)
        while process.wait(0.1) is None and not _trains(log):
            pass
        done = process.wait(moments.uniform(0, within))
        if done is None:
            process.signal(signal.SIGTERM)
            asked = time.monotonic()
            done = process.wait()
            taken.append(time.monotonic() - asked)
            if (problem := _stopped(done)) or taken[-1] > within:
                failures.append(f"signal {len(taken)}: {problem or f'{taken[-1]:.1f} s'}")
        elif done.status != 0:  # and so would the next
            problem = f"failed by itself: status {done.status}, {_last(done.said)}"
            return Row(what, len(taken) + 1, [*failures, problem])
        if done is not None and done.status == 0:
            runs += 1
            compare()
    if tiny.run(workdir, *long).status == 0:
        runs += 1
        compare()
    else:
        failures.append("does not go on")
    note = f"ended {max(taken):.1f} s after the signal at most; {runs} runs in all"
    return Row(what, len(taken), failures, note)


def _trains(log: pathlib.Path) -> bool:
    return log.exists() and "compiled in" in log.read_text(errors="replace")


def at_once(folder: pathlib.Path, undisturbed: Reference, processes: int, trials: int) -> Row:
    """Starts several processes in one workdir: one runs, and the others say so."""
    failures, refused = [], 0
    for trial in range(trials):
        workdir = folder / f"at_once{processes}_{trial}"
        started = [
            Process(tiny.command(workdir), folder / f"{workdir.name}_{place}.log")
            for place in range(processes)
        ]
        ended = [each.wait() or Done(None, "did not end") for each in started]
        others = [done for done in ended if done.status != 0]
        refused += len(others)
        wrong = [done for done in others if not (done.told and "is in use" in done.said)]
        problem = f"status {wrong[0].status}, {_last(wrong[0].said)}" if wrong else ""
        if len(others) == processes:
            problem = "none ran"
        if problem := problem or _continued(workdir, undisturbed.left):
            failures.append(problem)
        shutil.rmtree(workdir, ignore_errors=True)
    note = f"{refused} were told that another has it"
    return Row(f"{processes} processes at once in one workdir", trials, failures, note)


def in_one_cache(folder: pathlib.Path, undisturbed: Reference, processes: int) -> Row:
    """Starts several processes, each in a workdir of its own, with one cache, which is empty."""
    cache = folder / f"cache{processes}"
    workdirs = [folder / f"shares{processes}_{place}" for place in range(processes)]
    with tiny.environment(cache):
        started = [Process(tiny.command(each), each.with_suffix(".log")) for each in workdirs]
        ended = [each.wait() or Done(None, "did not end") for each in started]
    failures = []
    for workdir, done in zip(workdirs, ended, strict=True):
        if done.status != 0:
            failures.append(f"status {done.status}, {_last(done.said)}")
        elif tiny.left(workdir) != undisturbed.left:
            failures.append("other bytes")
    return Row(f"{processes} processes at once with one empty cache", processes, failures)


def with_a_jumping_clock(
    folder: pathlib.Path, undisturbed: Reference, trials: int, seed: int = 0
) -> Row:
    """Lets the clock of a run jump by up to a year, forth or back."""
    failures = []
    for trial in range(trials):
        workdir = folder / f"clock{trial}"
        done = tiny.run(workdir, prepare=functools.partial(jump, seed + trial))
        if done.status != 0:
            failures.append(f"status {done.status}, {_last(done.said)}")
        elif tiny.left(workdir) != undisturbed.left:
            failures.append("other bytes")
    return Row("a clock that jumps", trials, failures)


def jump(seed: int) -> None:
    """Has this process's clock jump once, some time after it was first asked."""
    moments, true, true_ns = random.Random(seed), time.time, time.time_ns
    asks, by = moments.randrange(1, 400), moments.choice(JUMPS)
    asked = itertools.count()

    def wrong() -> float:
        return by if next(asked) >= asks else 0.0

    time.time = lambda: true() + wrong()
    time.time_ns = lambda: true_ns() + int(1e9 * wrong())


def with_a_home_that_is_read_only(folder: pathlib.Path, undisturbed: Reference) -> Row:
    """Runs where neither the home nor the cache below it can be written."""
    what = "a home that is read-only"
    with _read_only(folder / "home") as home:
        if home is None:
            return Row(what, 0, [], "nothing may be mounted here")
        unset = {"MNIST3_CACHE_DIR": None, "JAX_COMPILATION_CACHE_DIR": None}
        with tiny.environment(folder / "unused", HOME=str(home), **unset):
            problem = _continued(folder / "read_only", undisturbed.left, tiny.run)
    return Row(what, 1, [problem] if problem else [])


def with_a_cache_that_vanishes(
    folder: pathlib.Path, undisturbed: Reference, cache: pathlib.Path, trials: int, seed: int = 0
) -> Row:
    """Deletes the cache folder of a run at a random moment."""
    moments, failures = random.Random(seed), []
    for trial in range(trials):
        own, workdir = folder / f"vanishes{trial}", folder / f"without{trial}"
        if trial % 2:  # where compiled programs are found, or are being written
            shutil.copytree(cache, own)
        with tiny.environment(own):
            process = Process(tiny.command(workdir), folder / f"without{trial}.log")
            process.wait(moments.uniform(0, undisturbed.seconds))
            shutil.rmtree(own, ignore_errors=True)
            done = process.wait()
        if done is None or done.status != 0:
            failures.append(f"{done and done.status}, {_last(done.said) if done else 'no end'}")
        elif tiny.left(workdir) != undisturbed.left:
            failures.append("other bytes")
    return Row("a cache folder that vanishes", trials, failures)


def on_a_full_disk(folder: pathlib.Path, undisturbed: Reference, sizes: Sequence[int]) -> Row:
    """Gives runs a disk of so many KiB, and a larger one when the command is given again."""
    failures, ended, disk = [], 0, folder / "disk"
    for size in sizes:
        with _mounted(disk, f"size={size}k") as mounted:
            if not mounted:
                return _with_small_files(folder, undisturbed, sizes)
            workdir = disk / "run"
            done = Process(tiny.command(workdir), folder / "disk.log").wait()
            done = done or Done(None, "did not end")
            ended += done.status == 0
            problem = _told_or_unharmed(done)
            if done.status == 1 and "no space left" not in done.said.lower():
                problem = f"does not say that the disk is full: {_last(done.said)}"
            subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
            if problem := problem or _continued(workdir, undisturbed.left):
                failures.append(f"{size} KiB: {problem}")
    note = f"tmpfs of {sizes[0]} to {sizes[-1]} KiB; {ended} had room enough"
    return Row("a full disk", len(sizes), failures, note)


def _with_small_files(folder: pathlib.Path, undisturbed: Reference, sizes: Sequence[int]) -> Row:
    """Lets no file of a run be larger than so many KiB, where nothing may be mounted."""
    failures = []
    for size in sizes:
        workdir = folder / f"small{size}"
        done = tiny.run(workdir, prepare=functools.partial(limit_files, size))
        if problem := _told_or_unharmed(done) or _continued(workdir, undisturbed.left):
            failures.append(f"{size} KiB: {problem}")
    return Row("a full disk", len(sizes), failures, "as the largest size of a file")


def limit_files(size: int) -> None:
    """Lets this process write no file of more KiB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size << 10, resource.RLIM_INFINITY))


@contextlib.contextmanager
def _mounted(folder: pathlib.Path, options: str) -> Iterator[bool]:
    """Mounts a file system in memory; tells whether that is allowed."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True
    )
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def _read_only(folder: pathlib.Path) -> Iterator[pathlib.Path | None]:
    if os.getuid() != 0:
        folder.mkdir(mode=0o555)
        yield folder
        return
    with _mounted(folder, "ro") as mounted:  # permissions do not bind root
        yield folder if mounted else None
