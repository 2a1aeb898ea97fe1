"""The models, by name."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from mnist3.models.cnn import CNN
from mnist3.models.logistic import Logistic
from mnist3.models.multihead import MultiHead

REGISTRY = {"logistic": Logistic, "cnn": CNN, "multihead": MultiHead}


def create(config: ConfigDict, digits: int, dtype: str = "float32") -> nn.Module:
    """Returns the model that a config's section `model` describes, for numbers of `digits`."""
    cls = REGISTRY[config.name]
    options = {
        field: config[field]
        for field in cls.__dataclass_fields__
        if field in config and field != "name"
    }
    return cls(digits=digits, dtype=jnp.dtype(dtype), **options)


def parameter_count(params: dict) -> int:
    """Returns how many numbers the parameters hold."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
