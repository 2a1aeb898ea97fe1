import itertools

import numpy as np
import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  the import enables it
from sklearn.model_selection import HalvingGridSearchCV
from sklearn.tree import DecisionTreeClassifier

from mnist3.evaluation.selection import compare
from mnist3.reporting import study_figures

WORDS = "k nearest neighbours on mnist"


def results(**values):
    tried = [
        dict(zip(values, combination, strict=True))
        for combination in itertools.product(*values.values())
    ]
    scores = np.linspace(0.9, 0.95, len(tried))
    return {"params": tried, "mean_test_score": scores, "std_test_score": scores / 100}


def test_a_search_over_two_parameters_is_a_map_with_the_best_framed(texts, drawn_whole):
    found = results(knn__weights=["uniform", "distance"], knn__n_neighbors=[5, 3, 4])
    figure = study_figures.search_heat_map(found, "accuracy", WORDS)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["3", "4", "5"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("n_neighbors", "weights")
    expected = found["mean_test_score"].reshape(2, 3)[:, [1, 2, 0]]
    np.testing.assert_array_equal(axes.images[0].get_array(), expected)
    [frame] = axes.patches
    assert frame.get_xy() == (0.5, 0.5)  # around column 1, row 1
    drawn_whole(figure, WORDS)


def test_more_parameters_show_the_best_of_each_cell(drawn_whole):
    found = results(a=[1, 2, 3], b=[1, 2, 3], c=["x", "y"])
    figure = study_figures.search_heat_map(found, "accuracy", WORDS)
    best = found["mean_test_score"].reshape(3, 3, 2).max(axis=2).T
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), best)
    assert "best over 1 more parameter" in figure.get_suptitle().replace("\n", " ")
    drawn_whole(figure, WORDS)


HALVED = {  # two iterations: x scores highest on few examples and does not stay the best
    "params": [{"a": a, "b": b} for a, b in zip((1, 2, 1, 2, 1, 2), "xxyyxy", strict=True)],
    "iter": np.array([0, 0, 0, 0, 1, 1]),
    "mean_test_score": np.array([0.99, 0.5, 0.97, 0.98, 0.8, 0.9]),
    "std_test_score": np.arange(6) / 100,
}


def test_of_successive_halving_the_choice_of_the_last_iteration_is_framed(drawn_whole):
    figure = study_figures.search_heat_map(HALVED, "accuracy", WORDS)
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.8, 0.5], [0.97, 0.9]])
    [frame] = axes.patches
    assert frame.get_xy() == (0.5, 0.5)  # around a=2, b=y
    assert "framed: the chosen, 0.9000" in figure.get_suptitle().replace("\n", " ")
    drawn_whole(figure, WORDS)


def test_the_line_of_successive_halving_marks_the_choice_of_the_last_iteration(texts):
    one = HALVED | {"params": [{"a": value} for value in (1, 2, 3, 4, 1, 4)]}
    figure = study_figures.search_heat_map(one, "accuracy", WORDS)
    star = figure.axes[0].lines[-1]
    assert star.get_xydata().tolist() == [[3, 0.9]]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list("1234")


def test_the_frame_is_around_what_a_halving_search_chose():
    values, targets = np.random.default_rng(0).normal(size=(120, 3)), np.arange(120) % 3
    grid = {"max_depth": [1, 2, 4], "min_samples_leaf": [1, 5]}
    tree = DecisionTreeClassifier(random_state=0)
    found = HalvingGridSearchCV(tree, grid, cv=2, random_state=0, min_resources=20)
    found.fit(values, targets)
    assert found.n_iterations_ > 1
    figure = study_figures.search_heat_map(found.cv_results_, "accuracy", WORDS)
    left, top = figure.axes[0].patches[0].get_xy()
    column, row = int(left + 0.5), int(top + 0.5)
    assert {name: grid[name][place] for name, place in zip(grid, (column, row), strict=True)} == (
        found.best_params_
    )


@pytest.mark.parametrize("values", [{"a": [3, 1]}, {"a": [1]}])
def test_a_search_over_one_parameter_is_a_line(values, texts, drawn_whole):
    figure = study_figures.search_heat_map(results(**values), "accuracy", WORDS)
    assert f"chosen: {results(**values)['mean_test_score'].max():.4f}" in texts(figure)
    drawn_whole(figure, WORDS)


def test_the_most_important_features_come_first(drawn_whole):
    importances = np.array([[0.1, 0.2, 0.3], [0.5, 0.5, 0.5], [-0.1, 0.0, 0.1]])
    figure = study_figures.feature_importance(
        ["a", "b", "c"], importances, "accuracy", WORDS, limit=2
    )
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.5, 0.2])
    title = figure.get_suptitle().replace("\n", " ")
    assert "the 2 most important of 3" in title and "lowest to highest of 3 shuffles" in title
    lines = axes.collections[0].get_segments()
    assert lines[1][:, 0].tolist() == pytest.approx([0.1, 0.3])
    drawn_whole(figure, WORDS)


def test_a_comparison_marks_winner_tied_and_beaten(texts, drawn_whole):
    hardness = np.random.default_rng(0).random(1_000)
    shares = {"winner": 0.95, "close": 0.948, "far": 0.7}
    result = compare({name: hardness < share for name, share in shares.items()})
    figure = study_figures.comparison(result, WORDS)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["winner", "close", "far"]
    assert "p < 0.0001" in texts(figure)
    assert "McNemar" in figure.get_suptitle()
    drawn_whole(figure, WORDS)


def test_a_comparison_of_errors_says_their_unit(texts, drawn_whole):
    errors = np.random.default_rng(0).exponential(700.0, 300)
    result = compare({"far": errors + 90 + np.arange(300) % 7, "winner": errors})
    figure = study_figures.comparison(result, WORDS)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["winner", "far"]
    assert figure.axes[0].get_xlabel() == "mean squared error, squared grey levels"
    assert "paired t-test" in figure.get_suptitle().replace("\n", " ")
    drawn_whole(figure, WORDS)
