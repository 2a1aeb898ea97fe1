"""What a config may hold: types, choices, ranges, and what goes with what."""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import models, tasks
from mnist3.config import KINDS, NETWORK, OPEN, fields
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


def learners() -> tuple[str, ...]:
    """Returns the names of all learners."""
    from mnist3.estimators import registry  # whose networks check their settings here

    return registry.names()


def choices(kind: str) -> Mapping[str, Sequence[str]]:
    """Returns the names that each field of a kind of run may have."""
    return _WORDS | {
        "data.name": tuple(dataset.REGISTRY),
        "data.source": tuple(sources.REGISTRY),
        "task.name": tuple(name for name, each in tasks.REGISTRY.items() if each.kind == kind),
        "learner.name": learners(),
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


def _require_type(name: str, value: Any, default: Any) -> None:
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


def validate(config: ConfigDict) -> None:
    """Checks every value that has a limited range.

    Raises:
        UserError: names the first field whose value cannot be used and what it may be.
    """
    require_known("kind", config.get("kind", ""), KINDS)
    if "learner" in config and "name" in config.learner:
        require_known("learner.name", config.learner.name, learners())
    validate_like(config, configs.reference(config))


def validate_like(config: ConfigDict, reference: ConfigDict) -> None:
    """Checks a config against another whose fields and types it must have."""
    values, defaults = dict(fields(config)), dict(fields(reference))
    for name in values.keys() - defaults.keys():
        if not name.startswith(OPEN):
            raise UserError(
                f"unknown config key config.{name}; did you mean "
                f"config.{nearest(name, list(defaults))}?"
            )
    for name, default in defaults.items():
        if name not in values:
            raise UserError(
                f"config.{name} is missing, which a run of kind {config.kind} reads; begin with "
                f"mnist3.config.{config.kind}()."
            )
        if not name.startswith("model."):
            _require_type(name, values[name], default)
    require_choices(config)
    for name, value in values.items():
        if not name.startswith("model."):
            _require_range(name, value)
    for section, check in _CHECKS.items():
        if section in config:
            check(config)


def validate_network(config: ConfigDict, outputs: int) -> None:
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
            _require_type(name, values[name], default)
            _require_range(name, values[name])
            if name in known:
                require_known(name, values[name], known[name])
    models.check(config.model, config.data.height, config.data.width, 1, outputs)


def _require_range(name: str, value: Any) -> None:
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


def _require_learners(config: ConfigDict) -> None:
    if config.kind != "table":
        return
    from mnist3.estimators import registry

    known = registry.names_of_tables()
    require_known("compare.learners", config.compare.learners, known)
    if not config.compare.learners:
        raise UserError(f"config.compare.learners is empty; give some of {', '.join(known)}.")


def _require_network(config: ConfigDict) -> None:
    if config.learner.name != NETWORK and config.kind == "numbers":
        raise UserError(
            f"config.learner.name={config.learner.name} does not fit the task number, which "
            "networks alone read; set config.learner.name=network or run an experiment such as "
            "experiments/classify.py."
        )


def _require_data(config: ConfigDict) -> None:
    if config.data.get("shifted_copies") and config.search.method != "none":
        raise UserError(
            f"config.data.shifted_copies would put copies of one image into several folds of "
            f"config.search.method={config.search.method}; search without copies."
        )
    if config.data.get("name") == "single_digit" and config.data.digits != 1:
        raise UserError(
            f"config.data.name=single_digit holds one digit an image but config.data.digits is "
            f"{config.data.digits}; set it to 1 or choose config.data.name=composed."
        )


def _require_model(config: ConfigDict) -> None:
    if config.kind == "table":
        return
    task = tasks.REGISTRY[config.task.name]
    data = config.data
    classes = len(sources.REGISTRY[data.source].classes)
    models.check(config.model, data.height, data.width, data.digits, classes)
    if models.output(config.model.name) != task.model_output:
        raise UserError(
            f"config.model.name={config.model.name} does not fit the task {config.task.name}, "
            f"which needs a model of {task.model_output}; set another of both."
        )
    if config.evaluation.shift and not task.reads_views:
        raise UserError(
            f"config.evaluation.shift is {config.evaluation.shift}, but the task "
            f"{config.task.name} has no probabilities of classes to average; set it to 0."
        )


_CHECKS = {
    "compare": _require_learners,
    "task": _require_network,
    "data": _require_data,
    "model": _require_model,
}
