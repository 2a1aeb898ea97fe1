"""The parts of a training, put together from its config."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, Key
from ml_collections import ConfigDict

from mnist3 import models
from mnist3.config import of_replicate
from mnist3.tasks import Task
from mnist3.training import kept, population, program
from mnist3.training.optimizer import create_optimizer
from mnist3.training.state import TrainState, create_state

AUTOMATIC_EPOCHS = 3
AUTOMATIC_STEPS = 600  # at least, of a training whose config says no epochs


@dataclasses.dataclass(frozen=True)
class Run:
    """What a config makes, before any data is seen.

    Attributes:
        config: the whole config.
        task: that is learned.
        model: from images to logits.
        optimizer: with its schedule over all steps.
        epochs: of the whole training.
        steps: in an epoch.
        size: (height, width) of the images, px.
        seeds: of the replicates, which differ in nothing else.
        mesh: the devices on the axes `replicate` and `data`.
        sharing: devices that share a batch which is read, of which the mesh has a part where other
            processes have the others; 0 where it has all.
        configs: the config of each replicate alone, where several candidates train together; ()
            where replicates differ in their seed.
    """

    config: ConfigDict
    task: Task
    model: nn.Module
    optimizer: optax.GradientTransformation
    epochs: int
    steps: int
    size: tuple[int, int]
    seeds: tuple[int, ...]
    mesh: Mesh
    sharing: int = 0
    configs: tuple[ConfigDict, ...] = ()

    def keys(self, replicate: int = 0) -> tuple[jax.Array, jax.Array]:
        """Returns the keys of the initial parameters and of the epochs of a replicate."""
        return keys_of(self.seeds[replicate])

    def initial_state(self, replicate: int = 0) -> TrainState:
        """Returns the state of a replicate before the first step, on every device."""
        state = self._create_state_compiled(self.keys(replicate)[0])
        return program.put_everywhere(state, self.mesh)

    @functools.cached_property
    def _create_state_compiled(self):
        return kept.Program(jax.jit(self.create_state), f"state of {self.about}")

    @functools.cached_property
    def about(self) -> str:
        """Says all that programs of the run are made from, see `mnist3.training.kept`.

        Seeds are arguments of programs, as are numbers of candidates.
        """
        read = population.about(self.config, self.numbers)
        parts = (self.task, self.model, self.epochs, self.steps, self.size, dict(self.mesh.shape))
        return repr((read, *parts))

    def replicate(self, place: int) -> "Run":
        """Returns the parts of the training of one replicate, on as many devices as it had.

        They are those of the first, so that one program reads with each of the replicates; of them
        those of this process, which has to be the first.
        """
        row = self.mesh.devices[:1]
        own = [each for each in row.flat if each.process_index == jax.process_index()]
        changes: dict[str, Any] = {}
        if len(own) < row.size:
            changes["sharing"] = row.size
            row = np.asarray([own if row.size % len(own) == 0 else own[:1]])
        elif len(self.seeds) == 1:
            return self
        if len(self.seeds) > 1:
            seed = self.seeds[place]
            config = self.configs[place] if self.configs else of_replicate(self.config, seed)
            changes |= {"config": config, "seeds": (seed,), "configs": ()}
        return dataclasses.replace(self, mesh=Mesh(row, self.mesh.axis_names), **changes)

    def of_candidate(self, place: int) -> "Run":
        """Returns the parts of the training with the config of the candidate of a replicate."""
        return dataclasses.replace(self, config=self.configs[place]) if self.configs else self

    def name(self, place: int) -> str:
        """Returns what tells a replicate from the others."""
        replicate = f"the replicate of seed {self.seeds[place]}"
        if not self.configs:
            return replicate
        return f"{replicate} with {population.words(self.configs[place], self.numbers)}"

    @functools.cached_property
    def numbers(self) -> population.Numbers:
        """In what replicates of several candidates differ, on their devices; {} of one."""
        found = population.numbers_of(self.configs, self.steps * self.epochs)
        return jax.device_put(found, NamedSharding(self.mesh, PartitionSpec("replicate")))

    def own_config(self, numbers: population.Numbers) -> ConfigDict:
        """Returns the config of a candidate, in a program that reads its numbers."""
        return population.with_numbers(self.config, numbers)

    def own(self, numbers: population.Numbers) -> program.Own:
        """Returns what a candidate has of its own, in a program that reads its numbers."""
        config = self.own_config(numbers)
        model, steps = _model(config, self.task), self.steps * self.epochs
        optimizer = create_optimizer(config.optimizer, steps, numbers.get(population.RATES))
        return program.Own(model, optimizer, config)

    def state_shapes(self) -> TrainState:
        """Returns shapes, dtypes and places of a state without computing one."""
        return self._state_shapes

    @functools.cached_property
    def _state_shapes(self) -> TrainState:
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere),
            jax.eval_shape(self.create_state, self.keys()[0]),
        )

    def create_state(self, key: jax.Array) -> TrainState:
        """Returns the state before the first step, with initial parameters drawn with the key."""
        averaged = self.config.training.ema_decay > 0
        return create_state(key, self.model, self.optimizer, self.size, averaged)


def keys_of(seed: int | Int[Array, ""]) -> tuple[jax.Array, jax.Array]:
    """Returns the keys of the initial parameters and of the epochs of a run with this seed."""
    return _keys(np.int64(seed) if isinstance(seed, int) else seed)


def epoch_keys(seeds: Sequence[int], epoch: int) -> Key[Array, "replicates"]:
    """Returns the key of an epoch of the run with each of the seeds."""
    return _epoch_keys(np.asarray(seeds, np.int64), np.uint32(epoch))


def _split(seed: Int[Array, ""]) -> tuple[jax.Array, jax.Array]:
    return tuple(jax.random.split(jax.random.key(seed)))


_keys = kept.Program(jax.jit(_split), "keys of a seed")
_epoch_keys = kept.Program(
    jax.jit(
        jax.vmap(lambda seed, epoch: jax.random.fold_in(_split(seed)[1], epoch), in_axes=(0, None))
    ),
    "keys of an epoch",
)


def assemble(
    config: ConfigDict,
    task: Task,
    train_examples: int,
    seeds: tuple[int, ...] = (),
    devices: Sequence[jax.Device] | None = None,
) -> Run:
    """Returns the parts of a training.

    Args:
        config: the whole config.
        task: that is learned.
        train_examples: images an epoch.
        seeds: of the replicates; () for one, of the config's seed.
        devices: to train on; None for those of this process.
    """
    seeds = seeds or (config.seed,)
    steps = max(1, train_examples // config.training.batch_size)
    epochs = config.training.epochs
    if not epochs:
        epochs, steps = AUTOMATIC_EPOCHS, max(AUTOMATIC_STEPS // AUTOMATIC_EPOCHS, steps)
    return Run(
        config=config,
        task=task,
        model=_model(config, task),
        optimizer=create_optimizer(config.optimizer, steps * epochs),
        epochs=epochs,
        steps=steps,
        size=(config.data.height, config.data.width),
        seeds=seeds,
        mesh=program.create_mesh(len(seeds), devices),
    )


def assemble_population(candidates: Sequence[ConfigDict], task: Task, train_examples: int) -> Run:
    """Returns the parts of a training of candidates side by side.

    Args:
        candidates: the config of each, or of each replicate of each, with one seed; alike as
            `population.likeness` says.
        task: that is learned.
        train_examples: images an epoch.
    """
    seeds = tuple(each.seed for each in candidates)
    run = assemble(candidates[0], task, train_examples, seeds)
    return dataclasses.replace(run, configs=tuple(candidates))


def _model(config: ConfigDict, task: Task) -> nn.Module:
    return models.create(config.model, task.positions, task.outputs, config.training.dtype)
