"""What a field of a config may hold, whatever the run: its type and its range; and a network's."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from mnist3 import models
from mnist3.config import OPEN, fields
from mnist3.errors import UserError, nearest
from mnist3.tasks.task import Task
from mnist3.training import optimizer

LARGEST_SEED = 2**32 - 1  # JAX's keys and NumPy's generators take so many bits
POSITIVE = (
    "data.digits",
    "data.height",
    "data.width",
    "data.train_examples",
    "data.val_examples",
    "data.test_examples",
    "optimizer.learning_rate",
    "training.batch_size",
    "training.cpu_micro_batch",
    "search.iterations",
)
SHARES = (
    "data.val_fraction",
    "optimizer.momentum",
    "optimizer.warmup",
    "training.label_smoothing",
    "training.ema_decay",
    "evaluation.wanted_error",
)
SEEDS = ("seed", "data.seed")
LEAST_FOLDS = ("search.folds", "compare.folds")


def choices_of_networks() -> Mapping[str, Sequence[str]]:
    """Returns the names that fields of a network's sections may have."""
    return {
        "model.name": tuple(models.REGISTRY),
        "optimizer.name": tuple(optimizer.OPTIMIZERS),
        "optimizer.schedule": tuple(optimizer.SCHEDULES),
        "training.dtype": ("float32", "bfloat16"),
    }


def require_known(field: str, value: Any, known: Sequence[str]) -> None:
    """Checks a value, or the items of a tuple, that name something.

    Raises:
        UserError: names what the first unknown one looks like.
    """
    several = isinstance(value, tuple)
    for each in value if several else (value,):
        if each not in known:
            raise UserError(
                f"config.{field} {'has' if several else 'is'} {each!r}; did you mean "
                f"{nearest(str(each), tuple(known))!r}? "
                f"{'It takes' if several else 'It is one of'} {', '.join(known)}."
            )


def require_type(name: str, value: Any, default: Any) -> None:
    """Checks that a field's value is of the type of its default.

    Raises:
        UserError: if not.
    """
    if name == "data.digits" and isinstance(value, int) and isinstance(default, tuple):
        value = (value, value)  # strings of one length
    if isinstance(default, tuple):
        texts = name.endswith(("learners", "experiments", "tags", "init_skip"))
        kind = str if texts else type(default[0]) if default else int
        right = isinstance(value, tuple) and all(type(item) is kind for item in value)
        lowest = 0 if name.startswith("task.") else 1
        example = {int: "(32, 64)", float: "(0.5, 1.5)"}.get(kind, "('a', 'b')")
        if not right or (kind is int and not all(item >= lowest for item in value)):
            raise UserError(
                f'config.{name} is {value!r}; give a tuple, as in --config.{name}="{example}".'
            )
    elif not isinstance(value, type(default)) or isinstance(value, bool) != isinstance(
        default, bool
    ):
        raise UserError(
            f"config.{name} is {value!r}, of type {type(value).__name__}; it takes a "
            f"{type(default).__name__} such as {default!r}."
        )


def require_range(name: str, value: Any) -> None:
    """Checks that a field's value is finite, and not too low or too high.

    Raises:
        UserError: says what it may be.
    """
    if name.startswith(OPEN):
        return
    each = value if isinstance(value, tuple) else (value,)
    if not all(math.isfinite(item) for item in each if isinstance(item, float)):
        raise UserError(f"config.{name} is {value}; give finite numbers.")
    if name in POSITIVE and not isinstance(value, tuple) and not value > 0:
        raise UserError(f"config.{name} is {value}; give a value above 0.")
    if name in SHARES and not 0 <= value < 1:
        raise UserError(f"config.{name} is {value}; give a value from 0 to below 1.")
    if name in LEAST_FOLDS and value < 2:
        raise UserError(f"config.{name} is {value}; give at least 2.")
    if name in SEEDS and value > LARGEST_SEED:
        raise UserError(
            f"config.{name} is {value}, which random numbers would take for another seed; give "
            f"one from 0 to {LARGEST_SEED}."
        )
    if isinstance(value, int | float) and value < 0:
        raise UserError(f"config.{name} is {value}; give a value of 0 or above.")


def require_network(config: ConfigDict, reference: ConfigDict, task: Task) -> None:
    """Checks the sections of a network, which is to learn a task from images or feature vectors.

    Args:
        config: with the sections of a network, and the size of an image in data.
        reference: a config with the defaults of the same fields.
        task: to learn.

    Raises:
        UserError: names the first field whose value cannot be used and what it may be.
    """
    values, choices = dict(fields(config)), choices_of_networks()
    for name, default in fields(reference):
        if name in choices:
            require_known(name, values[name], choices[name])
        if not name.startswith("model."):  # whose values the models check
            require_type(name, values[name], default)
            require_range(name, values[name])
    require_model(config, task.positions, task.outputs, task.name, task.model_output)


def require_model(config: ConfigDict, positions: int, outputs: int, task: str, output: str) -> None:
    """Checks that a config's model takes images of their size and computes what a task needs.

    Args:
        config: with the sections model and data.
        positions: K, digits of a number.
        outputs: logits of each.
        task: its name.
        output: what a model for it computes, see `Task.model_output`.

    Raises:
        UserError: names the first field that cannot be used and what it may be.
    """
    models.check(config.model, config.data.height, config.data.width, positions, outputs)
    if models.output(config.model.name) != output:
        raise UserError(
            f"config.model.name={config.model.name} does not fit the task {task}, which needs "
            f"a model of {output}; set another of both."
        )
