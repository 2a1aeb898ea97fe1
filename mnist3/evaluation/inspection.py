"""What a Flax model looks at: filters, feature maps and the gradient of its answer by pixel."""

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
    model: nn.Module, params: Mapping[str, Any], images: Float[Array, "batch height width"]
) -> Float[Array, "batch height width"]:
    """Returns by how much the logit of what was read changes with each pixel; pure.

    Of a model with several positions the logits of all of them are summed.

    Args:
        model: takes images.
        params: its parameters.
        images: with ink from 0 to 1.

    Returns:
        the gradient: positive where more ink would make the model surer.

    Source: K. Simonyan, A. Vedaldi and A. Zisserman, Deep inside convolutional networks:
    visualising image classification models and saliency maps, ICLR workshop 2014.
    """

    def surest(images: Array) -> Array:
        return jnp.asarray(model.apply({"params": params}, images)).max(axis=-1).sum()

    return jax.grad(surest)(images)


def convolutions(
    model: nn.Module, params: Mapping[str, Any], images: Float[Array, "batch height width"]
) -> list[tuple[str, Float[Array, "_ rows columns channels"]]]:
    """Returns what each convolution of a model makes of images, in the model's order; pure.

    Args:
        model: takes images.
        params: its parameters.
        images: with ink from 0 to 1.

    Returns:
        the layer's path, and its output after the ReLU; of a model that cuts windows around digits
        that of every window.
    """
    order = {}  # the state holds them in the order of their names

    def is_convolution(module: nn.Module, method: str) -> bool:
        if not isinstance(module, nn.Conv) or method != "__call__":
            return False
        order["/".join(module.path)] = None
        return True

    _, state = model.apply(
        {"params": params}, images, capture_intermediates=is_convolution, mutable=["intermediates"]
    )
    found: Any = traverse_util.flatten_dict(state.get("intermediates", {}), sep="/")
    return [(path, nn.relu(found[f"{path}/__call__"][0])) for path in order]


Maps = dict[str, Float[np.ndarray, "rows columns channels"]]


def create_feature_maps(
    model: nn.Module, params: Mapping[str, Any]
) -> Callable[[Float[Any, "height width"]], Maps]:
    """Returns what gives the feature maps of one image after the other, compiled for each size.

    Args:
        model: takes images `[batch, height, width]`.
        params: its parameters.

    Returns:
        from an image with ink from 0 to 1 to the output of each convolution after the ReLU, by the
        layer's path, in the model's order; of windows around digits that of the first.
    """
    paths: list[str] = []

    @jax.jit
    def compute(params: Mapping[str, Any], image: Array) -> list[Array]:
        found = convolutions(model, params, image[None])
        paths[:] = [path for path, _ in found]
        return [maps[0].astype(jnp.float32) for _, maps in found]

    def feature_maps(image: Float[Any, "height width"]) -> Maps:
        found = jax.device_get(compute(params, jnp.asarray(image)))
        return dict(zip(paths, found, strict=True))

    return feature_maps


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
