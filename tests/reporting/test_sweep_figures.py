import pytest

from mnist3.reporting import sweep_figures
from mnist3.sweeps import Choices, Range
from mnist3.sweeps.study import Trial

PARAMETERS = {
    "optimizer.learning_rate": Range(1e-3, 1e-1, log=True),
    "optimizer.name": Choices(("adamw", "muon")),
    "augmentation.shift": Range(0, 4),
    "seed": Choices((0,)),  # of one value, which is no axis
}


def trial(number, state, rate, value):
    values = {"optimizer.learning_rate": rate, "optimizer.name": "muon", "augmentation.shift": 2}
    return Trial(number, state, {**values, "seed": 0}, value, {}, 1, {})


TRIALS = [
    trial(1, "complete", 1e-3, 0.5),
    trial(2, "pruned", 1e-2, 0.1),
    trial(3, "complete", 1e-1, 0.7),
    trial(4, "failed", 1e-1, None),
    trial(5, "complete", 1e-2, 0.6),
]


@pytest.mark.parametrize(("maximizes", "best"), [(True, [0.5, 0.7, 0.7]), (False, [0.5] * 3)])
def test_the_history_has_every_value_and_the_best_so_far(maximizes, best):
    (axes,) = sweep_figures.optimisation_history(TRIALS, "exact match", maximizes, "x").axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    assert drawn == {
        "complete": [0.5, 0.7, 0.6],
        "stopped early, after its last epoch": [0.1],
        "best so far": best,
    }


def test_each_trial_with_a_value_is_a_line_over_the_axes_that_differ():
    figure = sweep_figures.parallel_coordinates(TRIALS, PARAMETERS, TRIALS[2], "accuracy", "x")
    lines = figure.axes[0].lines
    assert [line.get_ydata().tolist() for line in lines] == [
        [pytest.approx(0.0), 1, 0.5, pytest.approx(2 / 3)],
        [pytest.approx(0.5), 1, 0.5, 0],
        [pytest.approx(1.0), 1, 0.5, 1],
        [pytest.approx(0.5), 1, 0.5, pytest.approx(5 / 6)],
    ]
    assert [line.get_linestyle() for line in lines] == ["-", ":", "-", "-"]
    assert [line.get_label() for line in lines].count("best") == 1
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"optimizer.\nname", "muon", "0.01", "accuracy"} <= texts and "seed" not in texts


def test_importance_has_a_bar_for_each_parameter():
    (axes,) = sweep_figures.parameter_importance({"a.b": 0.75, "c": 0.25}, "x").axes
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.25]


def test_nothing_is_drawn_of_nothing():
    failed = TRIALS[3:4]
    assert sweep_figures.optimisation_history(failed, "a", True, "x") is None
    assert sweep_figures.parallel_coordinates(failed, PARAMETERS, None, "a", "x") is None
    assert sweep_figures.parameter_importance({}, "x") is None
