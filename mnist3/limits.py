"""What single values of a config may be: types, choices and ranges."""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import models, tasks
from mnist3.config import OPEN, fields
from mnist3.data import dataset, sources
from mnist3.errors import UserError, nearest
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
)
SEEDS = ("seed", "data.seed")
LEAST_FOLDS = ("search.folds", "compare.folds")
_WORDS = {  # fields whose values are not entries of a registry
    "data.numbers": ("shared", "disjoint"),
    "data.digit_images": ("shared", "disjoint"),
    "data.composition.ink": ("max", "sum", "over"),
    "search.method": ("none", "grid", "random", "halving"),
    "compare.by": ("val", "cross_validation"),
    "training.dtype": ("float32", "bfloat16"),
    "wandb.mode": ("auto", "online", "offline", "disabled"),
}


def choices(kind: str) -> Mapping[str, Sequence[str]]:
    """Returns the names that each field of a kind of run may have."""
    return _WORDS | {
        "data.name": tuple(dataset.REGISTRY),
        "data.source": tuple(sources.REGISTRY),
        "task.name": tuple(name for name, each in tasks.REGISTRY.items() if each.kind == kind),
        "model.name": tuple(models.REGISTRY),
        "optimizer.name": tuple(optimizer.OPTIMIZERS),
        "optimizer.schedule": tuple(optimizer.SCHEDULES),
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


def require_choices(config: ConfigDict) -> None:
    """Checks every value that is one of a few words.

    Raises:
        UserError: names the first field whose value is none of them and the one it looks like.
    """
    values = dict(fields(config))
    for name, known in choices(config.kind).items():
        if name in values:
            require_known(name, values[name], known)


def require_type(name: str, value: Any, default: Any) -> None:
    """Checks that a value is of the type of its default.

    Raises:
        UserError: if it is not.
    """
    if isinstance(default, tuple):
        kind = str if name.endswith(("learners", "experiments", "tags", "init_skip")) else int
        right = isinstance(value, tuple) and all(type(item) is kind for item in value)
        lowest = 0 if name.startswith("task.") else 1
        example = "(32, 64)" if kind is int else "('a', 'b')"
        if not right or (kind is int and not all(item >= lowest for item in value)):
            raise UserError(
                f'config.{name} is {value!r}; give a tuple, as in --config.{name}="{example}".'
            )
    elif not isinstance(value, type(default)):
        raise UserError(
            f"config.{name} is {value!r}, of type {type(value).__name__}; it takes a "
            f"{type(default).__name__} such as {default!r}."
        )


def require_range(name: str, value: Any) -> None:
    """Checks that a number is in its range.

    Raises:
        UserError: says what it may be.
    """
    if name in POSITIVE and not value > 0:
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
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and value < 0 and not name.startswith(OPEN):
        raise UserError(f"config.{name} is {value}; give a value of 0 or above.")


def require_network(config: ConfigDict, outputs: int) -> None:
    """Checks the sections of a network alone.

    Args:
        config: with the sections `data`, `model`, `optimizer`, `training` and `augmentation`.
        outputs: logits of an input.

    Raises:
        UserError: names the first field whose value cannot be used and what it may be.
    """
    sections = tuple(f"{name}." for name in ("optimizer", "training", "augmentation"))
    values, known = dict(fields(config)), choices(config.kind)
    for name, default in fields(configs.numbers()):
        if name.startswith(sections):
            require_type(name, values[name], default)
            require_range(name, values[name])
            if name in known:
                require_known(name, values[name], known[name])
    models.check(config.model, config.data.height, config.data.width, 1, outputs)
