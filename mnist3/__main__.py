"""The command `mnist3`, which is also `python -m mnist3` and `python launch.py`."""

import os
import sys


def main() -> int:
    """Prepares the process, hands over to the command line and returns the exit status."""
    try:
        from mnist3 import runtime

        runtime.prepare_process()
        from absl import flags

        from mnist3.jobs import command_line
    except ModuleNotFoundError as error:
        print(
            f"Error: {sys.executable} has no library {error.name}; run `make run` once, which "
            "installs everything into .venv, then this command with .venv/bin/python or as "
            ".venv/bin/mnist3.",
            file=sys.stderr,
        )
        return 1
    if os.getcwd() not in sys.path:  # as for `python launch.py`: experiments import each other
        sys.path.insert(0, os.getcwd())
    for flag in flags.FLAGS.get_key_flags_for_module(command_line.__name__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)  # what --help lists
    return command_line.main(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
