"""The search for a network's settings by cross-validation, behind scikit-learn's interface."""

from typing import Any

import joblib
from ml_collections import ConfigDict
from sklearn.base import BaseEstimator

from mnist3.config import NETWORK
from mnist3.errors import UserError, nearest
from mnist3.estimators import flax_estimator, registry
from mnist3.learners.cached import Inputs
from mnist3.learners.estimator import choose, features_of, flat
from mnist3.learners.tuned import Found
from mnist3.tasks import Examples, Task

WITHOUT_EFFECT = ("name", "cpu_micro_batch", "segment_seconds", "log_steps")  # on what is learned


def tune(
    config: ConfigDict, task: Task, examples: dict[str, Examples], memory: joblib.Memory
) -> Found:
    """Returns a network's config with the settings that cross-validation on train found best.

    Raises:
        UserError: if there are values to try of what is no field of the config.
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

    What the task sets is not searched, whatever a field of the same name is.
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
