import json

import pytest
from sklearn.neighbors import KNeighborsClassifier

from mnist3.errors import UserError
from mnist3.jobs import compare
from mnist3.jobs.arguments import Arguments

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def experiments_of(task, *rests, limit=200):
    return tuple(
        f"experiments/classify.py:task={task},train_limit={limit},estimator={rest}"
        for rest in rests
    )


K = "knn --config.estimator.parameters.n_neighbors="


@pytest.fixture
def config_of(load):
    def made(*experiments, **changes):
        return load("experiments/compare.py", compare__experiments=experiments, **changes)

    return made


def read(folder, name="metrics.json"):
    return json.loads((folder / name).read_text())


@pytest.mark.usefixtures("own_cache")
def test_a_winner_its_ties_and_a_repetition_from_the_cache(
    config_of, tmp_path, monkeypatch, capsys
):
    fits = []
    fit_once = KNeighborsClassifier.fit

    def fit(self, *args):
        fits.append(1)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return fit_once(self, *args)

    monkeypatch.setattr(KNeighborsClassifier, "fit", fit)
    config = config_of(*experiments_of("binary", "dummy", f"{K}1", f"{K}3", limit=600))
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        compare.run(config, Arguments(workdir=str(folder)))
    assert compare.run(config, Arguments(workdir=str(folder))) == 0
    assert len(fits) == 3  # the interrupted one is fitted again, the one before it is not
    first, printed = read(folder), capsys.readouterr().out
    assert compare.run(config, Arguments(workdir=str(folder))) == 0
    assert len(fits) == 3
    assert read(folder) == first

    chosen = read(folder, "comparison.json")
    assert chosen["winner"] == first["model"]["name"]
    other = ({"knn n_neighbors=1", "knn n_neighbors=3"} - {chosen["winner"]}).pop()
    assert chosen["tied"] == [other]
    assert (
        f"Cannot be told apart from it (McNemar's exact test, 5 %, Holm's correction): {other}"
        in (printed)
    )
    dummy = first["estimators"]["dummy"]["chosen_by"]
    assert dummy["p_value"] < 0.05 and dummy["behind_ci95"][0] > 0
    assert first["test"] == first["estimators"][chosen["winner"]]["test"]
    figures = {path.stem for path in (folder / "figures").iterdir()}
    assert figures == {"comparison", "precision_recall", "roc", "confusion"}
    assert (folder / "report.html").read_text().count("data:image/png") == len(figures)


@pytest.mark.parametrize("task", ["multilabel", "denoise"])
@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@pytest.mark.usefixtures("own_cache")
def test_cross_validation_chooses_on_train(task, config_of, tmp_path):
    experiments = experiments_of(task, "dummy", f"{K}1", limit=60)
    config = config_of(*experiments, compare__by="cross_validation", search__folds=2)
    assert compare.run(config, Arguments(workdir=str(tmp_path / "run"))) == 0
    metrics = read(tmp_path / "run")
    if task == "multilabel":
        assert metrics["model"]["name"] == "knn n_neighbors=1"
    else:
        errors = {name: each["chosen_by"]["mse"] for name, each in metrics["estimators"].items()}
        assert errors[metrics["model"]["name"]] == min(errors.values()) > 25.5**2
        page = (tmp_path / "run/report.html").read_text()
        assert "mean squared error (squared grey levels), cross-validation on train" in page
        assert "McNemar" not in page
    assert metrics["chosen_by"] == "cross_validation"
    assert set(metrics["estimators"]) == {"dummy", "knn n_neighbors=1"}


@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.usefixtures("own_cache")
def test_the_cleaner_with_the_lower_error_wins_whatever_the_order(order, config_of, tmp_path):
    experiments = experiments_of("denoise", "dummy", f"{K}15", limit=60)[::order]
    assert compare.run(config_of(*experiments), Arguments(workdir=str(tmp_path / "run"))) == 0
    metrics = read(tmp_path / "run")
    lines = metrics["estimators"]
    rmse = {name: line["val"]["rmse"] for name, line in lines.items()}
    assert min(rmse.values()) > 25.5
    assert metrics["model"]["name"] == min(rmse, key=rmse.get)
    for name, line in lines.items():
        assert line["chosen_by"]["mse"] == pytest.approx(rmse[name] ** 2)


@pytest.mark.parametrize(
    ("experiments", "said"),
    [
        ((), "is empty"),
        (("experiments/none.py",), "cannot be read"),
        (("experiments/classify.py:modle=knn",), "did you mean"),
        (("experiments/quickstart.py",), "task is number"),
        (experiments_of("pair", "knn", "knn"), "'knn' twice"),
        ((*experiments_of("pair", "knn"), *experiments_of("binary", "sgd")), "differ in"),
        (experiments_of("denoise", "sgd"), "does not fit the task denoise"),
    ],
)
@pytest.mark.usefixtures("own_cache")
def test_what_cannot_be_compared_is_refused(config_of, experiments, said):
    with pytest.raises(UserError, match=said):
        compare.resolve(config_of(*experiments))


@pytest.mark.parametrize(
    ("variants", "field", "value"),
    [
        ("task=binary,digit=3", "digit", 3),
        ("task=pair,pair=8+1", "pair", (8, 1)),
        ("task=multilabel,large=3", "large", 3),
        ("task=denoise,noise=20", "noise", 20),
    ],
)
@pytest.mark.usefixtures("own_cache")
def test_variants_of_the_task_reach_what_is_compared(variants, field, value, load):
    found = compare.resolve(load(f"experiments/compare.py:{variants},estimators=dummy+knn"))
    assert [each.task[field] for each in found.values()] == [value, value]


@pytest.mark.usefixtures("own_cache")
def test_train_limit_may_differ_where_val_chooses(config_of):
    mixed = (*experiments_of("pair", "knn"), *experiments_of("pair", "sgd", limit=100))
    assert set(compare.resolve(config_of(*mixed))) == {"knn", "sgd"}
    with pytest.raises(UserError, match=r"config\.data\.train_limit"):
        compare.resolve(config_of(*mixed, compare__by="cross_validation"))


@pytest.mark.usefixtures("own_cache")
def test_shifted_copies_are_compared_on_val_alone(config_of):
    mixed = experiments_of("pair", "knn", "knn,shifted=1")
    assert set(compare.resolve(config_of(*mixed))) == {"knn", "knn shifted copies"}
    with pytest.raises(UserError, match="in several folds"):
        compare.resolve(config_of(*mixed, compare__by="cross_validation"))
