import hypothesis
import hypothesis.strategies as st
import numpy as np

from mnist3.evaluation.checkpoint_choice import choose_epoch, is_best, is_better
from mnist3.evaluation.clusters import sharing


def right(n, wrong):
    """n images of which the first ones are read wrong."""
    return np.arange(n) >= wrong


def test_one_image_does_not_make_an_earlier_epoch_better():
    assert choose_epoch(np.stack([right(2_000, 74), right(2_000, 75)])) == 1
    digit_indices = np.random.default_rng(0).integers(0, 144, (2_000, 3))
    assert choose_epoch(np.stack([right(2_000, 74), right(2_000, 75)]), digit_indices) == 1


def test_an_earlier_epoch_that_is_better_beyond_noise_is_chosen():
    digit_indices = np.random.default_rng(0).integers(0, 144, (2_000, 3))
    outcomes = np.stack([right(2_000, 300), right(2_000, 40), right(2_000, 140)])
    assert choose_epoch(outcomes) == choose_epoch(outcomes, digit_indices) == 1
    errors = np.random.default_rng(0).exponential(size=(3, 500)) + np.array([[5], [1], [2]])
    assert choose_epoch(errors) == 1


def test_images_of_one_digit_image_are_no_proof():
    digit_indices = np.arange(6_000).reshape(2_000, 3)
    digit_indices[:20, 1] = 0  # what the later epoch misreads alone has one digit image in common
    best, latest = right(2_000, 0), right(2_000, 20)
    assert is_better(best, latest, 2)
    assert not is_better(best, latest, 2, sharing(digit_indices))


def test_a_slow_decline_is_measured_from_its_top():
    outcomes = np.stack([right(2_000, 10 + 3 * epoch) for epoch in range(30)])
    assert not is_better(outcomes[0], outcomes[1], 2)
    assert choose_epoch(outcomes) == 0


@hypothesis.given(st.integers(1, 200), st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_the_rule_is_one_sided_and_stricter_the_more_epochs_it_chose_from(n, epochs, seed):
    random = np.random.default_rng(seed)
    a, b = random.random(n) < 0.9, random.random(n) < 0.6
    assert not (is_better(a, b, 2) and is_better(b, a, 2))
    assert is_best(a, b) or is_best(b, a)
    assert is_best(a, a) and not is_better(a, a, 2)
    assert is_better(a, b, 2) or not is_better(a, b, epochs)
    order = random.permutation(n)
    assert is_better(a, b, epochs) == is_better(a[order], b[order], epochs)
    worse = b & ~(a & b & (np.arange(n) == np.argmax(a & b)))  # one image more that b gets wrong
    assert not is_better(a, b, epochs) or is_better(a, worse, epochs)


def test_the_last_of_equal_epochs_is_kept_in_at_least_19_of_20_trainings():
    random, kept = np.random.default_rng(0), 0
    for _ in range(200):
        hard = random.random(1_000) < 0.05
        outcomes = ~(hard & (random.random((10, 1_000)) < 0.6))
        kept += choose_epoch(outcomes) == 9
    assert kept >= 190
