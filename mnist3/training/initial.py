"""Initial parameters taken from those of another run, as far as they fit."""

import fnmatch
from collections.abc import Sequence
from typing import NamedTuple

import optax
from flax import traverse_util

from mnist3.errors import UserError

SHOWN = 6  # names in a sentence


class Initial(NamedTuple):
    """Initial parameters and where they come from; paths are joined by slashes, sorted.

    Attributes:
        params: with the paths, shapes and dtypes of the model's own.
        taken: paths whose values are the other run's.
        new: the model's paths that stay as they were drawn.
        left: the other run's paths that were not taken: skipped, of another shape, or not in the
            model.
    """

    params: optax.Params
    taken: tuple[str, ...]
    new: tuple[str, ...]
    left: tuple[str, ...]


def take_parameters(
    initial: optax.Params, other: optax.Params, skip: Sequence[str] = ()
) -> Initial:
    """Returns initial parameters with those of another run wherever path and shape are the same.

    Args:
        initial: the model's own, as drawn.
        other: of another run; their dtype becomes the model's.
        skip: what to leave: paths, beginnings of paths (`heads` for `heads/bias`) or patterns with
            `*`, `?` and `[...]` over whole paths (`*/bias`).

    Raises:
        UserError: if one of `skip` matches no parameter of the other run, or none can be taken.
    """
    own = traverse_util.flatten_dict(initial, sep="/")
    others = traverse_util.flatten_dict(other, sep="/")
    for pattern in skip:
        if not any(_matches(path, pattern) for path in others):
            raise UserError(
                f"config.training.init_skip has {pattern!r}, which is none of the parameters of "
                f"the run to start from; there are {_names(sorted(others))}."
            )
    taken = {
        path
        for path in own.keys() & others.keys()
        if own[path].shape == others[path].shape
        and not any(_matches(path, pattern) for pattern in skip)
    }
    if not taken:
        raise UserError(
            "no parameter of the run in config.training.init_from has the name and shape of one "
            f"here: there are {_names(sorted(others))} there and {_names(sorted(own))} here; give "
            "a run of a model alike, or skip fewer with config.training.init_skip."
        )
    params = {
        path: others[path].astype(leaf.dtype) if path in taken else leaf
        for path, leaf in own.items()
    }
    return Initial(
        params=traverse_util.unflatten_dict(params, sep="/"),
        taken=tuple(sorted(taken)),
        new=tuple(sorted(own.keys() - taken)),
        left=tuple(sorted(others.keys() - taken)),
    )


def describe(initial: Initial, source: str) -> str:
    """Returns a sentence that says what was taken from where, what is new and what was left.

    Args:
        initial: what `take_parameters` returned.
        source: name of the other run.
    """
    counts = f"{len(initial.taken)} of {len(initial.taken) + len(initial.new)} parameters"
    parts = [f"{counts} taken from {source}: {_names(initial.taken)}"]
    if initial.new:
        parts.append(f"new: {_names(initial.new)}")
    if initial.left:
        parts.append(f"left there: {_names(initial.left)}")
    return "; ".join(parts)


def _matches(path: str, pattern: str) -> bool:
    return path.startswith(f"{pattern.rstrip('/')}/") or fnmatch.fnmatchcase(path, pattern)


def _names(paths: Sequence[str]) -> str:
    more = len(paths) - SHOWN
    return ", ".join(paths[:SHOWN]) + (f" and {more} more" if more > 0 else "")
