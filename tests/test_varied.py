"""Numbers of candidates: they compute as numbers do, and say what they cannot."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3.errors import UserError
from mnist3.varied import largest, of_candidates, side_by_side

FLOATS = st.floats(0.01, 0.99)
OPERATIONS = (operator.add, operator.sub, operator.mul, operator.truediv)
ARRAY = jnp.asarray([0.5, 2.0, 3.0])


@functools.partial(jax.jit, static_argnames="function")
def of_each(function, numbers):
    return jax.lax.map(function, numbers)


def each(function, values):
    """The function of each candidate's number, in one program."""
    return of_each(function, of_candidates("optimizer.momentum", values, 1))


def with_array(number):
    return [operate(number, ARRAY) for operate in (*OPERATIONS, operator.pow)]


def of_array(number):
    return [operate(ARRAY, number) for operate in OPERATIONS]


def complement(number):
    return 1 - number


@given(st.lists(FLOATS, min_size=2, max_size=3))
def test_arithmetic_is_that_of_numbers(values):
    for compute in (with_array, of_array):
        wanted = [compute(value) for value in values]
        for found, numbers in zip(each(compute, values), zip(*wanted, strict=True), strict=True):
            np.testing.assert_allclose(found, np.stack(numbers), rtol=1e-5)
    np.testing.assert_array_equal(
        each(complement, values), np.array([1 - v for v in values], np.float32)
    )


def test_it_leaves_half_precision_as_a_number_does():
    halves = jnp.ones(2, jnp.bfloat16)
    assert each(lambda number: halves / (1 - number), (0.1, 0.2)).dtype == jnp.bfloat16


def test_it_is_on_whatever_it_is():
    number = of_candidates("augmentation.shift", (0, 2), 2)
    assert number and number != 0 and number != 2
    assert largest(number) == 2 and largest(0.5) == 0.5


def test_numbers_that_no_candidate_has_alone_are_no_part_of_a_program():
    assert isinstance(side_by_side([1.0, 2.0]), np.ndarray)
    found = each(lambda number: side_by_side([number, 2.0]), (0.0, 1.0))
    assert found.tolist() == [[0.0, 2.0], [1.0, 2.0]]


@pytest.mark.parametrize("convert", [int, float, range, jnp.zeros])
def test_what_decides_shapes_is_refused(convert):
    with pytest.raises(UserError, match=r"config\.augmentation\.shift says how a program"):
        convert(of_candidates("augmentation.shift", (1, 2), 2))
