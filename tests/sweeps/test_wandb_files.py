"""W&B's sweep files as sweeps."""

import math
import pathlib
import tempfile

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist3 import config as configs
from mnist3 import experiments
from mnist3.errors import UserError
from mnist3.sweeps import Choices, Hyperband, Range, checks, wandb_files

ROOT = pathlib.Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "experiments" / "sweeps").glob("*.yaml"))
FIELD = "config.optimizer.learning_rate"

numbers = st.floats(-50, 50, allow_nan=False)


def translated(parameter, **others):
    content = {"method": "random", "parameters": {FIELD: parameter}, **others}
    return wandb_files.translate(content)


def only(parameter):
    return translated(parameter).parameters["optimizer.learning_rate"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_files_of_the_repository_are_sweeps_of_their_experiment(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    content = wandb_files.read(str(path))
    experiment, changes = wandb_files.experiment_of(content)
    assert experiment == "experiments/quickstart.py" and not changes
    checks.check(wandb_files.translate(content), experiments.read(experiment))


def test_bayes_with_hyperband_is_tpe_with_hyperband():
    content = wandb_files.read(str(ROOT / "experiments/sweeps/bayes.yaml"))
    sweep = wandb_files.translate(content)
    assert (sweep.method, sweep.hyperband) == ("tpe", Hyperband(2, 2))
    assert (sweep.metric, sweep.goal) == ("val/exact_match", "maximize")
    assert sweep.parameters["training.epochs"] == Choices((16,))
    assert sweep.parameters["augmentation.shift"] == Range(0, 3)
    config = configs.numbers()
    assert checks.most_epochs(sweep, config) == 16 != config.training.epochs


def test_a_grid_runs_to_its_end():
    sweep = wandb_files.translate(wandb_files.read(str(ROOT / "experiments/sweeps/grid.yaml")))
    assert sweep.budget(None) == 4 * 3 * 3


@given(numbers, numbers)
def test_ranges_keep_their_ends(low, high):
    assert only({"distribution": "uniform", "min": low, "max": high}) == Range(low, high)
    assert only({"min": low, "max": high}) == Range(low, high)
    found = only({"distribution": "log_uniform", "min": low, "max": high})
    assert found == Range(math.exp(low), math.exp(high), log=True)
    found = only({"distribution": "log_uniform_values", "min": low, "max": high})
    assert found == Range(low, high, log=True)


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3))
def test_whole_ends_are_ranges_of_whole_numbers(low, high, step):
    assert only({"min": low, "max": high}) == Range(low, high)
    assert only({"distribution": "int_uniform", "min": low, "max": high}) == Range(low, high)
    found = only({"distribution": "q_uniform", "min": low, "max": high, "q": step})
    assert found == Range(low, high, step=step)


@given(st.lists(st.integers() | st.booleans() | st.text() | numbers, min_size=1, max_size=4))
def test_values_are_choices_in_their_order(values):
    assert only({"values": values}) == Choices(tuple(values))
    assert only({"value": values[0]}) == Choices((values[0],))
    assert only({"values": [values]}) == Choices((tuple(values),))


odd = st.none() | st.booleans() | st.integers(-2, 5) | st.floats() | st.sampled_from(["", "x", "0"])
odd |= st.just(10**400) | st.lists(st.integers(0, 2), max_size=2) | st.just({"a": 1})
distributions = st.sampled_from(["uniform", "int_uniform", "q_uniform", "log_uniform", "constant"])
distributions |= st.sampled_from(["log_uniform_values", "categorical", "normal"])


def some_of(**known):
    """Mappings of the names that are known, with values that go with them or do not."""
    return st.fixed_dictionaries({}, optional={name: each | odd for name, each in known.items()})


parameters = some_of(
    distribution=distributions, value=odd, values=st.lists(odd, max_size=2), min=odd, max=odd, q=odd
)
contents = some_of(
    method=st.sampled_from([*wandb_files.METHODS]),
    metric=some_of(name=st.just("val/nll"), goal=st.just("minimize")),
    parameters=st.dictionaries(st.just(FIELD) | st.just(3), parameters | odd, max_size=2),
    early_terminate=some_of(type=st.just("hyperband"), min_iter=odd, max_iter=odd, s=odd, eta=odd),
    command=st.lists(st.sampled_from(["--config=a.py", "--config.seed=1", "x"]) | odd, max_size=2),
    run_cap=st.integers(1, 9),
)


@settings(max_examples=300)
@given(contents)
def test_whatever_a_file_says_is_translated_or_refused_in_a_sentence(content):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(content, file)
        file.flush()
        try:
            read = wandb_files.read(file.name)
            wandb_files.experiment_of(read)
            sweep = wandb_files.translate(read)
            checks.check(sweep, configs.numbers())
            assert sweep.budget(None) >= 1
        except UserError as error:
            assert str(error).endswith(".")


def test_a_sweep_of_many_runs_has_so_many_trials():
    assert translated({"min": 0.1, "max": 0.2}, run_cap=7).budget(None) == 7


@pytest.mark.parametrize(
    ("parameter", "others", "said"),
    [
        ({"distribution": "normal", "min": 0, "max": 1}, {}, "needs W&B's server"),
        ({"distribution": "uniform", "min": 0.1}, {}, "max of .* is None|lacks 'max'"),
        ({"min": "1e-3", "max": 0.1}, {}, r"with a point before an exponent .* 1\.0e-3"),
        ({"mu": 0.0, "sigma": 1.0}, {}, "has 'mu', which --mode=sweep does not read"),
        (0.1, {}, "give it value, values, or min and max"),
        ({"value": 1}, {"method": "hyperopt"}, "one of grid, random, bayes"),
        ({"value": 1}, {"metrc": {}}, "did you mean 'metric'"),
        ({"value": 1}, {"early_terminate": {"type": "envelope"}}, "it can be hyperband"),
        ({"value": 1}, {"early_terminate": {"type": "hyperband"}}, "neither min_iter"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, {}, "no whole numbers"),
        ({"values": 0.1}, {}, "values of .* is 0.1; give a list"),
        ({"distribution": ["uniform"]}, {}, r"has the distribution \['uniform'\]"),
        ({"value": 1}, {"method": ["grid"]}, r"method is \['grid'\]; it is one of"),
        (
            {"value": 1},
            {"metric": "val/nll"},
            "metric of the sweep file is 'val/nll'; give it name",
        ),
        ({"value": 1}, {"metric": {"name": 3}}, "name of metric of the sweep file is 3"),
        ({"value": 1}, {"run_cap": "x"}, "run_cap of the sweep file is 'x'; give a whole number"),
        ({"value": 1}, {"early_terminate": "hyperband"}, "give it type, min_iter, max_iter, s"),
        (
            {"value": 1},
            {"early_terminate": {"type": "hyperband", "max_iter": 9, "s": 2, "eta": 0}},
            "eta of early_terminate of the sweep file is 0; give a whole number from 2 on",
        ),
    ],
)
def test_what_needs_a_server_is_refused(parameter, others, said):
    with pytest.raises(UserError, match=said):
        translated(parameter, **others)


def test_a_parameter_is_a_field_of_the_config():
    for name in ("workdir", 3):
        with pytest.raises(UserError, match=r"begin it with 'config\.'"):
            wandb_files.translate({"method": "grid", "parameters": {name: {"value": "x"}}})


def test_brackets_are_counted_from_the_longest_run():
    found = translated({"value": 1}, early_terminate={"type": "hyperband", "max_iter": 27, "s": 2})
    assert found.hyperband == Hyperband(3, 3, 27)
    found = translated(
        {"value": 1}, early_terminate={"type": "hyperband", "max_iter": 27, "s": 2**31}
    )
    assert found.hyperband == Hyperband(1, 3, 27)


def test_the_command_names_the_experiment_and_what_changes_it():
    words = ["${env}", "python", "${program}", "--config=a.py:x=1", "--config.seed=3", "${args}"]
    assert wandb_files.experiment_of({"command": words}) == ("a.py:x=1", ["--config.seed=3"])
    assert wandb_files.experiment_of({}) == (None, [])
    with pytest.raises(UserError, match="give it to --mode=sweep instead"):
        wandb_files.experiment_of({"command": ["--data_dir=x"]})
    with pytest.raises(UserError, match="command of the sweep file is 5; give a list"):
        wandb_files.experiment_of({"command": 5})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not YAML"),
        ("a: !!int ''", "is not YAML"),
        ("[" * 10_000, "is not YAML"),
        ("a: 1", "holds no sweep"),
        ("parameters:", "holds no sweep"),
        ("parameters: [a]", "holds no sweep"),
        (None, "cannot read --sweep=.*No such"),
    ],
)
def test_what_is_no_sweep_file_is_refused(text, said, tmp_path):
    path = tmp_path / "sweep.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=said):
        wandb_files.read(str(path))


def test_a_file_is_read_as_yaml_has_it(tmp_path):
    content = {"method": "random", "parameters": {FIELD: {"values": [0.1, 0.2]}}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(content))
    assert wandb_files.read(str(tmp_path / "sweep.yaml")) == content
