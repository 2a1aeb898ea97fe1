import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnist3 import tasks
from mnist3.config import numbers as numbers_config
from mnist3.data.numbers import NO_DIGIT
from mnist3.data.splits import Split
from mnist3.errors import UserError
from mnist3.evaluation.calibration import CONFIDENCE_METRICS
from mnist3.tasks import ctc
from mnist3.tasks.strings import String

STRING = String("string", tasks.DIGITS, 4)
PATHS = ["0_0_7", "77___3", "______", "1_2345"]  # _ is the blank
LABELS = [[0, 0, 7, -1], [7, 3, -1, -1], [-1] * 4, [1, 2, 3, 4]]


def logits_of(paths, height=12.0):
    """Logits that give most of the probability to the paths, one class a column."""
    columns = max(map(len, paths))
    rows = [["0123456789_".index(each) for each in path.ljust(columns, "_")] for path in paths]
    return height * jax.nn.one_hot(jnp.asarray(rows), 11)


def labels_of(rows):
    return np.array(rows, np.int32)


def test_the_config_gives_the_most_digits():
    config = numbers_config().task
    config.name = "string"
    assert tasks.create(config, tasks.DIGITS, (1, 4)) == STRING
    assert STRING.positions == 4 and STRING.outputs == 11


def test_strings_are_read_with_their_probability_and_place():
    logits = logits_of(PATHS)
    predictions = jax.device_get(jax.jit(STRING.predict)(logits, jnp.asarray(labels_of(LABELS))))
    assert predictions.values[:3].tolist() == LABELS[:3]
    assert (predictions.values[3] >= 0).all()
    likelihoods = np.exp(predictions.log_likelihood[:3])
    np.testing.assert_allclose(predictions.confidence[:3], likelihoods, rtol=1e-5)
    assert (predictions.confidence[:3] > 0.99).all()
    assert predictions.spans[0].tolist() == [[0, 4], [8, 12], [16, 20], [-1, -1]]
    assert predictions.spans[1].tolist() == [[0, 8], [20, 24], [-1, -1], [-1, -1]]
    assert ((predictions.probabilities > 0.99) == (predictions.values != NO_DIGIT)).all()
    assert STRING.texts(predictions.values[:3]) == ["007", "73", ""]


def test_a_digit_too_many_is_not_right():
    right = jax.jit(STRING.right)
    logits, labels = logits_of(PATHS), labels_of(LABELS)
    assert right(logits, labels).tolist() == [True, True, True, False]
    assert not right(logits, labels[::-1]).any()


def test_the_loss_is_that_of_ctc_and_smoothing_draws_to_the_uniform():
    logits, labels = logits_of(PATHS), jnp.asarray(labels_of(LABELS))
    loss = jax.jit(STRING.loss, static_argnums=2)
    string, mixed = loss(logits, labels, 0.0), loss(logits, labels, 0.1)
    np.testing.assert_array_equal(string, jax.jit(ctc.ctc_loss)(logits, labels))
    assert (string[:3] < 1e-2).all()
    uniform = -jax.nn.log_softmax(logits).mean(axis=-1).sum(axis=-1)
    np.testing.assert_allclose(mixed, 0.9 * string + 0.1 * uniform, rtol=1e-5)


def predicted(values, confidence=0.5):
    values = labels_of(values)
    there = values != NO_DIGIT
    return tasks.Predictions(
        values,
        np.full(len(values), confidence, np.float32),
        np.where(there, np.float32(0.75), np.float32(0)),
        log_likelihood=np.full(len(values), -2.0, np.float32),
    )


def test_what_is_measured():
    targets = labels_of([[1, -1, -1], [1, 2, -1], [1, 2, 3], [4, 5, 6]])
    read = predicted([[1, -1, -1], [2, -1, -1], [1, 2, 3], [4, 6, 5]])
    measured = String("string", tasks.DIGITS, 3).measure(targets, read)
    assert measured["n"] == 4
    assert measured["exact_match"] == 0.5
    assert measured["exact_match_by_length"] == {"1": 1.0, "2": 0.0, "3": 0.5}
    assert measured["digit_error_rate"] == pytest.approx(3 / 9)
    assert measured["length_accuracy"] == 0.75
    assert measured["nll"] == 2.0
    assert measured["ece"] == pytest.approx(0)
    low, high = measured["exact_match_ci95"]
    assert low < 0.5 < high
    own = set(STRING.metrics) - set(CONFIDENCE_METRICS) | {"ece"}
    assert set(measured) == {"n", "exact_match_ci95", "exact_match_by_length", *own}


def test_the_interval_is_of_new_digit_images():
    targets = np.tile(labels_of([[1, 2, 3], [4, -1, -1]]), (100, 1))
    values = targets.copy()
    values[:40:2, 0] = 9
    digit_indices = np.where(targets < 0, -1, np.arange(600).reshape(200, 3)).astype(np.int32)
    shared = digit_indices.copy()
    shared[:40:2, 0] = 1_000  # one digit image is always misread
    task = String("string", tasks.DIGITS, 3)
    alone, together = (
        task.measure(targets, predicted(values), digit_indices=each)["exact_match_ci95"]
        for each in (digit_indices, shared)
    )
    unknown = task.measure(targets, predicted(values))["exact_match_ci95"]
    assert alone == pytest.approx(unknown, abs=0.02)
    assert np.ptp(together) > 1.5 * np.ptp(alone)


def test_rows_of_the_files():
    predictions = predicted([[0, 7, -1], [-1, -1, -1]])
    task = String("string", tasks.DIGITS, 3)
    assert task.predicted_columns == ("number", "confidence", "sure", "length", "confidences")
    assert task.predicted_cells(predictions) == [
        ["07", "0.500000", "", "2", "0.750000 0.750000"],
        ["", "0.500000", "", "0", ""],
    ]
    targets = labels_of([[0, 7, 1], [-1, -1, -1]])
    examples = tasks.Examples(np.zeros((2, 32, 64), np.uint8), targets, targets)
    assert list(task.rows(examples, predictions)) == [
        ["071", "07", "0.500000", ""],
        ["", "", "0.500000", ""],
    ]


def test_shorter_labels_are_filled_up_and_longer_strings_are_refused():
    images = np.zeros((2, 32, 64), np.uint8)
    narrow = STRING.examples(Split(images, labels_of([[1, 2], [3, -1]])), 0, 0)
    assert narrow.targets.tolist() == [[1, 2, -1, -1], [3, -1, -1, -1]]
    wide = labels_of([[1, 2, 3, 4, -1, -1], [3, -1, -1, -1, -1, -1]])
    assert STRING.examples(Split(images, wide), 0, 0).targets.shape == (2, 4)
    wide[0, 4] = 5
    with pytest.raises(UserError, match="5 digits, and at most 4 are read"):
        STRING.examples(Split(images, wide), 0, 0)
