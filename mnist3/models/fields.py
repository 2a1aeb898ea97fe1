"""The config fields of a model: declared in its class, and what each may hold.

Every attribute of a module's class with a default is a field of the config's section `model`, but
for the few that `models.create` sets itself.
"""

import dataclasses
import math
import typing
from collections.abc import Sequence
from typing import Any

from flax import linen as nn

from mnist3.errors import UserError, nearest

SET_BY_CREATE = ("digits", "classes", "trunk", "dtype")
_OF_LINEN = ("parent", "name")


def field(
    default: Any,
    at_least: int | float = -math.inf,
    below: int | float = math.inf,
    choices: Sequence[Any] = (),
) -> Any:
    """Returns the default of a module's attribute, with the values that a config may give it.

    Args:
        default: of the attribute and of its config field.
        at_least: the smallest value; of a tuple, the smallest item.
        below: what the value, or each item of a tuple, must be smaller than.
        choices: all values that there are; () for any within the limits.
    """
    limits = {"at_least": at_least, "below": below, "choices": tuple(choices)}
    return dataclasses.field(default=default, metadata=limits)


def of_class(cls: type[nn.Module]) -> dict[str, dataclasses.Field]:
    """Returns the config fields that a module's class declares, by name.

    Raises:
        ValueError: if an attribute has no default.
    """
    own = {
        each.name: each
        for each in dataclasses.fields(cls)
        if each.init and each.name not in (*SET_BY_CREATE, *_OF_LINEN)
    }
    for name, each in own.items():
        if each.default is dataclasses.MISSING:
            raise ValueError(
                f"{cls.__name__}.{name} has no default; give it one, which is then that of "
                f"config.model.{name} (create sets {', '.join(SET_BY_CREATE)} alone)"
            )
    return own


def check(declared: dataclasses.Field, value: Any) -> None:
    """Checks the value that a config has for a field.

    Raises:
        UserError: if it is of another type than the default or out of the field's limits.
    """
    name, default, limits = declared.name, declared.default, declared.metadata
    low, below = limits.get("at_least", -math.inf), limits.get("below", math.inf)
    choices = limits.get("choices", ())
    if choices and value not in choices:
        words = [*map(str, choices)]
        raise UserError(
            f"config.model.{name} is {value!r}; did you mean {nearest(str(value), words)!r}? "
            f"It is one of {', '.join(words)}."
        )
    items = value if isinstance(default, tuple) else (value,)
    kind = _type_of_items(declared)
    if not isinstance(items, tuple) or not all(_is_a(kind, item) for item in items):
        wanted = f"one of type {kind.__name__}"
        if isinstance(default, tuple):
            wanted = f"a tuple of {kind.__name__}, as in {default or (kind(8),)}"
        raise UserError(
            f"config.model.{name} is {value!r}, of type {type(value).__name__}; give {wanted}."
        )
    if kind in (int, float) and not all(low <= item < below for item in items):
        bounds = f"from {low} to below {below}" if below < math.inf else f"of {low} or above"
        what = "items" if isinstance(default, tuple) else "a value"
        raise UserError(f"config.model.{name} is {value}; give {what} {bounds}.")


def _type_of_items(declared: dataclasses.Field) -> type:
    """Returns the type of a field's value, or of a tuple's items; object for any."""
    if not isinstance(declared.default, tuple):
        return object if declared.default is None else type(declared.default)
    if declared.default:
        return type(declared.default[0])
    arguments = typing.get_args(declared.type)
    return arguments[0] if arguments and isinstance(arguments[0], type) else object


def _is_a(kind: type, value: Any) -> bool:
    """Tells whether a value is of a type; whole numbers are floats too, True is no number."""
    if isinstance(value, bool) and kind is not object:
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
