import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from sklearn import metrics

from mnist3.errors import UserError
from mnist3.evaluation import curves
from mnist3.evaluation.curves import calibration
from mnist3.evaluation.intervals import resample_images


def test_calibration_error_bins_are_closed_above():
    # 3/15 lies in the third bin and 0.2001 in the fourth: the gaps must not cancel each other.
    confidences = np.array([3 / 15, 0.2001])
    right = np.array([True, False])
    expected = ((1 - 0.2) + 0.2001) / 2
    assert calibration(confidences, right).error == pytest.approx(expected)


def test_a_model_as_right_as_it_says_has_no_calibration_error():
    confidences = np.full(10, 0.7, np.float32)
    right = np.arange(10) < 7
    assert calibration(confidences, right).error == pytest.approx(0, abs=1e-7)


def test_an_empty_bin_has_no_confidence():
    binned = calibration(np.array([0.5, 0.5, 1.0]), np.array([True, False, True]))
    assert binned.counts.tolist() == [0] * 7 + [2] + [0] * 6 + [1]
    assert binned.right[[7, 14]].tolist() == [0.5, 1.0]
    assert np.isnan(binned.confidence[binned.counts == 0]).all()


def detector(n, seed, levels=None):
    """Targets of both classes and scores that know something of them."""
    random = np.random.default_rng(seed)
    targets = np.append(random.random(n) < 0.3, [True, False])
    scores = random.normal(size=n + 2) + targets
    return targets, np.round(scores * levels) / levels if levels else scores


@hypothesis.given(
    st.integers(1, 200), st.integers(0, 2**32 - 1), st.sampled_from([None, 3]), st.floats(0, 1)
)
def test_a_threshold_gives_what_was_wanted_and_no_other_gives_more(n, seed, levels, wanted):
    targets, scores = detector(n, seed, levels)
    curve = curves.precision_recall(targets, scores)

    def measured(threshold):
        called = scores >= threshold
        hits = (called & targets).sum()
        return hits / called.sum(), hits / targets.sum()

    point = curves.threshold_for_recall(curve, wanted)
    assert (point.precision, point.recall) == pytest.approx(measured(point.threshold))
    assert point.recall >= wanted
    others = np.array([measured(threshold) for threshold in np.unique(scores)])
    assert point.precision == pytest.approx(others[others[:, 1] >= wanted, 0].max())

    if not (others[:, 0] >= wanted).any():
        with pytest.raises(UserError, match="no threshold gives a precision"):
            curves.threshold_for_precision(curve, wanted)
        return
    point = curves.threshold_for_precision(curve, wanted)
    assert (point.precision, point.recall) == pytest.approx(measured(point.threshold))
    assert point.precision >= wanted
    assert point.recall == pytest.approx(others[others[:, 0] >= wanted, 1].max())


def test_curves_and_their_areas_are_those_of_scikit_learn():
    targets, scores = detector(300, 0)
    curve, roc = curves.precision_recall(targets, scores), curves.roc(targets, scores)
    assert len(curve.precision) == len(curve.recall) == len(curve.thresholds)
    assert curve.average_precision == metrics.average_precision_score(targets, scores)
    assert roc.area == pytest.approx(metrics.roc_auc_score(targets, scores))


@hypothesis.given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.sampled_from([None, 2]))
def test_areas_of_resamples_are_those_of_weighted_images(n, seed, levels):
    targets, scores = detector(n, seed, levels)
    counts = next(resample_images(len(targets), seed))
    counts = counts[(counts[:, targets].sum(axis=1) > 0) & (counts[:, ~targets].sum(axis=1) > 0)]
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    drawn = counts[:3, order]
    area, average = curves._areas(drawn * targets[order], drawn * ~targets[order], last)
    for row, (roc_auc, average_precision) in enumerate(zip(area, average, strict=True)):
        weights = {"sample_weight": counts[row]}
        assert roc_auc == pytest.approx(metrics.roc_auc_score(targets, scores, **weights))
        assert average_precision == pytest.approx(
            metrics.average_precision_score(targets, scores, **weights)
        )


def test_intervals_of_the_areas_hold_them_and_shrink_with_more_images():
    widths = []
    for n in (100, 1_000):
        targets, scores = detector(n, 0)
        (low, high), (low_precision, high_precision) = curves.area_intervals(targets, scores)
        assert low <= metrics.roc_auc_score(targets, scores) <= high
        assert low_precision <= metrics.average_precision_score(targets, scores) <= high_precision
        widths.append(high - low)
    assert 2 < widths[0] / widths[1] < 5  # the square root of ten


@pytest.mark.parametrize("share", [0, 1])
def test_a_curve_needs_both_classes(share):
    targets, scores = np.full(4, bool(share)), np.arange(4.0)
    for curve in (curves.precision_recall, curves.roc, curves.area_intervals):
        with pytest.raises(UserError, match=f"{4 * share} of 4 are positive"):
            curve(targets, scores)


def test_a_recall_above_one_is_refused():
    curve = curves.precision_recall(*detector(10, 0))
    with pytest.raises(UserError, match="from 0 to 1"):
        curves.threshold_for_recall(curve, 1.5)


def test_a_threshold_from_elsewhere_counts_scores_of_at_least_it():
    targets = np.array([False, True, False, True])
    curve = curves.precision_recall(targets, np.array([0.0, 1.0, 2.0, 3.0]))
    assert curves.at_threshold(curve, 2.0) == (2.0, 0.5, 0.5)
    assert curves.at_threshold(curve, 2.5) == (2.5, 1.0, 0.5)
    assert curves.at_threshold(curve, -1.0) == (-1.0, 0.5, 1.0)
    with pytest.raises(UserError, match="no score reaches the threshold 4"):
        curves.at_threshold(curve, 4.0)
