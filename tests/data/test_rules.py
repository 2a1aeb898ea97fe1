"""Printed lines are told from the strokes upon them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist3.data.rules import printed

DIGIT = 40  # px


def page(height: int = 120, width: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns an empty mask, and the rows and the columns of its pixels."""
    rows, columns = np.mgrid[:height, :width]
    return np.zeros((height, width), bool), rows, columns


def ring(rows: np.ndarray, columns: np.ndarray, middle: int, bottom: float) -> np.ndarray:
    """Returns a 0 of DIGIT px that stands on a row."""
    away = np.hypot((columns - middle) / 0.7, rows - bottom + DIGIT / 2)
    return (away < DIGIT / 2) & (away > DIGIT / 2 - 5)


@settings(max_examples=12, deadline=None)
@given(
    slope=st.floats(-0.1, 0.1),
    bend=st.floats(-4, 4),
    thickness=st.integers(2, 6),
    touching=st.floats(-2, 1),
)
def test_a_line_is_gone_and_what_stands_on_it_stays(slope, bend, thickness, touching):
    """The line may be tilted and bent; the digits touch it and sink in by less than its half."""
    mask, rows, columns = page()
    across = (columns - 200) / 150
    middle = 80 + slope * (columns - 200) + bend * (across**2 - 0.5)
    line = (np.abs(rows - middle) <= thickness / 2) & (np.abs(columns - 200) < 150)
    digits = mask.copy()
    for place in (110, 170, 230, 290):
        digits |= ring(rows, columns, place, middle[0, place] - thickness / 2 + touching)
    found = printed(line | digits, DIGIT)
    assert found[line & ~digits].mean() > 0.85
    assert found[digits & ~line].mean() < 0.1


@pytest.mark.parametrize("amplitude", [8, 12])
def test_a_chain_of_arcs_is_no_line(amplitude):
    """Bottoms of digits that touch are as long as an underline, but no parabola."""
    mask, rows, columns = page()
    middle = 60 + amplitude * np.abs(np.sin(columns / 12))
    chain = (np.abs(rows - middle) <= 2.5) & (np.abs(columns - 200) < 150)
    assert printed(mask | chain, DIGIT).sum() < 0.2 * chain.sum()


def test_what_covers_a_line_stays_whole():
    mask, rows, columns = page()
    line = (np.abs(rows - 60) <= 1) & (np.abs(columns - 200) < 180)
    bar = (np.abs(rows - 60) <= 3) & (np.abs(columns - 200) < 14)
    stem = (np.abs(columns - 212) <= 3) & (rows > 60) & (rows < 100)
    found = printed(mask | line | bar | stem, DIGIT)
    assert not found[bar].any()
    assert found[line & (np.abs(columns - 200) > 20)].mean() > 0.95


def test_the_bar_that_two_crossing_underlines_make_is_gone():
    mask, rows, columns = page()
    for slope in (0.03, -0.03):
        middle = 90 + slope * (columns - 110)
        mask |= (np.abs(rows - middle) <= 3) & (columns > 60) & (columns < 340)
    assert printed(mask, DIGIT)[mask].mean() > 0.85
