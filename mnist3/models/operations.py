"""How many floating-point operations a model takes, layer by layer, counted from shapes alone.

They are those of the layers with a kernel: two (a multiplication and an addition) for each element
of the kernel and each place that it is applied to. A training step has three times as many as the
forward pass: forward, gradient of the inputs and gradient of the kernel; the first layer needs no
gradient of its inputs. Everything else that a step does (augmentation, pooling, ReLU, loss, the
optimizer) takes time but counts for nothing.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
from flax import linen as nn

from mnist3.models.ensemble import Ensemble


class Layer(NamedTuple):
    """A layer that has parameters of its own.

    Attributes:
        name: path of its parameters, joined by slashes.
        output: shape of what it returns, of a whole batch.
        parameters: numbers that they hold.
        operations: of a forward pass with the batch; 0 without a kernel.
    """

    name: str
    output: tuple[int, ...]
    parameters: int
    operations: int


def layers(model: nn.Module, images: jax.ShapeDtypeStruct) -> list[Layer]:
    """Returns the layers of a model in the order in which they are computed; computes none.

    Args:
        model: from images as float32 ink, or feature vectors, to logits; a single network, not an
            ensemble.
        images: shape and dtype of a batch.
    """
    found: list[Layer] = []

    def note(call, arguments, keywords, context):
        output = call(*arguments, **keywords)
        module = context.module
        own = module.variables.get("params", {}) if context.method_name == "__call__" else {}
        own = {name: each for name, each in own.items() if hasattr(each, "shape")}
        if own:
            parameters = sum(math.prod(each.shape) for each in own.values())
            operations = _operations(own["kernel"].shape, output.shape) if "kernel" in own else 0
            found.append(Layer("/".join(module.path), output.shape, parameters, operations))
        return output

    def initialise(images):
        with nn.intercept_methods(note):
            return model.init(jax.random.key(0), images)

    jax.eval_shape(initialise, images)
    return found


def _operations(kernel: tuple[int, ...], output: tuple[int, ...]) -> int:
    # A kernel with three axes is a stack, a matrix for each position of the output.
    applied_to_itself = kernel[-1] * (kernel[0] if len(kernel) == 3 else 1)
    return 2 * math.prod(kernel) * (math.prod(output) // applied_to_itself)


def forward_operations(model: nn.Module, images: jax.ShapeDtypeStruct) -> dict[str, int]:
    """Returns the floating-point operations of each layer with a kernel, first layer first.

    Args:
        model: see `layers`.
        images: shape and dtype of a batch.
    """
    return {each.name: each.operations for each in layers(model, images) if each.operations}


def training_operations(forward: Mapping[str, int]) -> int:
    """Returns the floating-point operations of a training step with this forward pass."""
    first, *others = forward.values()
    return 2 * first + 3 * sum(others)


def members_of(model: nn.Module) -> tuple[nn.Module, int]:
    """Returns the network that an ensemble has several of, and how many; else the model and 1."""
    if isinstance(model, Ensemble):
        return model.members[0].clone(parent=None), len(model.members)
    return model, 1


def step_operations(model: nn.Module, batch: int, size: tuple[int, ...]) -> int:
    """Returns the floating-point operations of a training step.

    Args:
        model: a network, or an ensemble, of which each member takes an equal share of the batch.
        batch: inputs of a step.
        size: shape of one of them.
    """
    network, members = members_of(model)
    share = jax.ShapeDtypeStruct((batch // members, *size), "float32")
    return members * training_operations(forward_operations(network, share))
