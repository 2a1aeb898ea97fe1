import importlib.metadata
import os
import subprocess
import sys

import joblib
import numpy as np
import pytest
from mnist3.learners.cached import (
    CachedEstimator,
    Inputs,
    MadeInputs,
    estimator_key,
)
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mnist3.estimators import FlaxClassifier
from mnist3.evaluation import cached

FITS = []


class Nearest(KNeighborsClassifier):
    """Tells of each fit."""

    def fit(self, values, targets):
        FITS.append(len(values))
        return super().fit(values, targets)


@pytest.fixture
def memory(tmp_path):
    FITS.clear()
    return joblib.Memory(tmp_path / "cache", verbose=0)


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, 90)
    return random.normal(size=(90, 4)) + targets[:, None], targets


def test_scikit_learn_gets_the_same_answers_from_one_fit_a_fold(memory, data):
    values, targets = data
    inputs = Inputs(values)
    methods = ("predict", "predict_proba")
    estimator = CachedEstimator(Nearest(), inputs, memory, answers=methods)
    for _ in range(2):
        np.testing.assert_array_equal(
            cross_val_score(estimator, inputs.rows, targets, cv=3, scoring="accuracy"),
            cross_val_score(KNeighborsClassifier(), values, targets, cv=3, scoring="accuracy"),
        )
        for method in methods:
            np.testing.assert_array_equal(
                cross_val_predict(estimator, inputs.rows, targets, cv=3, method=method),
                cross_val_predict(KNeighborsClassifier(), values, targets, cv=3, method=method),
            )
    assert FITS == [60, 60, 60]


def test_a_search_that_was_interrupted_takes_up_where_it_stopped(memory, data, monkeypatch):
    values, targets = data
    inputs = Inputs(values)

    def search():
        estimator = CachedEstimator(Nearest(), inputs, memory)
        grid = {"n_neighbors": [1, 3], "weights": ["uniform", "distance"]}
        found = GridSearchCV(estimator, grid, cv=3, scoring="accuracy", refit=False)
        return found.fit(inputs.rows, targets)

    plain = Nearest.fit

    def interrupted(self, *arguments):
        if len(FITS) == 7:
            raise KeyboardInterrupt
        return plain(self, *arguments)

    monkeypatch.setattr(Nearest, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search()
    monkeypatch.undo()
    found = search()
    assert len(FITS) == 12
    search()
    assert len(FITS) == 12
    expected = GridSearchCV(KNeighborsClassifier(), found.param_grid, cv=3, refit=False)
    expected.fit(values, targets)
    assert found.best_params_ == expected.best_params_
    assert found.best_score_ == expected.best_score_


def test_whatever_changes_the_answer_is_fitted_anew(memory, data):
    values, targets = data
    changed = values.copy()
    changed[0, 0] += 1e-9
    for each, wanted, parameters in [
        (values, targets, {}),
        (changed, targets, {}),
        (values, targets[::-1].copy(), {}),
        (values, targets, {"n_neighbors": 2}),
        (values.astype(np.float32), targets, {}),
    ]:
        inputs = Inputs(each)
        estimator = CachedEstimator(Nearest(**parameters), inputs, memory)
        assert len(estimator.fit(inputs.rows, wanted).predict(inputs.rows)) == 90
    assert len(FITS) == 5


def test_classes_as_booleans_and_as_numbers_are_one_task(memory, data):
    values, targets = data
    inputs = Inputs(values)
    estimator = CachedEstimator(Nearest(), inputs, memory)
    as_booleans = estimator.fit(inputs.rows, targets == 1).predict(inputs.rows)
    as_numbers = estimator.fit(inputs.rows, (targets == 1).astype(np.int32)).predict(inputs.rows)
    assert (as_booleans.dtype, as_numbers.dtype) == (bool, np.int32)
    np.testing.assert_array_equal(as_booleans, as_numbers)
    assert len(FITS) == 1


def test_several_outputs_and_text_classes_pass_through(memory, data):
    values, targets = data
    inputs = Inputs(values)
    several = np.stack([targets > 0, targets > 1], axis=1).astype(np.int32)
    words = np.array(["a", "b", "c"])[targets]
    for wanted in (several, words):
        estimator = CachedEstimator(Nearest(), inputs, memory).fit(inputs.rows, wanted)
        expected = KNeighborsClassifier().fit(values, wanted)
        np.testing.assert_array_equal(estimator.predict(inputs.rows), expected.predict(values))


def test_only_methods_of_the_estimator_are_there_and_cloning_copies_no_inputs(memory, data):
    inputs = Inputs(data[0])
    estimator = CachedEstimator(SGDClassifier(), inputs, memory)
    assert hasattr(estimator, "decision_function")
    assert not hasattr(estimator, "predict_proba")
    copy = clone(estimator.set_params(alpha=0.5))
    assert copy.get_params()["alpha"] == 0.5
    assert copy.inputs is inputs


def test_without_a_folder_nothing_is_remembered(data):
    FITS.clear()
    inputs = Inputs(data[0])
    estimator = CachedEstimator(Nearest(), inputs, joblib.Memory(None))
    for _ in range(2):
        estimator.fit(inputs.rows, data[1]).predict(inputs.rows)
    assert len(FITS) == 2


def test_cores_and_verbosity_do_not_count_but_all_else_does():
    key = estimator_key(make_pipeline(StandardScaler(), RandomForestClassifier(random_state=1)))
    for parameters, same in [
        ({"n_jobs": 2, "verbose": 1}, True),
        ({"max_depth": 3}, False),
    ]:
        forest = RandomForestClassifier(random_state=1, **parameters)
        assert (estimator_key(make_pipeline(StandardScaler(), forest)) == key) is same
    assert estimator_key(RandomForestClassifier(random_state=1)) != key


def test_keys_are_the_same_in_another_process():
    code = (
        "from sklearn.svm import SVC; from mnist3.learners.cached import *; import numpy as np;"
        "print(estimator_key(SVC(C=2)), Inputs(np.arange(6).reshape(2, 3)).fingerprint)"
    )
    from sklearn.svm import SVC

    here = f"{estimator_key(SVC(C=2))} {Inputs(np.arange(6).reshape(2, 3)).fingerprint}"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == here


def test_estimators_of_this_package_are_forgotten_when_its_code_changes(monkeypatch):
    class Ours(ClassifierMixin, BaseEstimator):
        __module__ = "mnist3.estimators.ours"

    monkeypatch.setattr(cached.joblib, "hash", lambda parts: parts[-1])  # Ours is not importable
    key = estimator_key(make_pipeline(StandardScaler(), Ours()))
    assert key == cached._code_fingerprint()
    assert estimator_key(SGDClassifier()) == ""
    monkeypatch.setattr(cached, "_ESTIMATORS_REST_ON", ("config.py",))
    assert estimator_key(Ours()) != key


@pytest.mark.parametrize(
    ("library", "forgotten"),
    [
        ("jax", "ours"),
        ("jaxlib", "ours"),
        ("flax", "ours"),
        ("optax", "ours"),
        ("scikit-learn", "both"),
        ("numpy", "both"),
    ],
)
def test_a_library_s_new_version_forgets_what_rests_on_it(library, forgotten, monkeypatch):
    ours, theirs = make_pipeline(StandardScaler(), FlaxClassifier()), SGDClassifier()
    keys = estimator_key(ours), estimator_key(theirs)
    installed = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0" if name == library else installed(name)
    )
    assert estimator_key(ours) != keys[0]
    assert (estimator_key(theirs) != keys[1]) is (forgotten == "both")


def test_inputs_that_are_made_are_not_made_where_the_answer_is_known(memory, data):
    values, targets = data
    made = []

    def make():
        made.append(1)
        return values

    for parts, count in [(("a", 90), 1), (("a", 90), 1), (("b", 90), 2)]:
        inputs = MadeInputs(make, 90, parts)
        estimator = CachedEstimator(Nearest(), inputs, memory)
        cross_val_score(estimator, inputs.rows, targets, cv=3, scoring="accuracy")
        assert len(inputs) == 90
        assert len(made) == count
