import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3 import tasks
from mnist3.estimators import registry, tabular

KINDS = {"age": "numeric", "height": "numeric", "pen": "categorical", "letter": "ignored"}
TASK = tasks.of_column("yes", ("no", "yes"))


def rows(n=60):
    random = np.random.default_rng(0)
    pens = np.array(["ink"] * (n // 2) + ["lead"] * (n // 2 - 4) + ["wax", "oil", "tar", "mud"])
    frame = pd.DataFrame(
        {
            "age": random.normal(40, 10, n),
            "height": random.normal(170, 8, n),
            "pen": pens.astype(object),
        }
    )
    frame.loc[:9, "age"] = np.nan
    frame.loc[4:5, "pen"] = np.nan
    return frame


def prepared(frame):
    return tabular.create_preparation(KINDS).fit(rows()).transform(frame)


def test_numbers_are_scaled_and_say_where_they_were_missing():
    matrix = prepared(rows())
    assert matrix.shape == (60, 2 + 1 + 3)  # an indicator of age alone; ink, lead and the rare
    np.testing.assert_allclose(matrix[:, :3].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(matrix[:, :3].std(axis=0), 1)
    assert (matrix[:10, 2] > 0).all()
    assert (matrix[10:, 2] < 0).all()


def test_rare_missing_and_unseen_levels_share_a_column():
    new = rows().iloc[[30, 58, 4, 0]].assign(pen=["lead", "mud", np.nan, "chalk"])
    levels = prepared(new)[:, 3:]
    assert levels.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]]


def test_a_frequent_missing_value_is_a_level_of_its_own():
    frame = rows()
    frame.loc[:14, "pen"] = np.nan
    matrix = tabular.create_preparation(KINDS).fit_transform(frame)
    assert matrix.shape[1] == 2 + 1 + 4
    assert matrix[:, 5].tolist() == [1.0] * 15 + [0.0] * 45  # between lead and the rare


def test_new_gaps_and_columns_without_any_value_are_taken():
    new = rows().assign(height=np.nan, age=np.nan)
    new["pen"] = pd.Series(np.nan, index=new.index, dtype=object)
    assert np.isfinite(prepared(new)).all()


@given(
    st.lists(
        st.datetimes(pd.Timestamp(1700, 1, 1), pd.Timestamp(2200, 1, 1)) | st.none(), min_size=1
    )
)
def test_the_parts_of_dates_are_those_of_the_calendar(dates):
    known = [date or pd.NaT for date in dates]
    start = pd.Timestamp(1970, 1, 1)
    days = pd.DataFrame({"when": [(date - start) / pd.Timedelta(days=1) for date in known]})
    expected = [
        (days["when"][row], date.month, date.weekday(), date.hour + date.minute / 60)
        if date
        else (np.nan,) * 4
        for row, date in enumerate(dates)
    ]
    np.testing.assert_allclose(tabular.date_parts(days), expected, atol=1 / 50)


def test_dates_are_parts_with_their_gaps_told():
    frame = rows().assign(when=np.where(np.arange(60) < 5, np.nan, 19_000.5 + np.arange(60)))
    kinds = {**KINDS, "when": "date"}
    matrix = tabular.create_preparation(kinds).fit_transform(frame)
    assert matrix.shape == (60, 2 + 1 + (4 + 4) + 3)
    assert np.isfinite(matrix).all()
    np.testing.assert_allclose(matrix[:, 3:11].mean(axis=0), 0, atol=1e-9)
    missing = tabular.create_preparation(kinds).fit(frame).transform(frame.assign(when=np.nan))
    assert np.isfinite(missing).all()


@pytest.mark.parametrize("name", registry.names_of_tables())
def test_every_estimator_has_values_to_search_under_its_own_names(name):
    pipeline = tabular.create(name, KINDS, TASK, {}, seed=0)
    assert tabular.GRIDS[name].keys() <= pipeline.named_steps["estimator"].get_params().keys()
    assert pipeline.named_steps["estimator"].random_state == 0
