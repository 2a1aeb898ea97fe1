"""Runs that go on, that grow, that begin with another run's parameters, and that only predict."""

import csv
import json
import pathlib
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from absl import logging
from PIL import Image

from mnist3 import config as configs
from mnist3 import jobs, stopping
from mnist3.config import numbers
from mnist3.errors import UserError
from mnist3.files import write_json
from mnist3.jobs import compare, predict, run, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.workdir import claimed
from mnist3.learners import network
from mnist3.reporting import comparison, pictures
from mnist3.training import loop
from mnist3.training.checkpoints import Checkpoints

ROOT = pathlib.Path(__file__).parent.parent.parent
OLD = ROOT / "tests" / "fixtures" / "runs_of_an_older_version"
TINY = {
    "data__digits": 2,
    "data__height": 28,
    "data__width": 56,
    "data__composition__vertical_jitter": 0,
    "data__train_examples": 256,
    "data__val_examples": 64,
    "data__test_examples": 32,
    "augmentation__rotation": 0.0,
    "augmentation__scale": 0.0,
    "augmentation__shear": 0.0,
    "model__stem": 4,
    "model__channels": (8,),
    "training__batch_size": 64,
    "training__epochs": 2,
    "optimizer__name": "adam",
    "optimizer__schedule": "constant",
}
CLASSIFY = "experiments/classify.py:train_limit=200"


@pytest.fixture
def without_pictures(monkeypatch):
    monkeypatch.setattr(pictures, "draw_all", lambda result: {})
    monkeypatch.setattr(comparison, "draw_all", lambda compared: {})


@pytest.fixture
def logged(caplog):
    logging.use_absl_handler()
    caplog.set_level("INFO", logger="absl")
    return caplog


@pytest.fixture
def tiny(load):
    def made(model="logistic", **changes):
        return load(f"experiments/quickstart.py:model={model}", **(TINY | changes))

    return made


def train(config, folder):
    return run.run(config, Arguments(workdir=str(folder)))


def arrays_of(folder, epoch):
    checkpoints = Checkpoints(str(folder), read_only=True)
    try:
        params = checkpoints.read_params(epoch)
        return {
            jax.tree_util.keystr(path): np.asarray(leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        }
    finally:
        checkpoints.close()


def epochs_in(folder):
    lines = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    return [line["epoch"] for line in lines if "epoch" in line]


def write_images(folder, height, width):
    folder.mkdir()
    for name in "ab":
        ink = np.random.default_rng(ord(name)).integers(0, 256, (height, width), np.uint8)
        ink[:2] = 0
        Image.fromarray(ink // 2).save(folder / f"{name}.png")
    return folder


def predicted(folder, images, output, config=None):
    config = config or workdir.read_config(str(folder))
    assert jobs.job_of("predict", config) == "predict"
    arguments = Arguments(
        mode="predict", workdir=str(folder), images=str(images), output=str(output)
    )
    assert predict.run(config, arguments) == 0
    with open(output, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def killed(tmp_path):
    """A workdir in which processes were killed while they wrote metrics.json and a figure."""
    for name in ("figures", "checkpoints", "folder.1.partial"):
        (tmp_path / name).mkdir()
    for name in ("checkpoints/1.1.partial", "download.partial"):
        (tmp_path / name).touch()
    write = (
        "import os, sys\n"
        "from mnist3.files import replacing\n"
        "with replacing(sys.argv[1]):\n"
        "    os._exit(9)\n"
    )
    for name in ("metrics.json", "figures/misread.png"):
        subprocess.run([sys.executable, "-c", write, str(tmp_path / name)], cwd=ROOT)
    return tmp_path


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_run_that_goes_on_removes_half_files_and_nothing_else(killed):
    config = numbers()
    write_json(killed / "config.json", config.to_dict())
    before = names(killed)
    with claimed(str(killed), config):
        pass
    removed = sorted(name.split(".")[0] for name in before - names(killed))
    assert removed == ["figures/misread", "metrics"]


def test_a_folder_without_a_run_keeps_every_file(killed):
    before = names(killed)
    with claimed(str(killed), numbers()):
        pass
    assert names(killed) == before


@pytest.mark.usefixtures("own_cache", "without_pictures")
def test_a_run_stopped_in_its_first_epoch_goes_on_on_other_devices_and_says_so(
    tiny, tmp_path, monkeypatch, logged
):
    folder = tmp_path / "run"
    with (
        monkeypatch.context() as patch,
        pytest.raises(stopping.Interrupted),
        stopping.handled("run the same command to go on"),
    ):
        patch.setattr(network, "_devices", lambda run: (6, 3))
        patch.setattr(loop.Segments, "_adapt", lambda *_: signal.raise_signal(signal.SIGTERM))
        train(tiny(training__epochs=1), folder)
    assert "until now" not in logged.text
    changed = tiny(training__epochs=1, training__segment_seconds=5.0, training__log_steps=1)
    assert train(changed, folder) == 0
    assert "trained on 6 devices of 3 processes until now" in logged.text
    assert "the result differs from that of either in the last bits" in logged.text
    assert "going on within epoch 1, after 1 of 4 steps" in logged.text
    logged.clear()
    assert train(changed, folder) == 0
    assert "until now" not in logged.text


@pytest.mark.usefixtures("own_cache", "without_pictures")
def test_a_finished_run_of_a_constant_schedule_grows(tiny, tmp_path, logged):
    short, long = tiny(training__ema_decay=0.9), tiny(training__ema_decay=0.9, training__epochs=4)
    grown, at_once = tmp_path / "grown", tmp_path / "at_once"
    assert train(short, grown) == 0
    assert epochs_in(grown) == [1, 2]
    assert train(long, grown) == 0
    assert "going on after epoch 2 of 4" in logged.messages
    assert train(long, at_once) == 0
    assert epochs_in(grown) == epochs_in(at_once) == [1, 2, 3, 4]
    assert configs.to_json(workdir.read_config(str(grown))) == configs.to_json(long)
    one, other = arrays_of(grown, 4), arrays_of(at_once, 4)
    assert one.keys() == other.keys()
    assert all(one[path].tobytes() == other[path].tobytes() for path in one)
    for name in ("predictions_val.csv", "predictions_test.csv"):
        assert (grown / name).read_bytes() == (at_once / name).read_bytes()
    with pytest.raises(UserError, match=r"training.epochs was 4 and is now 2"):
        train(short, grown)
    with pytest.raises(UserError, match=r"training.epochs was 4 and is now 8"):
        workdir.require_same(str(grown), tiny(training__ema_decay=0.9, training__epochs=8))


def test_why_a_run_cannot_grow(tiny, load, tmp_path):
    def refusal(config, **changes):
        write_json(tmp_path / "config.json", config.to_dict())
        longer = config.copy_and_resolve_references()
        longer.training.epochs = 8
        longer.update_from_flattened_dict(changes)
        with pytest.raises(UserError) as error, claimed(str(tmp_path), longer):
            pass
        return str(error.value)

    said = refusal(tiny(optimizer__schedule="one_cycle"))
    assert "cannot grow from 2 to 8 epochs: config.optimizer.schedule=one_cycle" in said
    assert f"--config.training.init_from={tmp_path}" in said
    searched = load(f"{CLASSIFY},search=grid", training__epochs=2, optimizer__schedule="constant")
    assert "config.search.method=grid chose its settings" in refusal(searched)
    assert "config.seed was 0 and is now 1" in refusal(tiny(), seed=1)
    assert "training.epochs was 0 and is now 8" in refusal(
        load(CLASSIFY, optimizer__schedule="constant")
    )


@pytest.mark.usefixtures("own_cache", "without_pictures")
def test_a_run_predicts_but_is_not_evaluated_on_other_data(tiny, tmp_path):
    folder = tmp_path / "run"
    config = tiny(training__epochs=1)
    assert train(config, folder) == 0
    began = json.loads((folder / "dataset.json").read_text())
    assert began == json.loads((folder / "metrics.json").read_text())["dataset"]
    evaluate = Arguments(mode="evaluate", workdir=str(folder))
    (folder / "metrics.json").unlink()
    assert run.run(workdir.read_config(str(folder)), evaluate) == 0

    other = json.loads((folder / "config.json").read_text())
    other["data"]["seed"] = 1
    (folder / "config.json").write_text(json.dumps(other))
    (folder / "metrics.json").unlink()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    changed = workdir.read_config(str(folder))
    with pytest.raises(UserError, match=r"began with other data.*It can still predict"):
        run.run(changed, evaluate)
    with pytest.raises(UserError, match="began with other data"):
        train(changed, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    images = write_images(tmp_path / "images", 28, 56)
    assert len(predicted(folder, images, tmp_path / "out.csv")) == 2


@pytest.mark.usefixtures("own_cache", "without_pictures")
def test_a_run_that_was_stopped_before_its_first_epoch_knows_its_data(tiny, tmp_path, monkeypatch):
    from mnist3.training import loop

    def stop(*arguments):
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(loop, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            train(tiny(), folder)
    held = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(held | {"fingerprint": "0" * 64}))
    with pytest.raises(UserError, match="began with other data"):
        train(tiny(), folder)


@pytest.mark.usefixtures("own_cache", "without_pictures")
def test_a_table_whose_file_changed_is_refused_and_still_predicts(load, tmp_path):
    table = tmp_path / "fruit.csv"
    rows = [f"{i % 7},{'ab'[i % 2]},{'xy'[i % 2]}" for i in range(60)]
    table.write_text("\n".join(["size,colour,kind", *rows]) + "\n")
    config = load(
        "experiments/tabular.py:learner=decision_tree",
        data__path=str(table),
        data__target="kind",
    )
    folder = tmp_path / "run"
    assert compare.run(config, Arguments(workdir=str(folder))) == 0
    table.write_text("\n".join(["size,colour,kind", *rows, "3,a,x"]) + "\n")
    with pytest.raises(UserError, match="began with other data"):
        compare.run(config, Arguments(mode="evaluate", workdir=str(folder)))
    from mnist3.jobs import predict_table

    arguments = Arguments(
        mode="predict",
        workdir=str(folder),
        table=str(table),
        output=str(tmp_path / "out.csv"),
    )
    with open(table) as file:
        features = [line.rpartition(",")[0] for line in file]
    table.write_text("\n".join(features) + "\n")
    assert predict_table.run(config, arguments) == 0


@pytest.mark.usefixtures("own_cache", "without_pictures")
def test_a_reader_of_two_digits_starts_one_of_three(tiny, tmp_path, logged):
    source, folder = tmp_path / "two", tmp_path / "three"
    shutil.copytree(OLD / "numbers", source)
    config = tiny(
        "multihead",
        data__digits=3,
        data__width=84,
        training__init_from=str(source),
        training__epochs=1,
        optimizer__learning_rate=1e-9,
        optimizer__weight_decay=0.0,
    )
    assert train(config, folder) == 0
    (line,) = [line for line in logged.messages if " taken from " in line]
    counts, new, left = line.split("; ")
    assert counts.startswith("6 of 9 parameters taken from")
    assert new == "new: heads/attention, heads/bias, heads/kernel"
    assert left == "left there: heads/attention, heads/bias, heads/kernel"
    one, other = arrays_of(source, 4), arrays_of(folder, 1)
    same = [path for path in one if "heads" not in path]
    assert len(same) == 6
    for path in same:
        np.testing.assert_allclose(one[path], other[path], atol=1e-6)

    shutil.rmtree(source)  # a run that goes on does not read it again
    logged.clear()
    assert train(config, folder) == 0
    assert "going on after epoch 1 of 1" in logged.messages
    assert not [line for line in logged.messages if " taken from " in line]


@pytest.mark.usefixtures("own_cache", "without_pictures")
def test_what_cannot_be_started_from_is_told_before_anything_is_left(tiny, tmp_path):
    source, folder = tmp_path / "source", tmp_path / "run"
    assert train(tiny(training__epochs=1), source) == 0
    (tmp_path / "empty").mkdir()
    for changes, said in (
        ({"training__init_from": str(tmp_path / "empty")}, "holds no trained network"),
        ({"training__init_from": str(tmp_path / "nowhere")}, "holds no trained network"),
        (
            {"training__init_from": str(source), "training__init_skip": ("stem",)},
            "init_skip has 'stem'",
        ),
    ):
        with pytest.raises(UserError, match=said):
            train(tiny(**changes), folder)
        assert not folder.exists()
    with pytest.raises(UserError, match=r"no parameter of the run in config.training.init_from"):
        train(tiny("multihead", training__init_from=str(source)), folder)
    assert not folder.exists()


@pytest.mark.usefixtures("own_cache", "without_pictures")
def test_a_comparison_of_estimators_predicts_with_the_chosen_one(load, tmp_path):
    config = load(
        "experiments/compare.py",
        compare__experiments=tuple(f"{CLASSIFY},learner={each}" for each in ("dummy", "knn")),
    )
    folder = tmp_path / "run"
    assert compare.run(config, Arguments(workdir=str(folder))) == 0
    images = write_images(tmp_path / "images", 28, 28)
    rows = predicted(folder, images, tmp_path / "out.csv")
    assert [pathlib.Path(row["path"]).name for row in rows] == ["a.png", "b.png"]
    assert not any(row["error"] for row in rows)
    (own,) = (folder / "candidates").iterdir()
    assert own.name == "2-knn"
    assert {"config.json", "model.skops", "dataset.json"} <= {path.name for path in own.iterdir()}
    assert predicted(own, images, tmp_path / "own.csv") == rows


@pytest.mark.usefixtures("own_cache", "without_pictures")
def test_a_comparison_of_networks_predicts_with_the_chosen_one(load, tmp_path):
    flags = " ".join(
        f'--config.{name.replace("__", ".")}="{value}"' for name, value in TINY.items()
    )
    texts = tuple(
        f"experiments/quickstart.py:model=logistic {flags} --config.optimizer.learning_rate={rate}"
        for rate in (1e-9, 0.01)
    )
    config = load("experiments/compare.py", compare__experiments=texts)
    folder = tmp_path / "run"
    with pytest.raises(UserError, match="has chosen nothing yet"):
        folder.mkdir()
        write_json(folder / "config.json", config.to_dict())
        workdir.chosen(str(folder))
    shutil.rmtree(folder)
    assert compare.run(config, Arguments(workdir=str(folder))) == 0
    chosen, own = workdir.chosen(str(folder))
    assert own.optimizer.learning_rate in (1e-9, 0.01)
    images = write_images(tmp_path / "images", 28, 56)
    rows = predicted(folder, images, tmp_path / "out.csv")
    assert len(rows) == 2
    assert all(len(row["number"]) == 2 for row in rows)
    assert predicted(chosen, images, tmp_path / "own.csv") == rows
    held = json.loads(
        (folder / "candidates" / pathlib.Path(chosen).name / "dataset.json").read_text()
    )
    for path in (folder / "candidates").iterdir():
        (path / "dataset.json").write_text(json.dumps(held | {"fingerprint": "0" * 64}))
    with pytest.raises(UserError, match="began with other data"):
        compare.run(config, Arguments(workdir=str(folder)))
