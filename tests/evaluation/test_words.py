import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from mnist3.evaluation.words import confidence_text

probabilities = (
    strategies.floats(0, 1)
    | strategies.floats(0, 1, width=32)
    | strategies.floats(0, 1e-6).map(lambda gap: 1 - gap)
    | strategies.floats(0, 1e-6)
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000000"),
        (0.5, "0.500000"),
        (0.9999994, "0.999999"),
        (0.9999998, "0.9999998"),
        (np.nextafter(np.float32(1), np.float32(0)), "0.9999999"),
        (np.nextafter(1, 0), "0.9999999999999999"),
        (1.0, "1.000000"),
        (3.2e-9, "3.2e-09"),
        (float("nan"), "nan"),
    ],
)
def test_a_confidence_as_text(value, text):
    assert confidence_text(value) == text


@hypothesis.given(probabilities)
def test_only_certainty_reads_as_certain(value):
    text = confidence_text(value)
    assert (float(text) == 1) == (value == 1)
    assert (float(text) == 0) == (value == 0)
    assert abs(float(text) - value) <= 0.5000001e-6


@hypothesis.given(probabilities, probabilities)
def test_the_order_of_confidences_is_kept(first, second):
    if first < second:
        assert float(confidence_text(first)) <= float(confidence_text(second))
