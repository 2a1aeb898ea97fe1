"""What a Flax model looks at: filters, feature maps and the gradient of its answer by pixel."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util
from jaxtyping import Array, Float

from mnist3.errors import UserError


def input_gradients(
    compute_logits: Callable[[Float[Array, "batch height width"]], Float[Array, "batch *outputs"]],
    images: Float[Array, "batch height width"],
) -> Float[Array, "batch height width"]:
    """Returns by how much the logit of what was read changes with each pixel.

    Of a model with several positions the logits of all of them are summed.

    Args:
        compute_logits: of images; a model with its parameters.
        images: with ink from 0 to 1.

    Returns:
        the gradient: positive where more ink would make the model surer.

    Source: K. Simonyan, A. Vedaldi and A. Zisserman, Deep inside convolutional networks:
    visualising image classification models and saliency maps, ICLR workshop 2014.
    """
    return jax.jit(jax.grad(lambda images: compute_logits(images).max(axis=-1).sum()))(images)


def feature_maps(
    model: nn.Module, params: Mapping[str, Any], image: Float[Array, "height width"]
) -> dict[str, Float[np.ndarray, "rows columns channels"]]:
    """Returns what each convolution of a model makes of one image, in the model's order.

    Args:
        model: takes images `[batch, height, width]`.
        params: its parameters.
        image: with ink from 0 to 1.

    Returns:
        by the layer's path, its output after the ReLU.
    """
    order = {}  # a compiled program returns its results in the order of their names

    def is_convolution(module: nn.Module, method: str) -> bool:
        if not isinstance(module, nn.Conv) or method != "__call__":
            return False
        order["/".join(module.path)] = None
        return True

    apply = functools.partial(
        model.apply, capture_intermediates=is_convolution, mutable=["intermediates"]
    )
    _, state = jax.jit(apply)({"params": params}, image[None])
    found = traverse_util.flatten_dict(state.get("intermediates", {}), sep="/")
    return {
        path: np.asarray(jnp.maximum(found[f"{path}/__call__"][0][0], 0), np.float32)
        for path in order
    }


def first_filters(params: Mapping[str, Any]) -> Float[np.ndarray, "height width channels"]:
    """Returns the kernels of a model's first convolution, the one that sees the image.

    Raises:
        UserError: if the model has none.
    """
    for kernel in jax.tree.leaves(params):
        if kernel.ndim == 4 and kernel.shape[2] == 1:  # of one input channel: the image
            return np.asarray(kernel[:, :, 0], np.float32)
    raise UserError(
        "this model has no convolution, so it has no filters to show; use cnn or multihead."
    )
