"""Where a function of one number is least, between bounds: Brent's method.

SciPy's `minimize_scalar` with `method="bounded"` gives the same to the last bit, but every run
would wait a fifth of a second for the import of `scipy.optimize`.

Source: R. P. Brent, Algorithms for Minimization without Derivatives, 1973, chapter 5.
"""

import math
from collections.abc import Callable

_GOLDEN = 0.5 * (3.0 - math.sqrt(5.0))
_PRECISION = math.sqrt(2.2e-16)  # below which two places have the same value
_MOST = 500  # values that are asked for


def place(cost: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """Returns where a function with one minimum between bounds is least.

    Args:
        cost: the function, finite between the bounds.
        low: bound.
        high: bound.
        tolerance: of the place.
    """
    best = second = third = low + _GOLDEN * (high - low)
    least = next_least = third_least = cost(best)
    step = step_before = 0.0
    for _ in range(1, _MOST):
        middle = 0.5 * (low + high)
        near = _PRECISION * abs(best) + tolerance / 3.0
        if abs(best - middle) <= 2.0 * near - 0.5 * (high - low):
            break
        parabolic = False
        if abs(step_before) > near:  # a parabola through the three lowest points
            r = (best - second) * (least - third_least)
            q = (best - third) * (least - next_least)
            p = (best - third) * q - (best - second) * r
            q = 2.0 * (q - r)
            p, q = (-p if q > 0.0 else p), abs(q)
            bend, step_before = step_before, step
            if abs(p) < abs(0.5 * q * bend) and q * (low - best) < p < q * (high - best):
                parabolic, step = True, p / q
                found = best + step
                if found - low < 2.0 * near or high - found < 2.0 * near:
                    step = near if middle >= best else -near
        if not parabolic:
            step_before = (low if best >= middle else high) - best
            step = _GOLDEN * step_before
        found = best + math.copysign(max(abs(step), near), step if step else 1.0)
        value = cost(found)
        if value <= least:
            low, high = (best, high) if found >= best else (low, best)
            third, third_least = second, next_least
            second, next_least = best, least
            best, least = found, value
        else:
            low, high = (found, high) if found < best else (low, found)
            if value <= next_least or second == best:
                third, third_least = second, next_least
                second, next_least = found, value
            elif value <= third_least or third in (best, second):
                third, third_least = found, value
    return best
