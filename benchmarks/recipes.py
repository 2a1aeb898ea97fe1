"""Our candidates: experiments of this project, timed as the peers are, and as users run them."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.report import Report
from experiments import mnist_speed as mnist_speed_experiment
from experiments import triple_mnist_speed as triple_mnist_speed_experiment
from mnist3 import runtime, tasks
from mnist3.data import dataset as datasets
from mnist3.data.sources import load_source
from mnist3.data.splits import Split
from mnist3.training import program
from mnist3.training.run import Run, assemble
from mnist3.training.state import TrainState

_ROOT = pathlib.Path(__file__).resolve().parent.parent


def mnist_speed(data_dir: str, seed: int, report: Report) -> None:
    """Fits `experiments/mnist_speed.py` on all 60,000 training images, and tests it."""
    config = mnist_speed_experiment.get_config()
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
    _run("experiments/mnist_speed.py", "test", data_dir, seed, report)


def triple_mnist_speed_command(data_dir: str, seed: int, report: Report) -> None:
    """Runs `launch.py` on `experiments/triple_mnist_speed.py`, reading and writing included."""
    _run("experiments/triple_mnist_speed.py", "val", data_dir, seed, report)


def _fit(config: ConfigDict, train: Split, held_out: Split, seed: int, report: Report) -> None:
    config.seed = seed
    task = tasks.create(config.task, positions=config.data.digits)
    report.start()
    run = assemble(config, task, len(train))
    state = jax.block_until_ready(_train(run, train))
    report.stop()
    report.add(_exact_match(run, state, held_out))


def _train(run: Run, train: Split) -> TrainState:
    """Returns the state after the last epoch."""
    train_epoch = program.create_train_epoch(
        run.model, run.task, run.optimizer, run.config, run.steps, None, run.mesh
    )
    examples = tasks.Examples(train.images, train.labels)
    data, key = program.put_everywhere((examples, run.keys()[1]), run.mesh)
    state = run.initial_state()
    for epoch in range(run.epochs):
        state, _ = train_epoch(state, data, jax.random.fold_in(key, epoch))
    return state


def _exact_match(run: Run, state: TrainState, split: Split) -> float:
    read_split = program.create_read_split(run.model, run.task, run.mesh)
    on_device = program.put_split(split.images, split.labels, run.mesh)
    predictions = read_split(state.inference_params, on_device, len(split))
    return float(run.task.outcomes(split.labels, jax.device_get(predictions)).mean())


def _run(experiment: str, split: str, data_dir: str, seed: int, report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "launch.py", f"--config={experiment}", f"--config.seed={seed}"),
            *(f"--data_dir={data_dir}", f"--workdir={folder}", "--config.wandb.mode=disabled"),
        ]
        report.start()
        subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.DEVNULL)
        report.stop()
        with open(os.path.join(folder, "metrics.json")) as file:
            report.add(json.load(file)[split]["exact_match"])
