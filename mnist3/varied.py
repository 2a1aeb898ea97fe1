"""Numbers of a config of which each candidate that one program trains has its own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Num

from mnist3.errors import UserError


@jax.tree_util.register_pytree_node_class
class Varied:
    """A number that is not known before a program runs, standing in a config where a number does.

    Arithmetic with it gives traced arrays, as arithmetic with a number gives them. It is true and
    equals nothing else, so that what any number but the default turns on is on. It cannot say of
    which size an array is to be; `largest` can, which all candidates share.

    Args:
        field: of the config, dotted.
        value: of a candidate; weakly typed, as a Python number is.
        complement: 1 less the value, rounded once, as that of a Python number would be.
        largest: number that the value of no candidate exceeds.
    """

    def __init__(self, field: str, value: Any, complement: Any, largest: float | int):
        self.field, self.value, self.complement = field, value, complement
        self.largest = largest

    def tree_flatten(self) -> tuple[tuple[Any, Any], tuple[str, float | int]]:
        """Returns the arrays, and what is known without them."""
        return (self.value, self.complement), (self.field, self.largest)

    @classmethod
    def tree_unflatten(cls, known: tuple[str, float | int], arrays: tuple[Any, Any]) -> "Varied":
        """Returns what `tree_flatten` took apart."""
        return cls(known[0], *arrays, known[1])

    def __jax_array__(self) -> Num[Array, ""]:
        return self.value

    def __add__(self, other: Any) -> Array:
        return self.value + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Array:
        return self.value - other

    def __rsub__(self, other: Any) -> Array:
        if isinstance(other, int | float) and other == 1:
            return self.complement
        return other - self.value

    def __neg__(self) -> Array:
        return -self.value

    def __mul__(self, other: Any) -> Array:
        return self.value * other

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Array:
        return self.value / other

    def __rtruediv__(self, other: Any) -> Array:
        return other / self.value

    def __pow__(self, other: Any) -> Array:
        return self.value**other

    def __lt__(self, other: Any) -> Array:
        return self.value < other

    def __le__(self, other: Any) -> Array:
        return self.value <= other

    def __gt__(self, other: Any) -> Array:
        return self.value > other

    def __ge__(self, other: Any) -> Array:
        return self.value >= other

    def _unknown(self, *others: Any) -> NoReturn:
        raise UserError(
            f"config.{self.field} says how a program is built, so candidates that one program "
            "trains cannot differ in it; compare runs of their own with --mode=compare."
        )

    __int__ = __index__ = __float__ = __round__ = __floordiv__ = __mod__ = _unknown


if TYPE_CHECKING:  # to whoever computes with it, it is a number
    Scalar = float
else:
    Scalar = float | int | Varied


def largest(value: Scalar) -> float | int:
    """Returns a number as it is, and of one that candidates have their own of a bound of all."""
    return value.largest if isinstance(value, Varied) else value


def side_by_side(values: Sequence[Scalar]) -> Float32[Array | np.ndarray, "values"]:
    """Returns numbers as an array, which is not traced unless candidates have their own."""
    if not any(isinstance(each, Varied) for each in values):
        return np.array(values, np.float32)
    return jnp.stack([jnp.asarray(each, jnp.float32) for each in values])


def of_candidates(field: str, values: Sequence[float | int], highest: float | int) -> Varied:
    """Returns a number of a field with an axis of candidates, see `Varied`.

    Args:
        field: of the config, dotted.
        values: one a candidate.
        highest: number that none of them exceeds.
    """
    own, complements = (
        jnp.stack([jnp.asarray(each) for each in some])  # which leaves them weakly typed
        for some in (values, [1 - each for each in values])
    )
    return Varied(field, own, complements, highest)
