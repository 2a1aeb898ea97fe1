"""Our candidates: experiments of this project, timed as the peers are, and as users run them."""

import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from benchmarks.report import Report
from experiments import mnist_speed as mnist_speed_experiment
from experiments import quickstart as quickstart_experiment
from experiments import triple_mnist_speed as triple_mnist_speed_experiment
from mnist3 import runtime, tasks
from mnist3.data import dataset as datasets
from mnist3.data.sources import load_source
from mnist3.data.splits import Split
from mnist3.models.operations import step_operations
from mnist3.training import loop, program
from mnist3.training.run import Run, assemble
from mnist3.training.state import TrainState

_ROOT = pathlib.Path(__file__).resolve().parent.parent


def mnist_speed(data_dir: str, seed: int, report: Report) -> None:
    """Fits `experiments/mnist_speed.py` on all 60,000 training images, and tests it."""
    _mnist("line=99.0", data_dir, seed, report)


def mnist_line_99_5(data_dir: str, seed: int, report: Report) -> None:
    """Fits `experiments/mnist_speed.py:line=99.5` as `mnist_speed` fits its own."""
    _mnist("line=99.5", data_dir, seed, report)


def mnist_line_99_7(data_dir: str, seed: int, report: Report) -> None:
    """Fits `experiments/mnist_speed.py:line=99.7` as `mnist_speed` fits its own."""
    _mnist("line=99.7", data_dir, seed, report)


def _mnist(argument: str, data_dir: str, seed: int, report: Report) -> None:
    config = mnist_speed_experiment.get_config(argument)
    source = load_source("mnist", data_dir)
    first = len(source.images) - source.official_test
    images, labels = source.images, source.labels[:, None]
    train, test = Split(images[:first], labels[:first]), Split(images[first:], labels[first:])
    _fit(config, train, test, seed, report)


def triple_mnist_speed(data_dir: str, seed: int, report: Report) -> None:
    """Fits `experiments/triple_mnist_speed.py` and evaluates it on val."""
    config = triple_mnist_speed_experiment.get_config()
    splits = datasets.load(config.data, data_dir, runtime.cache_dir()).splits
    train = Split(np.array(splits["train"].images), splits["train"].labels)
    _fit(config, train, splits["val"], seed, report)


def mnist_speed_command(data_dir: str, seed: int, report: Report) -> None:
    """Runs `launch.py` on `experiments/mnist_speed.py`, with all that it reads and leaves."""
    _time_training("mnist_speed", seed, report, f"--data_dir={data_dir}")


def quickstart_command(data_dir: str, seed: int, report: Report) -> None:
    """Runs `launch.py` on `experiments/quickstart.py`, as `make run` does."""
    _time_training("quickstart", seed, report)


def predict_command(data_dir: str, seed: int, report: Report) -> None:
    """Has `launch.py --mode=predict` read one test image of `experiments/quickstart.py`."""
    config = quickstart_experiment.get_config()
    test = datasets.load(config.data, None, runtime.cache_dir()).splits["test"]
    with tempfile.TemporaryDirectory() as folder:
        picture, output, workdir = (os.path.join(folder, name) for name in ("a.png", "csv", "run"))
        training = ("--config=experiments/quickstart.py", "--config.wandb.mode=disabled")
        _launch(*training, f"--workdir={workdir}")
        Image.fromarray(test.images[seed]).save(picture)
        report.start()
        _launch(
            "--mode=predict", f"--workdir={workdir}", f"--images={picture}", f"--output={output}"
        )
        report.stop()
        with open(output, newline="") as file:
            [row] = csv.DictReader(file)
    report.add(row["number"] == "".join(map(str, test.labels[seed])))


def _fit(config: ConfigDict, train: Split, held_out: Split, seed: int, report: Report) -> None:
    config.seed = seed
    task = tasks.create(config.task, positions=config.data.digits)
    report.start()
    run = assemble(config, task, len(train))
    state = jax.block_until_ready(_train(run, train))
    report.stop()
    step = step_operations(run.model, config.training.batch_size, run.size)
    report.operations = step * run.steps * run.epochs
    report.add(_exact_match(run, state, held_out))


def _train(run: Run, train: Split) -> TrainState:
    """Returns the state after the last epoch, with an axis of replicates, by a run's programs."""
    examples = tasks.Examples(train.images, train.labels)
    data = program.put_everywhere(examples, run.mesh)
    state = program.stack([run.initial_state()], run.mesh)
    segments = loop.Segments(run, None, data, state, loop.epoch_keys(run, 0))
    for epoch in range(run.epochs):
        begun = segments.begin(loop.epoch_keys(run, epoch)) if epoch else segments.first
        state, _ = segments.take(state, loop.Part.nothing(run), begun)
    return state


def _exact_match(run: Run, state: TrainState, split: Split) -> float:
    shift = run.config.evaluation.shift
    read_split = program.create_read_split(run.model, run.task, run.mesh, shift)
    on_device = program.put_split(split.images, split.labels, run.mesh)
    read = read_split(state.inference_params, on_device, len(split))
    predictions = program.replicate_of(read, 0)
    return float(run.task.outcomes(split.labels, jax.device_get(predictions)).mean())


def _time_training(experiment: str, seed: int, report: Report, *arguments: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report.start()
        _launch(
            f"--config=experiments/{experiment}.py",
            f"--config.seed={seed}",
            f"--workdir={folder}",
            "--config.wandb.mode=disabled",
            *arguments,
        )
        report.stop()
        with open(os.path.join(folder, "metrics.json")) as file:
            report.add(json.load(file)["test"]["exact_match"])


def _launch(*arguments: str) -> None:
    """Runs `launch.py` as from a shell, with what it keeps beside the compiled programs."""
    environment = dict(os.environ)
    environment["MNIST3_CACHE_DIR"] = environment.pop("JAX_COMPILATION_CACHE_DIR")
    environment.pop("GLIBC_TUNABLES", None)
    subprocess.run(
        [sys.executable, "launch.py", *arguments],
        cwd=_ROOT,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
