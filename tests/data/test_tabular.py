import shlex

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict

from mnist3.data import columns, letters, tabular
from mnist3.errors import UserError

MISSING = st.sampled_from(columns.MISSING)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.integers().map(str)
WORDS = st.text("abcxyz-/0123456789", min_size=1, max_size=6).filter(
    lambda word: word not in columns.MISSING
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


@given(st.lists(NUMBERS.filter(lambda text: abs(float(text)) < 1e38), min_size=1), st.data())
def test_numbers_with_gaps_are_numeric_and_keep_their_values(values, data):
    gaps = data.draw(st.lists(st.tuples(st.integers(0, len(values)), MISSING)))
    expected = [float(value) for value in values]
    for place, missing in gaps:
        values.insert(place, missing)
        expected.insert(place, np.nan)
    values, expected = [*values, "1.5", "2"], [*expected, 1.5, 2]
    marked = columns.mark_missing(cells(a=values))
    assert columns.infer(marked["a"]) == ("numeric", ".", "")
    features, notes = columns.as_features(marked, {"a": "numeric"}, {"a": "."}, "table")
    assert notes == ()
    np.testing.assert_allclose(features["a"].to_numpy(), expected, rtol=1e-15)


@given(st.lists(WORDS | MISSING, min_size=1))
def test_words_keep_their_text_and_gaps_are_missing(values):
    column = cells(a=values + ["word", "text"] * (1 + len(values)))
    marked = columns.mark_missing(column)
    assert columns.infer(marked["a"]).kind == "categorical"
    features, _ = columns.as_features(marked, {"a": "categorical"}, {}, "table")
    is_gap = column["a"].isin(columns.MISSING)
    assert features["a"].isna().tolist() == is_gap.tolist()
    assert features["a"][~is_gap].tolist() == column["a"][~is_gap].tolist()


@pytest.mark.parametrize(
    ("values", "kind", "form"),
    [
        (["1", "2.5", "-3e2"], "numeric", "."),
        (["1", "inf", "2"], "numeric", "."),
        (["1", "unknown", "2", "unknown", "3"], "numeric", "."),  # a mark of what is missing
        (["1", "2", "2", "a", "b"], "categorical", ""),
        (["1", "2", "x", "x"], "categorical", ""),
        (["1,5", "2", "3,25"], "numeric", ","),
        (["1,234.5", "2"], "numeric", ".,"),
        (["L1", "L2", "L3"], "ignored", ""),
        (["?", "", "NA", "n/a"], "ignored", ""),
        (["5", "5", "5"], "ignored", ""),
        (["5", "5", "?"], "numeric", "."),  # where it is missing may say something
        (["True", "False", "True"], "categorical", ""),
        (["2024-01-31", "2024-02-01 10:00"], "date", "ISO8601"),
        (["31.1.2024", "1.2.2024", "soon"], "date", "%d.%m.%Y"),
        ([str(row) for row in range(1, 41)], "ignored", ""),
        ([str(row * 7 % 40) for row in range(40)], "ignored", ""),
        ([str(row + 20) for row in range(40)], "numeric", "."),
    ],
)
def test_the_kind_of_a_column(values, kind, form):
    found = columns.infer(columns.mark_missing(cells(a=values))["a"])
    assert found[:2] == (kind, form)
    assert bool(found.note) == (kind == "ignored")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("id", "ignored"), ("customer_id", "ignored"), ("rowId", "ignored"), ("paid", "numeric")],
)
def test_a_key_is_known_by_its_name(name, kind):
    values = pd.Series([str(1_000 + 3 * row) for row in range(40)], dtype=object, name=name)
    assert columns.infer(values).kind == kind
    assert columns.infer(values.replace("1003", "1000")).kind == "numeric"


@pytest.mark.parametrize("bad", ["n/a", "-", "inf", "1e400", "many", "?"])
def test_one_bad_cell_leaves_a_column_of_numbers_and_is_named(bad):
    ages = [str(20 + row % 60) for row in range(400)]
    table = tabular.make_table(people(400).assign(age=[*ages[:16], bad, *ages[17:]]), "answer")
    assert table.kinds["age"] == "numeric"
    assert np.flatnonzero(table.features["age"].isna()).tolist() == [16]
    said = f"1 cell of age is no number and counts as missing, the first {bad!r} in row 17."
    assert table.notes == (() if bad in columns.MISSING else (said,))


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("{:,.2f}", "age is read as numbers written like 1,234.5."),
        ("{:.2f}", None),
    ],
)
def test_how_numbers_are_written_is_said_and_learned(form, said):
    values = np.linspace(900, 1_200, 40)
    frame = people().assign(age=[form.format(value) for value in values])
    table = tabular.make_table(frame, "answer")
    np.testing.assert_allclose(table.features["age"], values, atol=0.005)
    assert table.notes == (() if said is None else (said,))
    swiss = people().assign(age=[form.format(value).replace(",", "'") for value in values])
    assert tabular.make_table(swiss, "answer").features["age"].notna().all()


def test_new_rows_are_read_as_training_was_whatever_they_look_like():
    frame = people().assign(age=[f"{1000 + row / 7:.3f}".replace(".", ",") for row in range(40)])
    table = tabular.make_table(frame, "answer")
    assert table.formats == {"age": ","}
    new = columns.mark_missing(cells(age=["1,234", "7", "many"], town=["Rome", "Bonn", "?"]))
    features, notes = columns.as_features(new, table.kinds, table.formats, "new.csv")
    np.testing.assert_array_equal(features["age"], [1.234, 7, np.nan])
    assert notes == (
        "1 cell of age is no number and counts as missing, the first 'many' in row 3.",
    )


def test_new_rows_that_are_mostly_unreadable_are_refused():
    table = tabular.make_table(people(), "answer")
    new = columns.mark_missing(people().assign(age=["1,5"] * 40))
    with pytest.raises(UserError, match=r"numeric column age .* like 1234.5, the first '1,5'"):
        columns.as_features(new, table.kinds, table.formats, "new.csv")


def test_dates_are_days_and_say_how_they_are_read():
    frame = people().assign(when=[f"{1 + row % 28:02d}/02/1970" for row in range(40)])
    table = tabular.make_table(frame, "answer")
    assert table.kinds["when"] == "date"
    assert table.features["when"].tolist() == [31 + row % 28 for row in range(40)]
    assert table.notes == ("when is read as dates written as day, month, year.",)
    assert "when  date               0  1970-02-01 to 1970-02-28" in tabular.describe_columns(table)


def test_every_column_that_is_not_learned_from_is_named():
    frame = people().assign(
        number=[str(row) for row in range(40)],
        code=[f"c{row}" for row in range(40)],
        blank="",
        same="x",
        left="1",
    )
    frame.loc[::2, "left"] = "2"
    frame.loc[3, "answer"] = ""  # the row numbers are those of all rows
    table = tabular.make_table(frame, "answer", "left:ignored")
    assert table.notes == (
        "number is ignored: it probably numbers the rows, since it holds every number from 0 to 39 "
        "once; learn from it with --config.data.columns=number:numeric.",
        "code is ignored: its values are texts that occur once each, so it names the row.",
        "blank is ignored: it has no value in any row.",
        "same is ignored: it is 'x' in every row.",
        "left is ignored: config.data.columns says so.",
    )
    assert list(table.features.columns) == ["age", "town"]
    assert table.describe()["notes"] == list(table.notes)
    assert tabular.make_table(frame, "answer", "number:numeric").kinds["number"] == "numeric"


def test_texts_that_nearly_name_the_row_are_named():
    frame = people().assign(street=[f"street {row // 3 * 2}{row % 2}" for row in range(40)])
    (said,) = tabular.make_table(frame, "answer").notes
    assert said.startswith("street has ") and "--config.data.columns=street:ignored" in said


@given(st.text("ab ,\"':", min_size=1).map(str.strip).filter(bool), st.sampled_from(columns.KINDS))
def test_a_kind_can_be_given_to_a_column_of_any_name(name, kind):
    (argument,) = shlex.split(columns.override_text(name, kind))
    text = argument.removeprefix("--config.data.columns=")
    assert columns.parse_columns(text, [name]) == {name: kind}


def test_a_target_of_many_numbers_is_called_a_regression():
    prices = [f"{100_000 + 37 * row:,}" for row in range(300)]
    with pytest.raises(UserError, match=r"holds 300 different numbers, a quantity: .* regression"):
        tabular.make_table(people(300).assign(price=prices), "price")
    heights = [f"1,{row % 150:03d}5" for row in range(300)]
    with pytest.raises(UserError, match="holds 150 different numbers"):
        tabular.make_table(people(300).assign(height=heights), "height")
    rare = [str(row % 40) for row in range(300)]  # numbered classes, which `split_rows` judges
    assert len(tabular.make_table(people(300).assign(rare=rare), "rare").classes) == 40
    years = [str(row % 25) for row in range(300)]  # twelve rows each
    assert len(tabular.make_table(people(300).assign(year=years), "year").classes) == 25


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
    kinds = columns.parse_columns('"height, cm:numeric",b:ignored', ["height, cm", "b"])
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
        (
            {},
            "answer",
            "town:numeric",
            "40 of the 40 values of the numeric column town of table .*'Rome' in row 1",
        ),
        ({}, "answer", "age:ignored,town:ignored", "no column to learn answer from"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_refused(changed, target, columns, said):
    with pytest.raises(UserError, match=said):
        tabular.make_table(people().assign(**changed), target, columns)


def test_a_table_of_the_target_alone_is_refused():
    with pytest.raises(UserError, match="no column to learn answer from"):
        tabular.make_table(people()[["answer"]], "answer", "age:numeric")
    numbered = people()[["answer"]].assign(row=[str(row) for row in range(40)])
    with pytest.raises(UserError, match="row is ignored: it probably numbers the rows"):
        tabular.make_table(numbered, "answer")


def test_columns_that_a_table_lacks_are_named():
    marked = columns.mark_missing(people().rename(columns={"town": "city"}))
    kinds = {"age": "numeric", "town": "categorical", "letter": "ignored"}
    with pytest.raises(UserError, match=r"new\.csv lacks the column town; add it"):
        columns.as_features(marked, kinds, {}, "new.csv")


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
    assert set(table.kinds.values()) == {*columns.KINDS} - {"date"}
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
