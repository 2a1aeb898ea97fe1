"""The command line as a user meets it: real processes, real files, real exit statuses."""

import contextlib
import csv
import json
import os
import pathlib
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from PIL import Image

from mnist3 import config as configs
from mnist3 import experiments
from mnist3.locking import locked

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
    "--config.model.dropout=0.1",
    "--config.wandb.mode=disabled",
)
TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    kept.pop("MNIST3_DATA_DIR", None)
    return kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}


@pytest.fixture(scope="session")
def launch(environment):
    def run(*arguments, **options):
        return subprocess.run(
            [sys.executable, "launch.py", *map(str, arguments)],
            cwd=ROOT,
            env=environment | options.pop("env", {}),
            capture_output=True,
            text=True,
            **options,
        )

    return run


@pytest.fixture(scope="session")
def finished_run(launch, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    done = launch(*TINY, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir, done


@pytest.fixture(scope="session")
def run_on_a_terminal(environment, tmp_path_factory):
    """The same run once more, shown on a terminal, in the folder that it chooses itself."""
    folder = tmp_path_factory.mktemp("terminal")
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 120))
    experiment = f"--config={ROOT}/experiments/quickstart.py"
    process = subprocess.Popen(
        [sys.executable, ROOT / "launch.py", experiment, *TINY[1:]],
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
    (workdir,) = (folder / "runs").iterdir()
    return workdir, shown.decode()


def without_times(metrics):
    return metrics | {
        "train": {
            name: value
            for name, value in metrics["train"].items()
            if name in ("epochs", "steps", "checkpoint_epoch")
        }
    }


def read_metrics(workdir):
    return json.loads((workdir / "metrics.json").read_text())


def test_a_run_leaves_the_files_of_the_contract(finished_run):
    workdir, done = finished_run
    metrics = read_metrics(workdir)
    assert set(metrics) == {"dataset", "model", "train", "val", "test"}
    assert set(metrics["dataset"]) == {"name", "source", "fingerprint", "protocol", "overlap"}
    assert metrics["dataset"]["source"] == "digits"
    assert metrics["dataset"]["protocol"] == {"numbers": "disjoint", "digit_images": "disjoint"}
    assert set(metrics["model"]) == {"name", "parameters"}
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
    }
    assert metrics["test"]["n"] == 100
    assert len(metrics["test"]["position_accuracy"]) == 2
    history = [json.loads(line) for line in (workdir / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1, 2, 3]
    assert [line["step"] for line in history] == [8, 16, 24]
    trained = [line["train_seconds"] for line in history]
    assert trained == sorted(set(trained))
    assert 0.2 < trained[-1] / history[-1]["seconds"] < 1  # the rest is reading val
    assert metrics["train"]["examples_per_second"] == pytest.approx(24 * 64 / trained[-1])
    with open(workdir / "predictions_test.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    assert list(rows[0])[:4] == ["index", "label", "prediction", "confidence"]
    share = np.mean([row["label"] == row["prediction"] for row in rows])
    assert share == pytest.approx(metrics["test"]["exact_match"])
    figures = {path.stem for path in (workdir / "figures").glob("*.png")}
    assert figures == {
        "learning_curves",
        "position_accuracy",
        "misread",
        "confusion",
        "reliability",
        "examples",
        "class_balance",
        "augmented",
        "filters",
        "feature_maps",
        "saliency",
    }
    assert (workdir / "report.html").read_text().count("data:image/png") == len(figures)
    assert "source digits" in done.stdout
    assert str(workdir) in done.stdout


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


def test_a_killed_run_goes_on_to_the_same_bytes(environment, launch, finished_run, tmp_path):
    command = [sys.executable, "launch.py", *TINY, f"--workdir={tmp_path}/killed"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    history = tmp_path / "killed" / "history.jsonl"
    saved = tmp_path / "killed" / "checkpoints" / "1"
    deadline = time.monotonic() + 120
    while not saved.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "metrics.json").exists()

    done = launch(*TINY, f"--workdir={tmp_path}/killed")
    assert done.returncode == 0, done.stderr
    assert "going on after epoch" in done.stderr
    assert without_times(read_metrics(tmp_path / "killed")) == without_times(
        read_metrics(finished_run[0])
    )
    lines = history.read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    compare = (
        "import sys, jax, numpy as np\n"
        "from mnist3.jobs.workdir import read_config\n"
        "from mnist3.training.checkpoints import Checkpoints\n"
        "from mnist3.training.run import assemble\n"
        "states = []\n"
        "for folder in sys.argv[1:]:\n"
        "    like = assemble(read_config(folder), 512).state_shapes()\n"
        "    states.append(Checkpoints(folder, read_only=True).restore(3, like))\n"
        "for one, other in zip(*map(jax.tree.leaves, states), strict=True):\n"
        "    np.testing.assert_array_equal(one, other)\n"
    )
    same = subprocess.run(
        [sys.executable, "-c", compare, str(finished_run[0]), str(tmp_path / "killed")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert same.returncode == 0, same.stderr


def test_evaluate_repeats_the_metrics_of_a_run(launch, finished_run):
    workdir, _ = finished_run
    before = (workdir / "metrics.json").read_bytes()
    done = launch("--mode=evaluate", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    assert (workdir / "metrics.json").read_bytes() == before


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
        ((*TINY, "--config.training.batch_size=65"), ("batch_size is 65", "multiple of 2")),
        ((*TINY, "--mode=audit", "--output=/nonexistent/a.json"), ("--output=/nonexistent/a",)),
        (("--mode=evaluate", "--workdir=/nonexistent"), ("/nonexistent", "no run")),
        ((*TINY, "surplus"), ("surplus",)),
    ],
)
def test_a_mistake_gets_one_sentence(launch, tmp_path, arguments, said):
    workdir = () if any("--workdir" in word for word in arguments) else (f"--workdir={tmp_path}/w",)
    refusal(launch(*arguments, *workdir, env=TWO_DEVICES), *said)
    assert not (tmp_path / "w").exists()


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


def test_how_a_run_is_tracked_may_change(launch, finished_run):
    tags = "--config.wandb.tags=('later',)"
    done = launch(*TINY, tags, f"--workdir={finished_run[0]}")
    assert done.returncode == 0, done.stderr
    assert "going on after epoch 3 of 3" in done.stderr


def test_an_unknown_checkpoint_is_refused(launch, finished_run):
    done = launch("--mode=evaluate", f"--workdir={finished_run[0]}", "--checkpoint=99")
    refusal(done, "'99'", "best, latest")


@pytest.mark.parametrize("largest_file", [1, 16])  # KiB: the log of epochs, a checkpoint
def test_a_full_disk_is_told(environment, tmp_path, largest_file):
    command = [sys.executable, "launch.py", *TINY, f"--workdir={tmp_path}/w"]
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


def test_help_imports_nothing_heavy(environment):
    heavy = "{'jax', 'flax', 'wandb', 'sklearn', 'tensorflow_datasets', 'matplotlib'}"
    code = (
        "import sys, runpy\n"
        "sys.argv = ['launch.py', '--help']\n"
        "try:\n"
        "    runpy.run_path('launch.py', run_name='__main__')\n"
        "except SystemExit:\n"
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


def test_audit_of_the_published_triple_mnist(launch, triple_mnist_dir):
    experiment = "--config=experiments/triple_mnist.py"
    done = launch("--mode=audit", experiment, f"--data_dir={triple_mnist_dir}")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("val"))
    assert "93.55 %" in line
    assert "81.77 %" in line


def test_two_processes_share_a_cache(environment, tmp_path):
    """Each fits what the other is fitting too, and writes what one of them alone would write."""
    experiment = "--config=experiments/classify.py:estimator=knn,search=grid,train_limit=200"
    command = [sys.executable, "launch.py", experiment, "--config.wandb.mode=disabled"]

    def started(name, cache):
        return subprocess.Popen(
            [*command, f"--workdir={tmp_path}/{name}"],
            cwd=ROOT,
            env=environment | {"MNIST3_CACHE_DIR": str(tmp_path / cache)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    for process in [started(name, "shared") for name in ("a", "b")]:
        _, problem = process.communicate()
        assert process.returncode == 0, problem
    alone = started("c", "own")
    assert alone.wait() == 0, alone.stderr.read()
    alone.stderr.close()
    for name in ("predictions_val.csv", "predictions_test.csv"):
        written = {(tmp_path / folder / name).read_bytes() for folder in "abc"}
        assert len(written) == 1


def test_a_table_is_learned_and_predicted(launch, tmp_path):
    table = tmp_path / "animals.csv"
    rows = ["fur,legs,kind"] + ["yes,4,cat", "no,2,bird"] * 30
    table.write_text("\n".join(rows) + "\n")
    experiment = "--config=experiments/tabular.py:estimator=decision_tree"
    data = (f"--config.data.path={table}", "--config.data.target=kind")
    quiet = "--config.wandb.mode=disabled"
    done = launch(experiment, *data, quiet, f"--workdir={tmp_path}/w")
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
    refusal(launch("--mode=audit", f"--workdir={tmp_path}/w"), "audit is not for a table")
