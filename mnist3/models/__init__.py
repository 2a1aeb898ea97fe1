"""The models, by name.

A new model is a file with a Flax Linen module and a line in `REGISTRY`. The module's attributes
with a default are fields of the config's section `model` (see `mnist3.models.fields`); it is given
`digits`, `classes`, `dtype` and a `trunk` if it has attributes of these names. It takes a batch of
images, ink from 0 to 1, and `train`; it returns logits of `[batch, digits, classes]`, or of
`[batch, classes^digits]` for whole numbers; where its class has `output = "columns"`, logits of
`[batch, columns, classes]`, the last class being the blank; where it has `output = "images"`,
cleaned images. A model may have more:

- `check(height, width)` raises a UserError for images that it cannot take; a model that has it
  takes images alone, and no feature vectors;
- `cut(images)` returns windows around the digits and `read(windows)` their logits, where the call
  is `read(cut(images))`: the windows can then be moved by pixels when predictions are averaged.
"""

import functools
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from mnist3.models import ensemble, fields
from mnist3.models.cnn import CNN
from mnist3.models.denoiser import Denoiser
from mnist3.models.ensemble import first_member
from mnist3.models.logistic import Logistic
from mnist3.models.mlp import MLP
from mnist3.models.multihead import MultiHead
from mnist3.models.renaming import RENAMED_PARAMETERS, rename_parameters
from mnist3.models.sequence import Sequence
from mnist3.models.trunk import Trunk

__all__ = [
    "REGISTRY",
    "RENAMED_PARAMETERS",
    "check",
    "config_fields",
    "create",
    "first_member",
    "needs_images",
    "output",
    "parameter_count",
    "rename_parameters",
]

REGISTRY = {
    "multihead": MultiHead,
    "cnn": CNN,
    "mlp": MLP,
    "logistic": Logistic,
    "denoiser": Denoiser,
    "sequence": Sequence,
}


def _has_trunk(model: Any) -> bool:
    return "trunk" in model.__dataclass_fields__


def create(config: ConfigDict, digits: int, classes: int, dtype: str = "float32") -> nn.Module:
    """Returns the model that a config's section `model` describes.

    Args:
        config: the section `model` of a config.
        digits: K, positions of a number.
        classes: of each position.
        dtype: of the arithmetic.
    """
    build = functools.partial(_create_one, config, digits, classes, dtype)
    return ensemble.create(build, config.get("members", 1))


def _create_one(config: ConfigDict, digits: int, classes: int, dtype: str) -> nn.Module:
    values = {**config, "digits": digits, "classes": classes, "dtype": jnp.dtype(dtype)}
    return _build(REGISTRY[config.name], {**values, "trunk": _build(Trunk, values)})


def _build(cls: type[nn.Module], values: Mapping[str, Any]) -> nn.Module:
    """Returns a module with those values that are attributes of its class."""
    attributes = cls.__dataclass_fields__.keys() & values.keys() - {"name"}
    return cls(**{name: values[name] for name in attributes})


def config_fields(names: Collection[str] = ()) -> dict[str, Any]:
    """Returns the config fields of models, each with its default.

    Args:
        names: of the models; empty for all.

    Raises:
        ValueError: if two models give a field different defaults, or one of them none.
    """
    defaults: dict[str, Any] = {}
    declared_by: dict[str, str] = {}
    chosen = [REGISTRY[name] for name in names or REGISTRY]
    with_trunk = any(_has_trunk(cls) for cls in chosen)
    for cls in (*[Trunk] * with_trunk, *chosen):
        for name, declared in fields.of_class(cls).items():
            default = defaults.setdefault(name, declared.default)
            first = declared_by.setdefault(name, cls.__name__)
            if (type(default), default) != (type(declared.default), declared.default):
                raise ValueError(
                    f"{name} is {default!r} in {first} and {declared.default!r} in "
                    f"{cls.__name__}; config.model.{name} has one default: give both the same, or "
                    "one of them another name"
                )
    return defaults


def check(config: ConfigDict, height: int, width: int, digits: int, classes: int) -> None:
    """Checks that a config's section `model` describes a model of images of this size.

    Args:
        config: the section `model` of a config, whose name is one of `REGISTRY`.
        height: of an image, px.
        width: of an image, px.
        digits: K, positions of a number.
        classes: of each position.

    Raises:
        UserError: names the first field that cannot be used and what it may be.
    """
    cls = REGISTRY[config.name]
    for part in (cls, Trunk) if _has_trunk(cls) else (cls,):
        for name, declared in fields.of_class(part).items():
            fields.check(declared, config[name])
    ensemble.check(config.get("members", 1))
    if hasattr(cls, "check"):
        _create_one(config, digits, classes, "float32").check(height, width)


def output(name: str) -> str:
    """Returns what the model of this name computes: `logits` of classes, `columns`, or `images`."""
    return getattr(REGISTRY[name], "output", "logits")


def needs_images(name: str) -> bool:
    """Tells whether the model of this name takes images alone, and no feature vectors."""
    return hasattr(REGISTRY[name], "check")


def parameter_count(params: Mapping[str, Any]) -> int:
    """Returns how many numbers the parameters hold."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
