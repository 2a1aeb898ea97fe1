"""What --profile says of a training, through the command line."""

import json

import pytest

from mnist3 import profiling
from mnist3.errors import UserError
from mnist3.jobs import command_line
from tests import small

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture(autouse=True)
def one_product(monkeypatch):
    monkeypatch.setattr(profiling, "MEASURED_SECONDS", 0.0)


def train(text, folder, *flags):
    config, *changes = text.split(" ")
    words = [f"--config={config}", *changes, "--config.wandb.mode=disabled", "--figures=none"]
    return command_line.main(["launch.py", *words, f"--workdir={folder}", *flags])


def test_a_profile_says_where_the_time_went(tmp_path, capsys):
    text = f"{small.NUMBERS} --config.training.epochs=2 --config.seeds=2"
    assert train(text, tmp_path, "--profile") == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "profile.txt").read_text().strip() in printed
    found = json.loads((tmp_path / "profile.json").read_text())
    phases = found["phases"]
    assert {*phases} == {*profiling.PHASES, "everything else"}
    assert min(phases.values()) >= 0
    assert sum(phases.values()) == pytest.approx(found["seconds"])
    for name in (profiling.STEPPING, profiling.READING, profiling.SAVING, profiling.DRAWING):
        assert phases[name] > 0
    assert found["steps"] == 2 * 2 * 512 // 128  # replicates, epochs
    assert found["traced"] and str(tmp_path / "profile") in printed
    assert found["operations_a_step"] == 2 * 2 * 128 * 84 * 56 * 20
    rate = found["operations_a_step"] * found["steps_per_second"]
    assert found["matrix_product_share"] == pytest.approx(rate / found["matrix_product_rate"])
    assert len(list((tmp_path / "profile").rglob("*.xplane.pb"))) == 1
    # A run that has come to its end has no step to trace.
    assert train(text, tmp_path, "--profile") == 0
    assert "no step was left to take" in capsys.readouterr().out
    assert len(list((tmp_path / "profile").rglob("*.xplane.pb"))) == 1


def test_a_profiled_run_is_the_same_run(tmp_path):
    for name, flags in (("plain", ()), ("profiled", ("--profile",))):
        assert train(small.NUMBERS, tmp_path / name, *flags) == 0
    plain, profiled = (
        (tmp_path / name / "predictions_test.csv").read_bytes() for name in ("plain", "profiled")
    )
    assert plain == profiled


@pytest.mark.parametrize(
    "words",
    [
        ("--mode=inspect", f"--config={small.NUMBERS.split()[0]}"),
        (f"--config={small.KNN.format('multiclass')}",),
        ("--config=experiments/tabular.py",),
    ],
)
def test_what_has_no_steps_has_no_profile(words, tmp_path, capsys):
    status = command_line.main(["launch.py", *words, f"--workdir={tmp_path}/run", "--profile"])
    assert status == 1
    assert "--profile follows the steps of a network" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_process_is_watched_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(command_line.hosts, "several", lambda: True)
    words = [f"--config={small.NUMBERS.split()[0]}", f"--workdir={tmp_path}/run", "--profile"]
    with pytest.raises(UserError, match="--profile watches one process"):
        command_line.run(["launch.py", *words])
    assert not (tmp_path / "run").exists()
