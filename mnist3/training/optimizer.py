"""Optimizers and learning-rate schedules, by name.

A new one is a function and an entry of `OPTIMIZERS` or `SCHEDULES`: a schedule is given the
config's section `optimizer` and the steps of the whole training, an optimizer the section and its
schedule.
"""

import functools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float32, Float64
from ml_collections import ConfigDict

from mnist3.training import kept

MUON_LONGEST_SIDE = 512  # orthogonalising a larger matrix costs more than the step it improves
_PROBED_STEPS = 1_000  # of the training that a schedule is asked about


def _constant(config: ConfigDict, steps: int) -> optax.Schedule:
    """The same learning rate at every step; warmup is not used."""
    del steps
    return optax.schedules.constant_schedule(config.learning_rate)


def _cosine(config: ConfigDict, steps: int) -> optax.Schedule:
    """Linear warmup, then half a cosine to 0 (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    warmup = round(config.warmup * steps)
    return optax.schedules.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, warmup, max(steps, 1)
    )


def _one_cycle(config: ConfigDict, steps: int) -> optax.Schedule:
    """Linear warmup from 1/25, then linearly to 0 (Smith & Topin 2018, arXiv:1708.07120)."""
    peak, warmup = config.learning_rate, round(config.warmup * steps)
    return optax.schedules.join_schedules(
        [
            optax.schedules.linear_schedule(peak / 25, peak, warmup),
            optax.schedules.linear_schedule(peak, 0.0, max(steps - warmup, 1)),
        ],
        [warmup],
    )


SCHEDULES: dict[str, Callable[[ConfigDict, int], optax.Schedule]] = {
    "constant": _constant,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}


def create_schedule(config: ConfigDict, steps: int) -> optax.Schedule:
    """Returns the function from a step to its learning rate; step 0 is the first update.

    Args:
        config: the section `optimizer` of a config.
        steps: of the whole training.
    """
    return SCHEDULES[config.schedule](config, steps)


def learning_rates(configs: Sequence[ConfigDict], steps: int) -> Float32[Array, "candidates steps"]:
    """Returns the learning rate of every step of a training, of candidates side by side.

    Args:
        configs: the section `optimizer` of each candidate's config.
        steps: of the whole training.
    """

    def of_all(at):
        rates = [create_schedule(config, steps)(at) for config in configs]
        return jnp.stack([jnp.broadcast_to(rate, at.shape) for rate in rates])

    return jax.jit(of_all)(jnp.arange(steps)).astype(jnp.float32)


def _rates(config: ConfigDict, steps: int, at: Iterable[int]) -> Float64[np.ndarray, "count"]:
    at = list(at)

    def ask() -> str:
        schedule = create_schedule(config, steps)
        with jax.transfer_guard("allow"):  # a handful of numbers, asked for once
            return json.dumps([float(schedule(step)) for step in at])

    known = kept.text(f"learning rates of {config.to_json()} over {steps} steps at {at}", ask)
    try:
        return np.asarray(json.loads(known), np.float64)
    except ValueError:  # a damaged file of the cache
        return np.asarray(json.loads(ask()), np.float64)


def schedule_ends_at_zero(config: ConfigDict) -> bool:
    """Tells whether the learning rate falls to 0, so that the last checkpoint is the natural one.

    It is the schedule itself that is asked, over a training of 1,000 steps.

    Args:
        config: the section `optimizer` of a config.
    """
    last = _rates(config, _PROBED_STEPS, [_PROBED_STEPS])[0]
    return bool(abs(last) <= 1e-6 * config.learning_rate)


def schedule_extends(config: ConfigDict) -> bool:
    """Tells whether a longer training begins with the same learning rates as a shorter one.

    If so, a finished run may go on for more epochs as if they had been asked for at first. It is
    the schedule itself that is asked, over trainings of 1,000 and 2,000 steps.

    Args:
        config: the section `optimizer` of a config.
    """
    at = range(0, _PROBED_STEPS + 1, _PROBED_STEPS // 20)
    shorter, longer = (_rates(config, steps, at) for steps in (_PROBED_STEPS, 2 * _PROBED_STEPS))
    return np.array_equal(shorter, longer)


def _map_kernels(function: Callable[[jax.Array], Any], default: Any, params: optax.Params) -> Any:
    """Returns a pytree: the function of each parameter named kernel, the default of others."""

    def of_leaf(path, leaf):
        return function(leaf) if getattr(path[-1], "key", None) == "kernel" else default

    return jax.tree_util.tree_map_with_path(of_leaf, params)


_is_kernel = functools.partial(_map_kernels, lambda leaf: True, False)


def _as_matrix(kernel: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
    """Returns which axes of a kernel are rows and columns to muon; None leaves it to adam.

    The last axis has the outputs, the others the inputs; of a kernel with three axes, which is a
    stack of matrices, the first one counts the matrices.
    """
    inputs = (1,) if kernel.ndim == 3 else tuple(range(kernel.ndim - 1))
    shorter = min(math.prod(kernel.shape[axis] for axis in inputs), kernel.shape[-1])
    if shorter > MUON_LONGEST_SIDE:
        return None
    return optax.contrib.MuonDimensionNumbers(reduction_axis=inputs, output_axis=kernel.ndim - 1)


def _penalised(
    config: ConfigDict, optimizer: optax.GradientTransformation
) -> optax.GradientTransformation:
    """Returns an optimizer that has weight decay as an L2 penalty, on kernels alone."""
    decay = config.weight_decay
    penalty = optax.add_decayed_weights(decay, _is_kernel) if decay else optax.identity()
    return optax.chain(penalty, optimizer)


def _sgd(config: ConfigDict, rate: optax.Schedule) -> optax.GradientTransformation:
    """Stochastic gradient descent with Nesterov momentum."""
    return _penalised(config, optax.sgd(rate, config.momentum or None, nesterov=True))


def _adam(config: ConfigDict, rate: optax.Schedule) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980)."""
    return _penalised(config, optax.adam(rate, b1=config.momentum))


def _adamw(config: ConfigDict, rate: optax.Schedule) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101)."""
    return optax.adamw(rate, b1=config.momentum, weight_decay=config.weight_decay, mask=_is_kernel)


def _muon(config: ConfigDict, rate: optax.Schedule) -> optax.GradientTransformation:
    """Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon), decay decoupled.

    Whatever is not a kernel, and kernels with more than 512 inputs and more than 512 outputs, are
    left to adam with Nesterov momentum, without weight decay and with a first-moment decay of 0.9
    whatever the config's momentum.
    """
    return optax.contrib.muon(
        rate,
        beta=config.momentum,
        weight_decay=config.weight_decay,
        muon_weight_dimension_numbers=functools.partial(_map_kernels, _as_matrix, None),
        consistent_rms=0.2,
    )


OPTIMIZERS: dict[str, Callable[[ConfigDict, optax.Schedule], optax.GradientTransformation]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "muon": _muon,
}


def state_structure(config: ConfigDict) -> str:
    """Returns how the state of an optimizer is built, which some of its numbers decide by being 0.

    Args:
        config: the section `optimizer` of a config.
    """
    params = {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}  # of any model
    return str(jax.tree.structure(jax.eval_shape(create_optimizer(config, 1).init, params)))


def create_optimizer(
    config: ConfigDict, steps: int, rates: Float32[Array, "steps"] | None = None
) -> optax.GradientTransformation:
    """Returns the optimizer that a config's section `optimizer` describes.

    Weight decay acts on kernels alone: as an L2 penalty for sgd and adam, decoupled for adamw and
    muon.

    Args:
        config: the section `optimizer` of a config.
        steps: of the whole training, for the schedule.
        rates: of each step, instead of the schedule's; None for those.
    """
    schedule = create_schedule(config, steps) if rates is None else rates.__getitem__
    optimizer = OPTIMIZERS[config.name](config, schedule)
    if config.gradient_clip:
        return optax.chain(optax.clip_by_global_norm(config.gradient_clip), optimizer)
    return optimizer
