import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from mnist3.errors import UserError
from mnist3.evaluation import clusters, paired
from mnist3.evaluation.intervals import wilson_interval
from mnist3.evaluation.metrics import number_metrics


@hypothesis.given(
    st.integers(2, 30), st.integers(1, 4), st.integers(1, 40), st.integers(0, 2**32 - 1)
)
def test_the_variance_is_the_sum_over_pairs_that_share_a_digit_image(n, digits, source, seed):
    random = np.random.default_rng(seed)
    indices = random.integers(-1, source, (n, digits)).astype(np.int32)
    values = random.normal(size=(n, 2))
    shared = clusters.sharing(indices)
    members = [set(row[row >= 0].tolist()) for row in indices]
    deviations = values - values.mean(axis=0)
    total = sum(
        deviations[i] * deviations[j]
        for i in range(n)
        for j in range(n)
        if i == j or members[i] & members[j]
    )
    few = shared.clusters / max(shared.clusters - 1, 1)
    expected = np.maximum(few * total, n / (n - 1) * (deviations**2).sum(axis=0)) / n**2
    assert clusters.variance_of_means(values, shared) == pytest.approx(expected)


@hypothesis.given(st.integers(1, 200), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_interval_holds_the_share_and_does_not_depend_on_the_order(n, seed, accuracy):
    random = np.random.default_rng(seed)
    right, indices = random.random(n) < accuracy, random.integers(0, 50, (n, 3))
    low, high = clusters.cluster_interval(right, indices)
    assert 0 <= low <= right.mean() <= high <= 1
    assert low < high
    order = random.permutation(n)
    again = clusters.cluster_interval(right[order], indices[order][:, ::-1])
    assert again == pytest.approx((low, high))


def test_images_that_share_nothing_have_about_wilsons_interval():
    right = np.arange(2_000) % 20 > 0
    indices = np.arange(6_000).reshape(2_000, 3)
    low, high = clusters.cluster_interval(right, indices)
    assert (low, high) == pytest.approx(wilson_interval(1_900, 2_000), abs=1.5e-3)


def test_images_without_digit_images_count_as_independent():
    right = np.arange(2_000) % 20 > 0
    indices = np.full((2_000, 3), -1)
    low, high = clusters.cluster_interval(right, indices)
    assert (low, high) == pytest.approx(wilson_interval(1_900, 2_000), abs=1.5e-3)
    assert clusters.sharing(indices).largest_effect == 1


def composed(random, source, n, hardness):
    """Number images of a reader that misreads a digit image by how hard that one is for it."""
    indices = random.integers(0, source, (n, 3))
    return (random.random((n, 3)) >= hardness[indices]).all(axis=1), indices


def test_the_interval_holds_for_new_digit_images_where_wilsons_does_not():
    random, truth = np.random.default_rng(0), 0.98**3
    held = {"clusters": 0, "wilson": 0}
    for _ in range(200):
        hardness = random.beta(0.1, 4.9, 144)  # 2 % on average
        right, indices = composed(random, 144, 2_000, hardness)
        low, high = clusters.cluster_interval(right, indices)
        held["clusters"] += low <= truth <= high
        low, high = wilson_interval(int(right.sum()), len(right))
        held["wilson"] += low <= truth <= high
    assert held["clusters"] >= 180
    assert held["wilson"] < 140


def test_equal_readers_of_few_digit_images_are_told_apart_in_at_most_one_of_twenty():
    random = np.random.default_rng(0)
    alarms = {"clusters": 0, "mcnemar": 0}
    for _ in range(300):
        one, two = random.beta(0.1, 4.9, (2, 144))
        a, indices = composed(random, 144, 1_000, one)
        b = (random.random(indices.shape) >= two[indices]).all(axis=1)
        outcomes = {"a": a[None].astype(float), "b": b[None].astype(float)}
        [difference] = paired.differences(
            outcomes, [("a", "b")], shares=True, shared=clusters.sharing(indices)
        )
        alarms["clusters"] += difference.p_value() < 0.05
        alarms["mcnemar"] += paired.discordant(a, b).p_value() < 0.05
    assert alarms["clusters"] <= 22  # 5 % of 300, and two standard errors
    assert alarms["mcnemar"] > 60


def test_the_metrics_of_composed_images_have_the_wider_interval():
    random = np.random.default_rng(0)
    right, indices = composed(random, 144, 1_000, random.beta(0.1, 4.9, 144))
    labels = random.integers(0, 10, (1_000, 3), dtype=np.int32)
    predictions = np.where(right[:, None], labels, 9 - labels).astype(np.int32)
    arguments = (labels, predictions, np.ones(1_000, np.float32), np.zeros(1_000, np.float32))
    without, given = number_metrics(*arguments), number_metrics(*arguments, indices)
    assert given["exact_match_ci95"] == list(clusters.cluster_interval(right, indices))
    assert without["exact_match_ci95"] == list(wilson_interval(int(right.sum()), 1_000))
    assert np.ptp(given["exact_match_ci95"]) > 1.5 * np.ptp(without["exact_match_ci95"])
    assert {**given, "exact_match_ci95": 0} == {**without, "exact_match_ci95": 0}


def test_no_image_is_an_error_with_a_remedy():
    with pytest.raises(UserError, match="no image to evaluate"):
        clusters.sharing(np.zeros((0, 3), np.int32))
