"""What can be searched, and what is said of what cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3 import config as configs
from mnist3.errors import UserError
from mnist3.sweeps import Choices, Hyperband, Range, Sweep, checks, definition

RATES = {"optimizer.learning_rate": Range(1e-3, 1e-2, log=True)}


def check(parameters=None, config=None, **changes):
    sweep = Sweep(RATES if parameters is None else parameters, **changes)
    checks.check(sweep, configs.numbers() if config is None else config)


def test_what_the_config_takes_can_be_searched():
    check(
        {
            "optimizer.learning_rate": Range(1e-3, 1e-2, log=True),
            "optimizer.name": Choices(("adamw", "muon")),
            "training.batch_size": Choices((64, 128)),
            "augmentation.rotation": Range(0, 20),
            "model.channels": Choices(((8,), (16, 16))),
            "seed": Range(0, 4),
            "data.train_limit": Choices((100, 200)),
        },
        hyperband=Hyperband(),
        metric="val/nll",
        goal="minimize",
    )
    knn = configs.digits("digits", "knn")
    check({"learner.parameters.n_neighbors": Range(1, 9)}, knn)


@pytest.mark.parametrize(
    ("parameters", "changes", "said"),
    [
        ({"optimizer.learning_rat": Range(0.1, 1.0)}, {}, "did you mean 'optimizer.learning_rate'"),
        ({"learner.parameters.k": Choices((1,))}, {}, "has 'learner.parameters.k', which the conf"),
        ({"optimizer.name": Choices(("adamw", "muno"))}, {}, "did you mean 'muon'"),
        ({"optimizer.momentum": Range(0.5, 1.5)}, {}, "config.optimizer.momentum is 1.5; give"),
        ({"training.batch_size": Range(1.5, 2.5)}, {}, "of type float; it takes a int such as 128"),
        ({"model.stem": Choices(("wide",))}, {}, "config.model.stem of the sweep is 'wide'"),
        ({"data.seed": Range(0, 4)}, {}, "must share their val images"),
        ({"task.name": Choices(("digit_set",))}, {}, "and their task"),
        ({"optimizer.warmup": Choices(())}, {}, "give some values"),
        ({"optimizer.warmup": Choices((0.1, 0.1))}, {}, "have a value twice"),
        ({"optimizer.warmup": Range(0.2, 0.1)}, {}, "give a lower and a higher end"),
        ({"optimizer.warmup": Range(0.0, 0.1, log=True)}, {}, "both above 0 for log"),
        ({"optimizer.warmup": Range(0.0, float("inf"))}, {}, "give two numbers"),
        ({"optimizer.warmup": Range(0.1, 0.2, log=True, step=0.1)}, {}, "and none with log"),
        (RATES, {"method": "grid"}, "give choices, or a step"),
        (RATES, {"method": "bayes"}, "did you mean"),
        (RATES, {"goal": "maximise"}, "did you mean 'maximize'"),
        (RATES, {"metric": "test/exact_match"}, "so that test stays unseen"),
        (RATES, {"hyperband": Hyperband(0)}, "give whole numbers from 1 and from 2 on"),
        ({}, {}, "has no parameters"),
    ],
)
def test_what_cannot_be_searched_is_said_in_a_sentence(parameters, changes, said):
    with pytest.raises(UserError, match=said):
        check(parameters, **changes)


def test_values_alone_are_no_parameter():
    sweep = Sweep(RATES)
    object.__setattr__(sweep, "parameters", {"optimizer.warmup": (0.1, 0.2)})
    with pytest.raises(UserError, match="give Choices or a Range"):
        checks.check(sweep, configs.numbers())


def test_hyperband_needs_epochs():
    knn = configs.digits("digits", "knn")
    with pytest.raises(UserError, match="the learner knn has none"):
        check({"learner.parameters.n_neighbors": Range(1, 9)}, knn, hyperband=Hyperband())


def test_values_take_the_type_of_their_field_and_leave_the_experiment_alone():
    config = configs.numbers()
    changed = configs.with_values(
        config, {"augmentation.rotation": 7, "model.channels": (8, 8), "seed": 3}, "the sweep"
    )
    assert changed.augmentation.rotation == 7.0 and changed.model.channels == (8, 8)
    assert changed.seed == 3 and config.seed == 0
    opened = configs.with_values(
        configs.digits("digits", "knn"), {"learner.parameters.n_neighbors": 3}, "the sweep"
    )
    assert opened.learner.parameters.n_neighbors == 3


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_a_grid_has_every_combination_once(sizes):
    axes = {f"field_{place}": tuple(range(size)) for place, size in enumerate(sizes)}
    sweep = Sweep({name: Choices(values) for name, values in axes.items()}, method="grid")
    points = [tuple(sweep.grid_point(place).values()) for place in range(sweep.budget(None))]
    size = 1
    for each in sizes:
        size *= each
    assert len(set(points)) == len(points) == size
    assert sweep.budget(size + 1) == size and sweep.budget(1) == 1


def test_a_stepped_range_is_a_grid_too():
    sweep = Sweep({"a": Range(0.1, 0.3, step=0.1), "b": Range(1, 2)}, method="grid")
    assert sweep.axes() == {"a": pytest.approx((0.1, 0.2, 0.3)), "b": (1, 2)}


def test_the_command_line_says_how_many_trials_there_are_before_the_sweep_does():
    assert Sweep(RATES).budget(None) == definition.TRIALS
    assert Sweep(RATES, trials=7).budget(None) == 7
    assert Sweep(RATES, trials=7).budget(30) == 30
    assert Sweep(RATES, trials=7).describe() == Sweep(RATES).describe()


def test_the_longest_trial_is_that_with_most_epochs():
    config = configs.numbers()
    assert checks.most_epochs(Sweep(RATES), config) == config.training.epochs
    epochs = {"training.epochs": Choices((2, 9))}
    assert checks.most_epochs(Sweep(epochs), config) == 9
    assert checks.most_epochs(Sweep({"training.epochs": Range(1, 4)}), config) == 4
    assert checks.most_epochs(Sweep(RATES), configs.digits("digits", "knn")) == 0


@pytest.mark.parametrize(
    ("searched", "changes", "together"),
    [
        ({"optimizer.learning_rate": Range(1e-3, 1e-2)}, {}, True),
        ({"seed": Range(0, 3), "model.stem": Choices((4, 8))}, {"method": "grid"}, True),
        ({"model.stem": Choices((4, 8))}, {}, False),
        ({"optimizer.learning_rate": Range(1e-3, 1e-2)}, {"method": "tpe"}, False),
        ({"optimizer.learning_rate": Range(1e-3, 1e-2)}, {"hyperband": Hyperband()}, False),
    ],
)
def test_trials_that_differ_in_numbers_alone_train_together(searched, changes, together):
    sweep = Sweep(searched, **{"method": "random", **changes})
    assert checks.trains_together(sweep, configs.numbers()) == together
    assert not checks.trains_together(sweep, configs.digits("digits", "knn"))
