import json

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from sklearn import metrics

from mnist3.errors import UserError
from mnist3.evaluation import classification
from mnist3.evaluation.classification import (
    binary_metrics,
    multiclass_metrics,
    multilabel_metrics,
)


def classified(n, classes, seed, right=0.8):
    """Targets, predictions and probabilities of which they are the most probable."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, n, dtype=np.int32)
    probabilities = random.dirichlet(np.ones(classes), n)
    probabilities[np.arange(n), targets] += random.random(n) < right
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return targets, probabilities.argmax(axis=1), probabilities


def intervals_hold(result):
    for name, value in result.items():
        if name.endswith("_ci95"):
            low, high = value
            assert low <= result[name.removesuffix("_ci95")] <= high, name
    return True


@hypothesis.given(st.integers(1, 60), st.integers(3, 6), st.integers(0, 2**32 - 1))
def test_metrics_of_classes_are_those_of_scikit_learn(n, classes, seed):
    targets, predictions, probabilities = classified(n, classes, seed)
    result = multiclass_metrics(targets, predictions, probabilities)
    assert result["accuracy"] == pytest.approx(metrics.accuracy_score(targets, predictions))
    for average in ("macro", "weighted"):
        expected = metrics.precision_recall_fscore_support(
            targets, predictions, average=average, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1"), expected[:3], strict=True):
            assert result[f"{average}_{name}"] == pytest.approx(value)
    assert result["log_loss"] == pytest.approx(
        metrics.log_loss(targets, probabilities, labels=range(classes))
    )
    if len(set(targets)) == classes:
        assert result["roc_auc"] == pytest.approx(
            metrics.roc_auc_score(targets, probabilities, multi_class="ovr")
        )
    for label, recall in enumerate(result["class_recall"]):
        mine = targets == label
        assert recall == (
            pytest.approx((predictions[mine] == label).mean()) if mine.any() else None
        )
    assert intervals_hold(result)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@hypothesis.given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_metrics_of_a_detector_are_those_of_scikit_learn(n, seed):
    targets, predictions, probabilities = classified(n, 2, seed)
    result = binary_metrics(targets, predictions, probabilities)
    expected = metrics.precision_recall_fscore_support(
        targets, predictions, average="binary", zero_division=0
    )
    assert [result[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected[:3])
    assert result["positives"] == targets.sum()
    if 0 < targets.sum() < n:
        scores = probabilities[:, 1]
        assert result["roc_auc"] == pytest.approx(metrics.roc_auc_score(targets, scores))
        assert result["average_precision"] == pytest.approx(
            metrics.average_precision_score(targets, scores)
        )
    else:
        assert "roc_auc" not in result
    assert intervals_hold(result)


@hypothesis.given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_metrics_of_labels_are_those_of_scikit_learn(n, seed):
    random = np.random.default_rng(seed)
    targets = random.integers(0, 2, (n, 3), dtype=np.int32)
    predictions = np.where(random.random((n, 3)) < 0.8, targets, 1 - targets)
    probabilities = random.uniform(0.01, 0.99, (n, 3))
    result = multilabel_metrics(targets, predictions, probabilities)
    assert result["accuracy"] == pytest.approx(metrics.accuracy_score(targets, predictions))
    assert result["log_loss"] == pytest.approx(
        metrics.log_loss(targets.ravel(), probabilities.ravel(), labels=[0, 1])
    )
    occur = (targets | predictions).any(axis=0)
    expected = metrics.f1_score(targets, predictions, average=None, zero_division=0)
    assert result["label_f1"] == pytest.approx(expected)
    assert result["macro_f1"] == pytest.approx(expected[occur].mean() if occur.any() else 0)
    if occur.all():
        assert result["weighted_f1"] == pytest.approx(
            metrics.f1_score(targets, predictions, average="weighted", zero_division=0)
        )
    assert intervals_hold(result)


def test_a_detector_is_ranked_by_its_scores_where_it_has_no_probabilities():
    targets, predictions, probabilities = classified(200, 2, 0)
    scores = 10 * probabilities[:, 1] - 5
    result = binary_metrics(targets, predictions, scores=scores)
    assert result["roc_auc"] == pytest.approx(metrics.roc_auc_score(targets, scores))
    assert "log_loss" not in result


def test_the_bootstrap_of_macro_f1_is_that_of_drawing_images():
    targets, predictions, _ = classified(400, 4, 0, right=0.5)
    result = multiclass_metrics(targets, predictions)
    random = np.random.default_rng(0)
    draws = (random.integers(0, 400, 400) for _ in range(400))
    values = [metrics.f1_score(targets[i], predictions[i], average="macro") for i in draws]
    low, high = np.percentile(values, (2.5, 97.5))
    assert result["macro_f1_ci95"] == pytest.approx([low, high], abs=0.015)


def test_confusion_by_row_and_of_errors_alone():
    targets, predictions, _ = classified(300, 5, 0)
    counts = classification.confusion(targets, predictions, 5)
    assert counts.sum() == 300
    np.testing.assert_allclose(
        classification.by_row(counts),
        metrics.confusion_matrix(targets, predictions, normalize="true"),
    )
    np.testing.assert_allclose(
        classification.errors_by_row(counts),
        metrics.confusion_matrix(
            targets, predictions, normalize="true", sample_weight=targets != predictions
        ),
    )
    perfect = np.diag([3, 0])
    assert classification.errors_by_row(perfect).tolist() == [[0, 0], [0, 0]]
    assert classification.by_row(perfect).tolist() == [[1, 0], [0, 0]]


def test_errors_say_what_to_do():
    none = np.zeros(0, np.int32)
    with pytest.raises(UserError, match="no image to evaluate"):
        multiclass_metrics(none, none)
