"""Estimators by name: parameters and scores; all pairs with tasks are in tests/jobs/test_fit.py."""

import pytest
from sklearn.linear_model import LogisticRegression

from mnist3 import tasks
from mnist3.config import CHOICES, base
from mnist3.data.sources import load_source
from mnist3.errors import UserError
from mnist3.estimators import registry, scores


def config(name, **parameters):
    section = base().estimator
    section.name = name
    section.parameters.update(parameters)
    return section


def task(name):
    section = base().task
    section.name = name
    return tasks.create(section)


@pytest.fixture(scope="module")
def digits():
    source = load_source("digits")
    return source.images[:60], source.labels[:60]


def examples(made, digits):
    """Features and targets of a task."""
    images, labels = digits
    return images.reshape(-1, 784), made.targets(labels)


def test_names_are_those_of_the_config():
    assert set(registry.names()) == set(CHOICES["estimator.name"])


def test_the_number_is_for_the_main_job():
    assert registry.fits("flax", "number")
    assert not registry.fits("knn", "number")
    with pytest.raises(UserError, match="--mode=train"):
        registry.create(config("flax"), task("number"), seed=0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in registry.names()
        for kind in ("multiclass", "multilabel", "denoise")
        if registry.fits(name, kind)
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
    for parameter in registry.defaults(name, kind):
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


def test_pairwise_scores_of_ten_digits(digits):
    made = task("multiclass")
    features, targets = examples(made, digits)
    wrapped = registry.create(config("svc_ovo"), made, seed=0).fit(features, targets)
    own = registry.create(config("svc", decision_function_shape="ovo"), made, seed=0)
    assert scores.pairwise(wrapped, features).shape == (60, 45)
    assert own.fit(features, targets).decision_function(features).shape == (60, 45)
    with pytest.raises(UserError, match="svc_ovo"):
        scores.pairwise(own, features)


def test_scaling_comes_first(digits):
    section = config("sgd")
    section.scale = True
    made = task("multilabel")
    features, targets = examples(made, digits)
    estimator = registry.create(section, made, seed=0).fit(features, targets)
    assert scores.decision_scores(estimator, features, "multilabel").shape == targets.shape
