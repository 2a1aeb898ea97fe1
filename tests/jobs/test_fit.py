"""Every task with every estimator that fits it, from the config to the files of a run."""

import csv
import dataclasses
import json
from collections import Counter

import numpy as np
import pytest
from mnist3.evaluation.answers import Answer
from sklearn.neighbors import KNeighborsClassifier

from mnist3 import tasks
from mnist3.data import dataset as datasets
from mnist3.data.splits import Split
from mnist3.errors import UserError
from mnist3.estimators import registry
from mnist3.jobs import command_line, experiments, fit, fit_figures, study
from mnist3.jobs.arguments import Arguments

TASKS = [name for name in tasks.NAMES if name != "number"]
FEW = {  # the least that each can do, so that the table is quick
    "random_forest": {"n_estimators": 3},
    "extra_trees": {"n_estimators": 3},
    "gradient_boosting": {"max_iter": 2, "min_samples_leaf": 5},
    "mlp": {"max_iter": 3, "hidden_layer_sizes": (8,)},
    "flax": {"epochs": "2", "stem": 4, "channels": (8,)},
    "linear_svc": {"max_iter": 50},
    "logistic_regression": {"max_iter": 5},
    "sgd": {"max_iter": 5},
}
SLOW_TO_LEARN = ("dummy", "flax", "gradient_boosting", "mlp", "sgd")  # with so little
IGNORED = (
    "ignore::sklearn.exceptions.ConvergenceWarning",
    # knn votes for 256 grey levels, which few images cannot fill.
    "ignore:The number of unique classes:UserWarning",
)
pytestmark = [pytest.mark.filterwarnings(each) for each in IGNORED]


def few(name, changes):
    for parameter, value in FEW.get(name, {}).items():
        changes.setdefault(f"estimator__parameters__{parameter}", value)
    return changes


def fits(task, name):
    return registry.fits(name, "binary" if task == "pair" else task)


@pytest.fixture
def config_of(load):
    def made(task, name, variants="train_limit=60", **changes):
        text = f"experiments/classify.py:task={task},estimator={name},{variants}"
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


@pytest.mark.parametrize(("task", "name"), PAIRS)
@pytest.mark.usefixtures("shared_cache")
def test_the_table(task, name, config_of, dataset, tmp_path, monkeypatch):
    if not fits(task, name):
        with pytest.raises(UserError, match=f"{name} does not fit the task {task}; those that do"):
            study.create(config_of(task, name))
        return
    said = []
    answer = study.answer
    monkeypatch.setattr(study, "answer", lambda *given: said.append(answer(*given)) or said[-1])
    config = config_of(task, name)
    metrics = fit.fit(config, dataset, str(tmp_path), "", draw=False)
    assert json.loads(json.dumps(metrics)) == json.loads((tmp_path / "metrics.json").read_text())
    made = tasks.create(config.task)
    for split in ("val", "test"):
        headline = metrics[split][made.metrics[0]]
        low, high = metrics[split][f"{made.metrics[0]}_ci95"]
        assert low - 1e-9 <= headline <= high + 1e-9
        rows = rows_of(tmp_path / f"predictions_{split}.csv")
        assert len(rows) == metrics[split]["n"]
        check_answer(made, said[0][split], len(rows))
        if task == "denoise":
            squares = [float(row["rmse"]) ** 2 for row in rows]
            assert np.mean(squares) ** 0.5 == pytest.approx(headline, abs=0.01)
        else:
            share = np.mean([row["label"] == row["prediction"] for row in rows])
            assert share == pytest.approx(headline)
    if task != "denoise" and name not in SLOW_TO_LEARN:
        targets = study.split_examples(config, dataset, made)["val"].targets
        assert (said[0]["val"].predictions == targets).mean() > 0.7


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.usefixtures("shared_cache")
def test_a_task_lists_what_is_measured(task, config_of, dataset, tmp_path):
    config = config_of(task, "knn")
    measured = fit.fit(config, dataset, str(tmp_path), "", draw=False)["val"]
    names = {name for name in measured if not name.endswith("_ci95")}
    assert {*tasks.create(config.task).metrics} == names - {"n", "positives", "most_confused"}


def check_answer(task, said, n):
    """What an estimator says of n images has one row each, and as many columns as the task."""
    if task.kind == "denoise":
        assert said.predictions.shape == (n, 784)
        assert said.probabilities is said.scores is None
        return
    assert said.predictions.shape == ((n, 2) if task.kind == "multilabel" else (n,))
    assert said.scores.shape == ((n,) if task.kind == "binary" else (n, task.outputs))
    if said.probabilities is not None:
        assert said.probabilities.shape == (n, task.outputs)
        assert ((said.probabilities >= 0) & (said.probabilities <= 1)).all()


DATA_FIGURES = {"class_balance", "digit_grid", "digit"}
CLASS_FIGURES = {"confusion", "worst_images", "reliability", *DATA_FIGURES}
CURVES = {"thresholds", "precision_recall", "roc"}


@pytest.mark.parametrize(
    ("task", "name", "drawn"),
    [
        (
            "multiclass",
            "flax",
            {*CLASS_FIGURES, "pair_gallery", "augmented", "learning_curve"}
            | {"filters", "feature_maps", "saliency"},
        ),
        ("binary", "sgd", {"confusion", *CURVES, *DATA_FIGURES}),
        ("pair", "knn", {*CLASS_FIGURES, *CURVES}),
        ("multilabel", "knn", {"precision_recall", "roc", "worst_images", *DATA_FIGURES}),
        ("denoise", "knn", {"cleaned", *DATA_FIGURES}),
    ],
)
@pytest.mark.usefixtures("shared_cache")
def test_a_run_leaves_the_files_of_the_contract(task, name, drawn, config_of, tmp_path, capsys):
    shift = {"estimator__parameters__shift": 1} if drawn & {"augmented"} else {}
    config = config_of(task, name, **shift)
    assert fit.run(config, Arguments(workdir=str(tmp_path / "run"))) == 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {"config.json", "metrics.json", "report.html", "figures"}
    assert names >= {"predictions_val.csv", "predictions_test.csv"}
    figures = {path.stem for path in (tmp_path / "run/figures").iterdir()}
    assert figures - {"label_errors", "pair_gallery"} == drawn - {"pair_gallery"}
    page = (tmp_path / "run/report.html").read_text()
    assert page.count("data:image/png") == len(figures)
    assert f"task {task}" in capsys.readouterr().out


@pytest.mark.usefixtures("shared_cache")
def test_the_most_confused_digits_are_counted_and_shown(config_of, tmp_path):
    config = config_of("multiclass", "decision_tree")
    assert fit.run(config, Arguments(workdir=str(tmp_path / "run"))) == 0
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
    metrics = fit.fit(
        config_of("multiclass", "knn", estimator__parameters__n_neighbors=1),
        dataset,
        str(tmp_path),
        "",
        draw=False,
    )
    assert metrics["val"]["accuracy"] == 1  # val has the images of train
    assert metrics["val"]["most_confused"] == []
    assert "Most confused" not in (tmp_path / "report.html").read_text()


@pytest.mark.usefixtures("shared_cache")
def test_a_precision_out_of_reach_is_not_marked(config_of, dataset):
    config = config_of("binary", "sgd")
    task = tasks.create(config.task)
    examples = study.split_examples(config, dataset, task)
    targets = examples["val"].targets
    said = Answer(np.zeros_like(targets), None, -targets.astype(float), 0.0, (), None)
    view = fit_figures.view_of(config, dataset, task, examples, said, None)
    figure = fit_figures.DRAWERS["thresholds"](view)
    assert "out of reach" in figure.get_suptitle().replace("\n", " ")
    assert len(figure.axes[0].lines) == 2  # precision and recall


@pytest.mark.parametrize("task", ["binary", "denoise"])
@pytest.mark.usefixtures("shared_cache")
def test_shifted_copies_keep_their_targets(task, config_of, dataset):
    config = config_of(task, "knn", "train_limit=60,shifted=1")
    images, digits, features, targets = study.split_examples(
        config, dataset, tasks.create(config.task)
    )["train"]
    assert len(images) == len(digits) == len(features) == len(targets) == 5 * 60
    np.testing.assert_array_equal(images[240:, :-1], images[:60, 1:])  # up, the last
    if task == "binary":
        np.testing.assert_array_equal(targets, digits == config.task.digit)
    else:
        np.testing.assert_array_equal(targets, images.reshape(300, -1))
        noise = features - targets
        assert noise.min() == 0 and noise.max() == 99
        assert (noise[:60] != noise[60:120]).any()


def without_times(metrics):
    return metrics | {"train": {"n": metrics["train"]["n"]}}


@pytest.mark.usefixtures("own_cache")
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
    for folder in ("one", "two", "one"):
        assert fit.run(config, Arguments(workdir=str(tmp_path / folder))) == 0
        written.append(json.loads((tmp_path / folder / "metrics.json").read_text()))
    assert len(fits) == 2 * 2 + 1
    assert without_times(written[0]) == without_times(written[1]) == without_times(written[2])
    assert written[0]["model"]["parameters"] == {"n_neighbors": 1, "weights": "uniform"}
    assert (tmp_path / "one/figures/search.png").exists()


@pytest.mark.parametrize(("method", "tried"), [("random", 3), ("halving", 6 + 2)])
@pytest.mark.usefixtures("own_cache")
def test_a_run_takes_what_its_search_chose_in_the_end(
    method, tried, config_of, tmp_path, monkeypatch
):
    choices = []
    choose = study.choose
    monkeypatch.setattr(
        study, "choose", lambda *given: choices.append(choose(*given)) or choices[0]
    )
    config = config_of("multiclass", "knn", f"train_limit=360,search={method}")
    config.search.grid.update(n_neighbors=(1, 3, 5), weights=("uniform", "distance"))
    config.search.update(folds=2, iterations=3)
    assert fit.run(config, Arguments(workdir=str(tmp_path / "run"))) == 0
    [choice] = choices
    results = choice.search_results
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
    fitted = study.create(config)[1].set_params(**chosen)
    assert choice.estimator.get_params() == fitted.get_params()
    assert (tmp_path / "run/figures/search.png").exists()
    assert 'alt="search"' in (tmp_path / "run/report.html").read_text()


@pytest.mark.usefixtures("shared_cache")
def test_what_the_estimator_does_not_look_at_is_refused(config_of):
    config = config_of("binary", "flax", training__epochs=3)
    with pytest.raises(UserError, match=r"set config\.estimator\.parameters\.epochs"):
        study.create(config)


@pytest.mark.usefixtures("shared_cache")
def test_what_the_estimator_does_not_take_is_one_sentence(config_of, dataset, tmp_path):
    config = config_of("binary", "knn", estimator__parameters__n_neighbors=0)
    with pytest.raises(UserError, match=r"knn cannot learn this .*n_neighbors"):
        fit.fit(config, dataset, str(tmp_path), "", draw=False)


@pytest.mark.usefixtures("shared_cache")
def test_one_class_alone_is_refused(config_of, dataset):
    config = config_of("binary", "knn")
    zeros = dataset.splits["train"].labels[:, 0] != 5
    train = dataset.splits["train"]
    splits = dataset.splits | {"train": Split(train.images[zeros], train.labels[zeros])}
    with pytest.raises(UserError, match="all of one class"):
        study.split_examples(
            config, dataclasses.replace(dataset, splits=splits), tasks.create(config.task)
        )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("estimator.parameters.n_neighbours=4",), "config.estimator.parameters.n_neighbors?"),
        (("estimator.parameters.n_neighbors=x",), "which is not of type int"),
        (("estimator.parameters.metric_params=x",), "into quotes twice"),
        (("search.grid.weight=('uniform',)",), "config.search.grid.weights?"),
    ],
)
@pytest.mark.usefixtures("shared_cache")
def test_a_wrong_parameter_is_named_with_the_nearest(words, said):
    argv = ["--config=experiments/classify.py:estimator=knn"]
    mistake = command_line._config_mistake([*argv, *(f"--config.{word}" for word in words)])
    assert said in mistake


@pytest.mark.parametrize(
    ("text", "parameter", "value"),
    [
        ("estimator=knn --config.estimator.parameters.n_neighbors=4", "n_neighbors", 4),
        ("estimator=svc --config.estimator.parameters.gamma=0.1", "gamma", 0.1),
        ("estimator=decision_tree --config.estimator.parameters.max_depth=7", "max_depth", 7),
    ],
)
@pytest.mark.usefixtures("shared_cache")
def test_own_parameters_from_the_command_line(load, text, parameter, value):
    config = load(f"experiments/classify.py:{text}")
    assert study.create(config)[1].get_params()[parameter] == value
    assert study.changed_parameters(config).keys() == {parameter}
