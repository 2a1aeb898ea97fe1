"""What notebooks call, on the embedded data."""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from mnist3 import notebook
from mnist3.errors import UserError
from mnist3.evaluation import curves
from mnist3.notebook import AtHand

DIGITS = AtHand("digits", "composed", None)
CLASSIFY = "experiments/classify.py:train_limit=60,learner=knn"
TINY = (
    "experiments/three_digits.py:model={},images=256 --config.data.digits=2 --config.data.width=56"
    " --config.data.val_examples=40 --config.data.test_examples=40 --config.model.stem=4"
    " --config.model.channels=(8,) --config.training.batch_size=64"
)
ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache that these tests share."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def surroundings(cache, monkeypatch):
    monkeypatch.setenv("MNIST3_CACHE_DIR", cache)
    monkeypatch.chdir(ROOT)


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
    found = notebook.run(f"{CLASSIFY} --config.learner.parameters.n_neighbors=1", DIGITS)
    assert len(found.examples["train"].inputs) == 60
    assert found.learned.unfitted.n_neighbors == 1
    accuracy = found.measured["val"]["accuracy"]
    assert accuracy == pytest.approx(found.outcomes().mean()) and accuracy > 0.5
    assert [*found.measured] == ["val"]
    assert found.with_splits("test").measured["test"]["n"] == len(found.examples["test"].inputs)
    assert found.about == "knn on the ten digits (source digits), val"


def test_a_detector_has_curves_of_both_splits():
    found = notebook.run(f"{CLASSIFY},task=binary", DIGITS).with_splits("test")
    curve = notebook.precision_recall(found)
    assert curve.average_precision == found.measured["val"]["average_precision"]
    assert isinstance(curve, curves.PrecisionRecall)
    assert notebook.roc(found, "test").area == found.measured["test"]["roc_auc"]


def test_shifted_copies_follow_the_images():
    plain = notebook.run(CLASSIFY, DIGITS)
    moved = notebook.run(f"{CLASSIFY},shifted=1", DIGITS)
    images, targets, labels, _ = moved.examples["train"]
    assert len(images) == len(labels) == len(targets) == 300
    assert (images[:60] == plain.examples["train"].inputs).all()
    assert (images[60:120, :-1] == images[:60, 1:]).all() or (
        images[60:120, :, :-1] == images[:60, :, 1:]
    ).all()
    assert (targets == labels[:, 0]).all()
    for split in ("val", "test"):
        assert len(moved.examples[split].inputs) == len(plain.examples[split].inputs)


def test_figures_go_by_the_names_that_a_run_has():
    found = notebook.run(CLASSIFY, DIGITS)
    assert isinstance(notebook.draw(found, "confusion"), Figure)
    with pytest.raises(UserError, match="no figure 'confusoin'; did you mean 'confusion'"):
        notebook.draw(found, "confusoin")
    with pytest.raises(UserError, match="does not go with"):
        notebook.draw(found, "filters")


def test_results_are_compared_on_the_same_images():
    results = {
        str(k): notebook.run(f"{CLASSIFY} --config.learner.parameters.n_neighbors={k}", DIGITS)
        for k in (1, 30)
    }
    compared = notebook.compare(results)
    assert compared.winner == "1" and compared.metric == "accuracy"
    assert compared.candidates[1].value == results["30"].measured["val"]["accuracy"]


def test_a_table_is_compared_by_cross_validation():
    found = notebook.compare_table(
        "experiments/tabular.py:learner=decision_tree --config.search.method=none"
    )
    assert found.by == "cross_validation" and found.selection.winner == "decision_tree"
    assert [*found.winner.measured] == ["test"]


def test_a_reader_keeps_its_results_in_memory():
    found = notebook.run(TINY.format("multihead"), DIGITS).with_splits("test")
    labels = found.dataset.splits["val"].labels
    assert found.measured["val"]["exact_match"] == found.outcomes().mean()
    assert found.measured["test"]["n"] == 40
    texts = found.task.texts(found.predictions["val"].values)
    assert [len(text) for text in texts] == [2] * len(labels)
    view = found.learned.network(found.dataset.splits["val"].images[:3])
    logits = view.module.apply({"params": view.params}, jnp.asarray(view.inputs))
    assert logits.shape == (3, 2, 10)
    assert len(found.learned.history) == 1
    assert isinstance(notebook.draw(found, "misread"), Figure)
    [legend] = notebook.draw(found, "class_balance").legends
    assert legend.get_texts()[0].get_text() == "train (64 numbers to compose)"
    with pytest.raises(UserError, match="no figure 'missread'; did you mean 'misread'"):
        notebook.draw(found, "missread")
    measured = {"n", "exact_match_ci95", *found.task.metrics}
    assert measured <= {*found.measured["val"]} == {*found.measured["test"]}


def test_several_seeds_give_the_result_of_all_replicates():
    found = notebook.run(f"{TINY.format('logistic')} --config.seeds=2", DIGITS).with_splits("test")
    each = [one.measured["test"]["exact_match"] for one in found.replicates]
    assert [one.config.seed for one in found.replicates] == [0, 1]
    assert found.measured["test"]["exact_match"] == pytest.approx(np.mean(each))
    assert isinstance(notebook.draw(found, "misread"), Figure)


def test_a_population_is_refused():
    rates = '--config.population.optimizer.learning_rate="(0.001, 0.002)"'
    with pytest.raises(UserError, match=r"optimizer\.learning_rate in config\.population, and a"):
        notebook.run(f"{TINY.format('logistic')} {rates}", DIGITS)


def test_a_reader_without_convolutions_has_no_figures_of_them():
    found = notebook.run(TINY.format("logistic"), DIGITS)
    assert isinstance(notebook.draw(found, "saliency"), Figure)
    for name in ("filters", "feature_maps", "augmented"):
        with pytest.raises(UserError, match="does not go with"):
            notebook.draw(found, name)


def test_an_ensemble_shows_what_its_first_member_looks_at():
    found = notebook.run(
        TINY.format("multihead") + " --config.model.members=2 --config.model.crop_height=28", DIGITS
    )
    for name in ("filters", "feature_maps"):
        texts = [text.get_text() for text in notebook.draw(found, name).findobj(Text)]
        assert any("the first member" in text for text in texts)
        assert not any("members_1" in text for text in texts)
    assert isinstance(notebook.draw(found, "saliency"), Figure)


def test_on_mnist_shifted_copies_lift_nearest_neighbours(data_dir):
    at_hand = AtHand("mnist", "composed", data_dir)
    experiment = "experiments/classify.py:source=mnist,train_limit=500,learner=knn,shifted={}"
    plain, shifted = (
        notebook.run(experiment.format(each), at_hand).with_splits("test") for each in (0, 1)
    )
    accuracies = [each.measured["test"]["accuracy"] for each in (plain, shifted)]
    assert accuracies[1] > accuracies[0] + 0.004
