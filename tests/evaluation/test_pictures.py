import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3.errors import UserError
from mnist3.evaluation.intervals import wilson_interval
from mnist3.evaluation.pictures import MOST_GROUPS, grouping, picture_metrics

RIGHT = np.array([True, False, True, True])
LENGTHS = np.array([1, 1, 2, 12])
READ = np.array([1, 2, 2, 12])
SURE = np.array([True, True, False, False])


def test_shares_are_of_all_of_each_length_and_of_each_group():
    groups = {"writer": ["B", "A", "B", "B"]}
    found = picture_metrics(RIGHT, LENGTHS, READ, groups=groups)
    assert (found["n"], found["exact_match"], found["right_length"]) == (4, 0.75, 0.75)
    assert found["exact_match_ci95"] == list(wilson_interval(3, 4))
    assert list(found["by_length"]) == ["1", "2", "12"]
    assert found["by_length"]["1"]["exact_match"] == found["by_length"]["1"]["right_length"] == 0.5
    assert list(found["by"]["writer"]) == ["A", "B"]
    assert found["by"]["writer"]["B"]["exact_match"] == 1
    assert "sure" not in found and "ece" not in found


def test_the_sure_ones_are_measured_in_every_row():
    found = picture_metrics(RIGHT, LENGTHS, READ, np.full(4, 0.5), SURE)
    assert found["sure"] == {
        "n": 2,
        "share": 0.5,
        "error": 0.5,
        "error_ci95": list(wilson_interval(1, 2)),
    }
    assert found["by_length"]["2"]["sure"] == {
        "n": 0,
        "share": 0.0,
        "error": None,
        "error_ci95": None,
    }
    assert found["ece"] == pytest.approx(0.25)
    assert set(found["coverage"]) == {"0.01", "0.001"}


def test_without_a_picture_there_is_nothing_to_measure():
    with pytest.raises(UserError, match="no image to evaluate"):
        picture_metrics(RIGHT[:0], LENGTHS[:0], READ[:0])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.booleans()), min_size=1))
def test_the_rows_of_a_group_add_up_to_all(pictures):
    right, lengths, sure = (np.array(each) for each in zip(*pictures, strict=True))
    groups = {"side": [str(length % 2) for length in lengths]}
    found = picture_metrics(right, lengths, lengths, None, sure, groups)
    for rows in (found["by_length"], found["by"]["side"]):
        assert sum(row["n"] for row in rows.values()) == found["n"]
        hits = sum(row["n"] * row["exact_match"] for row in rows.values())
        assert hits == pytest.approx(found["n"] * found["exact_match"])
        assert sum(row["sure"]["n"] for row in rows.values()) == found["sure"]["n"]


def test_a_column_of_remarks_makes_no_groups():
    many = [str(value) for value in range(MOST_GROUPS + 1)]
    assert grouping({"writer": ["A"] * len(many), "notes": many}) == (["writer"], ["notes"])
