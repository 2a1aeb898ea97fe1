import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3.data import numbers


@given(st.integers(2, 30), st.integers(1, 5), st.data())
def test_labels_and_indices_are_each_others_inverse_and_in_order(classes, digits, data):
    drawn = st.integers(0, classes**digits - 1)
    indices = np.sort(np.array(data.draw(st.lists(drawn, max_size=9)), np.int32))
    labels = numbers.labels(indices, classes, digits)
    assert labels.dtype == np.int32 and labels.shape == (len(indices), digits)
    assert ((labels >= 0) & (labels < classes)).all()
    assert labels.tolist() == sorted(labels.tolist())
    np.testing.assert_array_equal(numbers.indices(labels, classes), indices)
    on_device = numbers.labels(jnp.asarray(indices), classes, digits)
    np.testing.assert_array_equal(on_device, labels)
    np.testing.assert_array_equal(numbers.indices(on_device, classes), indices)


def test_of_ten_digits_the_index_is_the_number():
    assert numbers.labels(np.array([42], np.int32), 10, 3).tolist() == [[0, 4, 2]]
    assert numbers.indices(np.array([0, 4, 2], np.int32), 10) == 42


@pytest.mark.parametrize(
    ("classes", "text"), [(numbers.DIGITS, "021"), (("shoe", "bag", "coat"), "shoe coat bag")]
)
def test_a_number_is_read_by_the_names_of_its_classes(classes, text):
    assert numbers.text(np.array([0, 2, 1]), classes) == text
    assert numbers.text((0, 2, 1), classes) == text
