"""Optimizers and learning-rate schedules, by name."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

MUON_LONGEST_SIDE = 512  # orthogonalising a larger matrix costs more than the step it improves


OPTIMIZERS = dict.fromkeys(("sgd", "adam", "adamw", "muon"))
SCHEDULES = dict.fromkeys(("constant", "cosine", "one_cycle"))


def create_schedule(config: ConfigDict, steps: int) -> optax.Schedule:
    """Returns the learning rate of each step.

    Args:
        config: the section `optimizer` of a config.
        steps: of the whole training.
    """
    peak, warmup = config.learning_rate, round(config.warmup * steps)
    if config.schedule == "constant":
        return optax.schedules.constant_schedule(peak)
    if config.schedule == "cosine":
        return optax.schedules.warmup_cosine_decay_schedule(0.0, peak, warmup, max(steps, 1))
    # One cycle (Smith & Topin 2018, arXiv:1708.07120) in its linear form.
    return optax.schedules.join_schedules(
        [
            optax.schedules.linear_schedule(peak / 25, peak, warmup),
            optax.schedules.linear_schedule(peak, 0.0, max(steps - warmup, 1)),
        ],
        [warmup],
    )


def _map_kernels(function: Callable[[jax.Array], Any], default: Any, params: optax.Params) -> Any:
    """Applies a function to the parameters named kernel; the others get the default."""

    def of_leaf(path, leaf):
        return function(leaf) if getattr(path[-1], "key", None) == "kernel" else default

    return jax.tree_util.tree_map_with_path(of_leaf, params)


_is_kernel = functools.partial(_map_kernels, lambda leaf: True, False)


def _as_matrix(kernel: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
    """Tells muon to see a kernel as a matrix from its inputs to its outputs, or leaves it to adam.

    Kernels of convolutions have several axes of inputs; one of three axes is a stack of matrices.
    """
    inputs = (1,) if kernel.ndim == 3 else tuple(range(kernel.ndim - 1))
    shorter = min(math.prod(kernel.shape[axis] for axis in inputs), kernel.shape[-1])
    if shorter > MUON_LONGEST_SIDE:
        return None
    return optax.contrib.MuonDimensionNumbers(reduction_axis=inputs, output_axis=kernel.ndim - 1)


def create_optimizer(config: ConfigDict, steps: int) -> optax.GradientTransformation:
    """Returns the optimizer that a config's section `optimizer` describes.

    Weight decay acts on kernels alone: as an L2 penalty for sgd and adam, decoupled (Loshchilov &
    Hutter 2019, arXiv:1711.05101) for adamw and muon. Muon is that of Jordan et al. 2024
    (https://kellerjordan.github.io/posts/muon). All that is not a kernel, and kernels of more than
    512 inputs and as many outputs, it leaves to adam with Nesterov momentum, without weight decay
    and with a first-moment decay of 0.9 whatever the config's momentum.

    Args:
        config: the section `optimizer` of a config.
        steps: of the whole training, for the schedule.
    """
    rate, momentum, decay = (
        create_schedule(config, steps),
        config.momentum,
        config.weight_decay,
    )
    penalty = optax.add_decayed_weights(decay, _is_kernel) if decay else optax.identity()
    optimizers = {
        "sgd": lambda: optax.chain(penalty, optax.sgd(rate, momentum or None, nesterov=True)),
        "adam": lambda: optax.chain(penalty, optax.adam(rate, b1=momentum)),
        "adamw": lambda: optax.adamw(rate, b1=momentum, weight_decay=decay, mask=_is_kernel),
        "muon": lambda: optax.contrib.muon(
            rate,
            beta=momentum,
            weight_decay=decay,
            muon_weight_dimension_numbers=functools.partial(_map_kernels, _as_matrix, None),
            consistent_rms=0.2,
        ),
    }
    optimizer = optimizers[config.name]()
    if config.gradient_clip:
        return optax.chain(optax.clip_by_global_norm(config.gradient_clip), optimizer)
    return optimizer
