import numpy as np
import pytest

from mnist3.config import base
from mnist3.errors import UserError
from mnist3.jobs.train import finished, stop_if_not_finite
from mnist3.training.checkpoints import Checkpoints


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
