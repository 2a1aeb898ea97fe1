import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from mnist3.errors import UserError
from mnist3.evaluation import selection


def readers(n, accuracies, seed=0):
    """Which of n images each reader gets right; hard images are hard for all of them."""
    hardness = np.random.default_rng(seed).random(n)
    return {name: hardness < accuracy for name, accuracy in accuracies.items()}


def random_pair(n, seed):
    random = np.random.default_rng(seed)
    return random.random(n) < 0.8, random.random(n) < 0.7


@hypothesis.given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_tests_and_intervals_of_a_pair_do_not_depend_on_its_order(n, seed):
    a, b = random_pair(n, seed)
    assert selection.mcnemar(a, b) == selection.mcnemar(b, a)
    low, high = selection.difference_interval(a, b)
    assert low <= a.mean() - b.mean() <= high
    turned = selection.difference_interval(b, a)
    assert turned == pytest.approx((-high, -low), abs=3 / np.sqrt(n))


def test_mcnemar_of_a_published_table():
    # R: exact2x2::mcnemar.exact(matrix(c(21, 9, 2, 12), 2)), p-value = 0.06543
    a, b = np.repeat(
        [[True, True], [True, False], [False, True], [False, False]], (21, 9, 2, 12), 0
    ).T
    assert selection.mcnemar(a, b) == pytest.approx(0.06543, abs=5e-6)
    # Three images that one alone got right: 2 * (1/2)^3.
    assert selection.mcnemar(np.array([True] * 3), np.array([False] * 3)) == pytest.approx(0.25)
    assert selection.mcnemar(a, a) == 1.0


def test_holm_of_an_example():
    adjusted = selection.holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert selection.holm(np.zeros(0)).tolist() == []


@hypothesis.given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferronis(values):
    values = np.array(values)
    adjusted = selection.holm(values)
    assert (adjusted >= values).all()
    assert (adjusted <= np.minimum(values * len(values), 1) + 1e-12).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


def test_the_winner_the_tied_and_the_beaten():
    right = readers(2_000, {"worse": 0.8, "best": 0.95, "close": 0.949})
    comparison = selection.compare(right)
    assert comparison.winner == "best"
    assert [rival.name for rival in comparison.rivals] == ["best", "close", "worse"]
    assert comparison.tied == ("close",)
    best, close, worse = comparison.rivals
    assert (best.behind, best.p_value, best.tied) == (0, 1, False)
    assert close.p_value >= 0.05 > worse.p_value
    assert worse.behind == pytest.approx(best.value - worse.value)
    for rival in comparison.rivals:
        assert rival.behind_ci95[0] <= rival.behind <= rival.behind_ci95[1]
        assert rival.value_ci95[0] <= rival.value <= rival.value_ci95[1]
    assert worse.behind_ci95[0] > 0


@pytest.mark.parametrize("names", [("coarse", "fine", "same"), ("same", "fine", "coarse")])
def test_the_lowest_error_wins_whatever_the_order(names):
    random = np.random.default_rng(0)
    squares = random.exponential(900.0, 500)  # squared grey levels, mostly above 25.5 of them
    errors = {
        "coarse": squares + 60 + random.normal(0, 20, 500),
        "fine": squares + 1,
        "same": squares + 1.1 + random.normal(0, 20, 500),
    }
    errors["same"] += errors["fine"].mean() - errors["same"].mean() + 0.1
    comparison = selection.compare({name: errors[name] for name in names})
    assert comparison.metric == "mse"
    assert [rival.name for rival in comparison.rivals] == ["fine", "same", "coarse"]
    assert comparison.tied == ("same",)
    fine, same, coarse = comparison.rivals
    assert (fine.behind, fine.behind_ci95, fine.p_value) == (0, (0, 0), 1)
    assert same.p_value > 0.05 > coarse.p_value
    assert coarse.behind == pytest.approx(coarse.value - fine.value)
    for rival in (same, coarse):
        assert rival.behind_ci95[0] <= rival.behind <= rival.behind_ci95[1]
    assert coarse.behind_ci95[0] > 0
    assert coarse.measures()["mse"] == coarse.value == errors["coarse"].mean()


def test_sign_flips_of_every_assignment():
    differences = np.array([3.0, 1.0, 2.0, -1.0, 4.0])
    flips = np.array(list(itertools.product((-1, 1), repeat=5)))
    exact = (np.abs(flips @ differences) >= differences.sum()).mean()
    columns = np.stack([differences, -differences, np.zeros(5)], axis=1)
    estimated = selection.sign_flips(columns, seed=1)
    assert estimated == pytest.approx([exact, exact, 1], abs=0.015)
    np.testing.assert_array_equal(estimated, selection.sign_flips(columns, seed=1))


def test_errors_without_a_difference_are_almost_never_told_apart():
    differences = np.random.default_rng(3).exponential(size=(80, 400, 2))
    p_values = selection.sign_flips((differences[..., 0] - differences[..., 1]).T)
    assert 0.01 <= (p_values < 0.05).mean() <= 0.09


def test_equal_candidates_are_almost_never_told_apart():
    told_apart = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        right = {name: random.random(400) < 0.9 for name in "abcde"}
        told_apart += len(selection.compare(right).tied) < 4
    assert told_apart <= 6  # 5 % of 60, and two standard errors


def test_one_candidate_wins_alone():
    comparison = selection.compare(readers(10, {"only": 0.5}))
    assert (comparison.winner, comparison.tied) == ("only", ())


def test_errors_say_what_to_do():
    with pytest.raises(UserError, match="name at least one"):
        selection.compare({})
    with pytest.raises(UserError, match=r"same images \(a: 2, b: 3\)"):
        selection.compare({"a": np.ones(2, bool), "b": np.ones(3, bool)})
    with pytest.raises(UserError, match="no image"):
        selection.compare({"a": np.ones(0, bool)})
