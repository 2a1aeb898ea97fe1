"""The command `mnist3`, which is also `python -m mnist3` and `python launch.py`."""

import os
import sys

from mnist3.errors import missing_library


def main() -> int:
    """Prepares the process, hands over to the command line and returns the exit status."""
    try:
        from mnist3 import runtime

        runtime.prepare_process()  # before all that would be imported twice
        from mnist3 import hosts, parents

        status = parents.main(hosts.cluster(), sys.argv)
        if status is not None:
            return status

        from mnist3.jobs import command_line
    except ModuleNotFoundError as error:
        sentence = missing_library(error)
        if sentence is None:
            raise
        print(f"Error: {sentence}", file=sys.stderr)
        return 1
    if os.getcwd() not in sys.path:  # as for `python launch.py`: experiments import each other
        sys.path.insert(0, os.getcwd())
    return command_line.main(sys.argv, alone=True)


if __name__ == "__main__":
    sys.exit(main())
