"""Val calibrates every training as its last step, whenever that comes."""

import csv
import json
import pathlib
import shutil

import numpy as np
import pytest

import mnist3
from mnist3 import experiments, learners, tasks
from mnist3.errors import UserError
from mnist3.evaluation.calibration import UNCALIBRATED, Calibrator
from mnist3.jobs import parts, workdir
from mnist3.jobs import run as job
from mnist3.jobs.arguments import Arguments
from mnist3.learners import calibrated
from mnist3.reporting import pictures
from mnist3.tasks import Predictions

ROOT = pathlib.Path(__file__).parents[2]
NUMBERS = (
    "experiments/quickstart.py:model=logistic --config.data.digits=2 --config.data.height=28 "
    "--config.data.width=56 --config.data.composition.vertical_jitter=0 "
    "--config.augmentation.rotation=0.0 --config.augmentation.scale=0.0 "
    "--config.augmentation.shear=0.0 --config.data.train_examples=512 "
    "--config.data.val_examples=100 --config.data.test_examples=100 --config.training.epochs=2 "
    "--config.wandb.mode=disabled"
)
FILES = ("calibration.json", "predictions_val.csv", "predictions_test.csv")


@pytest.fixture(autouse=True, scope="module")
def place(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("MNIST3_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(pictures, "draw_all", lambda result: {})  # which take most of the time
        yield


@pytest.fixture
def config():
    return experiments.load(NUMBERS)


@pytest.fixture(scope="module")
def finished(place, tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert job.run(experiments.load(NUMBERS), Arguments(workdir=str(folder))) == 0
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(finished, tmp_path / "run")


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def stop(*_):
    raise KeyboardInterrupt


def test_a_run_killed_before_it_is_calibrated_is_when_it_goes_on(
    config, folder, tmp_path, monkeypatch
):
    other = tmp_path / "killed"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(calibrated, "calibrate", stop)
        job.run(config, Arguments(workdir=str(other)))
    assert (other / "checkpoints/2").exists() and not (other / "calibration.json").exists()
    assert job.run(config, Arguments(workdir=str(other))) == 0
    assert contents(other) == contents(folder)


def test_a_run_without_a_calibrator_is_unsure_until_it_is_evaluated(config, folder):
    before, measured = contents(folder), json.loads((folder / "metrics.json").read_text())
    (folder / "calibration.json").unlink()
    pixels = np.zeros((2, 28, 56), np.uint8)
    assert [each.sure for each in mnist3.load(folder).read(pixels)] == [None, None]
    assert job.run(config, Arguments(workdir=str(folder), mode="evaluate")) == 0
    assert contents(folder) == before
    again = json.loads((folder / "metrics.json").read_text())
    assert all(again[name] == measured[name] for name in ("calibration", "val", "test"))
    assert all(each.sure in (True, False) for each in mnist3.load(folder).read(pixels))


def test_another_checkpoint_is_calibrated_for_its_evaluation_alone(config, folder):
    kept = (folder / "calibration.json").read_bytes()
    best = json.loads(kept)["epoch"]
    with open(folder / "history.jsonl") as file:
        epochs = [json.loads(line).get("epoch") for line in file]
    others = [
        each
        for each in filter(None, epochs)
        if each != best and (folder / f"checkpoints/{each}").exists()
    ]
    task = parts.task_of(config)
    assert learners.load(config, task, str(folder)).calibrator.epoch == best
    assert calibrated.read(str(folder), best + 1) == UNCALIBRATED
    for other in others:
        arguments = Arguments(workdir=str(folder), mode="evaluate", checkpoint=str(other))
        assert job.run(config, arguments) == 0
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["calibration"]["epoch"] == other
    assert (folder / "calibration.json").read_bytes() == kept


def test_a_broken_calibrator_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "calibration.json").write_text("{")
    with pytest.raises(UserError, match=r"delete it, and --mode=evaluate calibrates anew"):
        calibrated.read(str(tmp_path))


def test_what_knows_nothing_leaves_no_file(tmp_path):
    calibrated.save(str(tmp_path), UNCALIBRATED)
    assert not list(tmp_path.iterdir())
    calibrated.save(str(tmp_path), Calibrator(temperature=0.5, n=3))
    assert calibrated.read(str(tmp_path)) == Calibrator(temperature=0.5, n=3)


def test_an_estimator_is_calibrated_and_loaded_as_it_was(tmp_path):
    config = experiments.load(
        "experiments/classify.py:learner=logistic_regression,train_limit=300 "
        "--config.evaluation.wanted_error=0.2 "
        "--config.learner.parameters.C=100.0 --config.wandb.mode=disabled"
    )
    folder = str(tmp_path / "run")
    assert job.run(config, Arguments(workdir=folder)) == 0
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["calibration"]["temperature"] > 1  # it was too sure
    assert metrics["calibration"]["shown_error"] <= 0.2 and "note" not in metrics["calibration"]
    with open(tmp_path / "run/predictions_val.csv", newline="") as file:
        sure = [row for row in csv.DictReader(file) if row["sure"] == "1"]
    wrong = [row for row in sure if row["label"] != row["prediction"]]
    assert metrics["val"]["sure"]["error"] == pytest.approx(len(wrong) / len(sure))
    config = workdir.read_config(folder)
    learned = learners.load(config, parts.task_of(config), folder)
    assert learned.calibrator.temperature == metrics["calibration"]["temperature"]
    before = (tmp_path / "run/calibration.json").read_bytes()
    assert job.run(config, Arguments(workdir=folder, mode="evaluate")) == 0
    assert (tmp_path / "run/calibration.json").read_bytes() == before
    again = json.loads((tmp_path / "run/metrics.json").read_text())
    for split in ("val", "test"):
        assert again[split]["sure"] == metrics[split]["sure"]
        assert again[split]["ece"] == pytest.approx(metrics[split]["ece"], rel=1e-3)


@pytest.mark.parametrize("name", ["multiclass", "binary", "multilabel"])
def test_a_temperature_leaves_what_an_estimator_predicts_and_orders(name):
    config = experiments.load("experiments/classify.py:learner=knn").task
    config.name = name
    task = tasks.create(config)
    generator = np.random.default_rng(0)
    if name == "multilabel":
        probabilities = generator.random((50, 2))
        probabilities[0] = 0, 1
        values = (probabilities > 0.5).astype(np.int32)
        confidence = np.where(values, probabilities, 1 - probabilities).prod(axis=1)
    else:
        probabilities = generator.dirichlet(np.ones(len(task.classes)), 50)
        values = probabilities.argmax(axis=1).astype(np.int32)
        confidence = probabilities.max(axis=1)
    raw = Predictions(values, confidence, probabilities, probabilities)
    same, softer = (task.tempered(raw, temperature) for temperature in (1.0, 3.0))
    np.testing.assert_allclose(same.confidence, confidence, atol=1e-9)
    np.testing.assert_allclose(same.probabilities, probabilities, atol=1e-9)
    assert (softer.values == values).all() and softer.scores is probabilities
    assert (softer.confidence < confidence).all()
    if name != "multilabel":
        np.testing.assert_allclose(softer.probabilities.sum(axis=1), 1)
        np.testing.assert_array_equal(softer.probabilities.argmax(axis=1), values)
