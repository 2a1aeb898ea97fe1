import csv
import json
import signal

import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from mnist3 import reading, stopping
from mnist3.errors import UserError
from mnist3.jobs import candidates, compare, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.tracking import read_history
from mnist3.training import loop
from mnist3.training.checkpoints import Checkpoints
from mnist3.training.loop import NotFinite

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def experiments_of(task, *rests, limit=200):
    return tuple(
        f"experiments/classify.py:task={task},train_limit={limit},learner={rest}" for rest in rests
    )


def composed(*rests):
    tiny = (
        "--config.data.digits=2 --config.data.height=28 --config.data.width=56 "
        "--config.data.composition.vertical_jitter=0 --config.data.train_examples=256 "
        "--config.data.val_examples=64 --config.data.test_examples=32 "
        "--config.training.epochs=1 --config.training.batch_size=64"
    )
    experiments = [each.partition(" ") for each in rests]
    return tuple(
        f"experiments/composed.py:source=digits,model={model} {tiny} {changes}"
        for model, _, changes in experiments
    )


K = "knn --config.learner.parameters.n_neighbors="


@pytest.fixture
def config_of(load):
    def made(*experiments, **changes):
        return load("experiments/compare.py", compare__experiments=experiments, **changes)

    return made


def without_date(metrics):
    return {name: value for name, value in metrics.items() if name != "environment"}


def resolve(config):
    return {name: each[0] for name, each in candidates.resolve(config).items()}


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
    assert compare.run(config, Arguments(workdir=str(folder), figures="none")) == 0
    # The interrupted one is fitted again, the one before it is not, and once more to be saved.
    assert len(fits) == 4
    first, printed = read(folder), capsys.readouterr().out
    assert compare.run(config, Arguments(workdir=str(folder))) == 0
    assert len(fits) == 4
    assert without_date(read(folder)) == without_date(first)

    chosen = read(folder, "comparison.json")
    assert chosen["winner"] == first["model"]["name"]
    other = ({"knn n_neighbors=1", "knn n_neighbors=3"} - {chosen["winner"]}).pop()
    assert chosen["tied"] == [other]
    how = "of this fit (McNemar's exact test, 5 %, Holm's correction)"
    assert f"Cannot be told apart from it, {how}: {other}" in printed
    dummy = first["candidates"]["dummy"]["chosen_by"]
    assert dummy["p_value"] < 0.05 and dummy["behind_ci95"][0] > 0
    assert first["test"] == first["candidates"][chosen["winner"]]["test"]
    figures = {path.stem for path in (folder / "figures").iterdir()}
    assert figures == {"comparison", "precision_recall", "roc", "confusion"}
    assert (folder / "report.html").read_text().count("data:image/png") == len(figures)


@pytest.mark.parametrize("task", ["multilabel", "denoise"])
@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@pytest.mark.usefixtures("own_cache")
def test_cross_validation_chooses_on_train(task, config_of, tmp_path):
    experiments = experiments_of(task, "dummy", f"{K}1", limit=60)
    config = config_of(*experiments, compare__by="cross_validation", compare__folds=2)
    arguments = Arguments(workdir=str(tmp_path / "run"), figures="none")
    assert compare.run(config, arguments) == 0
    metrics = read(tmp_path / "run")
    if task == "multilabel":
        assert metrics["model"]["name"] == "knn n_neighbors=1"
    else:
        errors = {name: each["chosen_by"]["mse"] for name, each in metrics["candidates"].items()}
        assert errors[metrics["model"]["name"]] == min(errors.values()) > 25.5**2
        page = (tmp_path / "run/report.html").read_text()
        assert "mean squared error (squared grey levels), cross-validation on train" in page
        assert "McNemar" not in page
    assert metrics["chosen_by"] == "cross_validation"
    assert set(metrics["candidates"]) == {"dummy", "knn n_neighbors=1"}


@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.usefixtures("own_cache")
def test_the_cleaner_with_the_lower_error_wins_whatever_the_order(order, config_of, tmp_path):
    experiments = experiments_of("denoise", "dummy", f"{K}15", limit=60)[::order]
    arguments = Arguments(workdir=str(tmp_path / "run"), figures="none")
    assert compare.run(config_of(*experiments), arguments) == 0
    metrics = read(tmp_path / "run")
    lines = metrics["candidates"]
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
        (("experiments/tabular.py",), "reads neither numbers nor single digits"),
        (("experiments/compare.py",), "reads neither numbers nor single digits"),
        (composed("cnn", "cnn,numbers=shared"), r"differ in config\.data\.numbers"),
        ((*composed("mlp"), *experiments_of("pair", "knn")), r"differ in config\.kind"),
        (composed("cnn", "cnn --config.wandb.group=other"), "'cnn' twice"),
        (experiments_of("pair", "knn", "knn"), "'knn' twice"),
        ((*experiments_of("pair", "knn"), *experiments_of("binary", "sgd")), "differ in"),
        (experiments_of("denoise", "sgd"), "does not fit the task denoise"),
    ],
)
@pytest.mark.usefixtures("own_cache")
def test_what_cannot_be_compared_is_refused(config_of, experiments, said):
    with pytest.raises(UserError, match=said):
        resolve(config_of(*experiments))


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
    found = resolve(load(f"experiments/compare.py:{variants},learners=dummy+knn"))
    assert [each.task[field] for each in found.values()] == [value, value]


@pytest.mark.usefixtures("own_cache")
def test_train_limit_may_differ_where_val_chooses(config_of):
    mixed = (*experiments_of("pair", "knn"), *experiments_of("pair", "sgd", limit=100))
    assert set(resolve(config_of(*mixed))) == {"knn", "sgd"}
    with pytest.raises(UserError, match=r"config\.data\.train_limit"):
        resolve(config_of(*mixed, compare__by="cross_validation"))


@pytest.mark.usefixtures("own_cache")
def test_shifted_copies_are_compared_on_val_alone(config_of):
    mixed = experiments_of("pair", "knn", "knn,shifted=1")
    assert set(resolve(config_of(*mixed))) == {"knn", "knn shifted copies"}
    with pytest.raises(UserError, match="in several folds"):
        resolve(config_of(*mixed, compare__by="cross_validation"))


@pytest.mark.usefixtures("own_cache")
def test_replicates_share_their_examples(config_of, tmp_path):
    seeds = [f"sgd,shifted=1 --config.seed={seed}" for seed in (0, 1)]
    config = config_of(*experiments_of("binary", *seeds, "sgd"))
    makes, _, _ = candidates.prepare(config, str(tmp_path), None)
    one, other, plain = (made.examples["train"] for make in makes.values() for made in make.args[0])
    assert one.inputs is other.inputs and one.targets is other.targets
    assert len(one.inputs) == 5 * len(plain.inputs)


@pytest.mark.usefixtures("own_cache")
def test_of_an_estimators_replicates_the_best_on_val_is_kept(config_of, tmp_path):
    seeds = [f"sgd --config.seed={seed}" for seed in (5, 7)]
    config = config_of(*experiments_of("binary", "dummy", *seeds))
    folder = tmp_path / "run"
    assert compare.run(config, Arguments(workdir=str(folder), figures="none")) == 0
    line = read(folder)["candidates"]["sgd"]
    assert line["seeds"] == [5, 7] and len(line["val"]["accuracy_replicates"]) == 2
    best = line["seeds"][int(np.argmax(line["val"]["accuracy_replicates"]))]
    assert line["best_on_val"] == best
    assert read(folder, "comparison.json")["workdir"] == line["workdir"]
    chosen, own = workdir.chosen(str(folder))
    assert chosen == str(folder / "candidates" / "2-sgd" / "replicates" / str(best))
    assert own.seed == best and reading.load(folder).folder == chosen
    with open(folder / "predictions_val.csv", newline="") as file:
        assert {row["replicate"] for row in csv.DictReader(file)} == {"5", "7"}


@pytest.mark.usefixtures("own_cache")
def test_a_signal_stops_a_comparison_in_the_candidate_that_trains(config_of, tmp_path, monkeypatch):
    save = Checkpoints.save

    def ask_to_stop(self, epoch, *inputs, **options):
        save(self, epoch, *inputs, **options)
        if self._folder.parent.name.startswith("2-"):
            signal.raise_signal(signal.SIGTERM)

    config = config_of(*composed("logistic", "mlp --config.model.hidden='(8,)'"))
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", ask_to_stop)
        with pytest.raises(stopping.Interrupted), stopping.handled("run the same command to go on"):
            compare.run(config, Arguments(workdir=str(folder)))
    trained = {path.name[0]: path for path in (folder / "candidates").iterdir()}
    assert (trained["1"] / "calibration.json").exists()
    assert not (trained["2"] / "calibration.json").exists()
    assert read_history(trained["2"], 1)
    before = (trained["2"] / "history.jsonl").read_bytes()
    assert compare.run(config, Arguments(workdir=str(folder), figures="none")) == 0
    assert (trained["2"] / "history.jsonl").read_bytes().startswith(before)


@pytest.mark.usefixtures("own_cache")
def test_a_comparison_of_models_goes_on_where_it_was_stopped(config_of, tmp_path, monkeypatch):
    trained = []
    train_once = loop.train

    def stopped_once(run, *rest):
        trained.append(run.config.model.name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        train_once(run, *rest)

    monkeypatch.setattr(loop, "train", stopped_once)
    config = config_of(*composed("logistic", "mlp --config.model.hidden='(8,)'"))
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        compare.run(config, Arguments(workdir=str(folder)))
    assert compare.run(config, Arguments(workdir=str(folder), figures="none")) == 0
    first = read(folder)
    assert compare.run(config, Arguments(workdir=str(folder))) == 0
    assert without_date(read(folder)) == without_date(first)
    assert trained == ["logistic", "mlp", "mlp"]

    lines, winner = first["candidates"], first["model"]["name"]
    assert set(lines) == {"logistic", "mlp model.hidden=(8,)"}
    right = {name: line["val"]["exact_match"] for name, line in lines.items()}
    assert {name: line["chosen_by"]["exact_match"] for name, line in lines.items()} == right
    assert right[winner] == max(right.values())
    assert read(folder, "comparison.json")["winner"] == winner
    for split, images in {"val": 64, "test": 32}.items():
        assert first[split] == lines[winner][split]
        with open(folder / f"predictions_{split}.csv") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0])[-2:] == ["digit_1", "digit_2"]
        hits = [row["label"] == row["prediction"] for row in rows]
        assert (len(hits), np.mean(hits)) == (images, first[split]["exact_match"])
    assert {path.stem for path in (folder / "figures").iterdir()} == {"comparison", "confusion"}
    assert (folder / "report.html").read_text().count("data:image/png") == 2
    assert workdir.read_config(str(folder / "candidates/1-logistic")).model.name == "logistic"


@pytest.mark.usefixtures("own_cache")
def test_models_are_compared_on_data_without_test(config_of, tmp_path, capsys):
    random = np.random.default_rng(0)
    for split, numbers in {"train": ("042", "777"), "val": ("123",)}.items():
        for number in numbers:
            place = tmp_path / "files/triple_mnist" / split / number
            place.mkdir(parents=True)
            for index in range(4):
                pixels = random.integers(0, 256, (84, 84), np.uint8)
                Image.fromarray(pixels).save(place / f"{index}_{number}.png")
    text = (
        "experiments/triple_mnist.py:model=logistic,epochs=1 "
        "--config.training.batch_size=4 --config.augmentation.rotation=0 "
        "--config.augmentation.scale=0 --config.augmentation.shear=0 --config.data.train_limit="
    )
    config = config_of(f"{text}4", f"{text}5")
    folders = {"workdir": str(tmp_path / "run"), "data_dir": str(tmp_path / "files")}
    arguments = Arguments(**folders, figures="none")
    assert compare.run(config, arguments) == 0
    metrics = read(tmp_path / "run")
    assert set(metrics["candidates"]) == {"logistic", "logistic data.train_limit=5"}
    assert metrics["val"]["n"] == 4
    assert all("test" not in each for each in (metrics, *metrics["candidates"].values()))
    assert not (tmp_path / "run/predictions_test.csv").exists()
    assert "test exact_match" not in capsys.readouterr().out


@pytest.mark.usefixtures("own_cache")
def test_what_differs_from_the_first_experiment_names_a_model(config_of):
    more = " --config.optimizer.learning_rate=0.002 --config.data.train_examples=500"
    named = resolve(config_of(*composed("cnn", "multihead", f"cnn{more}")))
    changed = "data.train_examples=500 optimizer.learning_rate=0.002"
    assert list(named) == ["cnn", "multihead", f"cnn {changed}"]


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(
    ("field", "value"),
    [("model.members", 2), ("training.patience", 3), ("training.dtype", "bfloat16")],
)
def test_settings_that_folds_do_not_take_are_refused(field, value, config_of):
    text = f"experiments/classify.py --config.{field}={value}"
    resolve(config_of(text))
    with pytest.raises(UserError, match=f"config.{field} is .*; leave it at"):
        resolve(config_of(text, compare__by="cross_validation"))


def test_models_are_not_compared_by_cross_validation(config_of):
    with pytest.raises(UserError, match=r"not in folds; set config\.compare\.by=val"):
        resolve(config_of(*composed("cnn"), compare__by="cross_validation"))


@pytest.mark.parametrize("source", ["digits", "mnist"])
@pytest.mark.usefixtures("own_cache")
def test_one_command_compares_the_models_on_numbers(source, load):
    found = resolve(load(f"experiments/compare.py:task=number,source={source}"))
    assert list(found) == ["logistic", "cnn", "multihead"]
    assert {(each.data.source, each.data.numbers) for each in found.values()} == {
        (source, "shared")
    }


def test_a_candidate_that_cannot_learn_is_named():
    def refuses():
        raise UserError("the folder has another config.")

    def diverges():
        raise NotFinite("the loss is not finite.")

    with pytest.raises(UserError, match=r"^Candidate cnn: the folder has another config\.$"):
        compare.learn({"mlp": diverges, "cnn": refuses})
    with pytest.raises(UserError, match=r"^no candidate came to its end; of the last one the loss"):
        compare.learn({"mlp": diverges, "cnn": diverges})
