"""The command line as a user meets it: real arguments, real files, real exit statuses.

What is asked is answered in this process, where `main` returns its sentence; a process of its own
has what only a process can show: a kill, a terminal, limits, a bare interpreter.
"""

import contextlib
import csv
import io
import json
import os
import pathlib
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from typing import NamedTuple

import jax
import numpy as np
import pytest
from PIL import Image

from mnist3 import config as configs
from mnist3 import experiments, runtime
from mnist3.jobs import command_line, parts
from mnist3.jobs.workdir import read_config
from mnist3.locking import locked
from mnist3.training.checkpoints import Checkpoints
from mnist3.training.run import assemble
from tests.times import without_times

ROOT = pathlib.Path(__file__).parent.parent
TINY = (
    "--config=experiments/quickstart.py",
    "--config.data.digits=2",
    "--config.data.height=28",
    "--config.data.width=56",
    "--config.data.composition.vertical_jitter=0",
    "--config.data.train_examples=512",
    "--config.data.val_examples=100",
    "--config.data.test_examples=100",
    "--config.model.stem=8",
    "--config.model.channels=(16,)",
    "--config.training.batch_size=64",
    "--config.training.epochs=3",
    "--config.training.ema_decay=0.9",
    "--config.training.log_steps=5",
    "--config.model.dropout=0.1",
    "--config.wandb.mode=disabled",
)
UNDRAWN = (*TINY, "--figures=none")  # where nobody looks at the figures, which take longest
DEVICES = "--xla_force_host_platform_device_count="


class Done(NamedTuple):
    """What a command left on its standard streams, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Of processes: a home of their own, and as many devices as this one has."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    kept.pop("MNIST3_DATA_DIR", None)
    kept["XLA_FLAGS"] = f"{kept['XLA_FLAGS']} {DEVICES}{jax.device_count()}"
    return kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}


@pytest.fixture(scope="session")
def launch(environment):
    """Answers a command in this process."""

    def run(*arguments, env=()):
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.chdir(ROOT)
            for name in os.environ.keys() - environment.keys():
                patch.delenv(name)
            for name, value in (environment | dict(env)).items():
                patch.setenv(name, value)
            status = command_line.main(["launch.py", *map(str, arguments)])
        return Done(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def launch_process(environment):
    def run(*arguments, python=(), env=()):
        return subprocess.run(
            [sys.executable, *python, "launch.py", *map(str, arguments)],
            cwd=ROOT,
            env={name: value for name, value in (environment | dict(env)).items() if value},
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture(scope="session")
def finished_run(launch, once, tmp_path_factory):
    """A run's folder, of this process alone, and what its command said."""

    def learn(folder):
        done = launch(*TINY, f"--workdir={folder / 'run'}")
        assert done.returncode == 0, done.stderr
        (folder / "done.json").write_text(json.dumps(done))

    made = once("finished", learn)
    workdir = shutil.copytree(made / "run", tmp_path_factory.mktemp("finished") / "run")
    said = (made / "done.json").read_text().replace(str(made / "run"), str(workdir))
    return workdir, Done(*json.loads(said))


@pytest.fixture(scope="session")
def run_on_a_terminal(environment, once):
    """The same run once more, but not drawn, on a terminal, in the folder that it chooses."""
    folder = once("terminal", lambda folder: show_on_a_terminal(folder, environment))
    (workdir,) = (folder / "runs").iterdir()
    return workdir, (folder / "shown").read_text()


def show_on_a_terminal(folder, environment):
    folder.mkdir()
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 120))
    experiment = f"--config={ROOT}/experiments/quickstart.py"
    process = subprocess.Popen(
        [sys.executable, ROOT / "launch.py", experiment, *UNDRAWN[1:]],
        cwd=folder,
        env=environment,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # which Linux raises once the other side is closed
        while part := os.read(screen, 4096):
            shown += part
    os.close(screen)
    assert process.wait() == 0, shown.decode()
    (folder / "shown").write_bytes(shown)


def read_metrics(workdir):
    return json.loads((workdir / "metrics.json").read_text())


def test_a_run_leaves_the_files_of_the_contract(finished_run):
    workdir, done = finished_run
    metrics = read_metrics(workdir)
    described = {"dataset", "task", "model", "environment", "train", "calibration"}
    assert set(metrics) == described | {"val", "test"}
    calibration = json.loads((workdir / "calibration.json").read_text())
    assert {**calibration, "note": metrics["calibration"]["note"]} == metrics["calibration"]
    assert calibration["epoch"] == metrics["train"]["checkpoint_epoch"]
    assert calibration["fingerprint"] == metrics["dataset"]["fingerprint"]
    assert calibration["ece"] == metrics["val"]["ece"]
    assert set(metrics["dataset"]) == {"name", "source", "fingerprint", "protocol", "overlap"}
    assert metrics["dataset"]["source"] == "digits"
    assert metrics["dataset"]["protocol"] == {"numbers": "disjoint", "digit_images": "disjoint"}
    assert json.loads((workdir / "dataset.json").read_text()) == metrics["dataset"]
    assert metrics["task"] == "number"
    assert set(metrics["model"]) == {"name", "parameters"}
    assert set(metrics["environment"]) == {
        "commit",
        "versions",
        "processor",
        "instruction_set",
        "devices",
        "date",
    }
    assert metrics["environment"]["devices"].startswith(f"{jax.device_count()} x ")
    assert set(metrics["train"]) == {
        "seconds",
        "compile_seconds",
        "examples_per_second",
        "epochs",
        "steps",
        "checkpoint_epoch",
    }
    assert set(metrics["val"]) == set(metrics["test"])
    assert set(metrics["test"]) == {
        "n",
        "exact_match",
        "exact_match_ci95",
        "digit_accuracy",
        "position_accuracy",
        "macro_f1",
        "nll",
        "ece",
        "coverage",
        "aurc",
        "sure",
    }
    assert set(metrics["test"]["coverage"]) == {"0.01", "0.001"}
    assert metrics["test"]["n"] == 100
    assert len(metrics["test"]["position_accuracy"]) == 2
    history = [json.loads(line) for line in (workdir / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in history] == [5, 8, 10, 15, 16, 20, 24]
    steps = [line for line in history if "epoch" not in line]
    assert [line["step"] for line in steps] == [5, 10, 15, 20]
    for line in steps:
        assert set(line) == {
            "step",
            "loss",
            "right",
            "learning_rate",
            "gradient_norm",
            "parameter_norm",
            "update_norm",
        }
        assert 0 < line["learning_rate"] <= 4e-3
        assert min(line["loss"], *(line[name] for name in line if name.endswith("norm"))) > 0
    history = [line for line in history if "epoch" in line]
    assert [line["epoch"] for line in history] == [1, 2, 3]
    assert [line["step"] for line in history] == [8, 16, 24]
    assert all(0 <= line["val"]["exact_match"] <= 1 for line in history)
    trained = [line["train_seconds"] for line in history]
    assert trained == sorted(set(trained))
    assert 0.2 < trained[-1] / history[-1]["seconds"] < 1  # the rest is reading val
    assert metrics["train"]["examples_per_second"] == pytest.approx(24 * 64 / trained[-1])
    with open(workdir / "predictions_test.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    columns = ["index", "label", "prediction", "confidence", "sure", "digit_1", "digit_2"]
    assert list(rows[0]) == columns
    sure = [row for row in rows if row["sure"] == "1"]
    assert {row["sure"] for row in rows} <= {"0", "1"}
    assert len(sure) / len(rows) == pytest.approx(metrics["test"]["sure"]["share"])
    assert all(float(row["confidence"]) >= calibration["threshold"] - 1e-6 for row in sure)
    share = np.mean([row["label"] == row["prediction"] for row in rows])
    assert share == pytest.approx(metrics["test"]["exact_match"])
    figures = {path.stem for path in (workdir / "figures").glob("*.png")}
    assert figures == {
        "learning_curves",
        "position_accuracy",
        "misread",
        "confusion",
        "reliability",
        "risk_coverage",
        "examples",
        "class_balance",
        "augmented",
        "filters",
        "feature_maps",
        "saliency",
    }
    assert (workdir / "report.html").read_text().count("data:image/png") == len(figures)
    said, columns, *rows, where = done.stdout.strip().splitlines()
    assert "source digits" in said
    assert columns.split() == ["val", "(100", "images)", "test", "(100", "images)"]
    low, high = metrics["test"]["exact_match_ci95"]
    assert rows[0].startswith("exact match ")
    assert rows[0].endswith(f"{metrics['test']['exact_match']:.4f} ({low:.4f}-{high:.4f})")
    assert where.endswith(f"files in {workdir}")


def test_the_config_of_a_run_is_the_resolved_one(finished_run, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = experiments.load(shlex.join([TINY[0].removeprefix("--config="), *TINY[1:]]))
    assert (finished_run[0] / "config.json").read_text() == configs.to_json(config)
    assert config.training.epochs == 3


def test_a_log_has_the_layers_and_a_line_an_epoch(finished_run):
    workdir, done = finished_run
    parameters = read_metrics(workdir)["model"]["parameters"]
    assert f"multihead: {parameters} parameters" in done.stderr
    for layer in ("trunk", "heads"):
        assert re.search(rf"│ {layer} +│", done.stderr)
    for epoch in (1, 2, 3):
        line = rf"^epoch {epoch}/3  loss \d\.\d{{4}}  val exact match 0\.\d{{4}}  .* s, \d+ s left$"
        assert re.search(line, done.stderr, re.MULTILINE)


def test_a_terminal_has_a_bar_in_place_of_lines(run_on_a_terminal):
    _, shown = run_on_a_terminal
    assert re.search(r"training: 100%.* 3/3 .*loss=\d\.\d{4}, val exact match=0\.\d{4}", shown)
    assert "epoch 3/3" not in shown


def test_a_run_without_a_workdir_takes_a_fresh_one(run_on_a_terminal):
    workdir, shown = run_on_a_terminal
    assert re.fullmatch(r"quickstart-\d{8}-\d{6}-\d+", workdir.name)
    assert f"files in runs/{workdir.name}" in shown


def test_the_same_command_gives_the_same_metrics(finished_run, run_on_a_terminal):
    first, second = finished_run[0], run_on_a_terminal[0]
    assert without_times(read_metrics(first)) == without_times(read_metrics(second))
    for name in ("predictions_val.csv", "predictions_test.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def epochs_of(workdir):
    lines = map(json.loads, (workdir / "history.jsonl").read_text().splitlines())
    return [line["epoch"] for line in lines if "epoch" in line]


def last_state(workdir):
    config = read_config(str(workdir))
    shapes = assemble(config, parts.task_of(config), 512).state_shapes()
    checkpoints = Checkpoints(str(workdir), read_only=True)
    state = checkpoints.restore(3, shapes)
    checkpoints.close()
    return jax.device_get(state)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_goes_on_to_the_same_bytes(
    environment, launch, finished_run, tmp_path, number
):
    workdir = tmp_path / "stopped"
    process = subprocess.Popen(
        [sys.executable, "launch.py", *UNDRAWN, f"--workdir={workdir}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (workdir / "checkpoints" / "1").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    _, said = process.communicate()
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert said.splitlines()[-1] == "Stopped; run the same command to go on."
        assert "Traceback" not in said
    assert not (workdir / "metrics.json").exists()

    done = launch(*UNDRAWN, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    assert "going on after epoch" in done.stderr
    assert without_times(read_metrics(workdir)) == without_times(read_metrics(finished_run[0]))
    assert epochs_of(workdir) == [1, 2, 3]
    jax.tree.map(np.testing.assert_array_equal, last_state(finished_run[0]), last_state(workdir))


def test_evaluate_repeats_the_metrics_of_a_run_and_draws_in_other_formats(launch, finished_run):
    workdir, _ = finished_run
    before, page = read_metrics(workdir), (workdir / "report.html").read_text()
    done = launch("--mode=evaluate", f"--workdir={workdir}", "--figures=png,svg")
    assert done.returncode == 0, done.stderr
    after = read_metrics(workdir)
    assert after.pop("evaluated_in").keys() == after["environment"].keys()
    assert after == before
    names = {path.stem for path in (workdir / "figures").glob("*.png")}
    assert {path.stem for path in (workdir / "figures").glob("*.svg")} == names
    assert not list((workdir / "figures").glob("*.pdf"))
    assert (workdir / "report.html").read_text().count("<img") == page.count("<img")


def test_predict_reads_files_and_names_the_broken_one(launch, finished_run, tmp_path):
    pixels = np.zeros((28, 56), np.uint8)
    pixels[4:24, 10:14] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(255 - pixels).convert("RGB").save(tmp_path / "b.jpg")
    (tmp_path / "c.png").write_bytes(b"not an image")
    output = tmp_path / "numbers.csv"
    done = launch(
        "--mode=predict",
        f"--workdir={finished_run[0]}",
        f"--images={tmp_path}",
        f"--output={output}",
    )
    assert done.returncode == 2, done.stderr
    with open(output) as file:
        rows = list(csv.DictReader(file))
    assert [pathlib.Path(row["path"]).name for row in rows] == ["a.png", "b.jpg", "c.png"]
    assert len(rows[0]["number"]) == 2
    assert rows[0]["number"] == rows[1]["number"]
    assert rows[2]["number"] == ""
    assert rows[2]["error"]


def refusal(done, *said):
    """One sentence on stderr, status 1, no traceback."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    for words in said:
        assert words in last
    return last


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), ("--config=experiments/quickstart.py",)),
        (("--config=experiments/nothing.py",), ("experiments/nothing.py",)),
        ((*TINY, "--config.optimizer.learning_rat=1"), ("config.optimizer.learning_rate",)),
        ((*TINY, "--config.training.epochs=many"), ("training.epochs", "many", "int")),
        ((*TINY, "--config.optimizer=sgd"), ("config.optimizer is a section",)),
        ((*TINY, "--config.model.channels=wide"), ("config.model.channels", "tuple")),
        (("--config=experiments",), ("experiments", "a Python file")),
        (("--config=Makefile",), ("Makefile:", "a Python file")),
        (("--mode=evaluate", "--config=experiments/quickstart.py"), ("no run",)),
        (("--mode=predict",), ("no run",)),
        ((*TINY, "--config.model.name=cmm"), ("did you mean 'cnn'",)),
        ((*TINY, "--mode=trian"), ("did you mean train",)),
        (("--config=experiments/triple_mnist.py:modl=cnn",), ("did you mean model=",)),
        (("--config=experiments/triple_mnist.py",), ("MNIST3_DATA_DIR",)),
        (("--config=experiments/mnist.py", "--data_dir=/nonexistent"), ("/nonexistent",)),
        ((*TINY, "--workdir=/proc/run"), ("/proc/run", "--workdir")),
        ((*TINY, "--config.training.batch_size=1000"), ("batch_size",)),
        ((*TINY, "--config.seed=4294967296"), ("config.seed is 4294967296", "0 to 4294967295")),
        ((*TINY, "--config.data.seed=99999999999"), ("config.data.seed is 99999999999",)),
        ((*TINY, "--config.augmentation.cutout=2000"), ("config.augmentation.cutout is 2000",)),
        ((*TINY, "--figures=png,pfd"), ("'pfd'", "did you mean 'pdf'")),
        ((*TINY, "--worksdir=a"), ("unknown flag --worksdir", "did you mean --workdir")),
        (("--config.seed=1",), ("--config.seed=1", "--config=experiments/quickstart.py")),
        (
            ("--config=experiments/classify.py:learner=knn", "--config.learner.parameters.p=x"),
            ("p",),
        ),
        ((*TINY, "--mode=audit", "--output=/nonexistent/a.json"), ("--output=/nonexistent/a",)),
        (("--mode=evaluate", "--workdir=/nonexistent"), ("/nonexistent", "no run")),
        ((*TINY, "surplus"), ("surplus",)),
    ],
)
def test_a_mistake_gets_one_sentence(launch, tmp_path, arguments, said):
    workdir = () if any("--workdir" in word for word in arguments) else (f"--workdir={tmp_path}/w",)
    refusal(launch(*arguments, *workdir), *said)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("field", "value"), [("shift", 90), ("scale", 1.0), ("noise", "inf"), ("shear", 90.0)]
)
def test_an_augmentation_that_leaves_nothing_to_learn_from_is_refused(
    launch, tmp_path, field, value
):
    done = launch(*TINY, f"--config.augmentation.{field}={value}", f"--workdir={tmp_path}/w")
    refusal(done, f"config.augmentation.{field} is {value}")
    assert not (tmp_path / "w").exists()


def test_a_batch_that_devices_cannot_share_is_refused(launch_process, tmp_path):
    words = (*TINY, "--config.training.batch_size=65", f"--workdir={tmp_path}/w")
    done = launch_process(*words, env={"XLA_FLAGS": f"{DEVICES}2"})
    refusal(done, "batch_size is 65", "multiple of 2")
    assert not (tmp_path / "w").exists()


BROKEN = {
    "key": ("config = {}\n    return config['foo']", "{file}:6 with KeyError: 'foo'"),
    "called": ("return helper.broken()", "{folder}/helper.py:2 with ZeroDivisionError"),
    "field": (
        "config = numbers()\n    config.optimzer.name = 'sgd'",
        "{file}:6 with AttributeError",
    ),
    "file": ("open('/nonexistent/settings')", "{file}:5 with FileNotFoundError"),
    "nothing": ("pass", "{file} returns NoneType"),
    "type": ("return 1 + 'a'", "{file}:5 with TypeError"),
    "syntax": ("return (", "{file}:5 ("),
    "library": ("import nunpy", "{file}:5 with ModuleNotFoundError: No module named 'nunpy'"),
}


@pytest.fixture
def broken_experiment(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "helper.py").write_text("def broken():\n    return 1 / 0\n")

    def written(body):
        file = tmp_path / "mine.py"
        file.write_text(
            "import helper\nfrom mnist3.config import numbers\n\n"
            f"def get_config(argument=''):\n    {body}\n"
        )
        return file

    yield written
    sys.modules.pop("helper", None)


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_mistake_in_an_experiment_is_told_with_file_and_line(
    launch, broken_experiment, tmp_path, mistake
):
    body, said = BROKEN[mistake]
    file = broken_experiment(body)
    refusal(launch(f"--config={file}"), said.format(file=file, folder=tmp_path))


def test_an_experiment_without_get_config_is_told(launch, tmp_path):
    (tmp_path / "mine.py").write_text("config = 1\n")
    refusal(launch(f"--config={tmp_path}/mine.py"), "has no get_config")


def test_the_traceback_of_an_error_is_there_for_who_wants_it(launch, broken_experiment):
    file = broken_experiment(BROKEN["key"][0])
    done = launch(f"--config={file}", env={"MNIST3_DEBUG": "1"})
    assert done.returncode == 1
    assert f'File "{file}", line 6, in get_config' in done.stderr
    assert "KeyError: 'foo'" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: the experiment ")


def test_a_config_of_a_run_is_an_experiment_and_how_it_is_tracked_may_change(
    launch, finished_run, tmp_path
):
    workdir = tmp_path / "run"
    shutil.copytree(finished_run[0], workdir)
    again = f"--config={finished_run[0]}/config.json"
    words = "--config.wandb.tags=('later',)", "--figures=none"
    done = launch(again, *words, f"--workdir={workdir}")
    assert read_config(str(workdir)).wandb.tags == ("later",)
    assert done.returncode == 0, done.stderr
    assert "going on after epoch 3 of 3" in done.stderr
    done = launch(again, "--config.seed=1", f"--workdir={workdir}")
    refusal(done, "config.seed was 0 and is now 1")
    done = launch(again, "--config.training.epoch=1", f"--workdir={workdir}")
    refusal(done, "did you mean config.training.epochs?")
    (tmp_path / "half.json").write_text('{"kind": "num')
    refusal(launch(f"--config={tmp_path}/half.json"), "half.json, which is not valid JSON")
    (tmp_path / "other.json").write_text('{"kind": "novel"}')
    refusal(launch(f"--config={tmp_path}/other.json"), "config.kind is 'novel'")


def test_a_missing_library_is_told_with_what_to_do(launch, launch_process, monkeypatch):
    done = launch_process("--help", python=("-S",), env={"PYTHONPATH": ""})
    refusal(done, f"{sys.executable} has no library ", ".venv/bin/python", "pip install -e .")
    monkeypatch.setitem(sys.modules, "mnist3.jobs.run", None)
    with pytest.raises(ModuleNotFoundError):  # no library: a fault of this package
        launch(*TINY)


def test_a_workdir_of_another_config_is_refused(launch, finished_run):
    done = launch(*TINY, "--config.seed=1", f"--workdir={finished_run[0]}")
    refusal(done, "config.seed was 0 and is now 1")


def test_a_run_is_not_read_with_another_config(launch, finished_run):
    mode = ("--mode=evaluate", "--config.seed=1")
    refusal(launch(*TINY, *mode, f"--workdir={finished_run[0]}"), "config.seed was 0 and is now 1")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_workdir_that_another_process_has_is_refused_and_left_alone(
    launch, finished_run, tmp_path
):
    workdir = finished_run[0]
    pixels = np.zeros((28, 56), np.uint8)
    pixels[4:24, 10:14] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with locked(str(workdir)):
        before = contents(workdir)
        for command in (TINY, ("--mode=evaluate",)):
            done = launch(*command, f"--workdir={workdir}")
            refusal(done, f"{workdir} is in use by process {os.getpid()} on ", "--workdir")
        predict = ("--mode=predict", f"--images={tmp_path}/a.png", f"--output={tmp_path}/a.csv")
        done = launch(*predict, f"--workdir={workdir}")
        assert done.returncode == 0, done.stderr
        assert contents(workdir) == before
    assert not list(workdir.glob(".lock*"))


def test_an_unknown_checkpoint_is_refused(launch, finished_run):
    done = launch("--mode=evaluate", f"--workdir={finished_run[0]}", "--checkpoint=99")
    refusal(done, "'99'", "best, latest")


@pytest.mark.parametrize("largest_file", [1, 16])  # KiB: config.json, a checkpoint
def test_a_full_disk_is_told(environment, tmp_path, largest_file):
    command = [sys.executable, "launch.py", *UNDRAWN, f"--workdir={tmp_path}/w"]
    done = subprocess.run(
        ["bash", "-c", f'ulimit -f {largest_file}; exec "$@"', "bash", *command],
        cwd=ROOT,
        env=environment | {"JAX_ENABLE_COMPILATION_CACHE": "0"},
        capture_output=True,
        text=True,
    )
    refusal(done, "no space left")
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".partial", ".tmp")]
    assert not list((tmp_path / "w").glob("checkpoints/*"))


def test_a_loss_that_is_not_finite_stops_the_run(launch, tmp_path):
    done = launch(
        *TINY,
        "--config.optimizer.name=sgd",
        "--config.optimizer.learning_rate=1e30",
        f"--workdir={tmp_path}/w",
    )
    refusal(done, "not finite", "at step", "no epoch was finished")


def test_a_run_as_users_have_it(launch_process, tmp_path):
    """With huge pages, a device for each core, XLA's own level of optimisation, and drawn."""
    experiment = tmp_path / "mine.py"
    experiment.write_text(
        "import os, pathlib\n"
        "from experiments.quickstart import get_config\n"
        f"pathlib.Path({str(tmp_path)!r}, 'tuned').write_text(os.environ['GLIBC_TUNABLES'])\n"
    )
    plain = (
        "--config.training.epochs=1",
        "--config.training.ema_decay=0",
        "--config.model.dropout=0",
    )
    words = (f"--config={experiment}", *TINY[1:], *plain, f"--workdir={tmp_path}/w")
    done = launch_process(*words, env={"XLA_FLAGS": "", "GLIBC_TUNABLES": ""})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tuned").read_text() == runtime.HUGE_PAGES
    devices = read_metrics(tmp_path / "w")["environment"]["devices"]
    assert devices == f"{runtime._cpu_devices()} x cpu"
    assert epochs_of(tmp_path / "w") == [1]
    assert (tmp_path / "w" / "figures" / "saliency.png").exists()


def test_help_imports_nothing_heavy(environment):
    heavy = "{'jax', 'flax', 'wandb', 'sklearn', 'tensorflow_datasets', 'matplotlib'}"
    code = (
        "import sys, runpy\n"
        "sys.argv = ['launch.py', '--help']\n"
        "try:\n"
        "    runpy.run_path('launch.py', run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0\n"
        f"    assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)\n"
        "    print('light')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment | {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.endswith("light\n"), done.stderr
    assert "--workdir" in done.stdout


def test_audit_finds_nothing_shared_in_a_disjoint_dataset(launch, tmp_path):
    output = tmp_path / "audit.json"
    done = launch("--mode=audit", *TINY, f"--output={output}")
    assert done.returncode == 0, done.stderr
    splits = json.loads(output.read_text())["splits"]
    assert splits["val"]["digit_images_in_train"] == splits["test"]["digit_images_in_train"] == 0
    assert splits["test"]["numbers_in_train"] == 0
    assert "0.00 %" in done.stdout


def test_two_processes_share_a_cache(launch, environment, tmp_path):
    """Each fits what the other is fitting too, and writes what one of them alone would write."""
    experiment = "--config=experiments/classify.py:learner=knn,search=grid,train_limit=200"
    command = (experiment, "--config.wandb.mode=disabled", "--figures=none")

    def started(name):
        return subprocess.Popen(
            [sys.executable, "launch.py", *command, f"--workdir={tmp_path}/{name}"],
            cwd=ROOT,
            env=environment | {"MNIST3_CACHE_DIR": str(tmp_path / "shared")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    for process in [started(name) for name in ("a", "b")]:
        _, problem = process.communicate()
        assert process.returncode == 0, problem
    own = {"MNIST3_CACHE_DIR": str(tmp_path / "own")}
    alone = launch(*command, f"--workdir={tmp_path}/c", env=own)
    assert alone.returncode == 0, alone.stderr
    for name in ("predictions_val.csv", "predictions_test.csv"):
        written = {(tmp_path / folder / name).read_bytes() for folder in "abc"}
        assert len(written) == 1


def test_a_table_is_learned_and_predicted(launch, tmp_path):
    table = tmp_path / "animals.csv"
    rows = ["fur,legs,kind"] + ["yes,4,cat", "no,2,bird"] * 30
    table.write_text("\n".join(rows) + "\n")
    experiment = "--config=experiments/tabular.py:learner=decision_tree"
    data = (f"--config.data.path={table}", "--config.data.target=kind")
    quiet = ("--config.wandb.mode=disabled", "--figures=none")
    done = launch(experiment, *data, *quiet, f"--workdir={tmp_path}/w")
    assert done.returncode == 0, done.stderr
    assert read_metrics(tmp_path / "w")["test"]["accuracy"] == 1
    table.write_text("fur,legs\nno,2\n")
    output = f"--output={tmp_path}/kinds.csv"
    mode = ("--mode=predict", f"--workdir={tmp_path}/w", f"--table={table}")
    done = launch(*mode, output)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kinds.csv").read_text().splitlines()[1].startswith("no,2,bird,")
    table.write_text("fur\nno\n")
    refusal(launch(*mode, output), "lacks the column legs")
    refusal(
        launch("--mode=audit", f"--workdir={tmp_path}/w"), "audit is not for runs of kind table"
    )
