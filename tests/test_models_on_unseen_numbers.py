"""What the two ways to name a number can do with numbers that training never saw."""

import jax
import pytest

from mnist3 import config as configs
from mnist3 import tasks
from mnist3.data import dataset as datasets
from mnist3.training import program
from mnist3.training.run import assemble


def exact_match(model, numbers):
    config = configs.numbers()
    config.data.digits, config.data.height, config.data.width = 2, 28, 56
    config.data.numbers, config.data.digit_images = numbers, "shared"
    config.data.composition.vertical_jitter = 0
    config.data.val_examples, config.data.train_examples = 500, 15_000
    config.model.update(name=model, stem=8, channels=(32,), convolutions=1)
    config.optimizer.name, config.optimizer.learning_rate = "adamw", 0.01
    config.training.epochs, config.training.batch_size = 1, 32
    dataset = datasets.load(config.data, None, "unused")
    task = tasks.create(config.task, positions=2)
    run = assemble(config, task, config.data.train_examples)
    train_epoch = program.create_train_epoch(
        run.model, task, run.optimizer, config, run.steps, dataset.composition, run.mesh
    )
    data = program.put_everywhere(dataset.stream, run.mesh)
    state, _ = train_epoch(run.initial_state(), data, run.keys()[1])
    val = dataset.splits["val"]
    split = program.put_split(val.images, val.labels, run.mesh)
    read_split = program.create_read_split(run.model, task, run.mesh)
    params = program.stack([state.params], run.mesh)
    predictions = jax.device_get(read_split(params, split, len(val)))
    return task.outcomes(val.labels, program.replicate_of(predictions, 0)).mean()


@pytest.mark.parametrize("numbers", ["shared", "disjoint"])
def test_one_head_a_digit_reads_numbers_it_never_saw(numbers):
    assert exact_match("multihead", numbers) > 0.9


def test_one_softmax_over_numbers_names_none_that_it_never_saw():
    assert exact_match("cnn", "shared") > 0.9
    assert exact_match("cnn", "disjoint") == 0
