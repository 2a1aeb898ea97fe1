import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3 import tasks
from mnist3.config import CHOICES, base


@given(st.integers(1, 4), st.data())
def test_digits_and_numbers_are_inverse(digits, data):
    number = data.draw(st.integers(0, 10**digits - 1))
    read = tasks.digits_of(jnp.asarray([number], jnp.int32), digits)
    assert "".join(map(str, read[0].tolist())) == f"{number:0{digits}d}"
    assert int(tasks.number_of(read)[0]) == number


def test_text_of_a_number_keeps_leading_zeros():
    assert tasks.number_text(np.array([0, 0, 7], np.int32)) == "007"
    assert tasks.number_text(jnp.array([0, 4], jnp.int32)) == "04"


def joint_logits(logits):
    """The logits of whole numbers that say the same as those of the positions."""
    logs = jax.nn.log_softmax(logits, axis=-1)
    a, b, c = logs[:, 0], logs[:, 1], logs[:, 2]
    return (a[:, :, None, None] + b[:, None, :, None] + c[:, None, None, :]).reshape(-1, 1000)


@given(st.integers(0, 2**31 - 1))
def test_both_forms_of_logits_mean_the_same(seed):
    logits = 3 * jax.random.normal(jax.random.key(seed), (5, 3, 10))
    labels = jax.random.randint(jax.random.key(seed + 1), (5, 3), 0, 10, jnp.int32)
    by_position, whole = tasks.decode(logits, 3), tasks.decode(joint_logits(logits), 3)
    np.testing.assert_array_equal(by_position.digits, whole.digits)
    np.testing.assert_allclose(by_position.confidence, whole.confidence, rtol=1e-4)
    np.testing.assert_allclose(by_position.digit_confidences, whole.digit_confidences, rtol=1e-4)
    np.testing.assert_allclose(
        tasks.log_likelihood(logits, labels),
        tasks.log_likelihood(joint_logits(logits), labels),
        rtol=1e-4,
    )


def test_loss_is_the_cross_entropy_by_softmax():
    logits = jnp.log(jnp.asarray([[[0.5] + [0.5 / 9] * 9, [0.1] * 10]]))
    labels = jnp.asarray([[0, 4]], jnp.int32)
    expected = -(np.log(0.5) + np.log(0.1)) / 2
    assert tasks.loss(logits, labels)[0] == pytest.approx(expected, rel=1e-5)
    assert tasks.loss(logits, labels, 0.1)[0] > tasks.loss(logits, labels)[0]


DIGITS = np.arange(10, dtype=np.int32)


def task(name, **changes):
    config = base().task
    config.update(name=name, **changes)
    return tasks.create(config)


@pytest.mark.parametrize("name", tasks.NAMES)
def test_every_task_says_its_loss_metrics_and_figures(name):
    made = task(name)
    assert made.name == name
    assert made.metrics and made.figures and made.classes
    assert made == task(name) and hash(made) == hash(task(name))
    assert callable(made.loss) and callable(made.right)


def test_the_config_knows_the_tasks():
    assert CHOICES["task.name"] == tasks.NAMES


@pytest.mark.parametrize(
    ("name", "changes", "digits", "targets"),
    [
        ("multiclass", {}, DIGITS.tolist(), DIGITS.tolist()),
        ("binary", {}, DIGITS.tolist(), [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
        ("binary", {"digit": 0}, DIGITS.tolist(), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("pair", {}, [3, 5], [0, 1]),
        ("pair", {"pair": (8, 1)}, [1, 8], [1, 0]),
        (
            "multilabel",
            {},
            DIGITS.tolist(),
            [[0, 0], [0, 1], [0, 0], [0, 1], [0, 0], [0, 1], [0, 0], [1, 1], [1, 0], [1, 1]],
        ),
        (
            "multilabel",
            {"large": 3},
            DIGITS.tolist(),
            [[0, 0], [0, 1], [0, 0], [1, 1], [1, 0], [1, 1], [1, 0], [1, 1], [1, 0], [1, 1]],
        ),
    ],
)
def test_targets_follow_from_the_digit(name, changes, digits, targets):
    made = task(name, **changes)
    taking_part = DIGITS[made.select(DIGITS)]
    assert taking_part.tolist() == digits
    assert made.targets(taking_part).tolist() == targets
    assert made.targets(taking_part).dtype == np.int32
    assert made.outputs == (len(targets[0]) if name == "multilabel" else len(set(targets)))


@pytest.mark.parametrize(
    ("name", "changes", "classes"),
    [
        ("binary", {"digit": 0}, ("not 0", "0")),
        ("pair", {"pair": (8, 1)}, ("8", "1")),
    ],
)
def test_classes_are_named_by_the_digits_of_the_config(name, changes, classes):
    assert task(name, **changes).classes == classes


def test_targets_that_are_images_do_not_follow_from_a_digit():
    assert task("denoise").select(DIGITS).all()
    with pytest.raises(ValueError, match="denoise"):
        task("denoise").targets(DIGITS)


@pytest.mark.parametrize("name", ["multiclass", "binary", "pair", "multilabel"])
def test_true_logits_are_right_and_cost_less_than_others(name):
    made = task(name)
    targets = made.targets(DIGITS[made.select(DIGITS)])
    one_hot = targets if targets.ndim == 2 else np.eye(made.outputs)[targets]
    logits = jnp.asarray(20.0 * one_hot - 10, jnp.float32)
    targets = jnp.asarray(targets)
    assert made.right(logits, targets).all()
    assert not made.right(-logits, targets).any()
    assert made.loss(logits, targets, 0.0).shape == (len(targets),)
    assert (made.loss(logits, targets, 0.0) < 1e-3).all()
    assert (made.loss(logits, targets, 0.1) > made.loss(logits, targets, 0.0)).all()
    np.testing.assert_allclose(
        made.loss(logits[:, None], targets, 0.1), made.loss(logits, targets, 0.1)
    )


def test_a_clean_image_is_right():
    made = task("denoise")
    clean = jax.random.uniform(jax.random.key(0), (3, 4, 4))
    assert (made.loss(clean, clean, 0.0) == 0).all()
    assert made.right(clean + 0.09, clean).all()
    assert not made.right(clean + 0.11, clean).any()


def test_a_number_is_right_if_all_its_digits_are():
    logits = jax.nn.one_hot(jnp.asarray([[1, 2], [3, 4]]), 10)
    labels = jnp.asarray([[1, 2], [3, 5]], jnp.int32)
    assert task("number").right(logits, labels).tolist() == [True, False]
