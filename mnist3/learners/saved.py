"""Fitted estimators in files that run no code when they are read.

The format is that of skops: a zip archive of arrays and a description of the objects that hold
them. A file is read only if it asks for no type but skops' own defaults and `TRUSTED`. scikit-learn
follows the arrays of its trees without looking where they lead, so these are checked as well: a
crafted file may still give wrong predictions, or fail. Equal models make equal bytes.

Older runs left pickles. Reading one can run any code, so that takes a word of the user.
"""

import io
import itertools
import json
import os
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import joblib
import numpy as np
import skops.io
from absl import logging
from jaxtyping import Bool, Int64
from sklearn.base import BaseEstimator
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree import BaseDecisionTree
from sklearn.tree._tree import Tree

from mnist3.errors import UserError
from mnist3.files import replacing

# Reviewed: what each does with its content when it is made from a file is to keep it. Those of
# scikit-learn are what skops leaves out of its defaults because their content can lead astray.
TRUSTED = (
    "mnist3.estimators.fitting.Problem",
    "mnist3.estimators.flax_denoiser.FlaxDenoiser",
    "mnist3.estimators.flax_estimator.FlaxClassifier",
    "mnist3.estimators.tabular.date_parts",
    "mnist3.tasks.classes.Classes",
    "mnist3.tasks.images.Denoise",
    "mnist3.tasks.labels.Labels",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
)

_SCHEMA = "schema.json"
_PICKLE = ".joblib"  # the ending of older runs' models


def save_estimator(path: str | os.PathLike, content: dict[str, Any]) -> None:
    """Saves a fitted estimator with the plain data that it takes to use it.

    Args:
        path: of the file, ending in .skops; one that exists is replaced.
        content: estimators, arrays, texts, numbers and containers of them.

    Raises:
        UserError: if something in it cannot be saved so that `load_estimator` reads it.
    """
    try:
        data = skops.io.dumps(content)
        strange = _strange(data)
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(
            f"the model cannot be saved as {path} ({_first_line(error)}); change the parameters of "
            "the estimator, of which one takes something that has no place in a file."
        ) from error
    if strange:
        raise UserError(
            f"the model cannot be saved as {path}, since it holds a {strange[0]}, which would not "
            "be read again; change the parameter of the estimator that brings it."
        )
    with replacing(path, "wb") as file:
        file.write(_canonical(data))


def load_estimator(path: str | os.PathLike, allow_pickle: bool = False) -> dict[str, Any]:
    """Returns what `save_estimator` saved.

    Args:
        path: of the file. One that ends in .joblib is the pickle of an older run.
        allow_pickle: whether to read a pickle, which can run any code.

    Raises:
        FileNotFoundError: if there is no such file.
        UserError: if the file is damaged, asks for a type that is not trusted, or is a pickle that
            is not allowed.
    """
    name = os.fspath(path)
    if name.endswith(_PICKLE):
        return _load_pickle(name, allow_pickle)
    with open(name, "rb") as file:
        data = file.read()
    try:
        strange = _strange(data)
    except Exception as error:  # whatever is wrong in a file of any content
        raise _damaged(name, error) from error
    if strange:
        raise UserError(
            f"{name} holds a {strange[0]}, which no model of mnist3 has, and is not read, since it "
            "could run code of its own; take the model from somebody you trust or train anew."
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            content = skops.io.loads(data, trusted=TRUSTED)
            _require_sound(content)
        except Exception as error:
            raise _damaged(name, error) from error
    for said in dict.fromkeys(_first_line(each.message) for each in caught):
        logging.warning("%s: %s", name, said)  # such as that another scikit-learn fitted it
    return content


def _load_pickle(name: str, allow_pickle: bool) -> dict[str, Any]:
    if not allow_pickle:
        os.stat(name)
        raise UserError(
            f"{name} is a pickle of an older version of mnist3, and reading a pickle runs any code "
            "that it holds; if the file is your own, give --allow_pickle, or else train anew."
        )
    try:
        return joblib.load(name)
    except FileNotFoundError:
        raise
    except Exception as error:  # a pickle that is damaged or of other versions can raise anything
        raise _damaged(name, error) from error


def _strange(data: bytes) -> list[str]:
    """Returns the types that a file asks for and that are not trusted."""
    return sorted({*skops.io.get_untrusted_types(data=data)} - {*TRUSTED})


def _damaged(name: str, error: Exception) -> UserError:
    return UserError(
        f"{name} cannot be read, since it is damaged or of other versions of the libraries "
        f"({_first_line(error)}); train the run anew."
    )


def _first_line(error: BaseException | str) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _canonical(data: bytes) -> bytes:
    """Returns a file of skops that does not depend on addresses in memory or on the time."""
    ids: dict[int, int] = {}
    names: dict[str, str] = {}

    def renamed(node: dict[str, Any]) -> dict[str, Any]:
        if isinstance(node.get("__id__"), int):
            node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
        if isinstance(file := node.get("file"), str):
            node["file"] = names.setdefault(file, f"{len(names)}{os.path.splitext(file)[1]}")
        return node

    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        schema = json.dumps(json.loads(old.read(_SCHEMA), object_hook=renamed))
        parts = {_SCHEMA: schema.encode()} | {new: old.read(name) for name, new in names.items()}
        for name, part in parts.items():
            new.writestr(zipfile.ZipInfo(name), part, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _require_sound(content: Any) -> None:
    """Checks that the trees of estimators lead only to their own nodes and features.

    Raises:
        ValueError: if one does not.
    """
    if not isinstance(content, dict):
        raise ValueError("it holds no model")
    for estimator in _estimators(content, set()):
        if not hasattr(estimator, "n_features_in_"):
            continue  # not fitted: what a meta-estimator or an ensemble makes its own from
        features, sound = estimator.n_features_in_, [True]
        if isinstance(estimator, BaseForest):
            sound = [tree.n_features_in_ == features for tree in estimator.estimators_]
        elif isinstance(estimator, BaseDecisionTree):
            sound = [_is_sound_tree(estimator.tree_, features)]
        elif isinstance(estimator, BaseHistGradientBoosting):
            trees = itertools.chain.from_iterable(estimator._predictors)
            sound = [_is_sound_predictor(tree, features) for tree in trees]
        elif isinstance(getattr(estimator, "_tree", None), KDTree | BallTree):
            sound = [_is_sound_search_tree(estimator._tree, features)]
        if not all(sound):
            raise ValueError(f"the trees of its {type(estimator).__name__} lead astray")


def _estimators(value: Any, seen: set[int]) -> Iterator[BaseEstimator]:
    """Yields the estimators in nested containers and in one another."""
    if id(value) in seen:
        return
    seen.add(id(value))
    inner: Iterable[Any] = ()
    if isinstance(value, BaseEstimator):
        yield value
        inner = vars(value).values()
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list | tuple):
        inner = value
    elif isinstance(value, np.ndarray) and value.dtype == object:
        inner = value.flat
    for each in inner:
        yield from _estimators(each, seen)


def _is_sound_tree(tree: Tree, features: int) -> bool:
    if tree.node_count > tree.capacity:
        return False
    nodes = tree.__getstate__()["nodes"]
    left, right, feature = (
        nodes[name].astype(np.int64) for name in ("left_child", "right_child", "feature")
    )
    return _leads_down(left, right, left == -1, feature, features)


def _is_sound_predictor(tree: TreePredictor, features: int) -> bool:
    nodes = tree.nodes
    is_leaf = nodes["is_leaf"] != 0
    if (~is_leaf & (nodes["is_categorical"] != 0)).any():
        return False  # a model with such a split cannot be saved
    left, right, feature = (
        nodes[name].astype(np.int64) for name in ("left", "right", "feature_idx")
    )
    return _leads_down(left, right, is_leaf, feature, features)


def _leads_down(
    left: Int64[np.ndarray, "nodes"],
    right: Int64[np.ndarray, "nodes"],
    is_leaf: Bool[np.ndarray, "nodes"],
    feature: Int64[np.ndarray, "nodes"],
    features: int,
) -> bool:
    """Tells whether every way down a tree ends at a leaf: children stand after their parents."""
    inner = np.flatnonzero(~is_leaf)
    children, asked = np.stack([left, right])[:, inner], feature[inner]
    return bool(
        len(left)
        and (children > inner).all()
        and (children < len(left)).all()
        and (asked >= 0).all()
        and (asked < features).all()
    )


def _is_sound_search_tree(tree: KDTree | BallTree, features: int) -> bool:
    data, index, nodes, bounds = tree.get_arrays()
    last_inner = np.flatnonzero(nodes["is_leaf"] == 0).max(initial=-1)
    return bool(
        data.shape[1] == features
        and index.shape == data.shape[:1]
        and bounds.shape == (1 + isinstance(tree, KDTree), len(nodes), features)
        and ((index >= 0) & (index < len(data))).all()
        and (nodes["idx_start"] >= 0).all()
        and (nodes["idx_end"] <= len(data)).all()
        and 2 * last_inner + 2 < len(nodes)
    )
