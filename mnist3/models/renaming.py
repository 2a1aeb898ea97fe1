"""Parameters that had another name once, so that old checkpoints can be read."""

from collections.abc import Mapping
from typing import Any

import jax

RENAMED_PARAMETERS = {"heads/gaze": "heads/attention"}  # the last names of a path: old to new


def rename_parameters(tree: Any, renamed: Mapping[str, str] = RENAMED_PARAMETERS) -> Any:
    """Returns a pytree whose parameters have their new names.

    Paths are compared from their ends, so that the parameters of an ensemble's members and the
    copies of the parameters in an optimizer's state are found too. A tree with the new names is
    returned as it is. With old and new exchanged in `renamed`, today's tree gets the names of an
    old checkpoint, as whoever restores one needs.

    Args:
        tree: of dicts, named tuples and any other nodes that JAX knows.
        renamed: new paths by old ones, names joined by /; both have the same parents.
    """
    return _rename(tree, (), {tuple(old.split("/")): new for old, new in renamed.items()})


def _rename(tree: Any, parents: tuple[str, ...], renamed: Mapping[tuple[str, ...], str]) -> Any:
    if isinstance(tree, Mapping):
        renamed_children = {}
        for name, child in tree.items():
            path = (*parents, str(name))
            known = next((old for old in renamed if path[-len(old) :] == old), None)
            new = renamed[known].rpartition("/")[2] if known else name
            renamed_children[new] = _rename(child, path, renamed)
        return type(tree)(renamed_children)  # type: ignore[call-arg]

    def is_child(node):
        return node is not tree

    children, structure = jax.tree.flatten(tree, is_leaf=is_child)
    if jax.tree_util.treedef_is_leaf(structure):
        return tree
    return jax.tree.unflatten(structure, [_rename(child, parents, renamed) for child in children])
