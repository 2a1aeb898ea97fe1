"""The training loop: when it ends, what it says of steps, and which checkpoint is the best."""

import dataclasses
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnist3 import tasks
from mnist3.config import one_digit
from mnist3.errors import UserError
from mnist3.evaluation.checkpoint_choice import is_better
from mnist3.tasks import Examples
from mnist3.tasks.images import Denoise
from mnist3.tracking import Tracker
from mnist3.training import loop, program
from mnist3.training.checkpoints import Checkpoints
from mnist3.training.run import assemble
from mnist3.training.step import StepMetrics


def run_of(images=128, **training):
    config = one_digit("digits")
    config.model.name, config.optimizer.name, config.wandb.mode = "logistic", "sgd", "disabled"
    config.training.update(training)
    return assemble(config, tasks.create(config.task), images)


def history(*scores, headline="exact_match"):
    return [
        {"epoch": epoch, "val": {headline: score}} for epoch, score in enumerate(scores, start=1)
    ]


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
    assert loop.finished(run_of(epochs=5, patience=patience), history(*scores)) is expected


def test_without_epochs_small_data_get_enough_steps():
    small, large = run_of(images=256, epochs=0), run_of(images=100_000, epochs=0)
    assert (small.epochs, small.steps) == (3, 200)
    assert (large.epochs, large.steps) == (3, 100_000 // 128)


def outcomes(*wrong, n=2_000):
    right = np.ones(n, bool)
    right[list(wrong)] = False
    return right


@pytest.mark.parametrize(
    ("schedule", "epochs", "wrong_then", "wrong_now", "best"),
    [
        ("one_cycle", 2, 74, 75, 2),  # one image: noise, and the last epoch is the natural one
        ("one_cycle", 2, 20, 75, 1),  # beyond noise
        ("one_cycle", 3, 74, 75, 1),  # not the last epoch yet
        ("constant", 2, 74, 75, 1),  # a last epoch that is nothing special
    ],
)
def test_an_earlier_checkpoint_replaces_the_last_one_beyond_noise_alone(
    schedule, epochs, wrong_then, wrong_now, best
):
    run = run_of(epochs=epochs)
    run.config.optimizer.schedule = schedule
    read = {1: outcomes(*range(wrong_then)), 2: outcomes(*range(100, 100 + wrong_now))}
    assert loop.best_epoch(run, 2, 1, read, None) == best


@pytest.fixture(scope="module")
def chosen():
    """Of what each epoch reads of val, the epoch, from 0, that the whole training predicts with."""
    of_shares = run_of()  # whose learning rate ends at zero
    of_errors = dataclasses.replace(of_shares, task=Denoise("denoise", ("ink",), 9))

    def choose(read, digit_indices=None):
        shares = read.dtype == bool
        run = dataclasses.replace(of_shares if shares else of_errors, epochs=len(read))
        scores = read.mean(axis=1) ** (1 if shares else 0.5)
        highest = loop.highest_epoch(run, history(*scores, headline=run.task.metrics[0]))
        epochs = dict(enumerate(read, start=1))
        return loop.best_epoch(run, len(read), highest, epochs, digit_indices) - 1

    return choose


def right(n, wrong):
    """n images of which the first ones are read wrong."""
    return np.arange(n) >= wrong


def test_one_image_does_not_make_an_earlier_epoch_better(chosen):
    assert chosen(np.stack([right(2_000, 74), right(2_000, 75)])) == 1
    digit_indices = np.random.default_rng(0).integers(0, 144, (2_000, 3))
    assert chosen(np.stack([right(2_000, 74), right(2_000, 75)]), digit_indices) == 1


def test_an_earlier_epoch_that_is_better_beyond_noise_is_chosen(chosen):
    digit_indices = np.random.default_rng(0).integers(0, 144, (2_000, 3))
    outcomes = np.stack([right(2_000, 300), right(2_000, 40), right(2_000, 140)])
    assert chosen(outcomes) == chosen(outcomes, digit_indices) == 1
    errors = np.random.default_rng(0).exponential(size=(3, 500)) + np.array([[5], [1], [2]])
    assert chosen(errors) == 1


def test_a_slow_decline_is_measured_from_its_top(chosen):
    outcomes = np.stack([right(2_000, 10 + 3 * epoch) for epoch in range(30)])
    assert not is_better(outcomes[0], outcomes[1], 2)
    assert chosen(outcomes) == 0


def test_the_last_of_equal_epochs_is_kept_in_at_least_19_of_20_trainings(chosen):
    random, kept = np.random.default_rng(0), 0
    for _ in range(200):
        hard = random.random(1_000) < 0.05
        outcomes = ~(hard & (random.random((10, 1_000)) < 0.6))
        kept += chosen(outcomes) == 9
    assert kept >= 190


def test_of_equal_epochs_the_later_one_counts():
    assert loop.highest_epoch(run_of(), history(0.5, 0.9, 0.8, 0.9)) == 4


def test_a_line_is_made_of_every_so_many_steps():
    run = run_of(images=5 * 128, epochs=2, log_steps=3)
    steps = StepMetrics(*(np.arange(5.0) + offset for offset in range(5)))
    first, second = (loop.step_lines(run, steps, epochs) for epochs in (0, 1))
    assert [line["step"] for line in first + second] == [3, 6, 9]
    assert [line["loss"] for line in first + second] == [2.0, 0.0, 3.0]
    assert set(first[0]) == {"step", "learning_rate", *StepMetrics._fields}
    assert loop.step_lines(run_of(log_steps=0), steps, 0) == []


class SavedUpTo(Checkpoints):
    """Checkpoints of which only the latest epoch is known."""

    def __init__(self, epoch):
        self._epoch = epoch

    def wait(self):
        pass

    def latest(self):
        return self._epoch

    def steps_within(self, epoch):
        return 0


@pytest.mark.parametrize(
    ("losses", "step"), [((1.0, np.nan, np.inf, 0.5), 22), ((1.0, 0.9, 0.8, np.nan), 23)]
)
def test_a_loss_that_is_not_finite_is_named_by_its_step(losses, step):
    """The last loss is that of val, after the last step."""
    with pytest.raises(UserError, match=rf"at step {step};.*checkpoint is epoch 7"):
        loop.stop_if_not_finite(np.asarray(losses), 20, SavedUpTo(7))


def test_finite_losses_go_on():
    loop.stop_if_not_finite(np.asarray([1.0, 2.0]), 0, SavedUpTo(None))


def upload(*arguments):
    return jax.jit(jnp.sin)(np.ones(3, np.float32))


@pytest.mark.parametrize("careless", ["create_train_segment", "create_read_split"])
def test_a_program_that_copies_an_array_to_the_device_is_stopped(careless, tmp_path, monkeypatch):
    run = run_of()
    examples = Examples(np.zeros((128, 28, 28), np.uint8), np.zeros((128, 1), np.int32))
    programs = {
        "create_begin_epoch": lambda *inputs: program.Epoch(*[jnp.zeros(1)] * 2, None),
        "create_train_segment": lambda state, measured, *inputs: (state, measured),
        "create_read_split": lambda *inputs: None,
    } | {careless: upload}
    for name, function in programs.items():
        create = mock.Mock()
        create.return_value.lower.return_value.compile.return_value = function
        monkeypatch.setattr(program, name, create)
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        loop.train(
            run,
            examples,
            examples,
            None,
            None,
            [run.initial_state()],
            [loop.Replicate([], SavedUpTo(None), Tracker(tmp_path, run.config))],
        )
