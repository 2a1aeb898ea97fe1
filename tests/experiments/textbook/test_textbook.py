import dataclasses
import json

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

from experiments.textbook import published
from experiments.textbook.published import DIFFERS, MATCH, PUBLISHED
from experiments.textbook.run import Settings, create_study, other_data, run
from experiments.textbook.steps import PARTS, STEPS
from mnist3.data import variants
from mnist3.data.sources import load_source
from mnist3.errors import UserError
from mnist3.locking import locked

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


SMALL = Settings("digits", PARTS, IMAGES, seed=42)
COMMAND = "python -m experiments.textbook --source=digits"


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
            run(SMALL, str(folders[-1]), None, COMMAND)
            counts.append(len(fits) - before)
            patch.setattr("experiments.textbook.run.draw", lambda *_: [])  # drawn once is enough
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
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") == len(pictures)
    assert COMMAND in page
    config = {"kind": "textbook", "source": "digits", "parts": [*PARTS], "images": 100, "seed": 42}
    assert json.loads((folder / "config.json").read_text()) == config
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
    study = create_study(Settings("mnist", PARTS, 0, 42), load_source("mnist", data_dir))
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
    run(SMALL._replace(parts=("noise",)), str(tmp_path / "run"), None, COMMAND)
    assert [row["name"][:5] for row in rows(tmp_path / "run")] == ["noise", "noise"]
    printed = capsys.readouterr()
    assert "0 published figures match, 0 differ, 2 were not published" in printed.out
    assert "nearest neighbours cleaning noise" in printed.err


def test_what_differs_from_the_book_is_told():
    assert other_data("mnist", 60_000, 42) == ""
    assert other_data("mnist", 60_000, 7) == "published with seed 42, here is 7"
    assert other_data("mnist", 500, 42) == "published of 60,000 training images, here are 500"
    assert "the source digits" in other_data("digits", 60_000, 42)


def test_more_images_than_there_are_keep_all_and_too_few_are_refused():
    source = load_source("digits")
    all_images = create_study(SMALL._replace(images=0), source)
    assert all_images.size + len(all_images.test_labels) == len(source.images)
    assert create_study(SMALL._replace(images=99_999), source).size == all_images.size
    with pytest.raises(UserError, match=r"--images is 10; give at least 100"):
        create_study(SMALL._replace(images=10), source)


def test_a_source_of_other_classes_than_digits_is_refused():
    letters = dataclasses.replace(load_source("digits"), name="letters", classes=("a", "b"))
    with pytest.raises(UserError, match=r"--source=letters is not of digits.* give mnist or"):
        create_study(SMALL, letters)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            '{"kind": "textbook", "source": "digits", "parts": ["noise"], "images": 1, "seed": 7}',
            "images was 1 and is now 100",
        ),
        ('{"seed": 42, "data": {"name": "composed"}}', "is of another kind of run"),
        ("[]", "is of another kind of run"),
        ("{", "is not valid JSON"),
    ],
)
def test_a_folder_with_another_run_is_left_as_it_is(config, said, tmp_path):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match=said) as refusal:
        run(SMALL._replace(parts=("noise",)), str(tmp_path), None, COMMAND)
    assert "choose another --workdir" in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert (tmp_path / "config.json").read_text() == config


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to the workdir .* choose another --workdir"):
        run(SMALL, str(tmp_path / "file" / "run"), None, COMMAND)


def test_a_second_study_in_a_folder_that_is_in_use_is_refused(tmp_path):
    with (
        locked(str(tmp_path)),
        pytest.raises(
            UserError, match=r"is in use by process .*wait until that has ended, or choo"
        ),
    ):
        run(SMALL._replace(parts=("noise",)), str(tmp_path), None, COMMAND)
    assert not list(tmp_path.iterdir())


def test_half_files_of_a_killed_run_are_removed(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "run"
    (folder / "figures").mkdir(parents=True)
    config = json.loads((runs[0][0] / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"parts": ["noise"]}))
    for half in ("metrics.json.12.partial", "figures/cleaned.png.12.partial"):
        (folder / half).write_text("half")
    run(SMALL._replace(parts=("noise",)), str(folder), None, COMMAND)
    assert not list(folder.rglob("*.partial"))
