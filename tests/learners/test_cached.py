import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys

import jax
import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mnist3.estimators import FlaxClassifier
from mnist3.learners import cache_size, cached, estimator
from mnist3.learners.cached import (
    CachedEstimator,
    Inputs,
    MadeInputs,
    estimator_key,
)
from mnist3.tasks.classes import Classes

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


def test_scikit_learn_gets_the_same_predictions_from_one_fit_a_fold(memory, data):
    values, targets = data
    inputs = Inputs(values)
    methods = ("predict", "predict_proba")
    estimator = CachedEstimator(Nearest(), inputs, memory, methods=methods)
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
    assert key == cached._code_version(cached._ESTIMATORS_REST_ON)
    assert estimator_key(SGDClassifier()) == ""
    monkeypatch.setattr(cached, "_ESTIMATORS_REST_ON", ("config.py",))
    assert estimator_key(Ours()) != key


WITHOUT_EFFECT = {  # on what an estimator learns and predicts
    "errors",
    "evaluation",  # which measures predictions
    "files",
    "hosts",  # an estimator is of one process
    "limits",
    "profiling",
    "runtime",  # of which programs take the versions of libraries, which are keys of their own
    "stopping",
    "tracking",
}


def test_estimators_rest_on_all_that_their_code_imports():
    listed = {name.removesuffix(".py") for name in cached._ESTIMATORS_REST_ON}
    imported = set()
    for path in cached._PACKAGE.rglob("*.py"):
        if path.relative_to(cached._PACKAGE).parts[0].removesuffix(".py") not in listed:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "mnist3":
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and f"{node.module}".startswith("mnist3."):
                imported.add(node.module.split(".")[1])
    assert imported - listed == WITHOUT_EFFECT


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        (lambda: jax.default_backend(), ("default_backend", lambda: "gpu")),
        (lambda: jax.device_count(), ("device_count", lambda: 64)),
        (lambda: jax.devices()[0].device_kind, None),
    ],
)
def test_networks_are_forgotten_when_their_devices_change(part, changed, monkeypatch):
    assert part() in cached._devices()
    keys = estimator_key(FlaxClassifier()), estimator_key(SGDClassifier())
    if changed:
        monkeypatch.setattr(jax, *changed)
        assert estimator_key(FlaxClassifier()) != keys[0]
        assert estimator_key(SGDClassifier()) == keys[1]


def test_networks_are_forgotten_when_the_precision_of_products_changes():
    key = estimator_key(FlaxClassifier())
    with jax.default_matmul_precision("float32"):
        assert estimator_key(FlaxClassifier()) != key


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package, whose code the keys follow."""
    copy = tmp_path / "checkout" / "mnist3"
    shutil.copytree(cached._PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cached, "_PACKAGE", copy)
    return copy


@pytest.mark.parametrize(
    ("file", "forgotten"),
    [
        ("tasks/estimated.py", True),
        ("tasks/classes.py", True),
        ("learners/estimator.py", True),
        ("reporting/drawing.py", False),
    ],
)
def test_predictions_are_forgotten_when_the_code_that_makes_them_changes(
    file, forgotten, package, memory, data
):
    task = Classes("y", ("a", "b", "c"))
    inputs = Inputs(data[0])

    def fits():
        before = len(FITS)
        estimator._fit(memory, task, Nearest(), inputs, data[1], inputs)
        return len(FITS) - before

    assert (fits(), fits()) == (1, 0)
    (package / file).write_text((package / file).read_text() + "# changed\n")
    assert fits() == forgotten


IN_A_CHECKOUT = """
import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from mnist3.learners import estimator
from mnist3.learners.cached import Inputs, fits_cache
from mnist3.tasks.classes import Classes
values, targets = np.arange(40, dtype=np.float32).reshape(20, 2), np.arange(20) % 2
parts = Classes("y", ("a", "b")), KNeighborsClassifier(), Inputs(values), targets, Inputs(values)
print("kept" if estimator._fit(fits_cache(), *parts)[1] is None else "fitted")
"""


def test_two_checkouts_that_share_a_cache_keep_each_other_s_fits(package, tmp_path):
    changed = package / "learners" / "estimator.py"
    plain = changed.read_text()
    said = []
    for line in ("", "    assert made == []", ""):
        ours = "    started = time.perf_counter()\n    fitted = clone(estimator).fit(train.values"
        assert plain.count(ours) == 1
        changed.write_text(plain.replace(ours, f"{line}\n{ours}"[not line :]))
        done = subprocess.run(
            [sys.executable, "-c", IN_A_CHECKOUT],
            cwd=package.parent,
            env=os.environ
            | {"MNIST3_CACHE_DIR": str(tmp_path / "shared"), "PYTHONPATH": str(package.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        said.append(done.stdout.strip())
    assert said == ["fitted", "fitted", "kept"]


def test_a_cache_loses_what_was_not_used_for_longest(tmp_path, data, monkeypatch):
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path))
    FITS.clear()
    inputs = Inputs(data[0])

    def predict(neighbours):
        before = len(FITS)
        made = CachedEstimator(Nearest(n_neighbors=neighbours), inputs, cached.fits_cache())
        made.fit(inputs.rows, data[1]).predict(inputs.rows)
        return len(FITS) - before

    assert predict(1) == predict(2) == 1
    answers = sorted((tmp_path / "fits").rglob("output.pkl"), key=os.path.getmtime)
    assert len(answers) == 2
    for age, answer in enumerate(answers):
        os.utime(answer, (1e9 + age, 1e9 + age))
    cache_size.trim_cache()
    assert predict(1) == predict(2) == 0
    one = sum(each.stat().st_size for each in answers[0].parent.iterdir())
    for age, answer in enumerate(answers):
        os.utime(answer, (1e9 + age, 1e9 + age))
    monkeypatch.setenv("MNIST3_CACHE_SIZE", f"{1.5 * one / 1024}K")
    cache_size.trim_cache()
    assert not answers[0].exists() and answers[1].exists()
    assert predict(2) == 0
    assert predict(1) == 1


def test_programs_that_were_not_used_for_longest_are_lost_too(tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("MNIST3_CACHE_SIZE", "5K")
    programs = tmp_path / "compiled"
    programs.mkdir()
    for age, name in enumerate(("new", "old")):
        (programs / name).write_bytes(b"0" * 4_000)
        os.utime(programs / name, (1e9 - age, 1e9 - age))
    cache_size.trim_cache()
    assert [path.name for path in programs.iterdir()] == ["new"]


def test_a_size_that_is_none_is_named(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("MNIST3_CACHE_SIZE", "much")
    cache_size.trim_cache()
    assert "MNIST3_CACHE_SIZE is 'much'; give a size such as 500M" in caplog.text


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
