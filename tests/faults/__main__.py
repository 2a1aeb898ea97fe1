"""Puts a tiny run through what may befall it, and prints what it survived as a table.

python -m tests.faults                 # all, as often as docs/faults.md says: an hour on two cores
python -m tests.faults calls kills     # some
"""

import argparse
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

from tests.faults import tiny, trials
from tests.faults.trials import Reference, Row

Part = Callable[[pathlib.Path, Reference, pathlib.Path], list[Row]]
PARTS: dict[str, Part] = {
    "calls": lambda folder, wanted, cache: [trials.failing_calls(folder)],
    "disk": lambda folder, wanted, cache: [
        trials.on_a_full_disk(folder, wanted, range(64, 1664, 64))
    ],
    "kills": lambda folder, wanted, cache: [trials.killed(folder, wanted, 50)],
    "signals": lambda folder, wanted, cache: [
        trials.asked_to_stop(folder, wanted, 20),
        trials.stopped_in_a_long_epoch(folder, 20, within=20.0, examples=100_000),
    ],
    "together": lambda folder, wanted, cache: [
        *(trials.at_once(folder, wanted, processes, 10) for processes in (2, 4)),
        *(trials.in_one_cache(folder, wanted, processes) for processes in (2, 4)),
    ],
    "around": lambda folder, wanted, cache: [
        trials.with_a_jumping_clock(folder, wanted, 5),
        trials.with_a_home_that_is_read_only(folder, wanted),
        trials.with_a_cache_that_vanishes(folder, wanted, cache, 10),
    ],
}


def main() -> int:
    """Prints a row a kind of trials as soon as it is known; 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", default=list(PARTS), metavar="part", help="|".join(PARTS)
    )
    chosen = parser.parse_args().parts
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"{unknown.pop()} is none of {', '.join(PARTS)}")
    broken = 0
    with tempfile.TemporaryDirectory(prefix="mnist3-faults-") as name:
        folder, cache = pathlib.Path(name), pathlib.Path(name, "cache")
        with tiny.environment(cache):
            wanted = trials.reference(folder)
            print(f"undisturbed: {wanted.seconds:.1f} s\n")
            print("| what | held | note | s |\n| --- | --: | --- | --: |", flush=True)
            for part in chosen:
                started = time.monotonic()
                for row in PARTS[part](folder, wanted, cache):
                    seconds, started = time.monotonic() - started, time.monotonic()
                    held = f"{row.held} of {row.tried}"
                    print(f"| {row.what} | {held} | {row.note} | {seconds:.0f} |", flush=True)
                    broken += len(row.failures)
                    for failure in row.failures:
                        print(f"{row.what}: {failure}", file=sys.stderr)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
