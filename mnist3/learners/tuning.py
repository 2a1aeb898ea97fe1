"""The search for a network's settings by cross-validation, behind scikit-learn's interface."""

import json
import os
from typing import Any, NamedTuple

import joblib
from ml_collections import ConfigDict
from sklearn.base import BaseEstimator

from mnist3 import upgrade
from mnist3.config import NETWORK
from mnist3.errors import UserError, nearest
from mnist3.estimators import flax_estimator, registry
from mnist3.files import TUNED_FILE, write_json
from mnist3.learners.cached import Inputs
from mnist3.learners.estimator import choose, features_of, flat
from mnist3.learners.search import plain_results
from mnist3.tasks import Examples, Task

WITHOUT_EFFECT = ("name", "cpu_micro_batch", "log_steps")  # on what is learned


class Found(NamedTuple):
    """What a search found.

    Attributes:
        config: with the best settings at their places.
        results: scikit-learn's `cv_results_`.
        seconds: that it took.
    """

    config: ConfigDict
    results: dict[str, Any]
    seconds: float


def tune(
    config: ConfigDict, task: Task, examples: dict[str, Examples], memory: joblib.Memory
) -> Found:
    """Returns a network's config with the settings that cross-validation on train found best.

    Raises:
        UserError: if there is a value to try of what no field of the config says.
    """
    estimator = _unfitted(config, task)  # what it lacks, such as members, trains with what is found
    places = _places(config, task, estimator)
    _require_places(config, places)
    train = examples["train"]
    inputs = Inputs(features_of(train.inputs, estimator))
    choice = choose(config, task, estimator, inputs, flat(train.targets), memory)
    best = ConfigDict(config.to_dict())
    for name, value in choice.parameters.items():
        section, field = places[name]
        best[section][field] = value
    return Found(best, choice.results, choice.seconds)


def save(folder: str, found: Found) -> None:
    """Saves what a search found in the folder of a run, before the network is trained with it."""
    content = {
        "config": found.config.to_dict(),
        "search_results": plain_results(found.results),
        "search_seconds": found.seconds,
    }
    write_json(os.path.join(folder, TUNED_FILE), content, default=str)


def read(folder: str) -> Found | None:
    """Returns what `save` saved, the results as plain lists; None of a run without a search.

    Raises:
        UserError: if it cannot be read.
    """
    path = os.path.join(folder, TUNED_FILE)
    if not os.path.exists(path):
        return None
    try:
        with open(path) as file:
            content = json.load(file)
        config = upgrade.from_json(json.dumps(content["config"]), TUNED_FILE)
        return Found(config, content["search_results"], content["search_seconds"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); put the file back, or train anew in another "
            "--workdir."
        ) from error


def as_estimator(config: ConfigDict, task: Task) -> BaseEstimator:
    """Returns a network behind scikit-learn's interface, with the settings of a config.

    Raises:
        UserError: if the config has a setting that this interface lacks.
    """
    estimator = _unfitted(config, task)
    known = estimator.get_params(deep=False)
    usual = flax_estimator.defaults(config.model.name)
    for section in flax_estimator.FlaxEstimator.SECTIONS:
        for name, value in config.get(section, {}).items():
            takes = section in estimator.SECTIONS and name in known
            if not takes and name not in WITHOUT_EFFECT and value != usual[section][name]:
                raise UserError(
                    f"config.{section}.{name} is {value!r}, which networks of cross-validations "
                    f"and tables do not take; leave it at {usual[section][name]!r}."
                )
    return estimator


def _unfitted(config: ConfigDict, task: Task) -> BaseEstimator:
    estimator: Any = task.estimator(registry.REGISTRY[NETWORK])
    known = estimator.get_params(deep=False)
    settings = {
        name: value
        for section in estimator.SECTIONS
        if section in config
        for name, value in config[section].items()
        if name in known and name != "name"
    }
    settings["epochs"] = config.training.epochs or "auto"
    settings["optimizer"] = config.optimizer.name
    settings["random_state"] = config.seed
    if "model" in known:
        settings["model"] = config.model.name
    settings |= {
        name: value for name, value in task.estimator_parameters().items() if name in known
    }
    return estimator.set_params(**settings)


def _places(config: ConfigDict, task: Task, estimator: BaseEstimator) -> dict[str, tuple[str, str]]:
    """Returns the section and the field of a config that each setting of a search stands at.

    What the task says of an estimator is no setting, whatever a field of the same name is.
    """
    searched = estimator.get_params(deep=False).keys() - task.estimator_parameters().keys()
    places = {
        name: (section, name)
        for section in estimator.SECTIONS
        for name in searched & {*config[section]}
    }
    return places | {name: (name, "name") for name in searched & {"model", "optimizer"}}


def _require_places(config: ConfigDict, places: dict[str, tuple[str, str]]) -> None:
    """Checks that whatever a search finds best can be written into the config."""
    for name, values in config.search.grid.items():
        if values and name not in places:
            raise UserError(
                f"config.search.grid.{name} is no setting of this network that a search can "
                f"choose; did you mean {nearest(name, sorted(places))}?"
            )
