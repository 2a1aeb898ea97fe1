"""A recipe in one file learns what its experiment learns."""

import jax
import numpy as np
import pytest

from experiments.recipes import mnist_speed_in_one_file as recipe
from mnist3 import experiments, learners
from mnist3.data import dataset as datasets
from mnist3.jobs import parts

EXPERIMENT = "experiments/mnist_speed.py --config.data.source=digits"


@pytest.fixture(scope="module")
def config():
    return experiments.load(EXPERIMENT)


def test_its_parameters_after_the_epoch_are_those_of_the_run(trained, config):
    run = learners.load(config, parts.task_of(config), str(trained(EXPERIMENT)), "best")
    train = datasets.load(config.data, None, "").splits["train"]
    params = recipe.train(train.images, train.labels[:, 0], config.seed)
    assert jax.tree.structure(params) == jax.tree.structure(run.params)
    for own, theirs in zip(*map(jax.tree.leaves, (params, run.params)), strict=True):
        np.testing.assert_allclose(own, theirs, rtol=0, atol=1e-5)


def test_it_reads_as_the_run_does(trained, config):
    run = learners.load(config, parts.task_of(config), str(trained(EXPERIMENT)), "best")
    images = datasets.load(config.data, None, "").splits["val"].images
    read = recipe.read(run.params, images)
    np.testing.assert_array_equal(read, run.predict(images).values[:, 0])


def test_what_is_chosen_is_what_the_experiment_chooses(config):
    assert config.optimizer.to_dict() == recipe.OPTIMIZER.to_dict()
    assert config.training.batch_size == recipe.BATCH
    assert config.training.cpu_micro_batch == recipe.PART
    assert config.training.label_smoothing == recipe.SMOOTHING
    assert config.data.val_fraction == recipe.VAL
