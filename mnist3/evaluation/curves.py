"""Curves of a score: how often it is right at each confidence."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

CALIBRATION_BINS = 15


class Calibration(NamedTuple):
    """How often readings of about the same confidence are right.

    The bins are (0, 1/15], (1/15, 2/15], ... (14/15, 1].

    Attributes:
        counts: readings in each bin.
        confidence: mean confidence of each bin's readings; nan in an empty bin.
        right: share of each bin's readings that are right; nan in an empty bin.
        error: expected calibration error: how far confidence and right lie apart, each bin
            counting by its share of the readings.
    """

    counts: Int[np.ndarray, "bins"]
    confidence: Float[np.ndarray, "bins"]
    right: Float[np.ndarray, "bins"]
    error: float


def calibration(confidences: Float[np.ndarray, "n"], right: Bool[np.ndarray, "n"]) -> Calibration:
    """Returns how often readings of each confidence are right.

    Args:
        confidences: probability of what was predicted, from 0 to 1; n > 0.
        right: whether that was the truth.

    Source: C. Guo et al., On calibration of modern neural networks, ICML 2017, equation 3.
    """
    bins = np.ceil(confidences * CALIBRATION_BINS).astype(np.int64) - 1
    bins = np.clip(bins, 0, CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    confidence = np.bincount(bins, confidences.astype(np.float64), CALIBRATION_BINS)
    hits = np.bincount(bins, right, CALIBRATION_BINS)
    gaps = np.bincount(bins, right - confidences.astype(np.float64), CALIBRATION_BINS)
    with np.errstate(invalid="ignore"):
        return Calibration(
            counts, confidence / counts, hits / counts, float(np.abs(gaps).sum() / len(right))
        )
