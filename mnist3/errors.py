"""The one error that users meet."""

import difflib


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one sentence: what was wrong, where, and what to do. `launch.py` prints it
    without a traceback and exits with status 1.
    """


def nearest(word: str, candidates: list[str] | tuple[str, ...]) -> str:
    """Returns the candidate that looks most like the word."""
    return max(candidates, key=lambda other: difflib.SequenceMatcher(None, word, other).ratio())
