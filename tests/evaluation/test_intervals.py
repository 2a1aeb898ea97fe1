import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy import stats

from mnist3.errors import UserError
from mnist3.evaluation import intervals
from mnist3.evaluation.intervals import wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # R: binom::binom.confint(x, n, methods = "wilson")
        (5, 10, 0.2365931, 0.7634069),
        (9, 10, 0.5958500, 0.9821238),
        (0, 20, 0.0, 0.1611252),
        (20, 20, 0.8388748, 1.0),
    ],
)
def test_wilson_interval_of_published_tables(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-6)


@hypothesis.given(st.integers(1, 10**6), st.data())
def test_the_ends_of_the_wilson_interval_solve_its_equation(n, data):
    successes = data.draw(st.integers(0, n))
    share = successes / n
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= share <= high <= 1
    assert low < high
    assert (low, high) == stats.binomtest(successes, n).proportion_ci(method="wilson")
    for end in (low, high):  # |share - end| is 1.96 standard errors at the end
        assert (share - end) ** 2 == pytest.approx(
            1.9599639845**2 * end * (1 - end) / n, rel=1e-6, abs=1e-12
        )


@hypothesis.given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_the_interval_of_a_mean_holds_it_and_does_not_change(n, seed):
    values = np.random.default_rng(seed).exponential(size=n)
    low, high = intervals.bootstrap_mean_interval(values)
    assert values.min() - 1e-9 <= low <= values.mean() + 1e-9
    assert values.mean() - 1e-9 <= high <= values.max() + 1e-9
    assert (low, high) == intervals.bootstrap_mean_interval(values)


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(0).normal(5, 2, 5_000)
    low, high = intervals.bootstrap_mean_interval(values)
    half_width = 1.96 * values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx(
        (values.mean() - half_width, values.mean() + half_width), abs=0.15 * half_width
    )


def test_about_95_of_100_intervals_hold_the_truth():
    random = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        low, high = intervals.bootstrap_mean_interval(random.normal(3, 1, 100))
        held += low <= 3 <= high
    assert 89 <= held <= 99


def test_every_resample_has_as_many_images():
    counts = np.array([[5, 1], [0, 4]])
    cells = intervals.resample_cells(counts)
    assert cells.shape == (intervals.RESAMPLES, 2, 2)
    assert (cells.sum(axis=(1, 2)) == 10).all()
    assert (cells[:, 1, 0] == 0).all()
    assert cells.mean(axis=0) == pytest.approx(counts, abs=0.3)
    chunks = list(intervals.resample_images(10_000))
    assert len(chunks) > 1
    assert sum(map(len, chunks)) == intervals.RESAMPLES
    assert all((chunk.sum(axis=1) == 10_000).all() for chunk in chunks)


def test_an_interval_is_widened_to_hold_a_biased_metric():
    assert intervals.percentile_interval(1.0, np.array([0.2, 0.4, np.nan])) == pytest.approx(
        (0.205, 1.0)
    )
    assert intervals.percentile_interval(0.5, np.array([np.nan])) == (0.5, 0.5)


def test_no_image_is_an_error_with_a_remedy():
    with pytest.raises(UserError, match="no image to evaluate"):
        intervals.require_images(0)
