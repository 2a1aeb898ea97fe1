"""Every task with every learner that fits it, from the config to the files of a run."""

import csv
import dataclasses
import json
from collections import Counter
from unittest import mock

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from mnist3 import experiments, learners, tasks
from mnist3 import results as results_of
from mnist3.config import NETWORK, fields
from mnist3.data import dataset as datasets
from mnist3.data.splits import Split
from mnist3.errors import UserError
from mnist3.estimators import registry
from mnist3.jobs import parts
from mnist3.jobs import run as job
from mnist3.jobs.arguments import Arguments
from mnist3.learners import estimator, tuning
from mnist3.reporting import pictures
from mnist3.tracking import Tracker
from tests.times import without_times

TASKS = [name for name, each in tasks.REGISTRY.items() if each.kind == "digits"]
TINY_NETWORK = {
    "model__stem": 4,
    "model__channels": (8,),
    "training__epochs": 2,
    "training__batch_size": 8,
}
FEW = {  # the least that each can do, so that the table is quick
    "random_forest": {"n_estimators": 3},
    "extra_trees": {"n_estimators": 3},
    "gradient_boosting": {"max_iter": 2, "min_samples_leaf": 5},
    "mlp": {"max_iter": 3, "hidden_layer_sizes": (8,)},
    "linear_svc": {"max_iter": 50},
    "logistic_regression": {"max_iter": 5},
    "sgd": {"max_iter": 5},
}
SLOW_TO_LEARN = ("dummy", NETWORK, "gradient_boosting", "mlp", "sgd")  # with so little
IGNORED = (
    "ignore::sklearn.exceptions.ConvergenceWarning",
    # knn votes for 256 grey levels, which few images cannot fill.
    "ignore:The number of unique classes:UserWarning",
)
pytestmark = [pytest.mark.filterwarnings(each) for each in IGNORED]


def few(name, changes):
    if name == NETWORK:
        return TINY_NETWORK | changes
    for parameter, value in FEW.get(name, {}).items():
        changes.setdefault(f"learner__parameters__{parameter}", value)
    return changes


def task_of(name):
    config = experiments.load(f"experiments/classify.py:task={name}")
    return tasks.create(config.task)


def fits(task, name):
    return registry.fits(name, task_of(task))


@pytest.fixture
def config_of(load):
    def made(task, name, variants="train_limit=60", **changes):
        text = f"experiments/classify.py:task={task},learner={name},{variants}"
        return load(text, **(few(name, changes) if fits(task, name) else {}))

    return made


@pytest.fixture(scope="module")
def dataset():
    """Sixty images to train; val has the same, so that who learned anything knows them."""
    config = experiments.load("experiments/classify.py:train_limit=60")
    whole = datasets.load(config.data, None, "")
    train, test = whole.splits["train"], whole.splits["test"]
    splits = {"train": train, "val": train, "test": Split(test.images[:40], test.labels[:40])}
    return dataclasses.replace(whole, splits=splits)


def rows_of(path):
    with open(path) as file:
        return list(csv.DictReader(file))


PAIRS = [(task, name) for task in TASKS for name in registry.names()]


def learn(config, dataset, folder):
    """What the job does, with a dataset at hand and without pictures."""
    made = parts.load(config, None, dataset)
    learned = made.prepare()(str(folder), Tracker(folder, config))
    result = made.result(learned, ("val", "test"))
    results_of.write_predictions(result, str(folder))
    return result


@pytest.mark.parametrize(("task", "name"), PAIRS)
@pytest.mark.usefixtures("shared_cache")
def test_the_table(task, name, config_of, dataset, tmp_path):
    if not fits(task, name):
        with pytest.raises(UserError, match=f"{name} does not fit the task {task}; those that do"):
            parts.load(config_of(task, name), None, dataset).prepare()
        return
    config = config_of(task, name)
    result = learn(config, dataset, tmp_path)
    metrics, made = result.metrics, result.task
    json.dumps(metrics)
    known = result.learned.calibrator
    assert bool(known.n) == (result.predictions["val"].confidence is not None)
    for split in ("val", "test"):
        headline = metrics[split][made.metrics[0]]
        low, high = metrics[split][f"{made.metrics[0]}_ci95"]
        assert low - 1e-9 <= headline <= high + 1e-9
        rows = rows_of(tmp_path / f"predictions_{split}.csv")
        if task != "denoise":
            assert [*rows[0]][:5] == ["index", "label", "prediction", "confidence", "sure"]
            assert {row["sure"] for row in rows} <= ({"0", "1"} if known.n else {""})
        assert len(rows) == metrics[split]["n"]
        check_predictions(made, name, result.predictions[split], len(rows))
        if task == "denoise":
            squares = [float(row["rmse"]) ** 2 for row in rows]
            assert np.mean(squares) ** 0.5 == pytest.approx(headline, abs=0.01)
        else:
            share = np.mean([row["label"] == row["prediction"] for row in rows])
            assert share == pytest.approx(headline)
    if task != "denoise" and name not in SLOW_TO_LEARN:
        hits = result.predictions["val"].values == result.examples["val"].targets
        assert hits.mean() > 0.7


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.usefixtures("shared_cache")
def test_a_task_lists_what_is_measured(task, config_of, dataset, tmp_path):
    measured = learn(config_of(task, "knn"), dataset, tmp_path).measured["val"]
    names = {name for name in measured if not name.endswith("_ci95")}
    assert {*task_of(task).metrics} == names - {"n", "positives", "most_confused"}


def check_predictions(task, name, predictions, n):
    """Predictions of n images have one row each, and as many columns as the task."""
    if task.name == "denoise":
        assert predictions.values.shape == (n, 28, 28)
        assert predictions.probabilities is predictions.scores is predictions.confidence is None
        return
    labels = task.name == "multilabel"
    assert predictions.values.shape == ((n, 2) if labels else (n,))
    two = len(task.classes) == 2 and not labels
    assert predictions.scores.shape == ((n,) if two else (n, task.outputs))
    assert (predictions.log_likelihood is not None) == (name == NETWORK)
    if predictions.probabilities is not None:
        assert predictions.confidence.shape == (n,)
        assert predictions.probabilities.shape == (n, task.outputs)
        assert ((predictions.probabilities >= 0) & (predictions.probabilities <= 1)).all()


DATA_FIGURES = {"class_balance", "digit_grid", "digit"}
CLASS_FIGURES = {"confusion", "worst_images", "reliability", "risk_coverage", *DATA_FIGURES}
CURVES = {"thresholds", "precision_recall", "roc"}


@pytest.mark.parametrize(
    ("task", "name", "drawn"),
    [
        (
            "multiclass",
            NETWORK,
            {*CLASS_FIGURES, "pair_gallery", "augmented", "learning_curves"}
            | {"filters", "feature_maps", "saliency"},
        ),
        ("binary", "sgd", {"confusion", *CURVES, *DATA_FIGURES}),
        ("pair", "knn", {*CLASS_FIGURES, *CURVES}),
        ("multilabel", "knn", {"precision_recall", "roc", *CLASS_FIGURES} - {"confusion"}),
        ("denoise", "knn", {"cleaned", *DATA_FIGURES}),
    ],
)
@pytest.mark.usefixtures("shared_cache")
def test_a_run_leaves_the_files_of_the_contract(task, name, drawn, config_of, tmp_path, capsys):
    shift = {"augmentation__shift": 1} if drawn & {"augmented"} else {}
    config = config_of(task, name, **shift)
    assert job.run(config, Arguments(workdir=str(tmp_path / "run"))) == 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {"config.json", "dataset.json", "metrics.json", "report.html", "figures"}
    assert ("checkpoints" if name == NETWORK else "model.skops") in names
    assert names >= {"predictions_val.csv", "predictions_test.csv"}
    figures = {path.stem for path in (tmp_path / "run/figures").iterdir()}
    assert figures - {"label_errors", "pair_gallery"} == drawn - {"pair_gallery"}
    page = (tmp_path / "run/report.html").read_text()
    assert page.count("data:image/png") == len(figures)
    assert f"task {task}" in capsys.readouterr().out


@pytest.mark.usefixtures("shared_cache")
def test_the_most_confused_digits_are_counted_and_shown(config_of, tmp_path):
    config = config_of("multiclass", "decision_tree")
    assert job.run(config, Arguments(workdir=str(tmp_path / "run"), figures="none")) == 0
    confused = json.loads((tmp_path / "run/metrics.json").read_text())["val"]["most_confused"]
    rows = rows_of(tmp_path / "run/predictions_val.csv")
    read = Counter((int(row["label"]), int(row["prediction"])) for row in rows)
    mistakes = {pair: images for pair, images in read.items() if pair[0] != pair[1]}
    assert [each["images"] for each in confused] == sorted(mistakes.values(), reverse=True)[:10]
    page = (tmp_path / "run/report.html").read_text()
    for each in confused:
        target, prediction, images = each["target"], each["prediction"], each["images"]
        assert mistakes[target, prediction] == images
        assert each["share"] == images / sum(row["label"] == str(target) for row in rows)
        shown = page.partition(f">{target} taken for {prediction}</th>")[2].partition("</tr>")[0]
        assert f">{images}<" in shown and f">{each['share']:.2%}<" in shown


@pytest.mark.usefixtures("shared_cache")
def test_without_a_mistake_there_is_no_table_of_them(config_of, dataset, tmp_path):
    config = config_of("multiclass", "knn", learner__parameters__n_neighbors=1)
    result = learn(config, dataset, tmp_path)
    assert result.measured["val"]["accuracy"] == 1  # val has the images of train
    assert result.measured["val"]["most_confused"] == []


@pytest.mark.usefixtures("shared_cache")
def test_a_precision_out_of_reach_is_not_marked(config_of, dataset, tmp_path):
    result = learn(config_of("binary", "sgd"), dataset, tmp_path)
    targets = result.examples["val"].targets
    worse = tasks.Predictions(np.zeros_like(targets), scores=-targets.astype(float))
    result = dataclasses.replace(result, predictions={"val": worse})
    figure = pictures.draw("thresholds", result)
    assert "out of reach" in figure.get_suptitle().replace("\n", " ")
    assert len(figure.axes[0].lines) == 2  # precision and recall


@pytest.mark.parametrize("task", ["binary", "denoise"])
@pytest.mark.usefixtures("shared_cache")
def test_shifted_copies_keep_their_targets(task, config_of, dataset):
    config = config_of(task, "knn", "train_limit=60,shifted=1")
    train = parts.load(config, None, dataset).examples["train"]
    clean = train.targets if task == "denoise" else train.inputs
    assert len(train.inputs) == len(train.targets) == len(train.labels) == 5 * 60
    np.testing.assert_array_equal(clean[240:, :-1], clean[:60, 1:])  # up, the last
    if task == "binary":
        np.testing.assert_array_equal(train.targets, train.labels[:, 0] == config.task.digit)
    else:
        noise = train.inputs - clean
        assert noise.min() == 0 and noise.max() == 99
        assert (noise[:60] != noise[60:120]).any()


@pytest.fixture
def few_pictures(monkeypatch):
    """Of the digits' pictures none is drawn: what any search draws remains."""
    monkeypatch.setattr(tasks.REGISTRY["multiclass"], "pictures", {})


@pytest.mark.usefixtures("own_cache", "few_pictures")
def test_a_search_is_made_once_and_the_same_command_gives_the_same(
    config_of, tmp_path, monkeypatch
):
    fits = []
    fit_once = KNeighborsClassifier.fit
    monkeypatch.setattr(
        KNeighborsClassifier, "fit", lambda self, *args: fits.append(1) or fit_once(self, *args)
    )
    grid = {"search__grid__n_neighbors": (1, 5), "search__grid__weights": ("uniform",)}
    config = config_of("multiclass", "knn", "train_limit=60,search=grid", **grid)
    config.search.folds = 2
    written = []
    for folder, figures in (("one", "all"), ("two", "none"), ("one", "none")):
        arguments = Arguments(workdir=str(tmp_path / folder), figures=figures)
        assert job.run(config, arguments) == 0
        written.append(json.loads((tmp_path / folder / "metrics.json").read_text()))
    # Each search has two candidates in two folds; the second run finds these fits and its own in
    # the cache and fits once to save the model, which the third one has already.
    assert len(fits) == 2 * 2 + 1 + 1
    assert without_times(written[0]) == without_times(written[1]) == without_times(written[2])
    assert written[0]["model"]["parameters"] == {"n_neighbors": 1, "weights": "uniform"}
    assert (tmp_path / "one/figures/search.png").exists()


@pytest.mark.parametrize(("method", "tried"), [("random", 3), ("halving", 6 + 2)])
@pytest.mark.usefixtures("own_cache", "few_pictures")
def test_a_run_takes_what_its_search_chose_in_the_end(
    method, tried, config_of, tmp_path, monkeypatch
):
    found = []
    search = estimator.search
    monkeypatch.setattr(
        estimator, "search", lambda *given: found.append(search(*given)) or found[0]
    )
    config = config_of("multiclass", "knn", f"train_limit=360,search={method}")
    config.search.grid.update(n_neighbors=(1, 3, 5), weights=("uniform", "distance"))
    config.search.update(folds=2, iterations=3)
    assert job.run(config, Arguments(workdir=str(tmp_path / "run"))) == 0
    [searched] = found
    results = searched.cv_results_
    rounds = results.get("iter", np.zeros(tried))
    scores = {
        tuple(sorted(parameters.items())): score
        for parameters, score, each in zip(
            results["params"], results["mean_test_score"], rounds, strict=True
        )
        if each == rounds.max()
    }
    assert len(rounds) == tried
    assert len(scores) == {"random": 3, "halving": 2}[method]
    chosen = json.loads((tmp_path / "run/metrics.json").read_text())["model"]["parameters"]
    assert scores[tuple(sorted(chosen.items()))] == max(scores.values())
    learned = learners.load(config, parts.task_of(config), str(tmp_path / "run"))
    wanted = registry.create(config.learner, learned.task, config.seed).set_params(**chosen)
    assert learned.fit().get_params() == wanted.get_params()
    assert (tmp_path / "run/figures/search.png").exists()
    assert 'alt="search"' in (tmp_path / "run/report.html").read_text()


@pytest.mark.usefixtures("shared_cache")
def test_a_network_s_run_that_goes_on_takes_what_its_search_chose(
    config_of, dataset, tmp_path, monkeypatch
):
    best = {"learning_rate": 0.011, "channels": (4,)}
    found = mock.Mock(best_params_=best, best_score_=1.0, cv_results_={"params": [best]})
    monkeypatch.setattr(estimator, "search", lambda *_: found)
    config = config_of("multiclass", NETWORK, "train_limit=60,search=grid")
    with config.unlocked():
        config.search.grid.update({name: (value,) for name, value in best.items()})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(learners.network, "learn", lambda *_: stop())
        learn(config, dataset, tmp_path)
    monkeypatch.setattr(tuning, "tune", lambda *_: pytest.fail("it searched again"))
    learned = learn(config, dataset, tmp_path).learned
    loaded = learners.load(config, learned.task, str(tmp_path))
    for each in (learned, loaded):
        assert each.run.config.optimizer.learning_rate == 0.011
        assert each.run.config.model.channels == (4,)
        assert each.search_results["params"][0]["learning_rate"] == 0.011


def stop():
    raise KeyboardInterrupt


@pytest.mark.usefixtures("shared_cache")
def test_an_estimator_has_no_sections_of_a_network(config_of):
    assert {"model", "optimizer", "training"}.isdisjoint(config_of("binary", "knn").keys())
    assert {"model", "optimizer", "training"} <= {*config_of("binary", NETWORK).keys()}


@pytest.mark.usefixtures("shared_cache")
def test_what_the_estimator_does_not_take_is_one_sentence(config_of, dataset, tmp_path):
    config = config_of("binary", "knn", learner__parameters__n_neighbors=0)
    with pytest.raises(UserError, match=r"knn cannot learn this .*n_neighbors"):
        learn(config, dataset, tmp_path)


@pytest.mark.usefixtures("shared_cache")
def test_one_class_alone_is_refused(config_of, dataset):
    train = dataset.splits["train"]
    zeros = train.labels[:, 0] != 5
    splits = dataset.splits | {"train": Split(train.images[zeros], train.labels[zeros])}
    with pytest.raises(UserError, match="all of one class"):
        parts.load(config_of("binary", "knn"), None, dataclasses.replace(dataset, splits=splits))


@pytest.mark.parametrize("name", ["knn", NETWORK])
@pytest.mark.usefixtures("shared_cache")
def test_what_was_learned_is_kept_and_evaluated_again(name, config_of, tmp_path, monkeypatch):
    config = config_of("multiclass", name)
    folder = tmp_path / "run"
    assert job.run(config, Arguments(workdir=str(folder), figures="none")) == 0
    before = {file: (folder / file).read_bytes() for file in ("predictions_test.csv",)}
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path / "empty"))
    arguments = Arguments(workdir=str(folder), mode="evaluate", figures="none")
    assert job.run(config, arguments) == 0
    assert before == {file: (folder / file).read_bytes() for file in before}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("learner.parameters.n_neighbours=4",), "config.learner.parameters.n_neighbors?"),
        (("learner.parameters.n_neighbors=x",), "which is not of type int"),
        (("learner.parameters.metric_params=x",), "into quotes twice"),
        (("search.grid.weight=('uniform',)",), "config.search.grid.weights?"),
    ],
)
@pytest.mark.usefixtures("shared_cache")
def test_a_wrong_parameter_is_named_with_the_nearest(words, said):
    known = dict(fields(experiments.load("experiments/classify.py:learner=knn")))
    assert said in experiments.mistake(known, [f"--config.{word}" for word in words])


@pytest.mark.parametrize(
    ("text", "parameter", "value"),
    [
        ("learner=knn --config.learner.parameters.n_neighbors=4", "n_neighbors", 4),
        ("learner=svc --config.learner.parameters.gamma=0.1", "gamma", 0.1),
        ("learner=decision_tree --config.learner.parameters.max_depth=7", "max_depth", 7),
    ],
)
@pytest.mark.usefixtures("shared_cache")
def test_own_parameters_from_the_command_line(load, text, parameter, value):
    config = load(f"experiments/classify.py:{text}")
    task = parts.task_of(config)
    made = registry.create(config.learner, task, config.seed)
    assert made.get_params()[parameter] == value
    assert estimator.changed_parameters(config, task).keys() == {parameter}
