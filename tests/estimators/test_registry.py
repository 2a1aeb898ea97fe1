"""Learners by name; all pairs with tasks are in tests/jobs/test_run_digits.py."""

import pytest
from ml_collections import ConfigDict
from sklearn.linear_model import LogisticRegression

from mnist3 import tasks, validation
from mnist3.config import NETWORK, digits, numbers
from mnist3.data.sources import load_source
from mnist3.data.splits import Split
from mnist3.errors import UserError
from mnist3.estimators import registry


def config(name, **parameters):
    section = ConfigDict({"name": name, "parameters": {}, "scale": False})
    section.parameters.update(parameters)
    return section


def task(name):
    section = (numbers() if name == "number" else digits("digits")).task
    section.name = name
    return tasks.create(section)


@pytest.fixture(scope="module")
def split():
    source = load_source("digits")
    return Split(source.images[:60], source.labels[:60, None])


def examples(made, split):
    """Features and targets of a task."""
    found = made.examples(split, 0, 0)
    return found.inputs.reshape(len(found.inputs), -1), found.targets


def test_names_are_those_that_a_config_takes():
    for name in registry.names():
        validation.validate(digits("digits", name))


def test_no_estimator_reads_numbers():
    assert not any(registry.fits(name, task("number")) for name in registry.names())
    with pytest.raises(UserError, match="does not fit the task number"):
        registry.create(config("knn"), task("number"), seed=0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in registry.names()
        for kind in ("multiclass", "multilabel", "denoise")
        if registry.fits(name, task(kind))
    ],
)
def test_seed_cores_and_own_parameters(name, kind):
    estimator = registry.create(config(name), task(kind), seed=7)
    for path, value in estimator.get_params().items():
        inner, _, parameter = path.rpartition("__")
        if parameter == "random_state":
            assert value == 7
        deprecated = type(estimator.get_params().get(inner, estimator)) is LogisticRegression
        if parameter == "n_jobs" and not deprecated:
            assert value == -1
    for parameter in registry.defaults(name, task(kind)):
        assert registry.parameter_name(estimator, parameter) in estimator.get_params()


def test_parameters_reach_the_estimator_inside():
    section = config("svc_ovr", C=3.0)
    section.scale = True
    estimator = registry.create(section, task("multiclass"), seed=0)
    assert estimator[-1].estimator.C == 3.0
    assert registry.parameter_name(estimator, "C") == "estimator__estimator__C"


def test_a_parameter_that_is_not_there_is_named():
    with pytest.raises(UserError, match="did you mean n_neighbors"):
        registry.create(config("knn", n_neighbours=3), task("multiclass"), seed=0)


def test_pairwise_scores_of_ten_digits(split):
    made = task("multiclass")
    features, targets = examples(made, split)
    own = registry.create(config("svc", decision_function_shape="ovo"), made, seed=0)
    assert own.fit(features, targets).decision_function(features).shape == (60, 45)


def test_scaling_comes_first(split):
    section = config("sgd")
    section.scale = True
    made = task("multilabel")
    features, targets = examples(made, split)
    estimator = registry.create(section, made, seed=0).fit(features, targets)
    assert made.of_estimator(estimator, features).scores.shape == targets.shape


def test_behind_the_scaler_scale_is_still_the_network_s_own():
    section = config(NETWORK, scale=0.1)
    section.scale = True
    estimator = registry.create(section, task("multiclass"), seed=0)
    assert [name for name, _ in estimator.steps] == ["scaler", "estimator"]
    assert estimator[-1].scale == 0.1
    assert registry.parameter_name(estimator, "scale") == "estimator__scale"
