import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3.data import cells

NUMBERS = st.floats(-1e30, 1e30) | st.integers(-(10**12), 10**12)


def column(*values):
    return pd.Series(values, dtype=object)


def written(number, form):
    """The number as text with six decimals, in a format."""
    decimal, thousands = form[0], form[1:]
    text = f"{number:,.6f}" if thousands else f"{number:.6f}"
    return text.replace(",", "T").replace(".", decimal).replace("T", thousands)


@given(st.lists(NUMBERS, min_size=1), st.sampled_from(cells.NUMBER_FORMATS))
def test_numbers_of_every_format_are_read(numbers, form):
    texts = column(*(written(number, form) for number in numbers))
    expected = [float(f"{number:.6f}") for number in numbers]
    np.testing.assert_allclose(cells.as_numbers(texts, form), expected, rtol=1e-15)


@given(st.lists(NUMBERS, min_size=1), st.sampled_from(cells.NUMBER_FORMATS))
def test_the_format_of_a_column_is_found(numbers, form):
    numbers = [*numbers, 1_234.5, 1_234_567.25]  # without these, two formats may say the same
    found, share = cells.number_format(column(*(written(number, form) for number in numbers)))
    assert (found, share) == (form, 1.0)


@given(st.floats(-1e37, 1e37).map(repr) | st.integers(-(10**37), 10**37).map(str))
def test_the_text_of_a_python_number_is_that_number(text):
    assert cells.as_numbers(column(text), ".")[0] == float(text)


@given(st.text(max_size=8), st.sampled_from(cells.NUMBER_FORMATS))
def test_any_text_is_a_finite_number_or_none(text, form):
    (number,) = cells.as_numbers(column(text), form)
    assert np.isnan(number) or (abs(number) < 3.5e38 and any(map(str.isdigit, text)))


@pytest.mark.parametrize(
    ("texts", "form", "numbers"),
    [
        (["1,234", "12,500,000", "7"], ".,", [1_234, 12_500_000, 7]),
        (["0,123", "1,234"], ",", [0.123, 1.234]),  # thousands never begin with 0
        (["1,5", "2", "3"], ",", [1.5, 2, 3]),
        (["1.234", "2.5"], ".", [1.234, 2.5]),
        (["1.234.567", "2.500"], ",.", [1_234_567, 2_500]),
        (["1\u202f234,5", "2\u00a0000"], ", ", [1_234.5, 2_000]),
        (["1\u2019234.5"], ".'", [1_234.5]),
        (["\u22122.5", "+.5", "5.", "1E3"], ".", [-2.5, 0.5, 5, 1_000]),
    ],
)
def test_what_people_write(texts, form, numbers):
    assert cells.number_format(column(*texts)) == (form, 1.0)
    assert cells.as_numbers(column(*texts), form).tolist() == numbers


@pytest.mark.parametrize(
    "text",
    ["", "-", "n/a", "inf", "-Infinity", "nan", "1e400", "1e39", "0x10", "1_000", "1 2", "1e", "."],
)
def test_what_is_no_number(text):
    assert np.isnan(cells.as_numbers(column(text, np.nan), ".")).all()


@given(st.lists(st.datetimes(), min_size=1), st.sampled_from(cells.DATE_FORMATS))
def test_dates_of_every_format_are_read(dates, form):
    pattern = "%Y-%m-%dT%H:%M:%S" if form == "ISO8601" else form
    pads = [date.replace(microsecond=0) for date in dates if date.year >= 1000]
    texts = [date.strftime(pattern) for date in pads]
    expected = [
        (pd.to_datetime(text, format=pattern) - pd.Timestamp("1970-01-01").as_unit("s"))
        / pd.Timedelta(days=1)
        for text in texts
    ]
    np.testing.assert_allclose(cells.as_days(column(*texts), form), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("texts", "form", "days"),
    [
        (["1970-01-02", "1970-01-02T12:00Z"], "ISO8601", [1, 1.5]),
        (["1970-01-02 01:00:00+01:00"], "ISO8601", [1]),
        (["02.01.1970"], "%d.%m.%Y", [1]),
        (["02/01/1970", "03/01/1970"], "%d/%m/%Y", [1, 2]),  # days before months
        (["01/02/1970", "01/13/1970"], "%m/%d/%Y", [1, 12]),
        (["1970/01/01 06:00"], "ISO8601", [0.25]),
        (["01/01/1970 06:00"], "%d/%m/%Y %H:%M", [0.25]),
        (["9999-12-31", "0001-01-01"], "ISO8601", [2932896, -719162]),
    ],
)
def test_the_format_of_dates_is_found(texts, form, days):
    assert cells.date_format(column(*texts)) == (form, 1.0)
    assert cells.as_days(column(*texts), form).tolist() == days


@given(st.text(max_size=12) | st.integers().map(str))
def test_other_text_is_no_date(text):
    (day,) = cells.as_days(column(text), "ISO8601")
    assert np.isnan(day) or max(map(text.count, "-./")) >= 2


def test_the_share_counts_every_row_not_every_text():
    assert cells.number_format(column("1", "1", "1", "x")) == (".", 0.75)
    assert cells.date_format(column("1970-01-02", "x", "x", "y")) == ("ISO8601", 0.25)
    assert cells.date_format(column("x")) == ("ISO8601", 0.0)
