"""Scikit-learn's own checks of the Flax estimators, and what is built on that interface."""

import ast
import pickle
import re

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from mnist3.data.noise import integer_noise
from mnist3.data.sources import load_source
from mnist3.estimators import FlaxClassifier, FlaxDenoiser, fitting
from mnist3.estimators.flax_estimator import FlaxEstimator

SMALL = {"stem": 4, "channels": (8,), "epochs": 40, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    source = load_source("digits")
    return source.images[:240].reshape(-1, 784), source.labels[:240]


@pytest.fixture(scope="module")
def fitted(digits):
    return FlaxClassifier(**SMALL).fit(*digits)


@pytest.fixture
def compilations():
    """How many problems were compiled since."""
    before = fitting._compiled.cache_info().misses
    return lambda: fitting._compiled.cache_info().misses - before


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")  # pandas, array API
def test_scikit_learns_own_checks():
    check_estimator(FlaxClassifier())


def test_square_images_are_seen_as_images(fitted, digits):
    assert fitted.model_ == "cnn"
    assert fitted.score(*digits) > 0.95
    assert fitted.predict_proba(digits[0]).shape == (240, 10)


def test_on_mnist_it_reads_more_than_a_random_forest(data_dir):
    source = load_source("mnist", data_dir)
    images, labels = source.images.reshape(-1, 784), source.labels
    train, test = slice(0, 1_000), slice(-source.official_test, None)
    classifiers = (
        FlaxClassifier(epochs=10, random_state=0),
        RandomForestClassifier(random_state=0),
    )
    network, forest = (
        each.fit(images[train], labels[train]).score(images[test], labels[test])
        for each in classifiers
    )
    assert network > forest + 0.01


def test_the_same_seed_gives_the_same_parameters(fitted, digits):
    again = clone(fitted).fit(*digits)
    for one, other in zip(*map(jax.tree.leaves, (fitted.params_, again.params_)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_pixels_mean_the_same_in_any_dtype(fitted, digits):
    images, labels = digits
    other = clone(fitted).fit(images.astype(np.float64), labels)
    np.testing.assert_allclose(
        other.decision_function(images.astype(np.float32)),
        fitted.decision_function(images),
        rtol=1e-2,
        atol=1e-2,
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("model", ["cnn", "multihead", "mlp", "logistic"])
def test_what_is_fitted_in_one_dtype_predicts_in_any(model, dtype):
    random = np.random.default_rng(0)
    pixels, labels = random.integers(0, 256, (32, 64)), np.arange(32) % 2
    network = FlaxClassifier(model, stem=2, channels=(2,), hidden=(4,), epochs=1, random_state=0)
    network.fit(pixels.astype(dtype), labels)
    logits = network.decision_function(pixels.astype(dtype))
    for other in (np.uint8, np.float32, np.float64):
        again = network.decision_function(pixels.astype(other))
        np.testing.assert_allclose(again, logits, rtol=1e-4, atol=1e-4)


def test_defaults_are_those_of_the_docstrings():
    for cls in (FlaxClassifier, FlaxDenoiser):
        parameters = cls().get_params()
        docs = FlaxEstimator.__doc__ + cls.__doc__
        said = dict(re.findall(r"^        (\w+): .*?default=(\S+)\. ", docs, re.M))
        assert said.keys() >= {"learning_rate", "channels", "noise"}
        for name in said.keys() & parameters.keys():
            assert ast.literal_eval(said[name]) == parameters[name], name


def test_the_loss_falls_from_pass_to_pass(fitted):
    assert len(fitted.loss_curve_) == SMALL["epochs"]
    assert fitted.loss_curve_[-1] < 0.2 * fitted.loss_curve_[0]


def test_pickled_it_predicts_the_same(fitted, digits):
    images = digits[0][:30]
    restored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(
        restored.decision_function(images), fitted.decision_function(images)
    )
    assert {type(leaf) for leaf in jax.tree.leaves(restored.params_)} == {np.ndarray}


def test_folds_share_their_programs(digits, compilations):
    # Which no other test has.
    classifier = FlaxClassifier("mlp", epochs=20, weight_decay=1e-3, random_state=0)
    assert cross_val_score(classifier, *digits, cv=4).mean() > 0.8
    assert compilations() == 1


def test_pipeline_and_grid_search(digits):
    pipeline = make_pipeline(StandardScaler(), FlaxClassifier("mlp", epochs=20, random_state=0))
    search = GridSearchCV(pipeline, {"flaxclassifier__hidden": [(), (32,)]}, cv=2)
    search.fit(*digits)
    assert search.best_score_ > 0.8
    assert len(search.cv_results_["params"]) == 2


def test_calibration(digits):
    calibrated = CalibratedClassifierCV(FlaxClassifier("logistic", epochs=20, random_state=0), cv=2)
    probabilities = calibrated.fit(*digits).predict_proba(digits[0])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_labels_are_learnt_side_by_side(digits):
    images, labels = digits
    targets = np.stack([labels >= 7, labels % 2], axis=1).astype(int)
    classifier = FlaxClassifier(**SMALL).fit(images, targets)
    assert (classifier.predict(images) == targets).mean() > 0.9
    assert classifier.predict_proba(images).shape == (240, 2)


def test_names_of_classes_are_kept(digits):
    images, labels = digits
    named = np.where(labels == 5, "five", "other")
    classifier = FlaxClassifier("logistic", random_state=0).fit(images, named)
    assert classifier.classes_.tolist() == ["five", "other"]
    assert classifier.decision_function(images).shape == (240,)
    assert classifier.score(images, named) > 0.95


@pytest.mark.parametrize("rows", [2, 3, 33, 150])
def test_any_number_of_rows(digits, rows):
    images, labels = digits
    classifier = FlaxClassifier("logistic", epochs=1).fit(images[:rows], labels[:rows])
    assert classifier.predict(images[:rows]).shape == (rows,)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model": "cnn"}, "square"),
        ({"model": "cnnn"}, "did you mean 'cnn'"),
        ({"learning_rate": -1.0}, "above 0"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": "many"}, "epochs"),
        ({"batch_size": "a"}, "give a int"),
        ({"shift": 1}, "distorts images"),
    ],
)
def test_wrong_arguments_are_named(arguments, said):
    features, labels = np.eye(12)[:, :11], np.arange(12) % 2
    with pytest.raises(ValueError, match=said):
        FlaxClassifier(**arguments).fit(features, labels)


@pytest.mark.parametrize("noise", [0, 99])
def test_noise_is_taken_off(digits, noise):
    clean = digits[0][:32]
    noisy = np.asarray(clean + integer_noise(jax.random.key(0), clean.shape, 99))
    denoiser = FlaxDenoiser(
        stem=8, channels=(8,), epochs=240, learning_rate=0.03, noise=noise, random_state=0
    )
    denoiser = pickle.loads(pickle.dumps(clone(denoiser).fit(noisy, clean)))
    cleaned = denoiser.predict(noisy)
    assert cleaned.min() >= 0 and cleaned.max() <= 255

    def error(images):
        return np.sqrt(((images - clean) ** 2.0).mean())

    assert error(cleaned) < 0.5 * error(noisy - noisy.mean() + clean.mean())


def test_images_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match="square"):
        FlaxDenoiser().fit(np.zeros((4, 10)), np.zeros((4, 10)))
