from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mnist3.jobs.train import finished, stop_if_not_finite, train

from mnist3.config import base, one_digit
from mnist3.data.dataset import Dataset
from mnist3.data.numbers import DIGITS
from mnist3.data.splits import Split
from mnist3.errors import UserError
from mnist3.tracking import Tracker
from mnist3.training import program
from mnist3.training.checkpoints import Checkpoints
from mnist3.training.run import assemble


def history(*scores):
    return [{"val": {"exact_match": score}} for score in scores]


@pytest.mark.parametrize(
    ("patience", "scores", "expected"),
    [
        (0, (0.9, 0.1, 0.1), False),
        (2, (), False),
        (2, (0.5, 0.9, 0.8), False),
        (2, (0.5, 0.9, 0.8, 0.9), True),
        (2, (0.5, 0.9, 0.8, 0.91), False),
        (0, (0.1,) * 5, True),
    ],
)
def test_training_ends_at_the_last_epoch_or_when_val_stops_getting_better(
    patience, scores, expected
):
    config = base()
    config.training.epochs, config.training.patience = 5, patience
    assert finished(config, history(*scores)) is expected


class SavedUpTo(Checkpoints):
    """Checkpoints of which only the latest epoch is known."""

    def __init__(self, epoch):
        self._epoch = epoch

    def wait(self):
        pass

    def latest(self):
        return self._epoch


@pytest.mark.parametrize(
    ("losses", "step"), [((1.0, np.nan, np.inf, 0.5), 22), ((1.0, 0.9, 0.8, np.nan), 23)]
)
def test_a_loss_that_is_not_finite_is_named_by_its_step(losses, step):
    """The last loss is that of val, after the last step."""
    with pytest.raises(UserError, match=rf"at step {step};.*checkpoint is epoch 7"):
        stop_if_not_finite(np.asarray(losses), 20, SavedUpTo(7))


def test_finite_losses_go_on():
    stop_if_not_finite(np.asarray([1.0, 2.0]), 0, SavedUpTo(None))


def upload(*arguments):
    return jax.jit(jnp.sin)(np.ones(3, np.float32))


@pytest.mark.parametrize("careless", ["create_train_epoch", "create_compute_logits"])
def test_a_program_that_copies_an_array_to_the_device_is_stopped(careless, tmp_path, monkeypatch):
    config = one_digit("digits")
    config.model.name, config.optimizer.name, config.wandb.mode = "logistic", "sgd", "disabled"
    split = Split(np.zeros((128, 28, 28), np.uint8), np.zeros((128, 1), np.int32))
    dataset = Dataset("single_digit", "digits", DIGITS, "", {}, {"train": split, "val": split})
    parts = assemble(config, len(split))
    programs = {
        "create_train_epoch": lambda state, *inputs: (state, None),
        "create_compute_logits": lambda *inputs: jnp.zeros((128, 1, 10)),
    } | {careless: upload}
    for name, function in programs.items():
        create = mock.Mock()
        create.return_value.lower.return_value.compile.return_value = function
        monkeypatch.setattr(program, name, create)
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        train(
            parts,
            dataset,
            parts.initial_state(),
            [],
            SavedUpTo(None),
            Tracker(tmp_path, config, resume_epoch=0),
        )
