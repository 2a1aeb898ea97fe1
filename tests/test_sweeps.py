"""The sweep definitions, rendered and run by W&B's own agent code."""

import json
import os
import pathlib
import sys

import pytest
import yaml
from wandb.sdk.launch.sweeps import utils
from wandb.wandb_agent import Agent

from mnist3.config import fields, numbers
from mnist3.tracking import flatten

ROOT = pathlib.Path(__file__).parent.parent
SWEEPS = sorted((ROOT / "experiments" / "sweeps").glob("*.yaml"))
TINY = {
    "config.data.digits": 2,
    "config.data.height": 28,
    "config.data.width": 56,
    "config.data.composition.vertical_jitter": 0,
    "config.data.train_examples": 256,
    "config.data.val_examples": 64,
    "config.data.test_examples": 64,
    "config.model.name": "logistic",
    "config.training.epochs": 1,
    "config.training.batch_size": 64,
    "config.wandb.mode": "offline",
}


def load(path):
    return yaml.safe_load(path.read_text())


def draw(parameter):
    """One value that a W&B server could draw."""
    if "value" in parameter:
        return parameter["value"]
    return parameter["values"][-1] if "values" in parameter else parameter["min"]


def drawn(sweep):
    return {name: draw(parameter) for name, parameter in sweep["parameters"].items()}


def as_command(values):
    return {"program": "launch.py", "args": {name: {"value": v} for name, v in values.items()}}


def test_there_is_one_of_each_method():
    assert {path.stem: load(path)["method"] for path in SWEEPS} == {
        "bayes": "bayes",
        "grid": "grid",
        "random": "random",
    }
    assert load(ROOT / "experiments/sweeps/bayes.yaml")["early_terminate"]["type"] == "hyperband"


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_command_sets_fields_that_the_config_has(path):
    sweep = load(path)
    values = drawn(sweep)
    arguments = utils.create_sweep_command_args(as_command(values))["args"]
    assert arguments == [f"--{name}={value}" for name, value in values.items()]
    known = dict(fields(numbers()))
    for name, value in values.items():
        field = name.removeprefix("config.")
        assert field in known
        assert type(value) is type(known[field])
    command = utils.create_sweep_command(sweep["command"])
    assert command[:3] == ["${env}", "${interpreter}", "${program}"]
    assert command[-1] == "${args}"
    [config_flag] = [item for item in command if item.startswith("--config=")]
    assert (ROOT / config_flag.removeprefix("--config=")).is_file()
    assert (ROOT / sweep["program"]).is_file()


def test_hyperband_compares_before_the_last_epoch():
    sweep = load(ROOT / "experiments/sweeps/bayes.yaml")
    epochs = sweep["parameters"]["config.training.epochs"]["value"]
    assert sweep["early_terminate"]["min_iter"] < epochs


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_definition_has_what_a_server_needs(path):
    sweep = load(path)
    assert sweep["metric"] == {"name": "val/exact_match", "goal": "maximize"}
    for name, parameter in sweep["parameters"].items():
        assert {"value", "values", "distribution"} & set(parameter), name
        if "distribution" in parameter:
            assert parameter["min"] < parameter["max"]


@pytest.mark.slow
def test_agent_runs_the_random_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # where a user starts an agent
    monkeypatch.setenv("PATH", f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "agent"))
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep123")
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):
        monkeypatch.setenv(name, "")  # the agent sets them; the test takes them away again
    sweep = load(ROOT / "experiments/sweeps/random.yaml")
    workdir = tmp_path / "run"
    values = drawn(sweep) | TINY | {"workdir": str(workdir), "figures": "none"}
    agent = Agent(api=None, queue=None, sweep_id="sweep123")
    agent._sweep_command = sweep["command"]
    response = agent._process_command({"type": "run", "run_id": "run456", **as_command(values)})
    assert "exception" not in response, response
    assert agent._run_processes["run456"].wait(timeout=300) == 0

    config = json.loads((workdir / "config.json").read_text())
    assert config["optimizer"]["learning_rate"] == values["config.optimizer.learning_rate"]
    [line] = (workdir / "history.jsonl").read_text().splitlines()
    assert sweep["metric"]["name"] in flatten(json.loads(line))
    assert len(list((workdir / "wandb").glob("offline-run-*-run456/*.wandb"))) == 1
