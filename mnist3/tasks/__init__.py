"""The tasks, by name: what is predicted of an image.

A task is one module and one line in `REGISTRY`. Nobody outside this package asks which task it is:
what differs between tasks is a method of theirs.
"""

from ml_collections import ConfigDict

from mnist3.data.numbers import DIGITS, digit_range
from mnist3.tasks.classes import Binary, Classes, Pair, of_column
from mnist3.tasks.images import Denoise
from mnist3.tasks.labels import Labels
from mnist3.tasks.numbers import Number
from mnist3.tasks.strings import String
from mnist3.tasks.task import Examples, Predictions, Task

__all__ = [
    "DIGITS",
    "REGISTRY",
    "Examples",
    "Predictions",
    "Task",
    "create",
    "of_column",
    "readers_text",
]

REGISTRY: dict[str, type[Task]] = {
    "number": Number,
    "string": String,
    "multiclass": Classes,
    "binary": Binary,
    "pair": Pair,
    "multilabel": Labels,
    "denoise": Denoise,
}


def create(
    config: ConfigDict,
    classes: tuple[str, ...] = DIGITS,
    positions: int | tuple[int, int] = 1,
) -> Task:
    """Returns the task that a config's section `task` describes.

    Args:
        config: the section, whose `name` is one of `REGISTRY`.
        classes: names of the classes of the source.
        positions: K, digits an image; of strings the fewest and the most.

    Raises:
        UserError: if a field of the section cannot be used.
    """
    return REGISTRY[config.name].create(config, classes, digit_range(positions)[1])


def readers_text() -> str:
    """Returns what to do where a run is wanted that reads numbers: the tasks that do."""
    reading = [
        name
        for name, each in REGISTRY.items()
        if create(ConfigDict({"name": name, **each.fields})).number_lengths
    ]
    return f"give a run of one of the tasks {', '.join(reading)}"
