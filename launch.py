"""The one entry point: flags in, a job out. `python launch.py --help` lists the flags."""

import sys

from mnist3.errors import missing_library

if __name__ == "__main__":
    try:
        from mnist3 import runtime

        runtime.prepare_process()

        from mnist3.jobs import command_line
    except ModuleNotFoundError as error:
        sentence = missing_library(error)
        if sentence is None:
            raise
        sys.exit(f"Error: {sentence}")
    sys.exit(command_line.main(sys.argv))
