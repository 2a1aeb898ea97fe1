import math

import hypothesis
import numpy as np
from hypothesis import strategies
from scipy import optimize

from mnist3.evaluation import minimum

numbers = strategies.floats(-5, 5)


@hypothesis.given(
    strategies.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1]),
    numbers,
    numbers,
    strategies.sampled_from((1e-9, 1e-5, 1e-3, 0.3)),
    strategies.booleans(),
)
def test_the_place_is_that_of_scipy_to_the_last_bit(bounds, centre, waves, tolerance, steps):
    def cost(at):
        value = (at - centre) ** 2 + math.sin(waves * at)
        return round(value, 1) if steps else value

    asked = []
    place = minimum.place(lambda at: asked.append(at) or cost(at), *bounds, tolerance)
    asked_by_scipy = []
    found = optimize.minimize_scalar(
        lambda at: asked_by_scipy.append(float(at)) or cost(at),
        bounds=bounds,
        method="bounded",
        options={"xatol": tolerance},
    )
    assert place == found.x
    assert asked == asked_by_scipy


def test_a_parabola_is_least_at_its_vertex():
    np.testing.assert_allclose(
        minimum.place(lambda at: (at - 2) ** 2, 0.0, 5.0, 1e-6), 2, atol=1e-5
    )
