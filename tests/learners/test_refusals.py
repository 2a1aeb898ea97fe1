"""What an estimator refuses is told in a sentence; a fault of this package is not."""

import joblib
import numpy as np
import pytest

from mnist3 import config as configs
from mnist3 import estimators
from mnist3.errors import UserError
from mnist3.jobs import parts
from mnist3.learners import estimator, tuning
from mnist3.tasks import Examples

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def examples():
    def of(n):
        images = RANDOM.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        return Examples(images, np.arange(n, dtype=np.int32) % 10)

    return {"train": of(30), "val": of(20), "test": of(20)}


def learn(examples, learner, search="none", **parameters):
    config = configs.digits("digits", learner)
    config.learner.parameters.update(parameters)
    config.search.method = search
    if search != "none":
        config.search.grid.n_neighbors = (1, 3)
    task = parts.task_of(config)
    unfitted = estimators.create(config.learner, task, config.seed)
    return estimator.learn(config, task, unfitted, examples, joblib.Memory(None))


@pytest.mark.parametrize(
    ("learner", "parameters", "said"),
    [
        ("knn", {"n_neighbors": 0}, "n_neighbors"),  # of a wrong range
        ("knn", {"n_neighbors": 31}, "n_neighbors"),  # more than there are examples
        ("logistic_regression", {"solver": "newton"}, "solver"),
    ],
)
def test_what_an_estimator_refuses_is_told(examples, learner, parameters, said):
    with pytest.raises(UserError, match=rf"{learner} cannot learn this \(.*{said}") as raised:
        learn(examples, learner, **parameters)
    assert isinstance(raised.value.__cause__, ValueError)


def test_what_a_search_refuses_is_told(examples):
    few = examples | {"train": Examples(*(each[:12] for each in examples["train"][:2]))}
    with pytest.raises(UserError, match=r"knn cannot learn this .*n_splits=3"):
        learn(few, "knn", search="grid")


def fail(*_, **__):
    return np.zeros(2) + np.zeros(3)  # NumPy has no frame of its own here


@pytest.mark.parametrize("place", ["features_of", "flat", "_joined"])
def test_a_fault_in_this_package_is_not_blamed_on_the_data(examples, monkeypatch, place):
    monkeypatch.setattr(estimator, place, fail)
    with pytest.raises(ValueError, match="could not be broadcast"):
        learn(examples, "knn")


@pytest.mark.parametrize("search", ["none", "grid"])
def test_a_wrong_shape_is_not_blamed_on_the_data(examples, monkeypatch, search):
    monkeypatch.setattr(estimator, "flat", lambda targets: targets[:-1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        learn(examples, "knn", search=search)


@pytest.mark.parametrize("search", ["none", "grid"])
def test_a_fault_below_scikit_learn_is_not_blamed_on_the_data(examples, monkeypatch, search):
    def predictions_of(*_):
        raise ValueError("a fault of ours")

    task = type(parts.task_of(configs.digits("digits", "knn")))
    if search == "none":
        monkeypatch.setattr(task, "of_estimator", predictions_of)
    else:
        monkeypatch.setattr("mnist3.learners.cached.Inputs.__getitem__", predictions_of)
    with pytest.raises(ValueError, match="a fault of ours"):
        learn(examples, "knn", search=search)


def test_what_a_network_refuses_is_told_too(examples):
    config = configs.digits("digits")
    config.model.name = "cnn"
    config.search.method = "grid"
    config.search.grid.batch_size = (8, 0)
    with pytest.raises(
        UserError, match=r"network cannot learn this \(config\.training\.batch_size is 0"
    ):
        tuning.tune(config, parts.task_of(config), examples, joblib.Memory(None))
