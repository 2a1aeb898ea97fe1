"""The parts of a run, put together from its config."""

import dataclasses

import jax
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int
from ml_collections import ConfigDict

from mnist3 import models
from mnist3.training import program
from mnist3.training.optimizer import create_optimizer
from mnist3.training.state import TrainState, create_state


@dataclasses.dataclass(frozen=True)
class Run:
    """What a config makes, before any data is seen.

    Attributes:
        config: the whole config.
        model: from images to logits.
        optimizer: with its schedule over all steps.
        steps: in an epoch.
        mesh: all local devices on the axis `data`.
    """

    config: ConfigDict
    model: nn.Module
    optimizer: optax.GradientTransformation
    steps: int
    mesh: Mesh

    def keys(self) -> tuple[jax.Array, jax.Array]:
        """Returns the keys of the initial parameters and of the epochs."""
        return keys_of(self.config.seed)

    def initial_state(self) -> TrainState:
        """Returns the state before the first step, on every device."""
        return program.replicate(jax.jit(self.create_state)(self.keys()[0]), self.mesh)

    def state_shapes(self) -> TrainState:
        """Returns shapes, dtypes and places of a state without computing one."""
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere),
            jax.eval_shape(self.create_state, self.keys()[0]),
        )

    def create_state(self, key: jax.Array) -> TrainState:
        """Returns the state before the first step, with initial parameters drawn with the key."""
        size = (self.config.data.height, self.config.data.width)
        averaged = self.config.training.ema_decay > 0
        return create_state(key, self.model, self.optimizer, size, averaged)


def keys_of(seed: int | Int[Array, ""]) -> tuple[jax.Array, jax.Array]:
    """Returns the keys of the initial parameters and of the epochs of a run with this seed."""
    return tuple(jax.random.split(jax.random.key(seed)))


def assemble(config: ConfigDict, train_examples: int) -> Run:
    """Returns the parts of a run with so many training images an epoch."""
    steps = max(1, train_examples // config.training.batch_size)
    return Run(
        config=config,
        model=models.create(config.model, config.data.digits, 10, config.training.dtype),
        optimizer=create_optimizer(config.optimizer, steps * config.training.epochs),
        steps=steps,
        mesh=program.create_mesh(),
    )
