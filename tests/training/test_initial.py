import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from hypothesis import given
from hypothesis import strategies as st

from mnist3 import models
from mnist3.config import numbers
from mnist3.errors import UserError
from mnist3.training.initial import describe, take_parameters

NAMES = ("trunk/stem/kernel", "trunk/stem/bias", "trunk/block/kernel", "heads/kernel", "heads/bias")
SHAPES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([(2,), (3,), (2, 3)]), min_size=1)


def tree_of(shapes, value, dtype=np.float32):
    flat = {path: np.full(shape, value, dtype) for path, shape in shapes.items()}
    return traverse_util.unflatten_dict(flat, sep="/")


@given(SHAPES, SHAPES, st.sets(st.sampled_from(["trunk", "trunk/stem", "*/bias", "heads/kernel"])))
def test_every_parameter_is_taken_or_new_and_taken_or_left(own, others, skip):
    skip = [pattern for pattern in skip if any(matches(path, pattern) for path in others)]
    expected = {
        path
        for path in own.keys() & others.keys()
        if own[path] == others[path] and not any(matches(path, pattern) for pattern in skip)
    }
    initial, other = tree_of(own, 1), tree_of(others, 2, np.float16)
    if not expected:
        with pytest.raises(UserError, match="name and shape"):
            take_parameters(initial, other, skip)
        return
    found = take_parameters(initial, other, skip)
    assert set(found.taken) == expected
    assert sorted(found.taken + found.new) == sorted(own)
    assert sorted(found.taken + found.left) == sorted(others)
    assert jax.tree.structure(found.params) == jax.tree.structure(initial)
    for path, leaf in traverse_util.flatten_dict(found.params, sep="/").items():
        assert (leaf.shape, leaf.dtype) == (own[path], np.float32)
        assert (leaf == (2 if path in expected else 1)).all()
    assert (jax.tree.leaves(initial)[0] == 1).all()


def matches(path, pattern):
    """The same by the definition's words, for the patterns of the test."""
    if pattern == "*/bias":
        return path.endswith("/bias")
    return path == pattern or path.startswith(pattern + "/")


def params_of(digits, key):
    config = numbers().model
    config.stem, config.channels = 4, (8,)
    model = models.create(config, digits, 10)
    return model.init(jax.random.key(key), jnp.zeros((1, 28, 28 * digits)))["params"]


def test_a_reader_of_three_digits_starts_one_of_five():
    three, five = params_of(3, 0), params_of(5, 1)
    found = take_parameters(five, three)
    assert "trunk/stem/kernel" in found.taken
    assert found.new
    assert jax.tree.map(jnp.shape, found.params) == jax.tree.map(jnp.shape, five)
    np.testing.assert_array_equal(
        found.params["trunk"]["stem"]["kernel"], three["trunk"]["stem"]["kernel"]
    )
    sentence = describe(found, "runs/three")
    assert f"{len(found.taken)} of {len(jax.tree.leaves(five))} parameters" in sentence
    assert "taken from runs/three: " in sentence
    assert f"new: {found.new[0]}" in sentence
    assert f"left there: {found.left[0]}" in sentence


def test_all_of_the_same_model_is_taken_but_what_is_skipped():
    one, other = params_of(2, 0), params_of(2, 1)
    everything = take_parameters(one, other)
    assert everything.new == everything.left == ()
    assert "new" not in describe(everything, "runs/a")
    some = take_parameters(one, other, ["trunk"])
    assert some.new == some.left
    assert all(path.startswith("trunk/") for path in some.new)
    assert some.taken


def test_a_skip_that_matches_nothing_is_refused_with_the_names_that_there_are():
    params = tree_of({"trunk/stem/kernel": (2,)}, 0)
    with pytest.raises(UserError, match=r"init_skip has 'trunck'.*trunk/stem/kernel"):
        take_parameters(params, params, ["trunck"])
