"""Configs of other versions, and the runs that version 925d6c9 left."""

import csv
import json
import pathlib
import shutil

import pytest
from absl import logging

import mnist3
from mnist3 import config as configs
from mnist3 import upgrade, validation
from mnist3.errors import UserError
from mnist3.jobs import command_line, predict, predict_table, run, workdir
from mnist3.jobs.arguments import Arguments

# Runs of the last version before configs had a kind: numbers, a table, and one digit an image; and
# what it predicted with them for `images` and `rows.csv`. Figures and pages are left out.
OLD = pathlib.Path(__file__).parent / "fixtures" / "runs_of_an_older_version"


@pytest.fixture
def old(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old"


@pytest.fixture(autouse=True)
def logged(caplog):
    logging.use_absl_handler()
    caplog.set_level("INFO", logger="absl")
    return caplog


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def old_config(name, **values):
    config = configs.from_json((OLD / name / "config.json").read_text())
    for field, value in values.items():
        config[field.partition("__")[0]][field.partition("__")[2]] = value
    return config


def test_an_old_network_predicts_what_it_predicted(old, tmp_path):
    folder, output = str(old / "numbers"), tmp_path / "numbers.csv"
    config = workdir.read_config(folder)
    arguments = Arguments(
        mode="predict", workdir=folder, images=str(old / "images"), output=str(output)
    )
    assert predict.run(config, arguments) == 0
    found, expected = rows_of(output), rows_of(OLD / "predicted_numbers.csv")
    assert len(found) == len(expected) == 8
    for now, then in zip(found, expected, strict=True):
        assert now["number"] == then["number"]
        for name in ("confidence", "confidence_1", "confidence_2"):
            assert float(now[name]) == pytest.approx(float(then[name]), abs=2e-5)
        assert now["sure"] == ""
    assert [name for name in found[0] if name != "sure"] == list(expected[0])
    assert [*found[0]][-2:] == ["sure", "error"]


def test_old_parameters_are_those_of_the_moving_average_and_history_is_read(old):
    from mnist3 import learners
    from mnist3.jobs import parts

    folder = str(old / "numbers")
    config = workdir.read_config(folder)
    learned = learners.load(config, parts.task_of(config), folder)
    assert set(learned.params["heads"]) == {"attention", "bias", "kernel"}
    lines = (OLD / "numbers" / "history.jsonl").read_text().splitlines()
    assert learned.history == [json.loads(line) for line in lines]
    metrics = json.loads((OLD / "numbers" / "metrics.json").read_text())
    assert learned.training == metrics["train"]
    assert learned.parameters == metrics["model"]["parameters"]


def test_an_old_table_is_a_pickle_that_takes_a_flag(old, tmp_path):
    folder, output = str(old / "table"), tmp_path / "rows.csv"
    config = workdir.read_config(folder)
    arguments = Arguments(
        mode="predict", workdir=folder, table=str(old / "rows.csv"), output=str(output)
    )
    with pytest.raises(UserError, match=r"pickle of an older version.*--allow_pickle"):
        predict_table.run(config, arguments)
    allowed = Arguments(**(vars(arguments) | {"allow_pickle": True}))
    assert predict_table.run(config, allowed) == 0
    found, expected = rows_of(output), rows_of(OLD / "predicted_rows.csv")
    assert [row["prediction"] for row in found] == [row["prediction"] for row in expected]
    for now, then in zip(found, expected, strict=True):
        assert float(now["probability"]) == pytest.approx(float(then["probability"]), abs=1e-5)


def test_an_old_estimator_of_one_digit_left_no_model(old, tmp_path):
    folder = str(old / "digits")
    config = workdir.read_config(folder)
    assert (config.kind, config.learner.name, config.data.train_limit) == ("digits", "knn", 200)
    arguments = Arguments(
        mode="predict", workdir=folder, images=str(old / "images"), output=str(tmp_path / "a.csv")
    )
    with pytest.raises(UserError, match=r"holds no model.skops"):
        predict.run(config, arguments)


@pytest.mark.parametrize("name", ["numbers", "digits"])
@pytest.mark.parametrize("mode", ["evaluate", "train"])
def test_an_old_run_is_neither_evaluated_nor_continued_on_splits_drawn_anew(old, name, mode):
    folder = old / name
    config = workdir.read_config(str(folder))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"began with other data.*It can still predict"):
        run.run(config, Arguments(mode=mode, workdir=str(folder)))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_old_run_that_was_killed_does_not_say_what_it_began_with(old):
    (old / "numbers" / "metrics.json").unlink()
    config = workdir.read_config(str(old / "numbers"))
    with pytest.raises(UserError, match="does not say which data it began with"):
        run.run(config, Arguments(mode="evaluate", workdir=str(old / "numbers")))


def test_what_a_config_lacks_and_has_too_many_is_named_in_a_line_each(old, logged):
    config = workdir.read_config(str(old / "numbers"))
    assert config.model.attention == 4
    assert config.evaluation.wanted_error == 0.001
    lines = [line for line in logged.messages if "is of another version" in line]
    assert len(lines) == 2
    assert lines[0].endswith(
        "what it lacks has its default: config.augmentation.stroke=0.0, "
        "config.evaluation.wanted_error=0.001, config.model.line_channels=(24, 48, 80, 96), "
        "config.model.line_context=2, "
        "config.seeds=1, config.training.init_from='', config.training.init_skip=(), "
        "config.training.log_steps=50, config.training.segment_seconds=10.0"
    )
    for name in ("config.compare.*", "config.data.shifted_copies", "config.textbook.*"):
        assert name in lines[1]


@pytest.mark.parametrize(
    "config",
    [
        configs.numbers(),
        configs.digits("digits"),
        configs.digits("digits", "knn"),
        configs.table(),
        configs.comparison(),
    ],
)
def test_a_config_of_this_version_stays_as_it_is(config):
    upgraded = upgrade.upgrade(configs.from_json(configs.to_json(config)))
    assert upgraded == (config, (), ())


def test_a_config_of_a_later_version_keeps_what_is_known(logged):
    config = configs.digits("digits", "knn")
    config.learner.parameters.n_neighbors = 3
    held = configs.from_json(configs.to_json(config))
    held.training = configs.ConfigDict({"teacher": "", "students": 2})
    held.data.tint = 3
    del held.data.val_fraction
    found = upgrade.from_json(configs.to_json(held), "later.json")
    assert found == config
    assert [line for line in logged.messages if line.startswith("later.json")] == [
        "later.json is of another version of mnist3; what it lacks has its default: "
        "config.data.val_fraction=0.1",
        "later.json is of another version of mnist3; what is not read any more: "
        "config.data.tint, config.training.*",
    ]


def test_an_unknown_kind_is_refused_where_configs_are_checked():
    held = configs.from_json('{"kind": "speech"}')
    with pytest.raises(UserError, match=r"config.kind is 'speech'"):
        validation.validate(upgrade.upgrade(held).config)


@pytest.mark.parametrize("text", ["[]", "3", "{"])
def test_what_is_no_config_is_told_so(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match="no config in JSON"):
        workdir.read_config(str(tmp_path))


def test_the_old_network_of_one_digit_had_its_settings_with_the_estimators():
    held = old_config("digits")
    held.estimator = configs.ConfigDict(
        {
            "name": "flax",
            "scale": False,
            "parameters": {
                "model": "auto",
                "channels": (8, 16),
                "glances": 2,
                "optimizer": "sgd",
                "learning_rate": 0.1,
                "epochs": "auto",
                "ema_decay": 0.5,
                "noise": 0.25,
                "hidden": None,
                "random_state": 3,
            },
        }
    )
    config = upgrade.upgrade(held).config
    validation.validate(config)
    assert (config.kind, config.learner.name, config.seed) == ("digits", "network", 3)
    assert (config.model.name, config.model.channels, config.model.attention) == ("cnn", (8, 16), 2)
    assert (config.optimizer.name, config.optimizer.learning_rate) == ("sgd", 0.1)
    assert (config.training.epochs, config.training.ema_decay) == (0, 0.5)
    assert config.training.batch_size == 128
    assert config.augmentation.noise == 0.25
    held.estimator.parameters = {"model": "mlp", "epochs": 4}
    config = upgrade.upgrade(held).config
    assert (config.model.name, config.model.hidden, config.training.epochs) == ("mlp", (128,), 4)
    held.task.name = "denoise"
    held.estimator.parameters = {}
    config = upgrade.upgrade(held).config
    validation.validate(config)
    assert (config.model.name, config.model.channels) == ("denoiser", (32,))


def test_an_old_table_names_its_learners_and_their_parameters():
    held = old_config("table", tabular__estimators=("decision_tree", "flax"))
    held.estimator.parameters = {"dropout": 0.2}
    config = upgrade.upgrade(held).config
    validation.validate(config)
    assert config.kind == "table"
    assert config.compare.learners == ("decision_tree", "network")
    assert (config.model.name, config.model.dropout) == ("mlp", 0.2)
    assert (config.data.path, config.data.target) == ("fruit.csv", "kind")


def test_an_old_comparison_names_its_experiments_in_todays_words():
    texts = (
        "experiments/classify.py:task=binary,estimator=flax,digit=5",
        "experiments/classify.py:estimator=svc --config.estimator.parameters.C=2.0",
        "experiments/classify.py:estimator=sgd --config.estimator.parameters.random_state=1",
        "experiments/quickstart.py --config.model.glances=2",
    )
    held = old_config("numbers", compare__experiments=texts, search__folds=4)
    config = upgrade.upgrade(held).config
    validation.validate(config)
    assert (config.kind, config.compare.folds) == ("comparison", 4)
    assert config.compare.experiments == (
        "experiments/classify.py:task=binary,learner=network,digit=5",
        "experiments/classify.py:learner=svc --config.learner.parameters.C=2.0",
        "experiments/classify.py:learner=sgd --config.seed=1",
        "experiments/quickstart.py --config.model.attention=2",
    )


def test_each_call_that_reads_an_old_run_is_told_once(old, logged):
    folder = str(old / "numbers")
    for _ in range(2):
        logged.clear()
        mnist3.load(folder)
        told = [line for line in logged.messages if "of another version of mnist3" in line]
        assert told and len(told) == len(set(told))


def test_the_command_that_predicts_with_an_old_run_is_told_once(old, tmp_path, logged):
    command_line.run(
        [
            "mnist3",
            "--mode=predict",
            f"--workdir={old / 'numbers'}",
            f"--images={old / 'images'}",
            f"--output={tmp_path / 'out.csv'}",
        ]
    )
    told = [line for line in logged.messages if "of another version of mnist3" in line]
    assert told and len(told) == len(set(told))


def test_the_old_study_of_the_textbook_is_a_program_of_its_own():
    held = old_config("numbers", textbook__parts=("binary",))
    with pytest.raises(UserError, match=r"python -m experiments.textbook"):
        upgrade.from_json(configs.to_json(held), "a/config.json")


def test_the_winner_of_an_old_comparison_is_found(old, tmp_path):
    folder = tmp_path / "comparison"
    (folder / "candidates").mkdir(parents=True)
    shutil.move(old / "numbers", folder / "candidates" / "1-multihead")
    held = old_config("numbers", compare__experiments=("experiments/quickstart.py",))
    (folder / "config.json").write_text(configs.to_json(held))
    (folder / "comparison.json").write_text(json.dumps({"winner": "multihead"}))
    winner = {"workdir": "elsewhere/comparison/candidates/1-multihead"}
    metrics = {"estimators": {"multihead": winner}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    found, config = workdir.chosen(str(folder))
    assert found == str(folder / "candidates" / "1-multihead")
    assert config.kind == "numbers"
    del winner["workdir"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError, match="did not keep the model it chose"):
        workdir.chosen(str(folder))
