"""The local history, and what W&B's own run file holds after a real offline run."""

import json
import pathlib
import resource
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import wandb
from absl import logging

from mnist3 import tracking
from mnist3.config import numbers
from mnist3.errors import UserError
from mnist3.tracking import Tracker, flatten, part_of
from tests.offline_wandb import offline_runs, read_records

pytestmark = pytest.mark.usefixtures("fresh_wandb")


@pytest.fixture
def warnings(monkeypatch):
    """The messages of `absl.logging.warning`, as a list that grows."""
    messages = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: messages.append(text % args))
    return messages


@pytest.fixture
def workdir(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def config_of(mode, **changes):
    config = numbers()
    config.wandb.mode = mode
    config.wandb.update(changes)
    return config


def epoch_entry(epoch):
    return {
        "step": 10 * epoch,
        "epoch": epoch,
        **{"seconds": 0.5, "train_seconds": 0.4, "compile_seconds": 0.1},
        "train": {"loss": np.float32(1 / epoch)},
        "val": {"exact_match": epoch / 4, "position_accuracy": np.array([0.5, 0.25])},
    }


def step_line(step):
    return {"step": step, "loss": 1 / step, "right": 0.5, "learning_rate": np.float32(0.25)}


def read_history(workdir):
    return [json.loads(line) for line in (workdir / "history.jsonl").read_text().splitlines()]


def test_offline_run_holds_scalars_config_summary_table_and_artifact(workdir, warnings):
    config = config_of("offline", group="study", tags=("a", "b"), log_artifact=True)
    tracker = Tracker(workdir, config)
    for epoch in (1, 2, 3):
        tracker.log_steps([step_line(10 * epoch - 8), step_line(10 * epoch - 4)])
        tracker.log_epoch(epoch_entry(epoch))
    tracker.log_misread(
        images=np.stack([np.full((28, 56), grey, np.uint8) for grey in (7, 100, 200)]),
        right=np.array([False, True, False]),
        labels=["04", "55", "12"],
        predictions=["09", "55", "72"],
        confidences=np.array([0.5, 0.9, 0.75], np.float32),
    )
    tracker.summary({"model": {"parameters": 12}, "test": {"exact_match": 0.875}})
    (workdir / "figures").mkdir()
    (workdir / "figures" / "one.png").write_bytes(b"picture")
    tracker.finish([workdir / "history.jsonl", workdir / "figures"])

    [(run, logged_config, rows, summary, artifacts)] = offline_runs(workdir)
    assert (run.project, run.run_group, list(run.tags)) == ("mnist3", "study", ["a", "b"])
    assert logged_config["optimizer"] == config.optimizer.to_dict()
    assert logged_config["seed"] == config.seed

    scalars = [row for row in rows if "epoch" in row]
    assert [row["_step"] for row in scalars] == [10, 20, 30]
    assert [row["epoch"] for row in scalars] == [1, 2, 3]
    assert [row["step"] for row in scalars] == [10, 20, 30]
    assert [row["val/exact_match"] for row in scalars] == [0.25, 0.5, 0.75]
    np.testing.assert_allclose([row["train/loss"] for row in scalars], [1, 1 / 2, 1 / 3])
    assert scalars[0]["val/position_accuracy/2"] == 0.25

    steps = [row for row in rows if "steps/loss" in row]
    assert [row["_step"] for row in steps] == [2, 6, 12, 16, 22, 26]
    np.testing.assert_allclose([1 / row["steps/loss"] for row in steps], [2, 6, 12, 16, 22, 26])
    assert {row["steps/learning_rate"] for row in steps} == {0.25}

    assert summary["model/parameters"] == 12
    assert summary["test/exact_match"] == 0.875

    files = {
        entry.path: entry.local_path
        for artifact in artifacts
        if artifact.type == "run_table"
        for entry in artifact.manifest.contents
    }
    table = json.loads(pathlib.Path(files["misread.table.json"]).read_text())
    assert table["columns"] == ["image", "label", "prediction", "confidence"]
    assert [row[1:] for row in table["data"]] == [["12", "72", 0.75], ["04", "09", 0.5]]
    for row, grey in zip(table["data"], (200, 7), strict=True):
        with PIL.Image.open(files[row[0]["path"]]) as image:
            np.testing.assert_array_equal(np.asarray(image), np.full((28, 56), grey))

    [artifact] = [artifact for artifact in artifacts if artifact.type == "run"]
    stored = {entry.path for entry in artifact.manifest.contents}
    assert stored == {"history.jsonl", "figures/one.png"}
    assert warnings == []


def test_without_an_account_auto_is_offline_and_stores_no_artifact(workdir, warnings):
    tracker = Tracker(workdir, config_of("auto"))
    tracker.log_epoch(epoch_entry(1))
    tracker.finish([workdir / "history.jsonl"])
    [(_, _, rows, _, artifacts)] = offline_runs(workdir)
    assert rows[0]["val/exact_match"] == 0.25
    assert [artifact.type for artifact in artifacts if artifact.type == "run"] == []
    assert warnings == []


def test_resumed_run_is_the_same_wandb_run(workdir):
    for epochs in (0, 1):
        tracker = Tracker(workdir, config_of("offline"))
        tracker.resume(epochs)
        tracker.log_epoch(epoch_entry(epochs + 1))
        tracker.finish()
    (first, _, first_rows, *_), (second, _, second_rows, *_) = offline_runs(workdir)
    assert first.run_id == second.run_id
    assert [row["epoch"] for row in first_rows + second_rows] == [1, 2]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # W&B's own, parameters.yaml
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_agent_decides_which_run_of_which_sweep_this_is(workdir, tmp_path, monkeypatch):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text("wandb_version: 1\nconfig.optimizer.learning_rate: {value: 0.25}\n")
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep123")
    monkeypatch.setenv("WANDB_RUN_ID", "run456")
    monkeypatch.setenv("WANDB_PROJECT", "of-the-sweep")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(parameters))
    tracker = Tracker(workdir, config_of("offline", project="of-the-config"))
    tracker.finish()
    [(run, config, *_)] = offline_runs(workdir)
    assert (run.sweep_id, run.run_id, run.project) == ("sweep123", "run456", "of-the-sweep")
    assert config["config.optimizer.learning_rate"] == 0.25


def test_disabled_leaves_only_the_history(workdir):
    tracker = Tracker(workdir, config_of("disabled"))
    tracker.log_epoch(epoch_entry(1))
    tracker.summary({"test": {"exact_match": 1.0}})
    tracker.finish([workdir / "history.jsonl"])
    assert [file.name for file in workdir.iterdir()] == ["history.jsonl"]


@pytest.mark.parametrize("stopped", [False, True])
def test_a_run_that_a_signal_stopped_is_preempted_for_wandb(workdir, warnings, stopped):
    tracker = Tracker(workdir, config_of("offline"))
    tracker.log_epoch(epoch_entry(1))
    tracker.finish(failed=True, stopped=stopped)
    wandb.teardown()
    (file,) = workdir.glob("wandb/offline-run-*/*.wandb")
    records = read_records(file)
    assert any(record.HasField("preempting") for record in records) is stopped
    (end,) = [record.exit for record in records if record.HasField("exit")]
    assert end.exit_code == 1


@pytest.mark.parametrize("broken", ["log", "log_artifact", "finish"])
def test_wandb_failing_in_the_middle_costs_one_warning(workdir, warnings, monkeypatch, broken):
    tracker = Tracker(workdir, config_of("offline", log_artifact=True))
    tracker.log_epoch(epoch_entry(1))

    def fail(*_, **__):
        raise ConnectionError("the cable is out")

    monkeypatch.setattr(wandb.Run, broken, fail)
    tracker.log_epoch(epoch_entry(2))
    tracker.log_epoch(epoch_entry(3))
    images, right = np.zeros((1, 28, 28), np.uint8), np.zeros(1, bool)
    tracker.log_misread(images, right, ["1"], ["7"], np.ones(1, np.float32))
    tracker.summary({"test": {"exact_match": 1.0}})
    tracker.finish([workdir / "history.jsonl"])
    monkeypatch.undo()
    assert [entry["epoch"] for entry in read_history(workdir)] == [1, 2, 3]
    assert len(warnings) == 1
    assert "the cable is out" in warnings[0]


class Broken:
    def tolist(self):
        raise ValueError("a fault of ours")


def test_faults_of_this_package_are_not_those_of_wandb(workdir, warnings):
    tracker = Tracker(workdir, config_of("offline", log_artifact=True))
    images, right = np.zeros((2, 28, 28), np.uint8), np.zeros(2, bool)
    with pytest.raises(ValueError, match="a fault of ours"):
        tracker.summary({"test": {"exact_match": Broken()}})
    with pytest.raises(IndexError):
        tracker.log_misread(images, right, ["1"], ["7"], np.ones(2, np.float32))
    with pytest.raises(ValueError, match="is not in the subpath"):
        tracker.finish([workdir.parent / "elsewhere.csv"])
    tracker.log_epoch(epoch_entry(1))
    tracker.finish()
    assert warnings == []
    [(_, _, rows, *_)] = offline_runs(workdir)
    assert [row["epoch"] for row in rows] == [1]


def test_without_network_a_logged_in_run_goes_on_offline(workdir, warnings, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr("mnist3.tracking.INIT_SECONDS", 0.5)
    tracker = Tracker(workdir, config_of("auto"))
    tracker.log_epoch(epoch_entry(1))
    tracker.finish()
    assert len(warnings) == 1
    [(_, _, rows, *_)] = offline_runs(workdir)
    assert [row["epoch"] for row in rows] == [1]


@pytest.mark.parametrize(
    "end",
    [
        b'{"step": 40, "epo',  # killed while it wrote
        b"\0\0\0\n",  # a power cut
        b'{"epoch": "a"}\n',
        b"1\n",
        b"[" * 10_000 + b"\n",
    ],
)
def test_history_is_cut_to_the_epochs_of_the_checkpoint(workdir, end):
    tracker = Tracker(workdir, config_of("disabled"))
    for epoch in (1, 2, 3):
        tracker.log_steps([step_line(10 * epoch - 5)])
        tracker.log_epoch(epoch_entry(epoch))
    with (workdir / "history.jsonl").open("ab") as file:
        file.write(end)
    tracker = Tracker(workdir, config_of("disabled"))
    tracker.resume(2)
    assert [entry["step"] for entry in read_history(workdir)] == [5, 10, 15, 20]
    tracker.log_epoch(epoch_entry(3) | {"seconds": 9.0})
    history = [entry for entry in read_history(workdir) if "epoch" in entry]
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert [entry["seconds"] for entry in history] == [0.5, 0.5, 9.0]
    assert history[1]["val"] == {"exact_match": 0.5, "position_accuracy": [0.5, 0.25]}
    assert tracking.read_history(workdir, 3) == history

    Tracker(workdir, config_of("disabled")).resume(0)
    assert read_history(workdir) == []


def test_history_is_json_even_where_a_metric_is_no_number(workdir):
    tracker = Tracker(workdir, config_of("disabled"))
    tracker.log_epoch({"epoch": 1, "val": {"nll": float("inf"), "ece": np.float32("nan")}})
    assert read_history(workdir) == [{"epoch": 1, "val": {"nll": None, "ece": None}}]


def test_history_that_cannot_be_written_is_told_in_one_sentence(workdir):
    tracker = Tracker(workdir, config_of("disabled"))
    tracker.log_epoch(epoch_entry(1))
    size = (workdir / "history.jsonl").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))  # room for half a line
    try:
        with pytest.raises(UserError, match=r"cannot write .*history\.jsonl .*free space"):
            tracker.log_epoch(epoch_entry(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [entry["epoch"] for entry in read_history(workdir)] == [1]

    with pytest.raises(UserError, match="No such file or directory"):
        Tracker(workdir / "absent", config_of("disabled")).resume(0)


def test_flatten_names_metrics_by_their_path():
    metrics = {"epoch": 1, "val": {"exact_match": 0.5, "position_accuracy": (0.8, 0.6)}}
    assert flatten(metrics) == {
        "epoch": 1,
        "val/exact_match": 0.5,
        "val/position_accuracy/1": 0.8,
        "val/position_accuracy/2": 0.6,
    }
    assert flatten({"val": {"nll": float("inf")}}) == {"val/nll": float("inf")}


def test_wandb_is_not_imported_before_it_is_used():
    code = "import mnist3.tracking, sys; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_part_of_a_run_is_grouped_with_it_and_left_out_under_an_agent(monkeypatch):
    section = numbers().wandb
    assert part_of(section, "run-7").group == "run-7"
    assert part_of(section, "run-7").mode == section.mode == "auto"
    section.group = "mine"
    assert part_of(section, "run-7").group == "mine"
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep123")
    assert part_of(section, "run-7").mode == "disabled"
    assert section.mode == "auto"
