"""What notebooks call, on the embedded data."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from mnist3.jobs.notebook import AtHand

from mnist3 import tasks
from mnist3.errors import UserError
from mnist3.jobs import notebook, study

DIGITS = AtHand("digits", "composed", None)
CLASSIFY = "experiments/classify.py:train_limit=60,estimator=knn"
TINY = (
    "experiments/three_digits.py:model={},images=256 --config.data.digits=2 --config.data.width=56"
    " --config.data.val_examples=40 --config.data.test_examples=40 --config.model.stem=4"
    " --config.model.channels=(8,) --config.training.batch_size=64"
)
pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.mark.parametrize("variable", [None, "", "/nonexistent"])
def test_without_files_the_embedded_digits_are_at_hand(variable, monkeypatch):
    monkeypatch.delenv("MNIST3_DATA_DIR", raising=False)
    if variable is not None:
        monkeypatch.setenv("MNIST3_DATA_DIR", variable)
    assert notebook.data_at_hand() == DIGITS
    assert "not MNIST" in str(DIGITS)


def test_mnist_is_at_hand_where_its_files_are(mnist_names, monkeypatch):
    monkeypatch.setenv("MNIST3_DATA_DIR", mnist_names)
    assert notebook.data_at_hand() == AtHand("mnist", "composed", mnist_names)


def test_triple_mnist_is_at_hand_where_its_file_is(triple_mnist_dir, monkeypatch):
    monkeypatch.setenv("MNIST3_DATA_DIR", triple_mnist_dir)
    assert notebook.data_at_hand() == AtHand("mnist", "triple_mnist", triple_mnist_dir)


def test_an_estimator_is_fitted_as_its_experiment_says():
    found = notebook.fit(f"{CLASSIFY} --config.estimator.parameters.n_neighbors=1", DIGITS)
    assert len(found.examples["train"].images) == 60
    assert found.candidate.estimator.n_neighbors == 1
    accuracy = found.measure()["accuracy"]
    assert accuracy == pytest.approx(found.right.mean()) and accuracy > 0.5
    assert found.measure("test")["n"] == len(found.examples["test"].images)
    assert found.about == "knn on the ten digits (source digits), val"


def test_a_detector_has_curves_of_both_splits():
    found = notebook.fit(f"{CLASSIFY},task=binary", DIGITS)
    assert found.precision_recall().average_precision == found.measure()["average_precision"]
    assert found.roc("test").area == found.measure("test")["roc_auc"]


def test_shifted_copies_follow_the_images():
    plain = notebook.fit(CLASSIFY, DIGITS)
    moved = notebook.fit(f"{CLASSIFY},shifted=1", DIGITS)
    images, digits, features, targets = moved.examples["train"]
    assert len(images) == len(digits) == len(targets) == 300
    assert (images[:60] == plain.examples["train"].images).all()
    assert (images[60:120, :-1] == images[:60, 1:]).all() or (
        images[60:120, :, :-1] == images[:60, :, 1:]
    ).all()
    assert (study.as_images(features) == images).all() and features.dtype == np.float32
    assert (targets == digits).all()
    for split in ("val", "test"):
        assert len(moved.examples[split].images) == len(plain.examples[split].images)


def test_figures_go_by_the_names_that_a_run_has():
    found = notebook.fit(CLASSIFY, DIGITS)
    assert isinstance(found.draw("confusion"), Figure)
    with pytest.raises(UserError, match="no figure 'confusoin'; did you mean 'confusion'"):
        found.draw("confusoin")
    with pytest.raises(UserError, match="does not go with"):
        found.draw("filters")


def test_a_reader_keeps_its_results_in_memory():
    found = notebook.train_reader(TINY.format("multihead"), DIGITS)
    labels = found.dataset.splits["val"].labels
    assert found.metrics["val"]["exact_match"] == found.right.mean()
    assert found.metrics["test"]["n"] == 40
    assert [len(text) for text in found.texts("val")] == [2] * len(labels)
    ink = jnp.asarray(found.dataset.splits["val"].images[:3] / np.float32(255))
    assert found.logits(ink).shape == (3, 2, 10)
    assert len(found.history) == 1
    assert isinstance(found.draw("misread"), Figure)
    [legend] = found.draw("class_balance").legends
    assert legend.get_texts()[0].get_text() == "train (64 numbers to compose)"
    with pytest.raises(UserError, match="no figure 'missread'; did you mean 'misread'"):
        found.draw("missread")
    measured = {"n", "exact_match_ci95", *tasks.create(found.config.task).metrics}
    assert measured == {*found.metrics["val"]} == {*found.metrics["test"]}


def test_a_reader_without_convolutions_has_no_figures_of_them():
    found = notebook.train_reader(TINY.format("logistic"), DIGITS)
    assert isinstance(found.draw("saliency"), Figure)
    for name in ("filters", "feature_maps", "augmented"):
        with pytest.raises(UserError, match="does not go with"):
            found.draw(name)


def test_an_ensemble_shows_what_its_first_member_looks_at():
    found = notebook.train_reader(
        TINY.format("multihead") + " --config.model.members=2 --config.model.crop_height=28", DIGITS
    )
    for name in ("filters", "feature_maps"):
        texts = [text.get_text() for text in found.draw(name).findobj(Text)]
        assert any("the first member" in text for text in texts)
        assert not any("members_1" in text for text in texts)
    assert isinstance(found.draw("saliency"), Figure)


def test_on_mnist_shifted_copies_lift_nearest_neighbours(data_dir):
    at_hand = AtHand("mnist", "composed", data_dir)
    experiment = "experiments/classify.py:source=mnist,train_limit=2000,estimator=knn,shifted={}"
    plain, shifted = (
        notebook.fit(experiment.format(each), at_hand).measure("test")["accuracy"]
        for each in (0, 1)
    )
    assert shifted > plain + 0.004
