"""The one error that users meet."""


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one sentence: what was wrong, where, and what to do. `launch.py` prints it
    without a traceback and exits with status 1.
    """
