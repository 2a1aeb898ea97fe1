"""Experiments by the text that names them."""

import pathlib

import pytest
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import experiments, validation
from mnist3.errors import UserError
from mnist3.jobs import candidates

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def in_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def saved(tmp_path):
    """Returns the config.json of a run of an experiment."""

    def save(text):
        folder = tmp_path / "runs" / "classify-20260102-030405-67"
        folder.mkdir(parents=True)
        file = folder / "config.json"
        file.write_text(configs.to_json(experiments.load(text)))
        return file

    return save


@pytest.mark.parametrize(
    "text",
    [
        "experiments/quickstart.py",
        "experiments/classify.py:learner=random_forest,search=grid",
        "experiments/classify.py:task=denoise",
        "experiments/tabular.py",
        "experiments/compare.py",
    ],
)
def test_the_config_of_a_run_is_that_of_its_experiment(saved, text):
    config = experiments.load(text)
    again = experiments.load(str(saved(text)))
    validation.validate(again)
    assert dict(configs.fields(again)) == dict(configs.fields(config))
    assert configs.to_json(again) == configs.to_json(config)


def test_single_values_change_the_config_of_a_run(saved):
    file = saved("experiments/classify.py:learner=random_forest")
    changes = "--config.seed=3 --config.learner.parameters.max_depth=7 --config.search.method=grid"
    config = experiments.load(
        f"{file} {changes} --config.search.grid.max_features=\"('sqrt', 0.1)\""
    )
    assert (config.seed, config.learner.parameters.max_depth) == (3, 7)
    assert config.search.grid.max_features == ("sqrt", 0.1)
    with pytest.raises(UserError, match=r"did you mean config\.learner\.parameters\.max_depth"):
        experiments.load(f"{file} --config.learner.parameters.max_dept=7")


def test_the_config_of_a_run_can_be_compared(saved):
    file = saved("experiments/classify.py:learner=knn")
    config = configs.comparison()
    config.compare.experiments = (
        str(file),
        f"{file} --config.learner.parameters.n_neighbors=3",
        "experiments/classify.py:learner=decision_tree",
    )
    names = list(candidates.resolve(config))
    assert [name.split()[0] for name in names] == ["knn", "knn", "decision_tree"]
    assert "n_neighbors=3" in names[1]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("experiments/classify.py:learner=knn", "classify"),
        ("runs/classify-20260102-030405-67/config.json", "classify"),
        ("runs/a/config.json", "a"),
    ],
)
def test_a_run_is_called_after_its_experiment(text, name):
    assert experiments.name_of(text) == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "No such file|Is a directory"),
        ("experiments/classify.py surplus", "unexpected 'surplus'"),
        ("'experiments/classify.py", "No closing quotation"),
        ("experiments/classify.py:learner", "unknown variant 'learner'"),
        ("experiments/classify.py --config.seed=x", "which is not of type int"),
    ],
)
def test_what_is_no_experiment_is_refused(text, said):
    with pytest.raises(UserError, match=said):
        experiments.load(text)


def test_the_cause_of_a_failure_is_kept(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def get_config():\n    return {}['foo']\n")
    with pytest.raises(UserError, match=r"mine\.py:2 with KeyError: 'foo'") as raised:
        experiments.load(str(file))
    assert isinstance(raised.value.__cause__, KeyError)


def test_an_experiment_need_not_take_an_argument(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from mnist3.config import numbers\n\ndef get_config():\n    return numbers()\n"
    )
    assert isinstance(experiments.load(str(file)), ConfigDict)
