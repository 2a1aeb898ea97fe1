import numpy as np
import pytest

from mnist3.evaluation import error_analysis


def test_misread_images_come_most_confident_first():
    labels = np.array([[0, 1], [0, 2], [0, 3], [0, 4]], np.int32)
    predictions = np.array([[0, 7], [0, 2], [0, 8], [9, 4]], np.int32)
    confidences = np.array([0.5, 0.99, 0.75, 0.75], np.float32)
    assert error_analysis.misread(labels, predictions, confidences).tolist() == [2, 3, 0]
    assert error_analysis.misread(labels, labels, confidences).tolist() == []


def test_most_confused_pairs_come_in_order_with_their_share():
    counts = np.array([[8, 2, 0], [1, 4, 5], [0, 0, 10]])
    assert error_analysis.most_confused(counts, limit=2) == [(1, 2, 5, 0.5), (0, 1, 2, 0.2)]
    assert len(error_analysis.most_confused(counts)) == 3


def test_worst_images_have_the_highest_log_loss():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.0, 1.0]])
    targets = np.array([0, 0, 0])
    losses = error_analysis.log_losses(targets, probabilities)
    assert losses[:2] == pytest.approx(-np.log([0.9, 0.2]))
    assert np.isfinite(losses).all()
    assert error_analysis.worst(losses, limit=2).tolist() == [2, 1]


def test_the_gallery_of_a_pair_has_each_of_its_images_once():
    random = np.random.default_rng(0)
    targets, predictions = random.integers(0, 4, (2, 500))
    confidences = random.random(500)
    gallery = error_analysis.pair_gallery(targets, predictions, confidences, 3, 1, limit=500)
    for found, target, prediction in zip(gallery, (3, 3, 1, 1), (3, 1, 3, 1), strict=True):
        expected = np.flatnonzero((targets == target) & (predictions == prediction))
        assert sorted(found) == expected.tolist()
        assert (np.diff(confidences[found]) <= 0).all()


def test_swapped_labels_are_suspected():
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, 1_000)
    probabilities = random.dirichlet(np.ones(5), 1_000)
    probabilities[np.arange(1_000), truth] += 2
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = truth.copy()
    wrong = random.choice(1_000, 30, replace=False)
    labels[wrong] = (truth[wrong] + 1) % 5
    suspects = error_analysis.suspected_label_errors(labels, probabilities)
    assert len(set(suspects) & set(wrong)) >= 20
    assert len(suspects) <= 30
    assert set(suspects[:10]) <= set(wrong)


def test_probabilities_that_agree_with_the_labels_raise_no_suspicion():
    labels = np.array([0, 1, 0, 1])
    probabilities = np.eye(3)[labels]  # the third class has no label
    assert error_analysis.suspected_label_errors(labels, probabilities).tolist() == []
