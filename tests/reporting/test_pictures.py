import dataclasses
import pickle
import types
import unittest.mock

import jax
import numpy as np
import pytest

from mnist3 import tasks
from mnist3.config import numbers
from mnist3.data.splits import Dataset
from mnist3.evaluation.calibration import UNCALIBRATED
from mnist3.evaluation.clusters import cluster_interval
from mnist3.evaluation.intervals import wilson_interval
from mnist3.jobs import output
from mnist3.reporting import pictures
from mnist3.results import Result
from mnist3.tasks import Examples, Predictions
from mnist3.tasks.images import Denoise
from mnist3.tasks.numbers import Number

N = 60


def learned(task, history=()):
    """Returns what a network leaves that is not asked to predict."""
    names = ("raw", "decode", "log_likelihoods", "predict", "save", "network")
    unasked = dict.fromkeys(names, unittest.mock.Mock())
    return types.SimpleNamespace(
        task=task,
        name="multihead",
        parameters=1,
        training={},
        history=history,
        loss_curve=(),
        search_results=None,
        calibrator=UNCALIBRATED,
        **unasked,
    )


@pytest.fixture
def composed():
    """Numbers of two digits, of which val is known to be composed and test is not."""
    random = np.random.default_rng(0)
    examples, predictions = {}, {}
    for split in ("val", "test"):
        labels = random.integers(0, 10, (N, 2), dtype=np.int32)
        wrong = random.random((N, 2)) < 0.3
        examples[split] = Examples(np.zeros((N, 28, 56), np.uint8), labels, labels)
        predictions[split] = Predictions(
            np.where(wrong, (labels + 1) % 10, labels).astype(np.int32), np.full(N, 0.9)
        )
    drawn = {"train": np.arange(9)[:, None], "val": random.integers(0, 12, (N, 2))}
    dataset = Dataset("composed", "digits", tasks.DIGITS, "f" * 64, {}, {}, digit_indices=drawn)
    task = Number("number", tasks.DIGITS, 2)
    return Result(numbers(), dataset, task, examples, learned(task), predictions)


def lines(axes):
    return [each[:, 1] for bars in axes.collections for each in bars.get_segments()]


def test_intervals_of_composed_images_are_of_new_digit_images(composed):
    [axes] = pictures.draw("position_accuracy", composed).axes
    expected = []
    for split in ("val", "test"):
        right = composed.predictions[split].values == composed.examples[split].targets
        for position in range(2):
            if split == "val":
                drawn = composed.dataset.digit_indices["val"][:, [position]]
                low, high = cluster_interval(right[:, position], drawn)
            else:
                low, high = wilson_interval(int(right[:, position].sum()), N)
            expected.append([1 - high, 1 - low])
    np.testing.assert_allclose(lines(axes), expected)
    reliability = pictures.draw("reliability", composed).axes[0]
    right = composed.outcomes()
    expected = cluster_interval(right, composed.dataset.digit_indices["val"])
    np.testing.assert_allclose(lines(reliability), [expected])


@pytest.mark.parametrize(
    ("task", "metric", "unit"),
    [
        (Number("number", tasks.DIGITS, 2), "exact_match", "nats"),
        (Denoise("denoise", ("ink",), 99), "rmse", "mean squared error, ink from 0 to 1"),
    ],
)
def test_a_loss_has_the_unit_of_its_task(composed, task, metric, unit):
    line = {"epoch": 1, "step": 9, "train": {"loss": 0.02}, "val": {metric: 0.5}}
    result = dataclasses.replace(composed, task=task, learned=learned(task, (line,)))
    loss = pictures.learning_curves(result).draw().axes[0]
    assert loss.get_ylabel() == f"{unit} (logarithmic)"


@pytest.mark.parametrize("figures", ["none", "few"])
def test_a_run_has_as_many_pictures_as_are_asked_for(composed, figures):
    drawn = dict(output.chosen(pictures.draw_all, composed, figures))
    assert list(drawn) == (["misread", "confusion"] if figures == "few" else [])


def test_what_is_to_be_drawn_elsewhere_is_on_the_host(composed):
    for name in ("misread", "position_accuracy", "reliability", "risk_coverage", "examples"):
        drawn = pictures.PICTURES[name](composed)
        assert not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tuple(drawn)))
        pickle.loads(pickle.dumps(drawn))
