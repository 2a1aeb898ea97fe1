"""What W&B has of a sweep: a run for each trial, all of one group."""

import json

import pytest

from mnist3.jobs import sweep
from mnist3.jobs.arguments import Arguments
from mnist3.sweeps import Choices, Hyperband, Sweep, study
from tests import small
from tests.offline_wandb import offline_runs, read_records

pytestmark = pytest.mark.usefixtures("fresh_wandb")

RATE = "optimizer.learning_rate"


@pytest.mark.slow
@pytest.mark.usefixtures("shared_cache")
def test_each_trial_is_a_run_of_the_group_of_the_sweep(load, tmp_path, monkeypatch):
    report = study.Claim.report

    def slowest_is_behind(claim, epoch, value, last):
        reason = report(claim, epoch, value, last)
        return "behind all others" if claim.known.values[RATE] == 1e-9 else reason

    monkeypatch.setattr(study.Claim, "report", slowest_is_behind)
    text = f"{small.NUMBERS} --config.training.epochs=2 --config.optimizer.name=sgd"
    config = load(f"{text} --config.optimizer.schedule=constant")
    config.wandb.mode = "offline"
    folder = tmp_path / "rates"
    definition = Sweep({RATE: Choices((0.006, 1e-9, 1e30))}, "grid", hyperband=Hyperband(2, 2))
    assert sweep.run(config, Arguments(mode="sweep", workdir=str(folder), sweep=definition)) == 0
    trials = json.loads((folder / "metrics.json").read_text())["trials"]
    assert {trial["state"] for trial in trials} == {"complete", "pruned", "failed"}
    identities = set()
    for trial in trials:
        [(run, logged, rows, summary, _)] = offline_runs(folder / trial["workdir"])
        identities.add(run.run_id)
        assert run.run_group == "rates"
        assert logged["optimizer"]["learning_rate"] == trial["values"][RATE]
        epochs = [row["epoch"] for row in rows if "epoch" in row]
        assert epochs == {"complete": [1, 2], "pruned": [1], "failed": []}[trial["state"]]
        (file,) = (folder / trial["workdir"]).glob("wandb/offline-run-*/*.wandb")
        ends = [record.exit.exit_code for record in read_records(file) if record.HasField("exit")]
        assert ends == [int(trial["state"] == "failed")]
        if trial["state"] == "complete":
            assert summary["val/exact_match"] == trial["value"]
    assert len(identities) == 3
