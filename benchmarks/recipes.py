"""Our contenders: experiments of this project, timed as the peers are."""

import functools

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.report import Report
from experiments import mnist_speed as mnist_speed_experiment
from experiments import triple_mnist_speed as triple_mnist_speed_experiment
from mnist3 import runtime
from mnist3.data import dataset as datasets
from mnist3.data.sources import load_source
from mnist3.data.splits import Split
from mnist3.training import program
from mnist3.training.run import Run, assemble, keys_of
from mnist3.training.state import TrainState


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


def _fit(config: ConfigDict, train: Split, held_out: Split, seed: int, report: Report) -> None:
    config.seed = seed
    report.start()
    parts = assemble(config, len(train))
    state = jax.block_until_ready(_train(parts, train))
    report.stop()
    report.add(_exact_match(parts, state, held_out))


def _train(parts: Run, train: Split) -> TrainState:
    """Returns the state after the last epoch: initial parameters and all epochs in one program."""
    train_epoch = program.create_train_epoch(
        parts.model, parts.optimizer, parts.config, parts.steps, None, parts.mesh
    )

    def train_all(data: program.Examples, seed: jax.Array) -> TrainState:
        init_key, epochs_key = keys_of(seed)
        epochs = jax.numpy.arange(parts.config.training.epochs)
        return jax.lax.scan(
            lambda state, key: (train_epoch(state, data, key)[0], None),
            parts.create_state(init_key),
            jax.vmap(functools.partial(jax.random.fold_in, epochs_key))(epochs),
        )[0]

    data = program.Examples(train.images, train.labels)
    seed = np.asarray(parts.config.seed, np.int32)
    return jax.jit(train_all)(*program.replicate((data, seed), parts.mesh))


def _exact_match(parts: Run, state: TrainState, split: Split) -> float:
    compute_logits = program.create_compute_logits(parts.model, parts.mesh)
    logits = compute_logits(state.inference_params, program.batched(split.images, parts.mesh))
    digits = program.score(logits, jax.numpy.asarray(split.labels)).prediction.digits
    return float((np.asarray(digits) == split.labels).all(axis=1).mean())
