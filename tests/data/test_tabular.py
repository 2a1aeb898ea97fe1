import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict

from mnist3.data import letters, tabular
from mnist3.errors import UserError

MISSING = st.sampled_from(tabular.MISSING)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.integers().map(str)
WORDS = st.text("abcxyz-/0123456789", min_size=1, max_size=6).filter(
    lambda word: word not in tabular.MISSING
)


def cells(**columns):
    return pd.DataFrame(columns, dtype=str)


def people(n=40):
    """A table with a number, a category and a target, which some rows lack."""
    return cells(
        age=[str(20 + row) for row in range(n)],
        town=["Rome", "Oslo"] * (n // 2),
        answer=["no", "no", "yes", "yes"] * (n // 4),
    )


@given(st.lists(NUMBERS.filter(lambda text: abs(float(text)) < 1e300), min_size=1), st.data())
def test_numbers_with_gaps_are_numeric_and_keep_their_values(values, data):
    gaps = data.draw(st.lists(st.tuples(st.integers(0, len(values)), MISSING)))
    expected = [float(value) for value in values]
    for place, missing in gaps:
        values.insert(place, missing)
        expected.insert(place, np.nan)
    marked = tabular.mark_missing(cells(a=values))
    assert tabular.infer_kinds(marked) == {"a": "numeric"}
    features = tabular.as_features(marked, {"a": "numeric"}, "table")
    np.testing.assert_allclose(features["a"].to_numpy(), expected, rtol=1e-15)


@given(st.lists(WORDS | MISSING, min_size=1))
def test_words_keep_their_text_and_gaps_are_missing(values):
    column = cells(a=[*values, "word", "word"])
    marked = tabular.mark_missing(column)
    assert tabular.infer_kinds(marked) == {"a": "categorical"}
    features = tabular.as_features(marked, {"a": "categorical"}, "table")
    is_gap = column["a"].isin(tabular.MISSING)
    assert features["a"].isna().tolist() == is_gap.tolist()
    assert features["a"][~is_gap].tolist() == column["a"][~is_gap].tolist()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2.5", "-3e2"], "numeric"),
        (["1", "inf", "1"], "categorical"),
        (["L1", "L2", "L3"], "ignored"),
        (["?", "", "NA"], "ignored"),
        (["True", "False", "True"], "categorical"),
    ],
)
def test_the_kind_of_a_column(values, kind):
    assert tabular.infer_kinds(tabular.mark_missing(cells(a=values))) == {"a": kind}


def test_a_table_of_a_file_with_kinds_overridden(tmp_path):
    path = tmp_path / "people.csv"
    people().assign(code=["01", "2"] * 20).to_csv(path, index=False)
    config = ConfigDict({"path": str(path), "target": "answer", "columns": "code:categorical"})
    table = tabular.load(config)
    assert table.name == "people.csv"
    assert table.kinds == {"age": "numeric", "town": "categorical", "code": "categorical"}
    assert table.features["code"].tolist() == ["01", "2"] * 20
    assert table.classes == ("no", "yes")
    assert np.bincount(table.labels).tolist() == [20, 20]


def test_ignored_columns_are_no_features():
    table = tabular.make_table(people(), "answer", "age:ignored")
    assert list(table.features.columns) == ["town"]


def test_a_column_with_a_comma_in_its_name_is_quoted():
    kinds = tabular.parse_columns('"height, cm:numeric",b:ignored', ["height, cm", "b"])
    assert kinds == {"height, cm": "numeric", "b": "ignored"}


def test_rows_without_a_label_are_left_out_and_the_others_keep_their_number():
    frame = people()
    frame.loc[3, "answer"], frame.loc[5, "answer"] = "?", ""
    table = tabular.make_table(frame, "answer")
    assert table.unlabelled == 2
    assert len(table.labels) == len(table.features) == 38
    assert table.features.index[3] == 4


def test_classes_that_are_numbers_stand_in_their_order():
    frame = people().assign(answer=["10", "9", "100", "9"] * 10)
    assert tabular.make_table(frame, "answer").classes == ("9", "10", "100")


@pytest.mark.parametrize(
    ("changed", "target", "columns", "said"),
    [
        ({}, "anser", "", "did you mean config.data.target='answer'"),
        ({}, "", "", "needs config.data.target"),
        ({"answer": ["no"] * 40}, "answer", "", "one class only, 'no'"),
        ({"answer": ["?"] * 40}, "answer", "", "no label"),
        ({}, "answer", "agee:numeric", "did you mean 'age'"),
        ({}, "answer", "age", "did you mean 'age'"),
        ({}, "answer", "age:number", "did you mean 'numeric'"),
        ({}, "answer", "town:numeric", "row 1 of table has 'Rome' in the numeric column town"),
        ({}, "answer", "age:ignored,town:ignored", "no column to learn answer from"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_refused(changed, target, columns, said):
    with pytest.raises(UserError, match=said):
        tabular.make_table(people().assign(**changed), target, columns)


def test_columns_that_a_table_lacks_are_named():
    marked = tabular.mark_missing(people().rename(columns={"town": "city"}))
    kinds = {"age": "numeric", "town": "categorical", "letter": "ignored"}
    with pytest.raises(UserError, match=r"new\.csv lacks the column town; add it"):
        tabular.as_features(marked, kinds, "new.csv")


def test_splits_share_no_row_and_follow_the_seed():
    table = tabular.make_table(people(100), "answer")
    rows = tabular.split_rows(table, seed=0, folds=3)
    assert sorted(np.concatenate([*rows.values()])) == list(range(100))
    assert np.bincount(table.labels[rows["test"]]).tolist() == [10, 10]
    again = tabular.split_rows(table, seed=0, folds=3)
    other = tabular.split_rows(table, seed=1, folds=3)
    assert (rows["test"] == again["test"]).all()
    assert (rows["test"] != other["test"]).any()


def test_a_class_with_too_few_rows_is_named():
    frame = people().assign(answer=["a"] * 31 + ["b"] * 9)
    table = tabular.make_table(frame, "answer")
    with pytest.raises(UserError, match=r"'b' has too few rows \(9, at least 10"):
        tabular.split_rows(table, seed=0, folds=3)


def test_the_embedded_table_is_always_the_same_and_has_every_trouble():
    table = tabular.load(ConfigDict({"path": "", "target": "", "columns": ""}))
    pd.testing.assert_frame_equal(letters.table(), letters.table())
    assert table.fingerprint == tabular.make_table(letters.table(), "reader").fingerprint
    assert set(table.kinds.values()) == set(tabular.KINDS)
    raw = letters.table()
    assert all((raw == spelling).any().any() for spelling in ("?", "", "NA", "NaN"))
    assert table.features.isna().any().any()
    assert table.features["pen"].value_counts().min() < 30
    assert len(table.classes) == 2


def test_every_column_is_described():
    table = tabular.load(ConfigDict({"path": "", "target": "", "columns": ""}))
    lines = tabular.describe_columns(table).splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(table.kinds)
    assert "12 levels: DE, FR, IT, ES, ..." in tabular.describe_columns(table)
