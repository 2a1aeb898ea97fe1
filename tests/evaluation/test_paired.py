import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import StratifiedKFold

from mnist3.evaluation import paired
from mnist3.evaluation.selection import fold_of_each


@hypothesis.given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 500), st.integers(1, 28))
@hypothesis.settings(max_examples=60)
def test_mcnemars_interval_agrees_with_its_test(only_a, only_b, others, tests):
    n = max(only_a + only_b + others, 1)
    level = 1 - 0.05 / tests
    low, high = paired.mcnemar_interval(only_a, only_b, n, level)
    assert -1 <= low <= (only_a - only_b) / n <= high <= 1
    assert (low > 0 or high < 0) == (paired.mcnemar(only_a, only_b) < 1 - level)
    turned = paired.mcnemar_interval(only_b, only_a, n, level)
    assert turned == pytest.approx((-high, -low), abs=1e-6)


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(21, 9, 44), (9, 2, 100), (100, 1, 1000)])
def test_mcnemars_interval_is_that_of_drawn_products(only_a, only_b, n):
    random, differ = np.random.default_rng(0), only_a + only_b
    share = [random.beta(differ + add, n - differ + 1 - add, 400_000) for add in (0, 1)]
    low = 2 * random.beta(only_a, only_b + 1, 400_000) - 1
    high = 2 * random.beta(only_a + 1, only_b, 400_000) - 1
    expected = (
        min(np.quantile(each * low, 0.025) for each in share),
        max(np.quantile(each * high, 0.975) for each in share),
    )
    assert paired.mcnemar_interval(only_a, only_b, n) == pytest.approx(expected, abs=3e-3)


def test_one_fit_each_with_errors_is_scipys_paired_t_test():
    random = np.random.default_rng(0)
    a, b = random.exponential(size=(2, 50))
    [difference] = paired.differences({"a": a[None], "b": b[None]}, [("a", "b")], shares=False)
    expected = stats.ttest_rel(b, a)
    assert difference.p_value() == pytest.approx(expected.pvalue)
    assert difference.interval(0.9) == pytest.approx(tuple(expected.confidence_interval(0.9)))


def test_replicates_alone_are_scipys_welch_test():
    random = np.random.default_rng(0)
    a, b = (np.repeat(random.normal(size=(seeds, 1)), 20, axis=1) for seeds in (3, 4))
    [difference] = paired.differences({"a": a, "b": b}, [("a", "b")], shares=False)
    expected = stats.ttest_ind(a[:, 0], b[:, 0], equal_var=False)
    assert difference.p_value() == pytest.approx(expected.pvalue)


def test_folds_count_by_nadeau_and_bengios_factor():
    values = np.repeat([0.0, 1.0, 4.0, 5.0, 2.0], 40)[:, None]
    folds = np.repeat(np.arange(5), 40)
    [variance], [degrees] = paired.image_variance(values, folds=folds)
    assert variance == pytest.approx((1 / 5 + 1 / 4) * np.var([0, 1, 4, 5, 2], ddof=1))
    assert degrees == 4
    [lucky], _ = paired.image_variance(np.tile([[0.0], [1.0]], (100, 1)), folds=folds)
    assert lucky == pytest.approx(np.tile([0.0, 1.0], 100).var(ddof=1) / 200)


def test_folds_are_those_of_scikit_learn():
    targets = np.array([0, 1, 0, 1, 0, 1, 0, 1, 1])
    folds = fold_of_each(targets, 3)
    for fold, (_, held_out) in enumerate(StratifiedKFold(3).split(targets[:, None], targets)):
        np.testing.assert_array_equal(np.flatnonzero(folds == fold), held_out)


def fits(seeds, n, luck, random):
    """Right images of two equal candidates whose fits share what is hard and differ in luck."""
    hard = random.normal(size=n)
    return {
        name: np.sqrt(0.7) * hard
        + np.sqrt(0.3) * random.normal(size=(seeds, n))
        + luck * random.normal(size=(seeds, 1))
        < 1.8
        for name in "ab"
    }


@pytest.mark.parametrize("luck", [0.0, 0.1, 0.4])
def test_equal_candidates_of_three_seeds_are_told_apart_in_at_most_one_of_twenty(luck):
    random = np.random.default_rng(0)
    alarms = {"replicates": 0, "images alone": 0}
    for _ in range(400):
        outcomes = {k: v.astype(float) for k, v in fits(3, 600, luck, random).items()}
        [both] = paired.differences(outcomes, [("a", "b")], shares=True)
        means = {k: v.mean(axis=0, keepdims=True) for k, v in outcomes.items()}
        [alone] = paired.differences(means, [("a", "b")], shares=True)
        alarms["replicates"] += both.p_value() < 0.05
        alarms["images alone"] += alone.p_value() < 0.05
    assert alarms["replicates"] <= 28  # 5 % of 400, and two standard errors
    if luck == 0.4:
        assert alarms["images alone"] > 150


def test_equal_errors_of_three_seeds_are_told_apart_in_at_most_one_of_twenty():
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(400):
        hard = random.exponential(size=300)
        outcomes = {
            name: hard + random.exponential(size=(3, 300)) + 0.1 * random.normal(size=(3, 1))
            for name in "ab"
        }
        [difference] = paired.differences(outcomes, [("a", "b")], shares=False)
        alarms += difference.p_value() < 0.05
    assert alarms <= 28


def test_equal_learners_in_folds_are_told_apart_in_at_most_one_of_twenty():
    random, folds = np.random.default_rng(0), np.arange(120) % 5
    alarms = 0
    for _ in range(200):
        targets = random.integers(0, 2, 120).astype(bool)
        features = random.normal(size=(2, 120, 20)) + 0.15 * (2 * targets - 1)[:, None]
        right = np.empty((2, 120))
        for fold in range(5):  # nearest class mean, on features that are exchangeable
            out = folds == fold
            ends = [features[:, ~out & (targets == each)].mean(1) for each in (False, True)]
            far = [((features[:, out] - end[:, None]) ** 2).sum(-1) for end in ends]
            right[:, out] = (far[1] < far[0]) == targets[out]
        outcomes = {"a": right[:1], "b": right[1:]}
        [difference] = paired.differences(outcomes, [("a", "b")], shares=True, folds=folds)
        alarms += difference.p_value() < 0.05
    assert alarms <= 16
