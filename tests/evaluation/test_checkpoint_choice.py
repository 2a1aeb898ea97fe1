import hypothesis
import hypothesis.strategies as st
import numpy as np

from mnist3.evaluation.checkpoint_choice import is_better
from mnist3.evaluation.clusters import sharing


def right(n, wrong):
    """n images of which the first ones are read wrong."""
    return np.arange(n) >= wrong


def test_images_of_one_digit_image_are_no_proof():
    digit_indices = np.arange(6_000).reshape(2_000, 3)
    digit_indices[:20, 1] = 0  # what the later epoch misreads alone has one digit image in common
    best, latest = right(2_000, 0), right(2_000, 20)
    assert is_better(best, latest, 2)
    assert not is_better(best, latest, 2, sharing(digit_indices))


@hypothesis.given(st.integers(1, 200), st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_the_rule_is_one_sided_and_stricter_the_more_epochs_it_chose_from(n, epochs, seed):
    random = np.random.default_rng(seed)
    a, b = random.random(n) < 0.9, random.random(n) < 0.6
    assert not (is_better(a, b, 2) and is_better(b, a, 2))
    assert not is_better(a, a, 2)
    assert is_better(a, b, 2) or not is_better(a, b, epochs)
    order = random.permutation(n)
    assert is_better(a, b, epochs) == is_better(a[order], b[order], epochs)
    worse = b & ~(a & b & (np.arange(n) == np.argmax(a & b)))  # one image more that b gets wrong
    assert not is_better(a, b, epochs) or is_better(a, worse, epochs)
