"""What the two ways to name a number can do with numbers that training never saw."""

import jax
import numpy as np
import pytest

from mnist3.config import base
from mnist3.data import dataset as datasets
from mnist3.training import program
from mnist3.training.run import assemble


def exact_match(model, numbers):
    config = base()
    config.data.digits, config.data.height, config.data.width = 2, 28, 56
    config.data.numbers, config.data.digit_images = numbers, "shared"
    config.data.composition.vertical_jitter = 0
    config.data.val_examples, config.data.train_examples = 500, 30_000
    config.model.name, config.model.stem, config.model.channels = model, 8, (32,)
    config.optimizer.name, config.optimizer.learning_rate = "adamw", 0.01
    config.training.epochs, config.training.batch_size = 1, 32
    dataset = datasets.load(config.data, None, "unused")
    parts = assemble(config, config.data.train_examples)
    train_epoch = program.create_train_epoch(
        parts.model, parts.optimizer, config, parts.steps, dataset.composition, parts.mesh
    )
    data = program.replicate(dataset.stream, parts.mesh)
    state, _ = train_epoch(parts.initial_state(), data, parts.keys()[1])
    compute_logits = program.create_compute_logits(parts.model, parts.mesh)
    val = dataset.splits["val"]
    logits = compute_logits(state.params, program.batched(val.images, parts.mesh))
    digits = program.score(logits, jax.numpy.asarray(val.labels)).prediction.digits
    return (np.asarray(digits) == val.labels).all(axis=1).mean()


@pytest.mark.parametrize("numbers", ["shared", "disjoint"])
def test_one_head_a_digit_reads_numbers_it_never_saw(numbers):
    assert exact_match("multihead", numbers) > 0.9


def test_one_softmax_over_numbers_names_none_that_it_never_saw():
    assert exact_match("cnn", "shared") > 0.9
    assert exact_match("cnn", "disjoint") == 0
