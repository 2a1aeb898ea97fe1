"""The entry point: `python -m experiments.textbook --help` lists the flags."""

import sys

from mnist3 import runtime

if __name__ == "__main__":
    runtime.prepare_process()

    from absl import flags

    from experiments.textbook import command

    command.define_flags()
    flags.adopt_module_key_flags(command)
    sys.exit(command.main(sys.argv))
