import csv
import html
import json
import pathlib
import runpy

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from mnist3 import config as configs
from mnist3 import validation
from mnist3.data.table_files import read_table
from mnist3.errors import UserError
from mnist3.files import MODEL_FILE
from mnist3.jobs import compare as job
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.predict_table import predict_table
from mnist3.learners.estimator import OLD_MODEL_FILE
from mnist3.learners.saved import load_estimator

ROOT = pathlib.Path(__file__).parent.parent.parent


def animals(n=180):
    """Weight and cover decide the class but for a few; 'zoo' has levels that occur once."""
    random = np.random.default_rng(0)
    kind = random.integers(0, 3, n)
    weight = 10.0 * (kind == 2) + random.normal(5, 1, n)
    cover = np.where(kind == 0, "feathers", "fur")
    cover[random.random(n) < 0.05] = "?"
    return pd.DataFrame(
        {
            "weight, kg": [f"{w:.2f}" if random.random() < 0.95 else "NA" for w in weight],
            "cover": cover,
            "zoo": [f"zoo {row}" if row % 9 == 0 else "home" for row in range(n)],
            "animal": np.array(["bird", "cat", "tiger"])[kind],
        }
    )


def config_of(path, target="animal", **changes):
    config = configs.table()
    config.data.path = str(path)
    config.data.target = target
    config.compare.learners = ("decision_tree", "logistic_regression")
    config.search.method = "grid"
    config.wandb.mode = "disabled"
    config.update_from_flattened_dict(changes)
    validation.validate(config)
    return config


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNIST3_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    animals().to_csv(folder / "animals.csv", index=False)
    config = config_of(folder / "animals.csv")
    assert job.run(config, Arguments(workdir=str(folder / "run"))) == 0
    return folder / "run"


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_its_files_and_reads_the_animals(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["dataset"]["name"] == "animals.csv"
    assert metrics["dataset"]["columns"] == {
        "weight, kg": "numeric",
        "cover": "categorical",
        "zoo": "categorical",
    }
    assert metrics["model"]["name"] in metrics["candidates"]
    assert metrics["test"]["n"] == 36
    low, high = metrics["test"]["accuracy_ci95"]
    assert 0.85 <= metrics["test"]["accuracy"] <= high
    assert low < metrics["test"]["accuracy"]
    figures = {path.stem for path in finished.glob("figures/*.png")}
    assert figures == {"comparison", "confusion", "roc", "importance", "class_balance", "search"}
    assert (finished / "report.html").read_text().count("data:image/png") == len(figures)


def test_census_income_is_read_as_well_as_promised(data_dir, tmp_path):
    path = pathlib.Path(data_dir) / "adult" / "adult.csv"
    if not path.exists():
        pytest.skip("put the census table into MNIST3_DATA_DIR as adult/adult.csv to run this")
    config = config_of(path, "income", **{"search.method": "none", "search.folds": 2})
    config.compare.learners = ("gradient_boosting",)
    assert job.run(config, Arguments(workdir=str(tmp_path / "run"), figures="none")) == 0
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["test"]["accuracy"] >= 0.865


def test_settings_that_a_network_of_tables_does_not_take_are_refused(tmp_path):
    animals().to_csv(tmp_path / "animals.csv", index=False)
    config = config_of(tmp_path / "animals.csv", **{"training.patience": 3})
    config.compare.learners = ("decision_tree", "network")
    with pytest.raises(UserError, match=r"config\.training\.patience is 3, .*; leave it at 0"):
        job.run(config, Arguments(workdir=str(tmp_path / "run")))
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_the_winner_is_the_best_of_the_cross_validation(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    lines = metrics["candidates"]
    best = max(line["chosen_by"]["accuracy"] for line in lines.values())
    winner = lines[metrics["model"]["name"]]
    assert winner["chosen_by"]["accuracy"] == best
    assert winner["chosen_by"]["behind"] == 0
    assert winner["test"] == metrics["test"]
    assert winner["parameters"].keys() == metrics["model"]["parameters"].keys() != set()


def test_what_decides_is_important_and_what_does_not_is_not(finished):
    importance = json.loads((finished / "metrics.json").read_text())["importance"]
    assert importance["cover"]["mean"] > 0.2
    assert importance["weight, kg"]["mean"] > 0.2
    assert abs(importance["zoo"]["mean"]) < 0.1


def test_predictions_of_test_say_which_row_of_the_file_they_are_of(finished):
    table = animals()
    rows = rows_of(finished / "predictions_test.csv")
    assert [row["label"] for row in rows] == [table["animal"][int(row["index"])] for row in rows]
    right = np.mean([row["label"] == row["prediction"] for row in rows])
    assert right == json.loads((finished / "metrics.json").read_text())["test"]["accuracy"]
    for row in rows:
        assert float(row["confidence"]) == float(row[f"probability_{row['prediction']}"])


def test_predict_keeps_the_rows_and_takes_unseen_levels_and_gaps(finished, tmp_path):
    table = pd.DataFrame(
        {
            "name": ["Tweety", "Tom, the 1st", "?"],
            "zoo": ["San Diego", "home", ""],
            "cover": ["feathers", "fur", "fur"],
            "weight, kg": ["4.9", "5", "15.3"],
        }
    )
    table.to_csv(tmp_path / "new.csv", index=False)
    table.to_parquet(tmp_path / "new.parquet")
    for name in ("new.csv", "new.parquet"):
        output = tmp_path / f"{name}.predicted.csv"
        assert predict_table(str(finished), str(tmp_path / name), str(output)) == 3
        written = read_table(output)
        pd.testing.assert_frame_equal(written[table.columns], read_table(tmp_path / name))
        assert written["prediction"].tolist() == ["bird", "cat", "tiger"]
        assert (written["probability"].astype(float) > 0.5).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cover,zoo\nfur,home\n", "lacks the column weight, kg"),
        ("wieght\n1\n", "lacks the columns weight, kg, cover, zoo"),
        ('"weight, kg",cover,zoo\n' + '"4,5",fur,home\n' * 12, "like 1234.5, the first '4,5'"),
        ('"weight, kg",cover,zoo,prediction\n1,fur,home,2\n', "has a column prediction already"),
        ("", "is empty"),
    ],
)
def test_a_table_that_cannot_be_predicted_is_refused(finished, tmp_path, text, said):
    (tmp_path / "new.csv").write_text(text)
    output = tmp_path / "out.csv"
    with pytest.raises(UserError, match=said):
        predict_table(str(finished), str(tmp_path / "new.csv"), str(output))
    assert not output.exists()


def test_a_folder_without_a_model_and_a_damaged_one_are_named(tmp_path):
    (tmp_path / "new.csv").write_text("a\n1\n")
    arguments = (str(tmp_path), str(tmp_path / "new.csv"), str(tmp_path / "out.csv"))
    with pytest.raises(UserError, match=r"holds no model\.skops"):
        predict_table(*arguments)
    (tmp_path / MODEL_FILE).write_bytes(b"not a model")
    with pytest.raises(UserError, match="cannot be read"):
        predict_table(*arguments)


def test_the_model_of_an_older_run_is_read_if_that_is_allowed(finished, tmp_path):
    model = load_estimator(finished / MODEL_FILE)
    del model["formats"]
    joblib.dump(model, tmp_path / OLD_MODEL_FILE, compress=3)
    (tmp_path / "new.csv").write_text('"weight, kg",cover,zoo\n15,fur,home\nheavy,feathers,home\n')
    arguments = (str(tmp_path), str(tmp_path / "new.csv"), str(tmp_path / "out.csv"))
    with pytest.raises(UserError, match="runs any code"):
        predict_table(*arguments)
    assert predict_table(*arguments, allow_pickle=True) == 2
    assert read_table(tmp_path / "out.csv")["prediction"].tolist() == ["tiger", "bird"]


def test_cells_of_new_rows_that_are_no_numbers_are_named(finished, tmp_path, caplog):
    (tmp_path / "new.csv").write_text('"weight, kg",cover,zoo\nheavy,feathers,home\n')
    output = tmp_path / "out.csv"
    assert predict_table(str(finished), str(tmp_path / "new.csv"), str(output)) == 1
    assert "1 cell of weight, kg is no number and counts as missing" in caplog.text
    assert read_table(output)["prediction"].tolist() == ["bird"]


# Every cell of a column of numbers, or one of 400, as people and machines spoil them.
SPOILT = {
    **{text: (lambda cells, text=text: [text, *cells[1:]]) for text in ("n/a", "-", "inf")},
    "1e400": lambda cells: ["1e400", *cells[1:]],
    "one thousand": lambda cells: ["1,234.5", *cells[1:]],
    "decimal commas": lambda cells: [cell.replace(".", ",") for cell in cells],
    "all thousands": lambda cells: [f"{1000 * float(cell):,.1f}" for cell in cells],
}


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_cells_cost_no_accuracy(name, tmp_path):
    random = np.random.default_rng(0)
    numbers = random.uniform(1, 99, 400)
    table = pd.DataFrame(
        {
            "x": SPOILT[name]([f"{number:.3f}" for number in numbers]),
            "noise": random.integers(0, 9, 400).astype(str),
            "answer": np.where(numbers > 50, "high", "low"),
        }
    )
    table.to_csv(tmp_path / "table.csv", index=False)
    changes = {"search.method": "none", "search.folds": 2}
    config = config_of(tmp_path / "table.csv", "answer", **changes)
    config.compare.learners = ("decision_tree",)
    assert job.run(config, Arguments(workdir=str(tmp_path / "run"), figures="none")) == 0
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["dataset"]["columns"]["x"] == "numeric"
    assert metrics["test"]["accuracy"] >= 0.95
    notes = metrics["dataset"]["notes"]
    assert bool(notes) == (name != "n/a")
    page = html.unescape((tmp_path / "run/report.html").read_text())
    assert all(note in page for note in notes)


def test_dates_are_learned_from(tmp_path):
    random = np.random.default_rng(0)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 1500, 400), "D")
    table = pd.DataFrame(
        {
            "when": days.strftime("%d.%m.%Y"),
            "answer": np.where(days.day_of_week >= 5, "weekend", "work"),
        }
    )
    table.to_csv(tmp_path / "table.csv", index=False)
    config = config_of(tmp_path / "table.csv", "answer", **{"search.method": "none"})
    config.compare.learners = ("decision_tree",)
    assert job.run(config, Arguments(workdir=str(tmp_path / "run"), figures="none")) == 0
    assert json.loads((tmp_path / "run/metrics.json").read_text())["test"]["accuracy"] > 0.95
    (tmp_path / "new.csv").write_text("when\n26.12.2026\n28.12.2026\nsoon\n")
    predict_table(str(tmp_path / "run"), str(tmp_path / "new.csv"), str(tmp_path / "out.csv"))
    assert read_table(tmp_path / "out.csv")["prediction"].tolist()[:2] == ["weekend", "work"]


def test_bad_data_leave_no_workdir(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,x\n2,x\n")
    config = config_of(tmp_path / "table.csv", target="b")
    with pytest.raises(UserError, match="one class only"):
        job.run(config, Arguments(workdir=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_two_classes_without_a_search_and_rows_without_a_label(tmp_path, caplog):
    table = animals(80)
    table["animal"] = table["animal"].replace({"tiger": "?"})
    table.to_csv(tmp_path / "animals.csv", index=False)
    changes = {"search.method": "none", "compare.learners": ("decision_tree",)}
    config = config_of(tmp_path / "animals.csv", **changes)
    job.run(config, Arguments(workdir=str(tmp_path / "run"), figures="none"))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    tigers = int((table["animal"] == "?").sum())
    assert metrics["dataset"]["unlabelled"] == tigers
    assert f"left out {tigers} rows whose animal is missing" in caplog.text
    assert metrics["dataset"]["classes"] == ["bird", "cat"]
    assert metrics["model"] == {"name": "decision_tree", "parameters": {}}
    assert metrics["test"]["f1"] > 0.8


def test_the_same_run_gives_the_same_bytes(finished, tmp_path):
    config = configs.from_json((finished / "config.json").read_text())
    job.run(config, Arguments(workdir=str(tmp_path / "run"), figures="none"))
    for name in ("predictions_test.csv", MODEL_FILE):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()


def test_an_interrupted_study_fits_nothing_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path / "cache"))
    config = runpy.run_path(str(ROOT / "experiments" / "tabular.py"))["get_config"]()
    config.compare.learners = ("decision_tree", "logistic_regression")
    config.search.folds = 2
    config.wandb.mode = "disabled"
    fits, interrupted_at = [], [15]
    for kind in (DecisionTreeClassifier, LogisticRegression):

        def counted(self, *data, plain=kind.fit, **options):
            if len(fits) in interrupted_at:
                raise KeyboardInterrupt
            fitted = plain(self, *data, **options)
            fits.append(joblib.hash((type(self).__name__, self.get_params(), data)))
            return fitted

        monkeypatch.setattr(kind, "fit", counted)
    arguments = Arguments(workdir=str(tmp_path / "run"), figures="none")
    with pytest.raises(KeyboardInterrupt):
        job.run(config, arguments)
    assert not (tmp_path / "run" / "metrics.json").exists()
    interrupted_at.clear()
    assert job.run(config, arguments) == 0
    assert (tmp_path / "run" / "metrics.json").exists()
    # Six combinations for the tree and three for the regression, then each is fitted to train.
    # The chosen one is fitted once more to be saved where its predictions came from the cache.
    assert len({*fits}) == (6 + 3) * 2 + 2
    assert len(fits) - len({*fits}) <= 1


def test_the_experiment_takes_all_estimators_or_one():
    get_config = runpy.run_path(str(ROOT / "experiments" / "tabular.py"))["get_config"]
    assert get_config().compare.learners == configs.table().compare.learners
    one = get_config("learner=random_forest")
    validation.validate(one)
    assert one.compare.learners == ("random_forest",)
