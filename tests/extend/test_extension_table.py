"""The extension table: each row adds one thing and runs it from the command line to its files.

What is registered here in one line is what a new entry of a registry would be.
"""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from sklearn.naive_bayes import GaussianNB

from mnist3 import models, tasks
from mnist3.data import augmentation, dataset, single_digit, sources
from mnist3.data.augmentation.fields import Augmentation, Field
from mnist3.data.splits import Split
from mnist3.estimators import FlaxClassifier, registry
from mnist3.jobs import command_line
from mnist3.models.fields import field
from mnist3.reporting import drawing, pictures
from mnist3.tasks.task import Examples, Predictions, Task
from mnist3.training import optimizer

ROOT = pathlib.Path(__file__).parents[2]
NUMBERS = (
    "--config=experiments/quickstart.py",
    "--config.data.digits=2",
    "--config.data.height=28",
    "--config.data.width=56",
    "--config.data.composition.vertical_jitter=0",
    "--config.data.train_examples=128",
    "--config.data.val_examples=40",
    "--config.data.test_examples=40",
    "--config.augmentation.rotation=0",
    "--config.augmentation.scale=0",
    "--config.augmentation.shear=0",
    "--config.model.name=logistic",
    "--config.training.batch_size=32",
    "--config.training.epochs=1",
)
DIGITS = (
    "--config=experiments/classify.py:train_limit=64",
    "--config.model.stem=4",
    "--config.model.channels=(8,)",
    "--config.training.epochs=1",
    "--config.training.batch_size=32",
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command line and returns the folder of the run; pictures take most of its time."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path / "cache"))

    def run(*words, drawn=True):
        folder = tmp_path / "run"
        if not drawn:
            monkeypatch.setattr(pictures, "draw_all", lambda result: {})
        argv = ["launch.py", *words, "--config.wandb.mode=disabled", f"--workdir={folder}"]
        assert command_line.main(argv) == 0
        return folder

    return run


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Pooled(nn.Module):
    """Means over patches of the image, then linear layers."""

    digits: int
    classes: int
    patch: int = field(4, at_least=1)
    widths: tuple[int, ...] = field((8,), at_least=1)

    @nn.compact
    def __call__(self, images, train=False):
        features = nn.avg_pool(images[..., None], (self.patch,) * 2, (self.patch,) * 2)
        features = features.reshape(len(images), -1)
        for width in self.widths:
            features = nn.relu(nn.Dense(width)(features))
        logits = nn.Dense(self.digits * self.classes)(features)
        return logits.reshape(-1, self.digits, self.classes)


def test_a_model(run, monkeypatch):
    monkeypatch.setitem(models.REGISTRY, "pooled", Pooled)
    words = ("--config.model.name=pooled", "--config.model.widths=(6, 5)", "--config.model.patch=7")
    folder = run(*NUMBERS, *words, drawn=False)
    assert metrics_of(folder)["model"]["name"] == "pooled"
    # 4x8 means of patches to 6, to 5, to 2x10.
    assert metrics_of(folder)["model"]["parameters"] == 33 * 6 + 7 * 5 + 6 * 20


def test_a_dataset(run, monkeypatch):
    def upside_down(config, data_dir, cache_dir):
        found = single_digit.load(config, data_dir, cache_dir)
        turned = {
            name: Split(each.images[:, ::-1], each.labels) for name, each in found.splits.items()
        }
        return dataclasses.replace(found, name="upside_down", splits=turned)

    monkeypatch.setitem(dataset.REGISTRY, "upside_down", upside_down)
    folder = run(*DIGITS, "--config.data.name=upside_down", drawn=False)
    assert metrics_of(folder)["dataset"]["name"] == "upside_down"


def test_a_source_of_26_classes(run, monkeypatch, letters_dir):
    spec = dataclasses.replace(sources.REGISTRY["emnist_letters"], title="letters of a test")
    monkeypatch.setitem(sources.REGISTRY, "my_letters", spec)
    (pathlib.Path(letters_dir) / "my_letters").symlink_to(
        pathlib.Path(letters_dir) / "emnist_letters", target_is_directory=True
    )
    side = ("--config.data.height=12", "--config.data.width=24")
    folder = run(
        *NUMBERS, "--config.data.source=my_letters", *side, f"--data_dir={letters_dir}",
        "--config.data.composition.spacing=12", "--config.data.numbers=shared",
    )  # fmt: skip
    names = spec.classes
    assert len(names) == 26
    for row in rows_of(folder / "predictions_test.csv"):
        assert row["digit_1"] + row["digit_2"] == row["prediction"]
        assert {row["digit_1"], row["digit_2"], *row["label"]} <= {*names}
    assert "letters of a test" in (folder / "report.html").read_text()


@dataclasses.dataclass(frozen=True)
class Ink(Task):
    """How much ink an image has, in shares of its pixels: a family of its own, of one number."""

    fields: ClassVar[Mapping[str, Any]] = {"threshold": 128}
    metrics: ClassVar[tuple[str, ...]] = ("mae",)
    pictures: ClassVar[Mapping[str, str]] = {"digit_grid": "digit_grid"}
    headline_words: ClassVar[str] = "Mean absolute error of the {n:,} {examples} of {split}"
    outcome: ClassVar[str] = "mse"
    right_name: ClassVar[str] = "close"
    reads_views: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False

    threshold: int = 0

    @classmethod
    def create(cls, config, classes, positions):
        return cls(config.name, ("ink",), config.threshold)

    def loss(self, logits, targets, label_smoothing=0.0):
        return (logits.reshape(len(targets)) - targets) ** 2

    def right(self, logits, targets):
        return self.loss(logits, targets) < 0.05**2

    def predict(self, logits, targets=None):
        return Predictions(logits.reshape(-1))

    def examples(self, split, seed, position):
        ink = (split.images >= self.threshold).mean(axis=(1, 2)).astype(np.float32)
        return Examples(split.images, ink, split.labels)

    def measure(self, targets, predictions, seed=0, digit_indices=None):
        errors = np.abs(targets - predictions.values)
        middle, spread = float(errors.mean()), float(errors.std() / len(errors) ** 0.5)
        return {
            "n": len(errors),
            "mae": middle,
            "mae_ci95": [middle - 2 * spread, middle + 2 * spread],
        }

    def progress(self, targets, predictions):
        return {"mae": float(np.abs(targets - predictions.values).mean())}

    def outcomes(self, targets, predictions):
        return ((targets - predictions.values) ** 2).astype(np.float64)

    def texts(self, values):
        return [f"{value:.3f}" for value in values]

    def data_text(self, dataset):
        return f"ink of digits (source {dataset.source})"

    def rows(self, examples, predictions):
        for label, value in zip(examples.targets, predictions.values, strict=True):
            yield [f"{label:.3f}", f"{value:.3f}", "", ""]


def test_a_task_of_a_new_family(run, monkeypatch, tmp_path):
    monkeypatch.setitem(tasks.REGISTRY, "ink", Ink)
    folder = run(*DIGITS, "--config.task.name=ink", "--config.task.threshold=100")
    metrics = metrics_of(folder)
    assert metrics["task"] == "ink"
    rows = rows_of(folder / "predictions_test.csv")
    errors = [abs(float(row["label"]) - float(row["prediction"])) for row in rows]
    assert np.mean(errors) == pytest.approx(metrics["test"]["mae"], abs=2e-3)
    assert (folder / "figures/digit_grid.png").exists()
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert set(history[-1]["val"]) == {"mae"}


def test_an_optimizer_and_a_schedule(run, monkeypatch):
    def steps_down(config, steps):
        return optax.schedules.piecewise_constant_schedule(config.learning_rate, {steps // 2: 0.1})

    monkeypatch.setitem(optimizer.OPTIMIZERS, "lion", lambda config, schedule: optax.lion(schedule))
    monkeypatch.setitem(optimizer.SCHEDULES, "steps_down", steps_down)
    folder = run(
        *NUMBERS,
        "--config.optimizer.name=lion",
        "--config.optimizer.schedule=steps_down",
        "--config.training.log_steps=1",
        drawn=False,
    )
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    assert rates[0] == pytest.approx(10 * rates[-1])


def test_an_augmentation(run, monkeypatch):
    seen = []

    def mirror(key, images, config):
        seen.append(config.mirror)
        flipped = jax.random.bernoulli(key, config.mirror, (len(images), 1, 1))
        return jnp.where(flipped, images[..., ::-1], images)

    added = Augmentation({"mirror": Field(0.0, "share of the images")}, mirror)
    monkeypatch.setitem(augmentation.REGISTRY, "mirror", added)
    monkeypatch.setattr(tasks.REGISTRY["number"], "pictures", {"augmented": "augmented"})
    folder = run(*NUMBERS, "--config.augmentation.mirror=0.5")
    assert 0.5 in seen
    assert json.loads((folder / "config.json").read_text())["augmentation"]["mirror"] == 0.5
    assert (folder / "figures/augmented.png").exists()
    FlaxClassifier("logistic", epochs=1).fit(np.eye(16), np.arange(16) % 2)  # which lacks it


def test_an_estimator(run, monkeypatch):
    monkeypatch.setitem(registry.REGISTRY, "naive_bayes", registry.Entry(GaussianNB))
    folder = run("--config=experiments/classify.py:learner=naive_bayes", drawn=False)
    assert metrics_of(folder)["model"]["name"] == "naive_bayes"
    assert metrics_of(folder)["test"]["accuracy"] > 0.6
    assert (folder / "model.skops").exists()


def test_a_metric(run, monkeypatch):
    """A metric is a value that the task's measure returns, and its name among the metrics."""
    measure = tasks.REGISTRY["number"].measure

    def with_first(self, targets, predictions, *rest):
        first = float((targets[:, 0] == predictions.values[:, 0]).mean())
        return measure(self, targets, predictions, *rest) | {"first_digit": first}

    monkeypatch.setattr(tasks.REGISTRY["number"], "measure", with_first)
    folder = run(*NUMBERS, drawn=False)
    assert 0 <= metrics_of(folder)["test"]["first_digit"] <= 1
    assert "first digit" in (folder / "report.html").read_text()


def test_a_picture(run, monkeypatch):
    def lengths(result):
        figure = drawing.new_figure(4, 3)
        figure.subplots().hist(result.shown[1].confidence)
        return figure

    monkeypatch.setitem(pictures.PICTURES, "lengths", lengths)
    monkeypatch.setattr(tasks.REGISTRY["number"], "pictures", {"lengths": "lengths"})
    folder = run(*NUMBERS)
    assert (folder / "figures/lengths.png").exists()
    assert 'alt="lengths"' in (folder / "report.html").read_text()
