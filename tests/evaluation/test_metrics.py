import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from mnist3.errors import UserError
from mnist3.evaluation.metrics import number_metrics

NAMES = [
    "n",
    "exact_match",
    "exact_match_ci95",
    "digit_accuracy",
    "position_accuracy",
    "macro_f1",
    "nll",
    "ece",
]


def metrics_of(labels, predictions, confidences, log_likelihoods):
    return number_metrics(
        np.array(labels, np.int32),
        np.array(predictions, np.int32),
        np.array(confidences, np.float32),
        np.array(log_likelihoods, np.float32),
    )


def test_four_numbers_computed_by_hand():
    metrics = metrics_of(
        labels=[[1, 2, 3], [0, 0, 7], [1, 2, 3], [7, 7, 7]],
        predictions=[[1, 2, 3], [0, 0, 1], [3, 2, 1], [7, 7, 7]],
        confidences=[0.9, 0.5, 0.5, 1.0],
        log_likelihoods=[-0.1, -3.0, -2.0, 0.0],
    )

    assert list(metrics) == NAMES
    assert metrics["n"] == 4
    assert metrics["exact_match"] == 0.5
    assert metrics["digit_accuracy"] == pytest.approx(9 / 12)
    assert metrics["position_accuracy"] == pytest.approx([3 / 4, 1, 2 / 4])
    # F1 = 2 hits / (labels + predictions): 0: 4/4, 1: 2/5, 2: 4/4, 3: 2/4, 7: 6/7.
    assert metrics["macro_f1"] == pytest.approx((1 + 2 / 5 + 1 + 2 / 4 + 6 / 7) / 5)
    assert metrics["nll"] == pytest.approx(5.1 / 4)
    # Bin of 0.9: gap 0.1; bin of 0.5: two images, both wrong: 1.0; bin of 1.0: no gap.
    assert metrics["ece"] == pytest.approx((0.1 + 1.0 + 0.0) / 4)


@hypothesis.given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_metrics_agree_with_scikit_learn_and_plain_loops(n, digits, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, (n, digits), dtype=np.int32)
    predictions = np.where(random.random((n, digits)) < 0.6, labels, 9 - labels).astype(np.int32)
    confidences = random.random(n).astype(np.float32)
    log_likelihoods = np.log(random.uniform(1e-6, 1, n)).astype(np.float32)

    metrics = number_metrics(labels, predictions, confidences, log_likelihoods)

    words = ["".join(map(str, row)) for row in labels.tolist()]
    read = ["".join(map(str, row)) for row in predictions.tolist()]
    assert metrics["exact_match"] == pytest.approx(accuracy_score(words, read))
    assert metrics["digit_accuracy"] == pytest.approx(np.mean(metrics["position_accuracy"]))
    assert len(metrics["position_accuracy"]) == digits
    assert metrics["macro_f1"] == pytest.approx(
        f1_score(labels.ravel(), predictions.ravel(), average="macro")
    )
    bins = {}
    for confidence, hit in zip(confidences.tolist(), np.equal(words, read), strict=True):
        bins.setdefault(max(math.ceil(confidence * 15), 1), []).append(hit - confidence)
    assert metrics["ece"] == pytest.approx(sum(abs(sum(gaps)) for gaps in bins.values()) / n)
    assert metrics["nll"] == pytest.approx(-sum(log_likelihoods.tolist()) / n)
    low, high = metrics["exact_match_ci95"]
    assert low <= metrics["exact_match"] <= high


def test_values_are_plain_python_so_that_json_takes_them():
    metrics = metrics_of([[3]], [[3]], [1.0], [0.0])
    assert {name: type(value) for name, value in metrics.items()} == {
        "n": int,
        "exact_match_ci95": list,
        "position_accuracy": list,
        **dict.fromkeys(["exact_match", "digit_accuracy", "macro_f1", "nll", "ece"], float),
    }
    assert {type(value) for value in metrics["exact_match_ci95"]} == {float}
    assert {type(value) for value in metrics["position_accuracy"]} == {float}
    assert metrics["macro_f1"] == 1.0


def test_no_image_is_an_error_with_a_remedy():
    with pytest.raises(UserError, match="no image to evaluate"):
        metrics_of(np.zeros((0, 3)), np.zeros((0, 3)), [], [])
