"""Sweeps through the real job: on one worker with a file, and on four with PostgreSQL."""

import json
import pathlib
import shutil
import signal
import sys

import pytest

from benchmarks import workers
from mnist3 import experiments
from mnist3.errors import UserError
from mnist3.jobs import command_line, sweep
from mnist3.jobs.arguments import Arguments
from mnist3.sweeps import Choices, Hyperband, Range, Sweep, checks, study
from tests import postgresql, small

ROOT = pathlib.Path(__file__).parent.parent.parent
PARAMETERS = {
    "optimizer.learning_rate": Choices((0.003, 0.006)),
    "training.label_smoothing": Choices((0.0, 0.1)),
}
KNN = {"learner.parameters.n_neighbors": Range(1, 9)}
OF_KNN = small.KNN.format("multiclass")


@pytest.fixture
def sweeping(shared_cache, load, tmp_path):
    """Runs the trials of a sweep that are left in one workdir; returns its metrics.json."""
    folder = tmp_path / "sweep"

    def run(definition, text=OF_KNN, figures="none", **changes):
        arguments = Arguments(
            mode="sweep",
            workdir=str(folder),
            experiment="small",
            sweep=definition,
            given=("--config=small.py",),
            command="mnist3 --mode=sweep",
            figures=figures,
            **changes,
        )
        assert sweep.run(load(text), arguments) == 0
        return json.loads((folder / "metrics.json").read_text())

    run.folder = folder
    return run


def test_trials_of_an_estimator_are_runs_and_the_page_says_which_is_best(sweeping, capsys):
    found = sweeping(Sweep(KNN, method="random", trials=3), figures="all")
    assert [trial["number"] for trial in found["trials"]] == [1, 2, 3]
    assert found["counts"] == {"complete": 3}
    for trial in found["trials"]:
        folder = sweeping.folder / trial["workdir"]
        own = json.loads((folder / "metrics.json").read_text())
        assert own["val"]["accuracy"] == trial["value"] and "test" not in own
        config = json.loads((folder / "config.json").read_text())
        assert config["learner"]["parameters"]["n_neighbors"] == trial["values"][next(iter(KNN))]
        assert config["wandb"]["group"] == "sweep"
    best = found["best"]
    assert best["value"] == max(trial["value"] for trial in found["trials"])
    assert found["val"]["accuracy"] == best["value"] and "test" not in found
    page = (sweeping.folder / "report.html").read_text()
    flag = f"--config.learner.parameters.n_neighbors={best['config'][next(iter(KNN))]}"
    said = capsys.readouterr().out
    for text in (page, said):
        assert f"mnist3 --config=small.py {flag} --workdir=runs/sweep-best" in text
    assert page.count('src="data:image/png') == 2 + ("importance" in found)


def test_the_best_command_names_the_folder_of_the_data(sweeping, capsys):
    sweeping(Sweep(KNN, method="random", trials=1), data_dir="my data")
    assert "'--data_dir=my data' --workdir=runs/sweep-best" in capsys.readouterr().out


def test_the_same_command_goes_on_and_counts_what_has_ended(sweeping):
    first = sweeping(Sweep(KNN, method="random"), trials=2)
    more = sweeping(Sweep(KNN, method="random"), trials=4)
    assert more["trials"][:2] == first["trials"] and len(more["trials"]) == 4
    assert sweeping(Sweep(KNN, method="random"), trials=1)["trials"] == more["trials"]


@pytest.mark.slow
def test_networks_are_stopped_early_and_a_failed_trial_says_why(sweeping, monkeypatch):
    report = study.Claim.report

    def second_is_behind(claim, epoch, value, last):
        reason = report(claim, epoch, value, last)
        return "behind all others" if claim.known.number == 2 else reason

    monkeypatch.setattr(study.Claim, "report", second_is_behind)
    rates = {"optimizer.learning_rate": Choices((0.006, 1e-9, 1e30))}
    definition = Sweep(rates, method="grid", hyperband=Hyperband(3, 2))
    text = f"{small.NUMBERS} --config.training.epochs=3 --config.optimizer.name=sgd"
    text += " --config.optimizer.schedule=constant"
    found = sweeping(definition, text)
    states = {trial["values"]["optimizer.learning_rate"]: trial for trial in found["trials"]}
    assert states[0.006]["state"] == "complete" and states[0.006]["epochs"] == 3
    slow = states[1e-9]
    assert (slow["state"], slow["reason"]) == ("pruned", "behind all others")
    assert list(slow["by_epoch"]) == ["1"]
    pruned = sweeping.folder / slow["workdir"]
    assert not (pruned / "metrics.json").exists() and (pruned / "history.jsonl").exists()
    assert "not finite" in states[1e30]["reason"] and states[1e30]["state"] == "failed"
    assert found["best"]["trial"] == 1


GRID = Sweep(PARAMETERS | {"model.name": Choices(("logistic", "mlp"))}, method="grid")


@pytest.mark.slow
def test_a_grid_that_trains_together_has_the_table_of_one_by_one(sweeping, monkeypatch):
    batches = []
    learned = sweep.learn_together

    def counted(every, *others):
        batches.append(len(every))
        return learned(every, *others)

    monkeypatch.setattr(sweep, "learn_together", counted)
    together = sweeping(GRID, small.NUMBERS)
    assert batches == [4, 4]
    shutil.rmtree(sweeping.folder)
    alone = sweeping(GRID, small.NUMBERS, together=1)
    assert batches == [4, 4]
    for one, other in zip(together["trials"], alone["trials"], strict=True):
        assert one["values"] == other["values"] and one["workdir"] == other["workdir"]
        assert one["value"] == pytest.approx(other["value"], abs=0.01)  # an image of a hundred
        assert one["state"] == other["state"] == "complete"
        assert (sweeping.folder / one["workdir"] / "predictions_val.csv").exists()


def test_a_trial_that_another_worker_has_taken_leaves_those_beside_it_alone(sweeping, monkeypatch):
    report = study.Claim.report

    def second_is_gone(claim, epoch, value, last):
        reason = report(claim, epoch, value, last)
        return "gone to another worker" if claim.known.number == 2 else reason

    monkeypatch.setattr(study.Claim, "report", second_is_gone)
    rates = {"optimizer.learning_rate": Choices((0.006, 0.01, 1e30))}
    text = f"{small.NUMBERS} --config.optimizer.name=sgd"
    found = sweeping(Sweep(rates, method="grid"), text)
    assert [trial["state"] for trial in found["trials"]] == ["complete", "pruned", "failed"]
    assert "not finite" in found["trials"][2]["reason"]
    assert "worker" in found["trials"][1]["reason"]


def test_a_trial_that_is_interrupted_goes_on_where_it_was(sweeping, monkeypatch):
    definition = Sweep(KNN, method="random", trials=2)
    learned = sweep._learn_one
    seen = []

    def interrupted(config, folder, *others):
        seen.append(folder)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return learned(config, folder, *others)

    monkeypatch.setattr(sweep, "_learn_one", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweeping(definition)
    found = sweeping(definition)
    assert seen[1] == seen[2] and len(seen) == 3
    assert [trial["attempts"] for trial in found["trials"]] == [1, 2]


def test_a_full_disk_is_no_fault_of_a_trial(sweeping, monkeypatch):
    def full(*arguments):
        raise UserError("no space left.") from OSError(28, "No space left on device")

    monkeypatch.setattr(sweep, "_learn_one", full)
    with pytest.raises(UserError, match="no space left"):
        sweeping(Sweep(KNN, method="random", trials=2))
    monkeypatch.undo()


def test_a_second_worker_is_told_of_postgresql(sweeping):
    from mnist3.locking import locked

    sweeping.folder.mkdir()
    with (
        locked(str(sweeping.folder)),
        pytest.raises(
            UserError, match=r"in use by process .* needs --storage=postgresql://"
        ) as said,
    ):
        sweeping(Sweep(KNN))
    assert str(said.value).count(". ") == 0


@pytest.mark.parametrize(
    ("definition", "changes", "said"),
    [
        (None, {}, "has no get_sweep"),
        (Sweep({"learner.nam": Choices(("knn",))}), {}, "did you mean 'learner.name'"),
        (Sweep(KNN, metric="val/acuracy"), {}, "did you mean val/accuracy"),
        (Sweep(KNN), {"workdir": None, "storage": "postgresql://a/b"}, "same --workdir"),
    ],
)
def test_what_cannot_be_swept_is_said_before_anything_is_written(
    definition, changes, said, shared_cache, load, tmp_path
):
    arguments = Arguments(
        mode="sweep",
        experiment="x",
        sweep=definition,
        **{"workdir": str(tmp_path / "s"), **changes},
    )
    with pytest.raises(UserError, match=said):
        sweep.run(load(OF_KNN), arguments)
    assert not list(tmp_path.glob("s/[!s]*"))


def test_the_folder_of_a_run_is_no_place_for_a_sweep(sweeping):
    sweeping.folder.mkdir()
    (sweeping.folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds a run"):
        sweeping(Sweep(KNN))


def test_trials_of_another_database_are_not_trained_over(sweeping):
    (sweeping.folder / "trials" / "0001").mkdir(parents=True)
    with pytest.raises(UserError, match="trials that its database does not know"):
        sweeping(Sweep(KNN))


def test_hyperband_wants_a_metric_that_epochs_have(shared_cache, load, tmp_path):
    definition = Sweep(PARAMETERS, metric="val/ece", hyperband=Hyperband())
    arguments = Arguments(mode="sweep", workdir=str(tmp_path / "s"), sweep=definition)
    with pytest.raises(UserError, match="choose by val/exact_match or val/nll"):
        sweep.run(load(small.NUMBERS), arguments)


def command(*words):
    """Reads a command line as far as the job."""
    found = {}

    class Job:
        @staticmethod
        def run(config, arguments):
            found.update(config=config, arguments=arguments)
            return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setitem(sys.modules, "mnist3.jobs.sweep", Job)
        assert command_line.run(["mnist3", *words]) == 0
    return found["config"], found["arguments"]


def test_an_experiment_brings_its_own_sweep():
    _, arguments = command("--mode=sweep", "--config=experiments/quickstart.py:model=cnn")
    assert isinstance(arguments.sweep, Sweep)
    assert arguments.given == ("--config=experiments/quickstart.py:model=cnn",)
    assert (arguments.trials, arguments.storage) == (None, None)


def test_the_command_of_the_page_has_no_password():
    flags = ["--mode=sweep", "--config=experiments/quickstart.py", "--workdir=runs/s"]
    _, arguments = command(*flags, "--storage=postgresql://me:secret@host/db")
    assert arguments.storage == "postgresql://me:secret@host/db"
    assert arguments.command.endswith("--storage=postgresql://me@host/db")


def test_a_file_of_wandb_brings_its_experiment(tmp_path):
    path = "--sweep=experiments/sweeps/random.yaml"
    config, arguments = command("--mode=sweep", path, "--config.training.epochs=3", "--trials=7")
    assert arguments.sweep.method == "random" and arguments.trials == 7
    assert arguments.experiment == "quickstart" and config.training.epochs == 3
    assert arguments.given == ("--config=experiments/quickstart.py", "--config.training.epochs=3")
    config, arguments = command("--mode=sweep", path, "--config=experiments/strict.py")
    assert arguments.given == ("--config=experiments/strict.py",)


@pytest.mark.parametrize("flag", ["--sweep=x.yaml", "--trials=3", "--storage=postgresql://a/b"])
def test_flags_of_sweeps_are_for_sweeps(flag, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="give --mode=sweep"):
        command_line.run(["mnist3", "--config=experiments/quickstart.py", flag])


def test_get_sweep_returns_a_sweep(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from mnist3.config import numbers as get_config\n"
        "def get_sweep(argument=''):\n"
        "    return {'seed': 1}\n"
    )
    with pytest.raises(UserError, match="returns dict and not a Sweep"):
        command("--mode=sweep", f"--config={path}")


def test_a_sweep_is_defined_once_for_all_its_variants(shared_cache):
    for name in ("logistic", "cnn"):
        found = experiments.read_sweep(f"experiments/quickstart.py:model={name}")
        config = experiments.read(f"experiments/quickstart.py:model={name}")
        checks.check(found, config)
    assert experiments.read_sweep("experiments/strict.py") is None


@pytest.mark.slow
def test_four_workers_share_postgresql_and_one_of_them_is_killed(
    tmp_path, common_cache, monkeypatch
):
    """Every trial counts once, none is lost, and the dead worker's go on from their checkpoints."""
    trials, epochs = 6, 12
    monkeypatch.setenv("MNIST3_CACHE_DIR", common_cache)
    with postgresql.running() as url:  # one step an epoch
        found = workers.sweep(tmp_path, url, trials, workers=4, epochs=epochs, images=128)
    statuses = dict(found.statuses)
    assert statuses.pop(found.killed) == -signal.SIGKILL
    assert set(statuses.values()) == {0}, found.said
    assert [each["number"] for each in found.trials] == list(range(1, trials + 1))
    assert {each["state"] for each in found.trials} == {"complete"}
    assert [each["number"] for each in found.trials if each["attempts"] > 1] == found.held != []
    assert sorted(path.name for path in (tmp_path / "sweep" / "trials").iterdir()) == [
        f"{number:04d}" for number in range(1, trials + 1)
    ]
    for number in found.held:
        retried = found.trials[number - 1]
        assert list(retried["by_epoch"]) == [str(epoch) for epoch in range(1, epochs + 1)]
        taker = int(retried["worker"].rpartition(":")[2])
        assert taker != found.killed and "going on after epoch" in found.said[taker]
    table = workers.table(found)
    assert "| workers, one of them killed with -9 | 4 |" in table
    assert "| of these complete | 6 |" in table
