import json
import pathlib

import numpy as np
import pytest
import sklearn
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from mnist3 import jobs
from mnist3.config import one_digit
from mnist3.data import variants
from mnist3.data.sources import load_source
from mnist3.errors import UserError
from mnist3.evaluation import published
from mnist3.evaluation.published import DIFFERS, MATCH, PUBLISHED
from mnist3.evaluation.textbook_steps import STEPS
from mnist3.jobs import textbook
from mnist3.jobs.arguments import Arguments
from mnist3.validation import validate

ESTIMATORS = (
    DummyClassifier,
    SGDClassifier,
    RandomForestClassifier,
    SVC,
    OneVsRestClassifier,
    ClassifierChain,
    KNeighborsClassifier,
)
IMAGES = 100


def small(parts=("binary", "multiclass", "multilabel", "noise", "neighbours")):
    config = one_digit("digits")
    config.seed = 42
    config.textbook.parts, config.textbook.images = parts, IMAGES
    validate(config)
    return config


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of the whole study in one cache: their folders, and the fits that each made."""
    fits, folders, counts = [], [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNIST3_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        for kind in ESTIMATORS:

            def counted(self, *data, plain=kind.fit, **options):
                fits.append(type(self).__name__)
                return plain(self, *data, **options)

            patch.setattr(kind, "fit", counted)
        for name in ("first", "second"):
            folders.append(tmp_path_factory.mktemp("runs") / name)
            before = len(fits)
            assert textbook.run(small(), Arguments(workdir=str(folders[-1]))) == 0
            counts.append(len(fits) - before)
    return folders, counts


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def rows(folder):
    return metrics_of(folder)["figures"]


def test_the_second_time_nothing_is_fitted_and_all_figures_are_the_same(runs):
    (first, second), (fits, fits_again) = runs
    assert fits > 60
    assert fits_again == 0
    for one, other in zip(rows(first), rows(second), strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}


def test_every_published_figure_has_a_row_and_one_that_differs_says_why(runs):
    found = rows(runs[0][0])
    assert {row["name"] for row in found if row["published"] is not None} == set(PUBLISHED)
    for row in found:
        assert bool(row["reason"]) == (row["verdict"] == DIFFERS)
    accuracy = next(row for row in found if row["name"] == "KNN: test accuracy")
    assert accuracy["reason"] == "published of MNIST, here is the source digits"
    assert next(row for row in found if "classifiers" in row["name"])["verdict"] == MATCH


def test_a_run_leaves_its_files(runs):
    folder = runs[0][0]
    pictures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert pictures >= {"thresholds", "roc", "precision_recall", "confusion", "cleaned", "grid"}
    assert (folder / "report.html").read_text().count("data:image/png") == len(pictures)
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "metrics.json",
        "report.html",
        "figures",
    }


def test_the_metrics_say_what_data_the_figures_are_of(runs):
    metrics, source = metrics_of(runs[0][0]), load_source("digits")
    assert metrics["dataset"] == {
        "name": "single_digit",
        "source": "digits",
        "fingerprint": source.fingerprint,
        "protocol": {"numbers": "shared", "digit_images": "disjoint"},
    }
    assert metrics["train"]["n"] == IMAGES
    assert metrics["train"]["seconds"] > 0
    assert metrics["test"]["n"] == len(source.images) // 7


def test_the_figures_are_those_of_scikit_learn_itself(runs):
    found = {row["name"]: row["ours"] for row in rows(runs[0][0])}
    source = load_source("digits")
    test = len(source.images) // 7
    values = source.images.reshape(len(source.images), -1).astype(np.float64)
    train, labels = values[:IMAGES], source.labels[:IMAGES]
    neighbours = KNeighborsClassifier(algorithm="brute").fit(train, labels)
    assert found["KNN: test accuracy"] == neighbours.score(values[-test:], source.labels[-test:])
    scores = SVC(decision_function_shape="ovo", random_state=42).fit(train, labels)
    np.testing.assert_allclose(
        found["SVC one-vs-one: scores of the 45 pairs"], scores.decision_function(values[:1])[0]
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_leaving_out_pixels_without_ink_gives_the_same_weights():
    source = load_source("digits")
    images, labels = source.images[:300], source.labels[:300]
    ink = images.any(axis=0).ravel()
    assert not ink.all()
    some, every = (
        SGDClassifier(random_state=42).fit(make(images), labels)
        for make in (variants.inked, variants.pixels)
    )
    np.testing.assert_array_equal(some.coef_, every.coef_[:, ink])
    np.testing.assert_array_equal(every.coef_[:, ~ink], 0)
    np.testing.assert_array_equal(some.intercept_, every.intercept_)


def test_on_mnist_the_quick_steps_give_the_published_figures(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path))
    config = one_digit("mnist")
    config.seed = 42
    study = textbook.create_study(config, load_source("mnist", data_dir))
    figures = {}
    for step in STEPS:
        if step.weight < 12:
            figures |= step.run(study).figures
    found = [*published.compare(figures, 0.0, sklearn.__version__)]
    assert {row.verdict for row in found} == {MATCH, published.OURS_ALONE}
    names = {row.name for row in found if row.verdict == MATCH}
    assert names >= {
        "dummy: accuracy of 3 folds",
        "SVC one-vs-one: scores of the 45 pairs",
        "chain of SVCs, large and odd: labels of the first image",
        "KNN: test accuracy",
    }


def test_a_part_can_be_run_alone_and_what_it_has_in_common_is_not_fitted_again(
    runs, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path / "cache"))
    textbook.run(small(("noise",)), Arguments(workdir=str(tmp_path / "run")))
    assert [row["name"][:5] for row in rows(tmp_path / "run")] == ["noise", "noise"]
    printed = capsys.readouterr()
    assert "0 published figures match, 0 differ, 2 were not published" in printed.out
    assert "nearest neighbours cleaning noise" in printed.err


def test_the_experiment_selects_the_study_and_another_does_not():
    assert jobs.job_of("train", small()) == "textbook"
    experiment = {}
    path = pathlib.Path(__file__).parents[2] / "experiments" / "textbook.py"
    exec(path.read_text(), experiment)
    config = experiment["get_config"]("source=digits")
    validate(config)
    assert len(config.textbook.parts) == 5
    assert not textbook.other_data(experiment["get_config"]())


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("seed", 7, "seed 42, here is 7"), ("textbook.images", 500, "60,000 training images")],
)
def test_what_else_the_book_had_is_told(field, value, said):
    config = small()
    config.data.source, config.textbook.images = "mnist", 0
    config.update_from_flattened_dict({field: value})
    assert said in textbook.other_data(config)


def test_mistakes_get_a_sentence():
    config = small()
    config.textbook.parts = ("binry",)
    with pytest.raises(UserError, match="did you mean 'binary'"):
        validate(config)
    config.textbook.images = 10
    with pytest.raises(UserError, match="at least 100"):
        textbook.create_study(config, load_source("digits"))
