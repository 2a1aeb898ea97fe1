"""The one entry point: flags in, a job out. `python launch.py --help` lists the flags."""

import sys

from mnist3 import runtime

if __name__ == "__main__":
    runtime.prepare_process()

    from absl import flags

    from mnist3.jobs import command_line

    flags.adopt_module_key_flags(command_line)
    sys.exit(command_line.main(sys.argv))
