import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from mnist3.errors import UserError
from mnist3.evaluation import paired, selection


def readers(n, accuracies, seed=0):
    """Which of n images each reader gets right; hard images are hard for all of them."""
    hardness = np.random.default_rng(seed).random(n)
    return {name: hardness < accuracy for name, accuracy in accuracies.items()}


def test_mcnemar_of_a_published_table():
    # R: exact2x2::mcnemar.exact(matrix(c(21, 9, 2, 12), 2)), p-value = 0.06543
    assert paired.mcnemar(9, 2) == pytest.approx(0.06543, abs=5e-6)
    # Three images that one alone got right: 2 * (1/2)^3.
    assert paired.mcnemar(3, 0) == pytest.approx(0.25)
    assert paired.mcnemar(0, 0) == 1.0


def test_holm_of_an_example():
    adjusted, factors = selection.holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert factors == pytest.approx([3, 1.5, 2, 4])
    assert [each.tolist() for each in selection.holm(np.zeros(0))] == [[], []]


@hypothesis.given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferronis(values):
    values = np.array(values)
    adjusted, factors = selection.holm(values)
    assert ((factors >= 1) & (factors <= len(values))).all()
    assert (adjusted >= values).all()
    assert (adjusted <= np.minimum(values * len(values), 1) + 1e-12).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


def test_the_winner_the_tied_and_the_beaten():
    right = readers(2_000, {"worse": 0.8, "best": 0.95, "close": 0.949})
    comparison = selection.compare(right)
    assert comparison.winner == "best"
    assert [each.name for each in comparison.candidates] == ["best", "close", "worse"]
    assert comparison.tied == ("close",)
    best, close, worse = comparison.candidates
    assert (best.behind, best.p_value, best.tied) == (0, 1, False)
    assert close.p_value >= 0.05 > worse.p_value
    assert worse.behind == pytest.approx(best.value - worse.value)
    for each in comparison.candidates:
        assert each.behind_ci95[0] <= each.behind <= each.behind_ci95[1]
        assert each.value_ci95[0] <= each.value <= each.value_ci95[1]
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
    assert [each.name for each in comparison.candidates] == ["fine", "same", "coarse"]
    assert comparison.tied == ("same",)
    fine, same, coarse = comparison.candidates
    assert (fine.behind, fine.behind_ci95, fine.p_value) == (0, (0, 0), 1)
    assert same.p_value > 0.05 > coarse.p_value
    assert coarse.behind == pytest.approx(coarse.value - fine.value)
    for each in (same, coarse):
        assert each.behind_ci95[0] <= each.behind <= each.behind_ci95[1]
    assert coarse.behind_ci95[0] > 0
    assert coarse.measures()["mse"] == coarse.value == errors["coarse"].mean()


def test_errors_without_a_difference_are_almost_never_told_apart():
    errors = np.random.default_rng(3).exponential(size=(200, 2, 400))
    apart = [not selection.compare({"a": a, "b": b}).tied for a, b in errors]
    assert np.mean(apart) <= 0.05 + 0.03


@pytest.mark.parametrize("kind", ["one fit", "replicates", "errors", "folds", "digit images"])
def test_an_interval_excludes_0_exactly_where_a_candidate_is_told_apart(kind):
    random, found = np.random.default_rng(0), set()
    for _ in range(20):
        seeds = 3 if kind == "replicates" else 1
        levels = 1.6 + 0.1 * np.arange(5)
        luck = 0.05 * random.normal(size=(5, seeds, 1)) * (seeds > 1)
        hard = random.normal(size=400)
        latent = 0.9 * hard + 0.4 * random.normal(size=(5, seeds, 400)) + luck
        outcomes = latent < levels[:, None, None]
        if kind == "errors":
            outcomes = np.exp(latent - levels[:, None, None])
        given = {
            "folds": {"folds": np.arange(400) % 5},
            "digit images": {"digit_indices": random.integers(0, 200, (400, 3))},
        }.get(kind, {})
        comparison = selection.compare(dict(zip("abcde", outcomes, strict=True)), **given)
        for each in comparison.candidates[1:]:
            low, high = each.behind_ci95
            assert low <= each.behind <= high
            assert (low > 0) == (each.p_value < 0.05) == (not each.tied)
            found.add(each.tied)
    assert True in found and (False in found or kind == "folds")


def test_replicates_count_by_their_mean_and_not_by_the_luckiest():
    random = np.random.default_rng(0)
    hard = random.random(2_000)
    lucky = np.stack([hard < share for share in (0.97, 0.93, 0.92)])
    steady = np.stack([hard < share for share in (0.95, 0.951, 0.949)])
    comparison = selection.compare({"lucky": lucky, "steady": steady, "fixed": hard < 0.9})
    assert comparison.winner == "steady"
    best, second, third = comparison.candidates
    assert best.value == pytest.approx(steady.mean())
    assert best.replicates == pytest.approx(steady.mean(axis=1))
    assert second.tied  # its seeds differ by more than it lies behind
    measures = second.measures()
    assert measures["accuracy_std"] == pytest.approx(lucky.mean(axis=1).std(ddof=1))
    assert measures["accuracy_replicates"] == pytest.approx(lucky.mean(axis=1))
    assert "accuracy_std" not in third.measures()
    assert best.value_ci95[0] < best.value < best.value_ci95[1]


def test_a_comparison_says_what_was_tested_and_of_what():
    right, errors = np.arange(100) > 5, np.arange(100.0)
    indices = np.arange(300).reshape(100, 3)
    for outcomes, given, test, subject in [
        (right, {}, "McNemar's exact test", "this fit"),
        (errors, {}, "paired t-test over images", "this fit"),
        (right, {"digit_indices": indices}, "paired t-test over digit images", "this fit"),
        (right[None].repeat(2, 0), {}, "paired t-test over replicates and images", "this model"),
        (
            right,
            {"folds": np.arange(100) % 4},
            "paired t-test over folds (Nadeau and Bengio's variance)",
            "this model",
        ),
    ]:
        comparison = selection.compare({"a": outcomes, "b": outcomes[..., ::-1]}, **given)
        assert (comparison.test, comparison.subject) == (test, subject)


@pytest.mark.parametrize("seeds", [1, 3])
def test_equal_candidates_are_almost_never_told_apart(seeds, monkeypatch):
    # It is p-values that tell apart; an exact interval takes most of the time.
    monkeypatch.setattr(paired, "mcnemar_interval", lambda *counts: (0.0, 0.0))
    told_apart = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        luck = 0.02 * random.normal(size=(5, seeds, 1)) * (seeds > 1)
        right = random.random((5, seeds, 300)) < 0.9 + luck
        comparison = selection.compare(dict(zip("abcde", right, strict=True)))
        told_apart += len(comparison.tied) < 4
    assert told_apart <= 9  # 5 % of 100, and two standard errors


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
    with pytest.raises(UserError, match="more images"):
        selection.compare({"a": np.ones(1), "b": np.zeros(1)})
