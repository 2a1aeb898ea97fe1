import numpy as np
import pytest

from mnist3.evaluation.curves import calibration


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
