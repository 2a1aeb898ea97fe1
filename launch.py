"""The one entry point: flags in, a job out. `.venv/bin/python launch.py --help` lists the flags.

`.venv/bin/mnist3` does the same.
"""

import sys

from mnist3.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
