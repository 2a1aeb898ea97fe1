"""What differs between two runs of one command, left out of what they have written."""

from collections.abc import Mapping
from typing import Any


def without_times(value: Any, *others: str) -> Any:
    """Returns the content of a JSON file without times, date, commit, and other fields by name."""
    if isinstance(value, Mapping):
        return {
            name: without_times(part, *others)
            for name, part in value.items()
            if "second" not in name and name not in ("date", "commit", *others)
        }
    return [without_times(part, *others) for part in value] if isinstance(value, list) else value
