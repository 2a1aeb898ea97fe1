import joblib
import numpy as np
import pytest
from ml_collections import ConfigDict
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mnist3.errors import UserError
from mnist3.estimators import FlaxClassifier
from mnist3.learners.cached import Inputs
from mnist3.learners.search import search

GRID = {"n_neighbors": (1, 5, 9), "weights": ("uniform", "distance")}


def searched(method, grid=GRID, **changes):
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, 120)
    values = random.normal(size=(120, 3)) + targets[:, None]
    config = ConfigDict({"method": method, "grid": grid, "folds": 3, "iterations": 4, **changes})
    pipeline = make_pipeline(StandardScaler(), KNeighborsClassifier())
    found = search(pipeline, config, Inputs(values), targets, 0, joblib.Memory(None))
    return found, pipeline, values, targets


def test_grid_is_that_of_scikit_learn_under_the_estimators_own_names():
    found, pipeline, values, targets = searched("grid")
    grid = {f"kneighborsclassifier__{name}": list(each) for name, each in GRID.items()}
    expected = GridSearchCV(pipeline, grid, cv=3).fit(values, targets)
    assert found.best_params_ == expected.best_params_
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


@pytest.mark.parametrize(("method", "tried"), [("random", 4), ("halving", 6 + 2)])
def test_random_and_halving_try_what_they_should_and_repeat(method, tried):
    first, second = searched(method)[0], searched(method)[0]
    assert len(first.cv_results_["params"]) == tried
    assert first.best_params_ == second.best_params_
    if method == "halving":
        assert first.n_resources_[0] * 3 == first.n_resources_[1] <= 120


def test_a_parameter_named_scale_is_that_of_the_network_behind_the_scaler():
    random = np.random.default_rng(0)
    images, targets = random.integers(0, 256, (32, 64)), np.arange(32) % 2
    network = FlaxClassifier(stem=2, channels=(2,), epochs=1, random_state=0)
    pipeline = Pipeline([("scaler", StandardScaler()), ("estimator", network)])
    section = ConfigDict({"method": "grid", "grid": {"scale": (0.0, 0.2)}, "folds": 2})
    inputs = Inputs(images.astype(np.float32))
    found = search(pipeline, section, inputs, targets, 0, joblib.Memory(None))
    assert found.best_params_.keys() == {"estimator__scale"}
    assert isinstance(pipeline.set_params(**found.best_params_)["scaler"], StandardScaler)


def test_random_draws_no_more_than_there_are():
    assert len(searched("random", iterations=50)[0].cv_results_["params"]) == 6


@pytest.mark.parametrize(
    ("method", "grid", "sentence"),
    [
        ("grid", {}, "has no values to try"),
        ("grid", {"n_neighbors": ()}, "has no values to try"),
        ("grid", {"n_neighbor": (1,)}, "did you mean n_neighbors"),
    ],
)
def test_a_search_that_cannot_be_is_refused(method, grid, sentence):
    with pytest.raises(UserError, match=sentence):
        searched(method, grid)
