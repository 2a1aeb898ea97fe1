"""What training changes: parameters, their moving average, the optimizer's state."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from mnist3.varied import Scalar


class TrainState(NamedTuple):
    """Everything that the next step needs.

    Attributes:
        step: int32 [], steps taken.
        params: the model's parameters, float32.
        average: their exponential moving average, or None without one.
        opt_state: of the optimizer.
    """

    step: jax.Array
    params: optax.Params
    average: optax.Params | None
    opt_state: optax.OptState

    @property
    def inference_params(self) -> optax.Params:
        """The parameters to read images with: the average where there is one."""
        return self.params if self.average is None else self.average


def create_state(
    key: jax.Array,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    image_size: tuple[int, ...],
    averaged: bool,
) -> TrainState:
    """Returns the state before the first step, initial parameters drawn with the key.

    The size is (height, width) of an image in px, or the length of a feature vector alone.
    """
    params = model.init(key, jnp.zeros((1, *image_size)))["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        average=jax.tree.map(jnp.copy, params) if averaged else None,
        opt_state=optimizer.init(params),
    )


def update_average(
    average: optax.Params | None, params: optax.Params, step: jax.Array, decay: Scalar
) -> optax.Params | None:
    """Returns the moving average after a step; it follows closely in the first steps."""
    if average is None:
        return None
    weight = 1 - jnp.minimum(decay, (1 + step) / (10 + step))
    return optax.incremental_update(params, average, weight)
