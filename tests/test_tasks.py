import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3 import tasks


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
