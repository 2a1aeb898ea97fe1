"""Reads over 10,000 damaged files and prints, by format, what came of them.

python -m tests.fuzz                    # all; an hour on two cores
python -m tests.fuzz --share=0.01 CSV   # a hundredth of one
"""

import argparse
import sys

from tests.fuzz.fuzzing import fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Prints a row a format as soon as it is known; 1 if a file was not read as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=" | ".join(TARGETS))
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs of the long form")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    failures = 0
    print("| files | inputs | read | refused | failed | most MiB | slowest, s |")
    print("| --- | --: | --: | --: | --: | --: | --: |", flush=True)
    for name in chosen.targets:
        inputs = max(1, round(chosen.share * TARGETS[name].inputs))
        found = fuzz(name, inputs, chosen.seed)
        counts = " | ".join(str(found.outcomes[each]) for each in ("read", "refused", "failed"))
        print(
            f"| {name} | {inputs} | {counts} | {found.memory} | {found.slowest:.1f} |", flush=True
        )
        failures += len(found.failures)
        for failure in found.failures:
            print(f"{name}: {failure}", file=sys.stderr, flush=True)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
