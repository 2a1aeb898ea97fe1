import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.textbook.published import (
    DIFFERS,
    MATCH,
    OURS_ALONE,
    PUBLISHED,
    Published,
    agree,
    compare,
    plain,
    text,
)

numbers = st.floats(-1e4, 1e4)
values = st.recursive(
    st.one_of(numbers, st.integers(-99, 99), st.sampled_from(["uniform", "distance"])),
    lambda inner: st.one_of(
        st.tuples(inner, inner), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(numbers, st.integers(0, 6))
def test_a_number_agrees_with_itself_rounded_and_not_with_the_next(number, decimals):
    rounded = round(number, decimals)
    assert agree(rounded, number, decimals)
    assert not agree(rounded + 1.6 * 10.0**-decimals, number, decimals)


@given(values, values)
def test_agreement_is_with_the_same_and_in_both_directions(one, other):
    assert agree(one, one, 3)
    assert agree(one, other, 3) == agree(other, one, 3)


@given(values, st.integers(0, 3))
def test_every_value_has_a_short_text(value, decimals):
    assert text(value, decimals) == text(value, decimals, most=3)
    assert "\n" not in text(value, decimals)


def test_a_row_says_why_it_differs():
    book = {
        "same": Published(0.5, 2),
        "newer": Published(0.5, 2, 0.7, "the rule changed"),
        "neither": Published(0.5, 2, 0.7, "the rule changed"),
        "unknown": Published((1, 2)),
    }
    ours = {"same": 0.501, "newer": 0.7, "neither": 0.9, "unknown": (1, 3), "own": 3.0}
    found = list(compare(ours, 1.5, "9.9", published=book))
    verdicts = [MATCH, DIFFERS, DIFFERS, DIFFERS, OURS_ALONE]
    assert [row.verdict for row in found] == verdicts
    reasons = [row.reason for row in found]
    assert reasons[0] == reasons[4] == ""
    assert reasons[1] == "the rule changed"
    assert "here is 9.9" in reasons[2]
    assert "the rule changed" in reasons[2]
    assert "here is 9.9" in reasons[3]
    elsewhere = list(compare({"newer": 0.7}, 1.5, "9.9", "other images", book))
    assert elsewhere[0].reason == "other images"


def test_texts_are_short():
    assert text(None, 2) == "-"
    assert text((0.5, 0.25, 0.125, 1.0), 2) == "0.50 0.25 0.12 ... (4)"
    assert text(((1, 2), (3, 4)), 0) == "1 2 / 3 4"
    assert text({"weights": "uniform", "n_neighbors": 4}, 0) == "weights=uniform, n_neighbors=4"
    assert plain(np.array([[1.5, 2.0]])) == ((1.5, 2.0),)


def test_what_changed_has_a_reason():
    for figure in PUBLISHED.values():
        assert figure.newer is None or figure.reason
