"""What a config may hold: types, choices, ranges, and what goes with what."""

import math
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from mnist3.config import (
    CHOICES,
    OPEN,
    TABULAR_ESTIMATORS,
    base,
    fields,
    nearest,
)
from mnist3.errors import UserError

MAXIMAL_CNN_DIGITS = 4
OF_COMPARISONS = ("compare.", "wandb.", "search.folds", "seed")  # all that they look at
POSITIVE = (
    "data.digits",
    "data.height",
    "data.width",
    "data.train_examples",
    "data.val_examples",
    "data.test_examples",
    "model.stem",
    "model.stem_stride",
    "model.glances",
    "model.convolutions",
    "model.members",
    "optimizer.learning_rate",
    "training.epochs",
    "training.batch_size",
    "training.cpu_micro_batch",
    "search.iterations",
)
SHARES = (
    "data.val_fraction",
    "model.dropout",
    "optimizer.momentum",
    "optimizer.warmup",
    "training.label_smoothing",
    "training.ema_decay",
)
_TUPLES = {  # the type of the items, and the lowest of numbers
    "model.channels": (int, 1),
    "model.hidden": (int, 1),
    "tabular.estimators": (str, None),
    "task.pair": (int, 0),
    "compare.experiments": (str, None),
    "wandb.tags": (str, None),
}


def _require_type(name: str, value: Any, default: Any) -> None:
    if isinstance(default, tuple):
        kind, lowest = _TUPLES[name]
        right = isinstance(value, tuple) and all(type(item) is kind for item in value)
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


def require_choices(config: ConfigDict) -> None:
    """Checks every value that is one of a few words.

    Raises:
        UserError: names the first field whose value is none of them and the one it looks like.
    """
    values = dict(fields(config))
    for name, choices in CHOICES.items():
        if values[name] not in choices:
            raise UserError(
                f"config.{name} is {values[name]!r}; did you mean "
                f"{nearest(str(values[name]), choices)!r}? It is one of {', '.join(choices)}."
            )


def validate(config: ConfigDict) -> None:
    """Checks every value that has a limited range.

    Raises:
        UserError: names the first field whose value cannot be used and what it may be.
    """
    values = dict(fields(config))
    for name, default in fields(base()):
        _require_type(name, values[name], default)
    require_choices(config)
    for name in POSITIVE:
        if not values[name] > 0:
            raise UserError(f"config.{name} is {values[name]}; give a value above 0.")
    for name in SHARES:
        if not 0 <= values[name] < 1:
            raise UserError(f"config.{name} is {values[name]}; give a value from 0 to below 1.")
    for name, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and value < 0 and not name.startswith(OPEN):
            raise UserError(f"config.{name} is {value}; give a value of 0 or above.")
    _require_compare(config)
    if config.search.folds < 2:
        raise UserError(f"config.search.folds is {config.search.folds}; give at least 2.")
    _require_tabular(config)
    _require_task(config)
    if config.data.shifted_copies:
        _require_shifted_copies(config)
    _require_size(config)
    if config.model.name == "cnn" and config.data.digits > MAXIMAL_CNN_DIGITS:
        raise UserError(
            f"config.model.name=cnn needs one output a number, 10^{config.data.digits} here; "
            f"use multihead for more than {MAXIMAL_CNN_DIGITS} digits."
        )
    if config.data.name == "single_digit" and config.data.digits != 1:
        raise UserError(
            f"config.data.name=single_digit holds one digit an image but config.data.digits is "
            f"{config.data.digits}; set it to 1 or choose config.data.name=composed."
        )


def _require_known(field: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise UserError(
                f"config.{field} has {name!r}; did you mean {nearest(name, known)!r}? It takes "
                f"{', '.join(known)}."
            )


def _require_compare(config: ConfigDict) -> None:
    if not config.compare.experiments:
        return
    defaults = dict(fields(base()))
    for name, value in fields(config):
        own = name.startswith(OF_COMPARISONS)
        if not own and (name not in defaults or value != defaults[name]):
            raise UserError(
                f"config.{name} is of the experiments that are compared; set it there, by a "
                "variant of experiments/compare.py or a flag in each text of "
                "config.compare.experiments."
            )


def _require_shifted_copies(config: ConfigDict) -> None:
    if config.task.name == "number":
        raise UserError(
            "config.data.shifted_copies is of tasks of one digit; set config.augmentation.shift."
        )
    if config.search.method != "none":
        raise UserError(
            f"config.data.shifted_copies would put copies of one image into several folds of "
            f"config.search.method={config.search.method}; search without copies."
        )


def _require_size(config: ConfigDict) -> None:
    """Checks that the stem's stride and the max-pools leave a feature of what the trunk sees."""
    model, height, width = config.model, config.data.height, config.data.width
    if model.name not in ("cnn", "multihead"):
        return
    if model.name == "multihead" and model.crop_height:
        height, width = model.crop_height, math.ceil(width / config.data.digits)
    border = 4 if model.stem_padding == "VALID" else 0  # the stem is 5x5
    pools = len(model.channels) + (model.name == "cnn")  # which pools once more after the trunk
    if math.ceil((min(height, width) - border) / model.stem_stride) < 2**pools:
        raise UserError(
            f"config.model.channels has {len(model.channels)} stages, which leave {model.name} "
            f"nothing of {height}x{width} px; take fewer channels or a smaller stem_stride."
        )


def _require_task(config: ConfigDict) -> None:
    task, digits = config.task, range(10)
    changed = next((name for name, _ in fields(config.estimator.parameters)), None)
    if changed and task.name == "number" and config.data.name != "tabular":
        raise UserError(
            f"config.estimator.parameters.{changed} is of estimators, which the task number has "
            "not; set a field of config.model, config.optimizer or config.training."
        )
    for name, value in (("digit", task.digit), ("large", task.large)):
        if value not in digits:
            raise UserError(f"config.task.{name} is {value}; give a digit from 0 to 9.")
    if len(set(task.pair)) != 2 or len(task.pair) != 2 or not set(task.pair) <= {*digits}:
        raise UserError(
            f"config.task.pair is {task.pair}; give two different digits, as in "
            '--config.task.pair="(3, 5)".'
        )
    if not 0 < task.noise <= 255:
        raise UserError(f"config.task.noise is {task.noise}; give a grey level from 1 to 255.")
    if task.name != "number" and config.data.name != "single_digit":
        raise UserError(
            f"config.task.name={task.name} is of images of one digit but config.data.name is "
            f"{config.data.name}; set it to single_digit."
        )
    if task.name == "number" and config.estimator.name != "flax":
        raise UserError(
            f"config.estimator.name={config.estimator.name} does not fit the task number, which "
            "Flax models alone read; set config.estimator.name=flax or another config.task.name."
        )
    if task.name != "denoise" and config.model.name == "denoiser":
        raise UserError(
            f"config.model.name=denoiser does not fit the task {task.name}; set "
            "config.task.name=denoise or another config.model.name."
        )


def _require_tabular(config: ConfigDict) -> None:
    remedies = {
        "estimator.name": "name the estimators in config.tabular.estimators",
        "estimator.scale": "leave it, for every estimator of a table gets scaled columns",
        "task.": "leave it, for config.data.target says what is predicted",
    }
    if config.data.name == "tabular":
        defaults = dict(fields(base()))
        for name, value in fields(config):
            for prefix, remedy in remedies.items():
                if name.startswith(prefix) and value != defaults[name]:
                    raise UserError(f"config.{name} is not for tables; {remedy}.")
    _require_known("tabular.estimators", config.tabular.estimators, TABULAR_ESTIMATORS)
    if not config.tabular.estimators:
        raise UserError(
            f"config.tabular.estimators is empty; give some of {', '.join(TABULAR_ESTIMATORS)}."
        )
