import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3 import tasks
from mnist3.config import digits as digits_config
from mnist3.data.splits import Split
from mnist3.errors import UserError
from mnist3.tasks.numbers import Number


def joint_logits(logits):
    """The logits of whole numbers that say the same as those of the positions."""
    logs = jax.nn.log_softmax(logits, axis=-1)
    a, b, c = logs[:, 0], logs[:, 1], logs[:, 2]
    return (a[:, :, None, None] + b[:, None, :, None] + c[:, None, None, :]).reshape(-1, 1000)


NUMBER = Number("number", tasks.DIGITS, 3)


@given(st.integers(0, 2**31 - 1))
def test_both_forms_of_logits_mean_the_same(seed):
    logits = 3 * jax.random.normal(jax.random.key(seed), (5, 3, 10))
    labels = jax.random.randint(jax.random.key(seed + 1), (5, 3), 0, 10, jnp.int32)
    by_position, whole = (NUMBER.predict(each, labels) for each in (logits, joint_logits(logits)))
    np.testing.assert_array_equal(by_position.values, whole.values)
    for one, other in zip(by_position[1:], whole[1:], strict=True):
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-4)


def test_numbers_of_other_classes_are_decoded_in_their_base():
    letters = Number("number", tuple("abc"), 2)
    logits = jnp.zeros((1, 9)).at[0, 5].set(9.0)  # the sixth of nine: b, c
    predictions = letters.predict(logits, jnp.asarray([[1, 2]], jnp.int32))
    assert letters.texts(np.asarray(predictions.values)) == ["bc"]
    assert letters.right(logits, jnp.asarray([[1, 2]], jnp.int32)).all()
    assert predictions.log_likelihood[0] == pytest.approx(
        np.log(predictions.confidence[0]), rel=1e-3
    )


def test_loss_is_the_cross_entropy_by_softmax():
    logits = jnp.log(jnp.asarray([[[0.5] + [0.5 / 9] * 9, [0.1] * 10]]))
    labels = jnp.asarray([[0, 4]], jnp.int32)
    expected = -(np.log(0.5) + np.log(0.1)) / 2
    assert NUMBER.loss(logits, labels)[0] == pytest.approx(expected, rel=1e-5)
    assert NUMBER.loss(logits, labels, 0.1)[0] > NUMBER.loss(logits, labels)[0]


DIGITS = np.arange(10, dtype=np.int32)


def task(name, **changes):
    config = digits_config("digits").task
    config.update(name=name, **changes)
    return tasks.create(config)


def split_of_digits():
    return Split(np.zeros((10, 28, 28), np.uint8), DIGITS[:, None])


@pytest.mark.parametrize("name", tasks.REGISTRY)
def test_every_task_says_its_metrics_and_pictures(name):
    made = task(name)
    assert made.name == name
    assert made.metrics and made.pictures and made.classes and made.headline_words
    assert made == task(name) and hash(made) == hash(task(name))


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
    examples = made.examples(split_of_digits(), 0, 0)
    assert examples.labels[:, 0].tolist() == digits
    assert examples.targets.tolist() == targets
    assert examples.targets.dtype == np.int32
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


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("binary", {"digit": 10}, "from 0 to 9"),
        ("multilabel", {"large": 10}, "from 0 to 9"),
        ("pair", {"pair": (3, 3)}, "two different digits"),
        ("denoise", {"noise": 0}, "from 1 to 255"),
    ],
)
def test_a_field_that_does_not_fit_is_refused(name, changes, said):
    with pytest.raises(UserError, match=said):
        task(name, **changes)


def test_noise_is_drawn_once_and_its_targets_are_clean():
    made = task("denoise")
    images = np.full((4, 28, 28), 200, np.uint8)
    split = Split(images, np.zeros((4, 1), np.int32))
    examples = made.examples(split, 3, 1)
    noise = examples.inputs - images
    assert noise.min() == 0 and noise.max() == 99
    np.testing.assert_array_equal(examples.targets, images)
    np.testing.assert_array_equal(examples.inputs, made.examples(split, 3, 1).inputs)
    assert (examples.inputs != made.examples(split, 3, 2).inputs).any()
    clean = made.network_examples(examples)
    np.testing.assert_array_equal(clean.inputs, images)
    noisy, targets = made.corrupt(jax.random.key(0), jnp.asarray(clean.inputs) / 255, None)
    assert 0.3 < float((noisy - targets).max()) <= 99 / 255 + 1e-6


def test_one_class_alone_is_nothing_to_learn():
    with pytest.raises(UserError, match="all of one class"):
        task("binary").require_learnable(np.zeros(5, np.int32))


@pytest.mark.parametrize("name", ["multiclass", "binary", "pair", "multilabel"])
def test_true_logits_are_right_and_cost_less_than_others(name):
    made = task(name)
    targets = made.examples(split_of_digits(), 0, 0).targets
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
    assert Number("number", tasks.DIGITS, 2).right(logits, labels).tolist() == [True, False]
