"""Several networks that learn side by side, and the mean of their predictions.

All that the package knows of `config.model.members` but for its default and the size of a batch.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from mnist3.errors import UserError


def check(members: Any) -> None:
    """Checks how many networks a config asks for.

    Raises:
        UserError: if it is none.
    """
    if type(members) is not int or members < 1:
        raise UserError(f"config.model.members is {members!r}; give a value of 1 or above.")


def create(build: Callable[[], nn.Module], members: int) -> nn.Module:
    """Returns what `build` returns, or an ensemble of so many of them.

    Args:
        build: returns a new module.
        members: networks; of 1 no ensemble is made.
    """
    return Ensemble(tuple(build() for _ in range(members))) if members > 1 else build()


def first_member(
    model: nn.Module, params: Mapping[str, Any]
) -> tuple[nn.Module, Mapping[str, Any]]:
    """Returns the first network of an ensemble and its parameters; any other model as it is."""
    if isinstance(model, Ensemble):
        return model.members[0], params["members_0"]
    return model, params


class Ensemble(nn.Module):
    """Networks of one kind with initial parameters of their own, whose predictions are averaged.

    The mean is that of their log-probabilities. In training each network learns from an equal
    share of every batch, so that a step takes the arithmetic of one network, plus the optimizer's
    for each of them. As the loss is the mean over the whole batch, the gradient of one network is
    that of its own share divided by the number of networks: adam and muon, which scale gradients
    anyway, are not affected; sgd takes smaller steps. Prediction costs as many times more as there
    are networks.

    Source: D. Ciresan, U. Meier and J. Schmidhuber, Multi-column deep neural networks for image
    classification, 2012 (arXiv:1202.2745), who average probabilities.

    Attributes:
        members: the networks; their parameters are under `members_0`, `members_1` and so on.
    """

    members: tuple[nn.Module, ...]

    def __call__(
        self, images: Float[Array, "batch height width"], train: bool = False
    ) -> Float[Array, "batch *outputs"]:
        """Returns logits of images with ink from 0 to 1.

        Args:
            images: in training a multiple of the number of networks.
            train: whether each image is seen by one network alone, whose logits it gets; else it
                gets the mean log-probabilities of all.
        """
        return self.read(self.cut(images), train)

    def cut(
        self, images: Float[Array, "batch height width"]
    ) -> Float[Array, "windows rows columns"]:
        """Returns the input of the networks' first layer: windows around digits, or the images."""
        cut = getattr(self.members[0], "cut", None)
        return cut(images) if cut else images

    def read(
        self, windows: Float[Array, "windows rows columns"], train: bool = False
    ) -> Float[Array, "batch *outputs"]:
        """Returns the logits, as `__call__`, of what `cut` returned."""
        readers: list[Callable] = [getattr(member, "read", member) for member in self.members]
        if train:
            shares = jnp.split(windows, len(readers))
            pairs = zip(readers, shares, strict=True)
            return jnp.concatenate([read(share, train=True) for read, share in pairs])
        return jnp.mean(jnp.stack([jax.nn.log_softmax(read(windows)) for read in readers]), axis=0)
