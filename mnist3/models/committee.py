"""Several networks that learn side by side and answer together."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


def first_network(
    model: nn.Module, params: Mapping[str, Any]
) -> tuple[nn.Module, Mapping[str, Any]]:
    """Returns one network with its parameters: the first of a committee, or else the model."""
    if isinstance(model, Committee):
        return model.members[0], params["members_0"]
    return model, params


class Committee(nn.Module):
    """Networks with initial parameters of their own, whose mean log-probability is the answer.

    In training the images are dealt out: each member learns from a share of every batch, so that
    the arithmetic of a step is that of one network, but for the optimizer's. As the loss is the
    mean over the batch, a member's gradient is that of its share divided by the members, which
    adam and muon do not mind and sgd does. To read takes as many times as long as there are
    members.

    Source: D. Ciresan, U. Meier and J. Schmidhuber, Multi-column deep neural networks for image
    classification, 2012 (arXiv:1202.2745), who average probabilities.

    Attributes:
        members: the networks, all alike.
    """

    members: tuple[nn.Module, ...]

    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch *outputs"]:
        """Returns logits of images with ink from 0 to 1.

        In training the batch is a multiple of the members, and each image has the logits of one of
        them; else its log-probabilities are the mean over all.
        """
        return self.read(self.cut(images), train)

    def cut(
        self, images: Float[Array, "batch height width"]
    ) -> Float[Array, "windows rows columns"]:
        """Returns what the members see of images: windows around digits, or the images."""
        cut = getattr(self.members[0], "cut", None)
        return cut(images) if cut else images

    def read(
        self, windows: Float[Array, "windows rows columns"], train: bool = False
    ) -> Float[Array, "batch *outputs"]:
        """Returns the logits, as `__call__`, of images that `cut` has cut."""
        readers: list[Callable] = [getattr(member, "read", member) for member in self.members]
        if train:
            shares = jnp.split(windows, len(readers))
            dealt = zip(readers, shares, strict=True)
            return jnp.concatenate([read(share, train=True) for read, share in dealt])
        return jnp.mean(jnp.stack([jax.nn.log_softmax(read(windows)) for read in readers]), axis=0)
