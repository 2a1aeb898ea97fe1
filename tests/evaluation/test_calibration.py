import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import log_softmax

from mnist3.errors import UserError
from mnist3.evaluation import calibration
from mnist3.evaluation.calibration import (
    Calibrator,
    choose_threshold,
    confidence_metrics,
    fit,
    fit_temperature,
    risk_coverage,
    upper_bound,
)


def drawn_from(logits, temperature, seed):
    """Classes as softmax at a temperature says that they occur."""
    noise = np.random.default_rng(seed).gumbel(size=logits.shape)
    return (logits / temperature + noise).argmax(axis=1)


def of_logits(logits, targets):
    """Likelihoods and confidences of one class each, by temperature."""

    def log_likelihoods(temperature):
        logs = log_softmax(logits / temperature, axis=1)
        return np.take_along_axis(logs, targets[:, None], axis=1)[:, 0]

    return log_likelihoods, lambda temperature: np.exp(
        log_softmax(logits / temperature, axis=1).max(axis=1)
    )


def logits_of(n, seed=0):
    return np.random.default_rng(seed).normal(0, 4, (n, 10))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_drew_the_classes_is_found(temperature):
    logits = logits_of(8000)
    targets = drawn_from(logits, temperature, 1)
    log_likelihoods, _ = of_logits(logits, targets)
    assert fit_temperature(log_likelihoods, slice(None)) == pytest.approx(temperature, rel=0.06)


def test_the_temperature_is_the_minimum_of_a_grid():
    logits = logits_of(300)
    log_likelihoods, _ = of_logits(logits, drawn_from(logits, 2.0, 3))
    grid = np.exp(np.linspace(-2, 3, 2001))
    costs = [np.log(each) ** 2 / 2 - log_likelihoods(each).sum() for each in grid]
    found = fit_temperature(log_likelihoods, slice(None))
    assert found == pytest.approx(grid[np.argmin(costs)], rel=5e-3)


def test_where_all_is_right_confidence_grows_with_the_number_of_examples():
    found = []
    for n in (10, 1000):
        logits = logits_of(n)
        log_likelihoods, _ = of_logits(logits, logits.argmax(axis=1))
        found.append(fit_temperature(log_likelihoods, slice(None)))
    assert np.exp(calibration._LOG_TEMPERATURES[0]) < found[1] < found[0] < 1


def test_calibration_makes_modest_confidence_right_and_is_measured_on_other_images():
    logits = logits_of(4000)
    targets = drawn_from(logits, 0.3, 5)
    log_likelihoods, confidences = of_logits(logits, targets)
    right = logits.argmax(axis=1) == targets
    found = fit(log_likelihoods, confidences, right, 0.01)
    assert found.ece_before > 0.05 > 0.02 > found.ece
    # Each half is measured at the temperature of the other.
    crossed = np.empty(4000)
    even, odd = slice(0, None, 2), slice(1, None, 2)
    for own, other in ((even, odd), (odd, even)):
        crossed[own] = confidences(fit_temperature(log_likelihoods, other))[own]
    assert found.ece == calibration.calibration(crossed, right).error
    assert (found.n, found.wanted_error) == (4000, 0.01)
    chosen = choose_threshold(confidences(found.temperature), right, 0.01)
    assert (found.threshold, found.shown_error) == (chosen.value, chosen.bound)
    assert not found.note and found.shown_error <= 0.01
    again = Calibrator(**json.loads(json.dumps(found._asdict())))
    assert again == found
    sure = again.sure(confidences(found.temperature).astype(np.float32))
    assert sure.mean() == pytest.approx(chosen.coverage, abs=1e-3)


def test_one_example_calibrates_nothing_but_fails_nowhere():
    log_likelihoods, confidences = of_logits(logits_of(1), np.array([3]))
    found = fit(log_likelihoods, confidences, np.array([True]), 0.001)
    assert found.shown_error == pytest.approx(0.95)
    assert "val, 1 examples, is too small" in found.note


def test_who_is_not_calibrated_claims_nothing():
    assert Calibrator().sure(np.ones(3)) is None
    assert Calibrator(threshold=0.5).sure(None) is None
    assert Calibrator(threshold=0.5).sure(np.array([0.4, 0.5])).tolist() == [False, True]


@pytest.mark.parametrize(("errors", "n"), [(0, 2995), (0, 1), (3, 200), (7, 7)])
def test_the_bound_is_that_of_clopper_and_pearson(errors, n):
    expected = stats.binomtest(errors, n, alternative="less").proportion_ci(0.95, "exact").high
    [found] = upper_bound(np.array([errors]), np.array([n]))
    assert found == pytest.approx(expected)


def test_three_thousand_right_ones_show_a_thousandth():
    assert upper_bound(np.array([0]), np.array([2994]))[0] > 0.001
    assert upper_bound(np.array([0]), np.array([2995]))[0] <= 0.001


def plain_threshold(confidences, right, wanted):
    """The rule, one threshold after the other."""
    found = []
    for value in np.unique(confidences):
        read = confidences >= value
        bound = float(upper_bound(np.array([(~right[read]).sum()]), np.array([read.sum()]))[0])
        found.append((bound, -read.mean(), value))
    shown = [each for each in found if each[0] <= wanted]
    bound, coverage, value = min(shown, key=lambda each: each[1]) if shown else min(found)
    return value, bound, -coverage


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9]), st.booleans()), min_size=1),
    st.sampled_from([0.001, 0.3, 0.6]),
)
def test_the_threshold_follows_the_rule_also_where_confidences_are_tied(examples, wanted):
    confidences, right = (np.array(each) for each in zip(*examples, strict=True))
    assert choose_threshold(confidences, right, wanted) == pytest.approx(
        plain_threshold(confidences, right, wanted)
    )


@pytest.mark.parametrize(("n", "wanted"), [(2000, 0.01), (4000, 0.02), (1000, 0.05)])
def test_the_error_among_the_sure_is_within_the_bound_in_19_of_20_draws(n, wanted):
    generator = np.random.default_rng(1)
    kept = []
    for _ in range(400):
        confidences = generator.beta(20, 0.3, n)
        found = choose_threshold(confidences, generator.random(n) < confidences, wanted)
        if found.bound <= wanted:
            read = stats.beta.sf(found.value, 20, 0.3)
            right = stats.beta.sf(found.value, 21, 0.3) * 20 / 20.3  # mean confidence above it
            kept.append(1 - right / read <= wanted)
    assert len(kept) > 300
    assert np.mean(kept) >= 0.95


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_coverage_and_area_are_those_of_the_definition(examples):
    confidences, right = (np.array(each) for each in zip(*examples, strict=True))
    curve = risk_coverage(confidences, right)
    risks, covered = [], 0.0
    for value in confidences:
        read = confidences >= value
        risks.append(1 - right[read].mean())
        if risks[-1] <= 0.3:
            covered = max(covered, read.mean())
    assert curve.area == pytest.approx(np.mean(risks))
    assert curve.coverage_at(0.3) == pytest.approx(covered)
    assert curve.coverage[-1] == 1 and curve.risk[-1] == pytest.approx(1 - right.mean())


def test_metrics_of_confidence():
    confidences = np.array([0.99, 0.9, 0.8, 0.3])
    right = np.array([True, True, False, True])
    found = confidence_metrics(confidences, right, confidences >= 0.8)
    assert set(found) == set(calibration.CONFIDENCE_METRICS)
    assert found["coverage"] == {"0.01": 0.5, "0.001": 0.5}
    assert found["aurc"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)
    assert found["sure"] == {"share": 0.75, "error": pytest.approx(1 / 3)}
    assert confidence_metrics(confidences, right, confidences > 1)["sure"] == {
        "share": 0.0,
        "error": None,
    }
    assert "sure" not in confidence_metrics(confidences, right)
    with pytest.raises(UserError, match="no image"):
        confidence_metrics(confidences[:0], right[:0])
