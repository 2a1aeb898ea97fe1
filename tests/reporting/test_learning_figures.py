import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist3.reporting import learning_figures

WORDS = "val split, digits"


def history(epochs, metric="exact_match"):
    return [
        {
            "epoch": epoch,
            "step": 100 * epoch,
            "train": {"loss": 2.0 / epoch, metric: 1 - 0.5 / epoch},
            "val": {"nll": 3.0 / epoch, metric: 0.9 - 0.1 * abs(epoch - 2)},
        }
        for epoch in range(1, epochs + 1)
    ]


def steps(count):
    return [
        {
            "step": 10 * step,
            "loss": 2.0 / step,
            "learning_rate": 0.01,
            "gradient_norm": 1.0 / step,
            "parameter_norm": 10.0,
            "update_norm": 0.0,
        }
        for step in range(1, count + 1)
    ]


def drawn_lines(axes):
    return {line.get_label(): line.get_xydata() for line in axes.lines}


TRAIN, VAL = "train, mean over the epoch's steps", "val, at the end of the epoch"


def test_learning_curves_draw_errors_on_a_logarithmic_axis_and_mark_the_best_epoch(drawn_whole):
    figure = learning_figures.learning_curves(history(3), WORDS)
    loss, errors = figure.axes
    np.testing.assert_allclose(drawn_lines(loss)[TRAIN], [[1, 2], [2, 1], [3, 2 / 3]])
    np.testing.assert_allclose(drawn_lines(loss)[VAL][:, 1], [3, 1.5, 1])
    np.testing.assert_allclose(drawn_lines(errors)[VAL][:, 1], [0.2, 0.1, 0.2])
    assert errors.get_yscale() == "log" and errors.get_title() == "Errors: 1 - exact match"
    np.testing.assert_allclose(
        drawn_lines(errors)["best on val: 10.00 % after epoch 2"], [[2, 0.1]]
    )
    drawn_whole(figure, WORDS)


def test_the_epoch_that_was_kept_is_marked_where_it_is_not_the_best_one():
    figure = learning_figures.learning_curves(history(3), WORDS, kept=3)
    np.testing.assert_allclose(
        drawn_lines(figure.axes[1])["kept: 20.00 % after epoch 3"], [[3, 0.2]]
    )


def test_a_metric_that_is_no_share_is_drawn_itself_and_its_lowest_value_is_best(drawn_whole):
    lines = [
        {"epoch": epoch, "step": epoch, "train": {"loss": 9.0 / epoch}, "val": {"rmse": error}}
        for epoch, error in enumerate((60.0, 20.0, 30.0), start=1)
    ]
    figure = learning_figures.learning_curves(
        lines, WORDS, metric="rmse", higher_is_better=False, loss_unit="squared grey levels"
    )
    loss, metric = figure.axes
    assert list(drawn_lines(loss)) == [TRAIN]
    assert loss.get_ylabel().startswith("squared grey levels")
    assert [*drawn_lines(metric)] == [VAL, "best on val: 20 after epoch 2"]
    drawn_whole(figure, WORDS)
    higher = learning_figures.learning_curves(lines, WORDS, metric="rmse")  # as decibels would be
    assert "best on val: 60 after epoch 1" in drawn_lines(higher.axes[1])
    assert higher.axes[1].get_yscale() == "linear"


def test_an_epoch_without_an_error_lies_on_the_lower_end_of_the_axis(drawn_whole):
    lines = history(3)
    lines[1]["val"]["exact_match"] = 1.0
    figure = learning_figures.learning_curves(lines, WORDS)
    errors = figure.axes[1]
    lowest = errors.get_ylim()[0]
    np.testing.assert_allclose(drawn_lines(errors)[VAL][:, 1], [0.2, lowest, 0.2])
    assert "best on val: 0.00 % after epoch 2" in drawn_lines(errors)
    assert "lower end: 0" in errors.get_ylabel()
    drawn_whole(figure, WORDS)


def test_what_was_logged_by_step_is_drawn_by_step(drawn_whole):
    figure = learning_figures.learning_curves([*steps(10), *history(1), *steps(12)[10:]], WORDS)
    loss, _, rate, norms = figure.axes
    by_step = drawn_lines(loss)["train, by step"]
    np.testing.assert_allclose(by_step[9], [1, 0.2])  # step 100 is the end of epoch 1
    assert len(by_step) == 12
    np.testing.assert_allclose(rate.lines[0].get_xdata(), 10 * np.arange(1, 13))
    np.testing.assert_allclose(drawn_lines(norms)["norm: gradient"][:, 1], 1 / np.arange(1, 13))
    assert rate.get_xlabel() == norms.get_xlabel() == "step"
    drawn_whole(figure, WORDS)


def test_before_the_first_epoch_ends_its_steps_are_drawn(drawn_whole):
    figure = learning_figures.learning_curves(steps(3), WORDS)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), [10, 20, 30])
    assert figure.axes[0].get_xlabel() == "step"
    drawn_whole(figure, WORDS)


def test_epochs_of_train_are_in_sight_where_val_was_measured_in_the_last_one_only(drawn_whole):
    lines = history(3)
    del lines[0]["val"], lines[1]["val"]
    lines[0]["train"]["loss"] = 0.0
    figure = learning_figures.learning_curves(lines, WORDS)
    assert [axes.get_xlim() for axes in figure.axes] == [(0.5, 3.5)] * 2
    drawn_whole(figure, WORDS)


def test_one_epoch_is_drawn(drawn_whole):
    drawn_whole(learning_figures.learning_curves(history(1), WORDS), WORDS)


share = st.floats(0, 1)
loss = st.floats(0, 1e6)


@given(
    lines=st.lists(
        st.fixed_dictionaries(
            {"train": st.fixed_dictionaries({"loss": loss}, optional={"accuracy": share})},
            optional={
                "val": st.fixed_dictionaries(
                    {"accuracy": share}, optional={"nll": loss, "other": share}
                )
            },
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(deadline=None, max_examples=8)
def test_learning_curves_are_drawn_of_any_task(lines):
    lines = [line | {"epoch": n, "step": 7 * n} for n, line in enumerate(lines, start=1)]
    figure = learning_figures.learning_curves(lines, WORDS, metric="accuracy")
    figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = axes.get_ylim()
        for line in axes.lines:
            assert ((low <= line.get_ydata()) & (line.get_ydata() <= high)).all()


@pytest.mark.parametrize("names", [("multihead",), ("cnn", "multihead")])
def test_replicates_are_lines_around_their_mean_in_a_colour_for_each_candidate(names, drawn_whole):
    """Of which one was stopped after two epochs."""
    histories = {name: {3: history(3), 4: history(2)} for name in names}
    figure = learning_figures.replicate_curves(histories, WORDS)
    [axes] = figure.axes
    assert len(axes.collections) == len(names)  # the bands
    assert len({line.get_color() for line in axes.lines}) == len(names)
    for name in names:
        mean = drawn_lines(axes)[f"{name}, mean of 2 seeds"]
        np.testing.assert_allclose(mean, [[1, 0.2], [2, 0.1], [3, 0.2]])
    drawn_whole(figure, WORDS)


@pytest.mark.parametrize("losses", [[0.5], [2.0, 0.4, 0.01], list(np.linspace(1, 0, 60))])
def test_the_loss_of_each_pass_is_a_line(losses, drawn_whole):
    figure = learning_figures.loss_curve(losses, WORDS)
    [line] = figure.axes[0].lines
    assert line.get_xdata().tolist() == list(range(1, len(losses) + 1))
    assert line.get_ydata().tolist() == losses
    drawn_whole(figure, WORDS)
