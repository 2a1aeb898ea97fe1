"""The models, by name."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from mnist3.models.cnn import CNN
from mnist3.models.committee import Committee
from mnist3.models.denoiser import Denoiser
from mnist3.models.logistic import Logistic
from mnist3.models.mlp import MLP
from mnist3.models.multihead import MultiHead
from mnist3.models.trunk import Trunk

REGISTRY = {
    "logistic": Logistic,
    "cnn": CNN,
    "multihead": MultiHead,
    "mlp": MLP,
    "denoiser": Denoiser,
}


def config_fields(names=None) -> dict[str, Any]:
    """Returns the fields of `config.model` beside its name."""
    fields = {
        "stem": 16,
        "stem_stride": 2,
        "stem_padding": "SAME",
        "channels": (32, 64),
        "convolutions": 2,
        "glances": 4,
        "crop_height": 0,
        "hidden": (),
        "dropout": 0.0,
    }
    return fields if names is None else {"hidden": (), "dropout": 0.0}


def create(config: ConfigDict, digits: int, dtype: str = "float32", classes: int = 10) -> nn.Module:
    """Returns the model that a config's section `model` describes.

    Args:
        config: the section `model` of a config.
        digits: K, positions of a number; the denoiser has none.
        dtype: of the arithmetic.
        classes: of each position.
    """
    if config.members > 1:
        one = config.copy_and_resolve_references()
        one.members = 1
        return Committee(tuple(create(one, digits, dtype, classes) for _ in range(config.members)))
    values = {**config, "digits": digits, "classes": classes, "dtype": jnp.dtype(dtype)}
    return _build(REGISTRY[config.name], {**values, "trunk": _build(Trunk, values)})


def _build(cls: type[nn.Module], values: Mapping[str, Any]) -> nn.Module:
    """Returns a module with those values that are attributes of its class."""
    fields = cls.__dataclass_fields__.keys() & values.keys() - {"name"}
    return cls(**{field: values[field] for field in fields})


def parameter_count(params: dict) -> int:
    """Returns how many numbers the parameters hold."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
