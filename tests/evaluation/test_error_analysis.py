import numpy as np

from mnist3.evaluation import error_analysis


def test_misread_images_come_most_confident_first():
    labels = np.array([[0, 1], [0, 2], [0, 3], [0, 4]], np.int32)
    predictions = np.array([[0, 7], [0, 2], [0, 8], [9, 4]], np.int32)
    confidences = np.array([0.5, 0.99, 0.75, 0.75], np.float32)
    assert error_analysis.misread(labels, predictions, confidences).tolist() == [2, 3, 0]
    assert error_analysis.misread(labels, labels, confidences).tolist() == []
