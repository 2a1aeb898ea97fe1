"""Reads damaged files in a process of its own, which is watched: its errors, time and memory."""

import contextlib
import json
import multiprocessing
import os
import pathlib
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from typing import NamedTuple

from tests.fuzz.targets import TARGETS

HANG = 10  # s of the processor for one input
STUCK = 120.0  # s of the clock, where a process waits for something
SMALL = 1 << 16  # bytes of a file that is read before the first input, with all imports
LONGEST = 1600  # letters of a sentence
MEMORY = 1 << 20  # KiB that a process may take more than before its first input


class Found(NamedTuple):
    """What came of a target.

    Attributes:
        name: of the target.
        inputs: that were read.
        outcomes: how many were read, refused with a sentence, or neither.
        failures: a line each: the place of the input, the sound file, and what happened.
        memory: MiB that it took at most, more than before.
        slowest: s of the processor.
    """

    name: str
    inputs: int
    outcomes: Counter[str]
    failures: list[str]
    memory: int
    slowest: float


def fuzz(name: str, inputs: int, seed: int = 0, first: int = 0) -> Found:
    """Reads so many damaged files of a target; its process begins anew after one that it dies of.

    Args:
        name: of the target.
        inputs: to read.
        seed: of all that is random.
        first: input; each is the same wherever it begins.
    """
    outcomes, failures, memory, slowest = Counter(), [], 0, 0.0
    with tempfile.TemporaryDirectory(prefix="mnist3-fuzz-") as scratch:
        report = pathlib.Path(scratch, "report")
        done = 0
        while done < inputs:
            report.write_bytes(b"")
            ended = _watched(name, seed, first + done, first + inputs, scratch, report)
            lines = [json.loads(line) for line in report.read_text().splitlines()]
            begun = [line for line in lines if "path" in line]
            results = [line for line in lines if "outcome" in line]
            for start, result in zip(begun, results, strict=False):
                outcomes[result["outcome"]] += 1
                memory = max(memory, result["memory"])
                slowest = max(slowest, result["seconds"])
                if result["outcome"] == "failed":
                    failures.append(f"{start['index']}, {start['path']}: {result['said']}")
            done += len(results)
            if len(begun) > len(results):  # it died of the last one
                outcomes["failed"] += 1
                failures.append(f"{begun[-1]['index']}, {begun[-1]['path']}: {ended}")
                done += 1
            elif ended:
                raise RuntimeError(f"the process that reads {name} failed by itself: {ended}")
    return Found(name, done, outcomes, failures, memory, slowest)


def _watched(
    name: str, seed: int, start: int, stop: int, scratch: str, report: pathlib.Path
) -> str:
    """Runs `_read_all` in a process, and returns how it ended, "" if well."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_read_all, args=(name, seed, start, stop, scratch, report))
    process.start()
    size, changed = 0, time.monotonic()
    while process.exitcode is None:
        process.join(0.2)
        if report.stat().st_size != size:
            size, changed = report.stat().st_size, time.monotonic()
        elif size and time.monotonic() - changed > STUCK:
            process.kill()
            process.join()
            return f"waited for over {STUCK:.0f} s"
    if process.exitcode == -signal.SIGPROF:
        return f"took over {HANG} s"
    if process.exitcode == _TOO_MUCH_MEMORY:
        return ""
    return f"the process died with {process.exitcode}" if process.exitcode else ""


_TOO_MUCH_MEMORY = 77  # status of a process that begins anew since its highest mark is useless now


def _read_all(
    name: str, seed: int, start: int, stop: int, scratch: str, report: pathlib.Path
) -> None:
    os.environ.setdefault("MNIST3_CACHE_DIR", os.path.join(scratch, "cache"))
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    warnings.simplefilter("ignore")
    from mnist3.data.images import UnreadableImage
    from mnist3.errors import UserError

    target = TARGETS[name]
    sound = pathlib.Path(scratch, "sound")
    shutil.rmtree(sound, ignore_errors=True)
    sound.mkdir()
    target.make(sound)
    files = target.damaged(sound)
    work = pathlib.Path(scratch, "work")
    for path in [path for path in files if path.stat().st_size < SMALL]:  # with all imports
        _copy(sound, work)
        with contextlib.suppress(UserError, UnreadableImage):
            target.read(work, work / path.relative_to(sound))
    idle = _highest_memory()
    with report.open("a", buffering=1) as told:
        for index in range(start, stop):
            random_ = random.Random(f"{seed} {name} {index}")
            path = files[index % len(files)]
            _copy(sound, work)
            damaged = work / path.relative_to(sound)
            if (content := target.mutate(random_, path.read_bytes())) != path.read_bytes():
                damaged.unlink()  # and not the sound file, which it is a link to
                damaged.write_bytes(content)
            print(json.dumps({"index": index, "path": path.name}), file=told)
            signal.setitimer(signal.ITIMER_PROF, HANG)
            started, said, outcome = time.process_time(), "", "read"
            try:
                target.read(work, damaged)
            except (UserError, UnreadableImage) as error:
                outcome, said = "refused", str(error)
                if not said.isprintable() or not 0 < len(said) < LONGEST:
                    outcome = "failed"
            except BaseException:
                outcome, said = "failed", traceback.format_exc()[-1500:]
            seconds = time.process_time() - started
            signal.setitimer(signal.ITIMER_PROF, 0)
            memory = _highest_memory() - idle
            if memory > MEMORY:
                outcome, said = "failed", f"took {memory >> 10} MiB; {said}"
            line = {"outcome": outcome, "said": said, "memory": memory >> 10, "seconds": seconds}
            print(json.dumps(line), file=told)
            if memory > MEMORY:
                raise SystemExit(_TOO_MUCH_MEMORY)


def _copy(sound: pathlib.Path, work: pathlib.Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(sound, work, copy_function=os.link)


def _highest_memory() -> int:
    """Returns the most memory that this process has taken, KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
