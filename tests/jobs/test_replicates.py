"""Runs of several seeds: each replicate is the run that its seed makes alone."""

import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from mnist3 import config as configs
from mnist3 import experiments, reading, stopping, validation
from mnist3.errors import UserError
from mnist3.jobs import compare, measure, parts, predict, workdir
from mnist3.jobs import run as job
from mnist3.jobs.arguments import Arguments
from mnist3.learners.network import Network, ensemble
from mnist3.reporting.comparison import answer_text
from mnist3.results import Replicated
from mnist3.tracking import Tracker, read_history
from mnist3.training import loop, program
from mnist3.training.checkpoints import Checkpoints
from mnist3.training.run import assemble
from tests.small import NUMBERS

EPOCHS = 2
WARPED = (  # as quickstart has it, with which the first of the rates compared here is best
    "--config.augmentation.rotation=10.0 --config.augmentation.scale=0.1"
    " --config.augmentation.shear=10.0 --config.augmentation.shift=0"
)
BYTES = ("predictions_val.csv", "predictions_test.csv", "calibration.json")


def config_of(text=NUMBERS, **changes):
    config = experiments.load(text)
    config.wandb.mode = "disabled"
    config.training.epochs = EPOCHS
    with config.ignore_type():
        config.update(changes)
    return config


def learn(folder, figures="none", **changes):
    config = config_of(**changes)
    validation.validate(config)
    assert job.run(config, Arguments(workdir=str(folder), figures=figures)) == 0
    return folder


@pytest.fixture(scope="module")
def run(once, common_cache):
    """The folder of a run of the seeds 3 and 4."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MNIST3_CACHE_DIR", common_cache)
            learn(folder / "run", figures="all", seeds=(3, 4))

    return once("replicates", make) / "run"


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def values_of(folder):
    """What a run's metrics say, but for times and places."""
    metrics = metrics_of(folder)
    return {name: metrics[name] for name in ("dataset", "model", "calibration", "val", "test")}


def params_of(folder):
    config = workdir.read_config(str(folder))
    shapes = assemble(config, parts.task_of(config), 512).state_shapes()
    checkpoints = Checkpoints(str(folder), read_only=True)
    state = checkpoints.restore(EPOCHS, shapes)
    checkpoints.close()
    return jax.device_get(state)


def assert_same_run(one, other):
    for name in BYTES:
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert values_of(one) == values_of(other)
    jax.tree.map(np.testing.assert_array_equal, params_of(one), params_of(other))
    lines = [
        [(line["step"], line["train"], line["val"]) for line in read_history(folder, EPOCHS)]
        for folder in (one, other)
    ]
    assert lines[0] == lines[1]


def test_a_replicate_has_the_bytes_of_the_run_of_its_seed(run, shared_cache, tmp_path):
    alone = learn(tmp_path / "alone", seed=4)
    assert_same_run(run / "replicates" / "4", alone)


def test_the_run_says_means_their_deviation_and_each_replicate(run):
    metrics, (one, other) = metrics_of(run), (metrics_of(run / "replicates" / s) for s in "34")
    for split in ("val", "test"):
        each = [one[split]["exact_match"], other[split]["exact_match"]]
        assert metrics[split]["exact_match"] == pytest.approx(np.mean(each))
        assert metrics[split]["exact_match_std"] == pytest.approx(np.std(each, ddof=1))
        assert metrics[split]["exact_match_replicates"] == each
        low, high = metrics[split]["exact_match_ci95"]
        assert low < np.mean(each) < high
        assert metrics["ensemble"][split]["n"] == metrics[split]["n"]
    best = max((one, other), key=lambda each: each["val"]["exact_match"])
    assert metrics["replicates"]["best_on_val"] == {id(one): 3, id(other): 4}[id(best)]
    assert json.loads((run / "replicates.json").read_text()) == metrics["replicates"]


def test_the_predictions_name_their_replicate(run):
    with open(run / "predictions_test.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    own = (run / "replicates" / "4" / "predictions_test.csv").read_text().splitlines()
    assert [row["replicate"] for row in rows] == ["3"] * 100 + ["4"] * 100
    assert [",".join(list(row.values())[1:]) for row in rows[100:]] == own[1:]


def test_the_page_shows_every_replicate(run):
    page = (run / "report.html").read_text()
    assert "seeds 3, 4: figures are means over them" in page
    assert (run / "figures" / "replicates.png").exists()


def test_the_history_of_the_run_is_of_means(run):
    each = [read_history(run / "replicates" / seed, EPOCHS) for seed in "34"]
    for mean, *lines in zip(read_history(run, EPOCHS), *each, strict=True):
        scores = [line["val"]["exact_match"] for line in lines]
        assert mean["replicates"] == scores
        assert mean["val"]["exact_match"] == pytest.approx(np.mean(scores))


class Killed(BaseException):
    """Stands for a signal that nothing can catch."""


def test_a_run_that_was_stopped_between_two_saves_goes_on_to_the_same_bytes(
    run, shared_cache, tmp_path, monkeypatch
):
    folder, save = tmp_path / "run", Checkpoints.save

    def stop_before_the_last(self, epoch, *inputs, **options):
        if epoch == EPOCHS and self._folder.parent.name == "4":
            raise Killed
        save(self, epoch, *inputs, **options)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Checkpoints, "save", stop_before_the_last)
        learn(folder, seeds=(3, 4))
    assert not (folder / "metrics.json").exists()
    learn(folder, seeds=(3, 4))
    for seed in "34":
        assert_same_run(folder / "replicates" / seed, run / "replicates" / seed)
    assert len(read_history(folder, EPOCHS)) == EPOCHS


def test_a_run_that_a_signal_stopped_goes_on_to_the_same_bytes(
    run, shared_cache, tmp_path, monkeypatch
):
    folder, save = tmp_path / "run", Checkpoints.save

    def ask_to_stop(self, *inputs, **options):
        if self._folder.parent.name == "3":  # once: a second signal would end the tests
            signal.raise_signal(signal.SIGTERM)
        save(self, *inputs, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", ask_to_stop)
        with pytest.raises(stopping.Interrupted), stopping.handled("run the same command to go on"):
            learn(folder, seeds=(3, 4))
    for seed in "34":
        checkpoints = Checkpoints(str(folder / "replicates" / seed), read_only=True)
        assert checkpoints.latest() == 1
        checkpoints.close()
    learn(folder, seeds=(3, 4))
    for seed in "34":
        assert_same_run(folder / "replicates" / seed, run / "replicates" / seed)
    assert len(read_history(folder, EPOCHS)) == EPOCHS


def test_a_run_that_a_signal_stopped_within_an_epoch_goes_on_to_the_same_bytes(
    run, shared_cache, tmp_path, monkeypatch, caplog
):
    folder, segments = tmp_path / "run", []

    def stop_in_the_second_epoch(self, seconds):
        self._length = 1
        segments.append(seconds)
        if len(segments) == self._run.steps + 2:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Segments, "_adapt", stop_in_the_second_epoch)
        with pytest.raises(stopping.Interrupted), stopping.handled("run the same command to go on"):
            learn(folder, seeds=(3, 4))
    within = [folder / "replicates" / seed / "checkpoints" / "within" for seed in "34"]
    devices = program.create_mesh(2).shape["data"]
    for each in within:
        assert [path.name for path in each.iterdir()] == [f"2-2-{devices}-1"]
    with caplog.at_level(logging.INFO, "absl"):
        learn(folder, seeds=(3, 4))
    assert "going on within epoch 2, after 2 of" in caplog.text
    for seed in "34":
        assert_same_run(folder / "replicates" / seed, run / "replicates" / seed)
    assert not any(each.exists() for each in within)


def test_a_part_that_not_all_replicates_have_saved_is_trained_anew(
    run, shared_cache, tmp_path, monkeypatch
):
    folder, save = tmp_path / "run", Checkpoints.save_within

    def die_before_the_last(self, *inputs):
        if self._folder.parent.name == "4":
            raise Killed
        save(self, *inputs)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save_within", die_before_the_last)
        patch.setattr(loop.Segments, "_adapt", lambda *_: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(Killed), stopping.handled("run the same command to go on"):
            learn(folder, seeds=(3, 4))
    learn(folder, seeds=(3, 4))
    for seed in "34":
        assert_same_run(folder / "replicates" / seed, run / "replicates" / seed)


def test_a_replicate_that_fails_stops_alone(run, shared_cache, tmp_path, monkeypatch, capsys):
    check = loop.stop_if_not_finite

    def fail_one(losses, steps_before, checkpoints):
        broken = checkpoints._folder.parent.name == "4"
        check(np.append(losses, np.nan) if broken else losses, steps_before, checkpoints)

    monkeypatch.setattr(loop, "stop_if_not_finite", fail_one)
    folder = learn(tmp_path / "run", seeds=(3, 4))
    assert_same_run(folder / "replicates" / "3", run / "replicates" / "3")
    metrics = metrics_of(folder)
    assert metrics["replicates"]["seeds"] == [3]
    assert "not finite" in metrics["replicates"]["failures"]["4"]
    assert "Seed 4 has no result" in capsys.readouterr().out
    arguments = Arguments(workdir=str(folder), mode="evaluate", figures="none")
    job.run(workdir.read_config(str(folder)), arguments)
    assert metrics_of(folder)["replicates"] == metrics["replicates"]
    with pytest.raises(UserError, match=r"replicate=4 .* it has best, ensemble, 3"):
        reading.load(folder, replicate="4")
    with pytest.raises(UserError, match="not finite"):
        learn(tmp_path / "4", seed=4)


def test_evaluate_repeats_the_metrics_of_a_run(copy, shared_cache):
    before = values_of(copy)
    (copy / "metrics.json").unlink()
    config = workdir.read_config(str(copy))
    job.run(config, Arguments(workdir=str(copy), mode="evaluate", figures="none"))
    assert values_of(copy) == before


def test_each_replicate_is_measured_on_other_data_beside_the_others(run, shared_cache, tmp_path):
    for replicate in ("best", "3", "ensemble"):
        arguments = Arguments(
            workdir=str(run),
            mode="evaluate",
            on=NUMBERS,
            replicate=replicate,
            output=str(tmp_path),
        )
        assert measure.run(workdir.read_config(str(run)), arguments) == 0
    [one, ensemble] = [
        [path for path in tmp_path.glob("metrics_on_*.json") if path.stem.endswith(name)]
        for name in ("_3", "_ensemble")
    ]
    assert len(one) == len(ensemble) == 1
    assert len(list(tmp_path.glob("metrics_on_*.json"))) == 3


@pytest.mark.parametrize("replicate", ["best", "3", "4", "ensemble"])
def test_every_replicate_and_all_together_read_images(run, shared_cache, tmp_path, replicate):
    image, output = run / "figures" / "misread.png", tmp_path / "read.csv"
    arguments = Arguments(
        workdir=str(run), images=str(image), output=str(output), replicate=replicate
    )
    assert predict.run(workdir.read_config(str(run)), arguments) == 0
    with open(output, newline="") as file:
        (row,) = csv.DictReader(file)
    (read,) = reading.load(run, replicate=replicate).read([image])
    assert row["number"] == read.text
    if replicate == "4":
        (alone,) = reading.load(run / "replicates" / "4").read([image])
        assert alone == read


def test_a_replicate_that_is_not_there_is_named(run):
    with pytest.raises(UserError, match=r"replicate=5 .* it has best, ensemble, 3, 4"):
        reading.load(run, replicate="5")
    with pytest.raises(UserError, match=r"replicate=ensemble .* it has best"):
        reading.load(run / "replicates" / "3", replicate="ensemble")


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        (0, "at least 1"),
        ((), "how many replicates"),
        ((1, 1), "how many replicates"),
        (2.5, "how many replicates"),
        ((0, 2**32), "another seed"),
        ((5,), "set config.seed=5"),
    ],
)
def test_seeds_that_are_none_are_refused(seeds, message):
    with pytest.raises(UserError, match=message):
        validation.validate(config_of(seeds=seeds))


def test_a_search_and_several_seeds_are_refused():
    config = experiments.load("experiments/classify.py:learner=network")
    config.seeds, config.search.method = 3, "random"
    with pytest.raises(UserError, match="seeds=1"):
        validation.validate(config)


def compare_rates(folder, *rates, figures="none"):
    """Compares learning rates, each with the seeds 0 and 1, and returns metrics.json."""
    config = configs.comparison()
    config.compare.experiments = tuple(
        f"{NUMBERS} {WARPED} --config.seeds=2 --config.optimizer.learning_rate={rate}"
        for rate in rates
    )
    config.wandb.mode = "disabled"
    assert compare.run(config, Arguments(workdir=str(folder), figures=figures)) == 0
    return metrics_of(folder)


@pytest.fixture(scope="module")
def compared(once, common_cache):
    """The folder of a comparison of two learning rates."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MNIST3_CACHE_DIR", common_cache)
            compare_rates(folder / "run", 0.004, 1e-9, figures="few")

    return once("compared replicates", make) / "run"


def test_a_comparison_trains_the_replicates_of_a_network_together(compared):
    metrics = metrics_of(compared)
    for line in metrics["candidates"].values():
        own = metrics_of(compared / line["workdir"])
        assert line["seeds"] == [0, 1] and len(line["chosen_by"]["exact_match_replicates"]) == 2
        assert line["val"] == own["val"]
        assert (compared / line["workdir"] / "replicates" / "1" / "checkpoints").is_dir()
    winner = metrics["candidates"][metrics["model"]["name"]]
    assert winner["chosen_by"]["exact_match_ci95"] == winner["val"]["exact_match_ci95"]


def test_a_comparison_predicts_with_the_winners_replicate_that_is_asked_for(compared):
    own = compared / json.loads((compared / "comparison.json").read_text())["workdir"]
    best = json.loads((own / "replicates.json").read_text())["best_on_val"]
    for replicate, folder in {
        "best": own / "replicates" / str(best),
        "0": own / "replicates" / "0",
        "1": own / "replicates" / "1",
        "ensemble": own,
    }.items():
        assert reading.load(compared, replicate=replicate).folder == str(folder)
    with pytest.raises(UserError, match=r"replicate=5 .* it has best, ensemble, 0, 1"):
        reading.load(compared, replicate="5")
    with open(compared / "predictions_test.csv", newline="") as file:
        assert [row["replicate"] for row in csv.DictReader(file)] == ["0"] * 100 + ["1"] * 100


def test_the_page_of_a_comparison_answers_in_its_first_sentence(compared):
    metrics, page = metrics_of(compared), (compared / "report.html").read_text()
    answer, said = answer_text(metrics), " ".join(page.split())
    assert "in exact match on val, 2 seeds each, p " in answer
    assert answer in said and said.index(answer) < said.index("images of the test split")
    for row in ("seeds", "deviation over seeds"):
        assert f">{row}<" in page
    assert (compared / "figures" / "replicates.png").exists()


def test_who_fails_in_a_comparison_is_named_and_the_others_are_compared(
    shared_cache, tmp_path, monkeypatch, capsys
):
    """Of the winner the first seed fails, of another candidate both."""
    check, folder = loop.stop_if_not_finite, tmp_path / "run"

    def fail(losses, steps_before, checkpoints):
        place = str(checkpoints._folder.relative_to(folder / "candidates"))
        broken = place.startswith("2-") or (place.startswith("1-") and "replicates/0" in place)
        check(np.append(losses, np.nan) if broken else losses, steps_before, checkpoints)

    monkeypatch.setattr(loop, "stop_if_not_finite", fail)
    metrics = compare_rates(folder, 0.004, 0.002, 1e-9)
    names = [*metrics["candidates"]]
    assert len(names) == 2 and metrics["model"]["name"] == names[0]
    line = metrics["candidates"][names[0]]
    assert line["seeds"] == [1] and "not finite" in line["failures"]["0"]
    [left_out] = metrics["failures"]
    page = " ".join((folder / "report.html").read_text().split())
    for text in (page, capsys.readouterr().out):
        assert f"{left_out} has no result: the loss is not finite" in text
        assert f"seed 0 of {names[0]} has no result: the loss is not finite" in text
    assert "1 and 2 seeds" in page
    assert reading.load(folder).folder == str(folder / line["workdir"] / "replicates" / "1")
    configs_before = {path: path.read_bytes() for path in folder.rglob("config.json")}
    assert compare_rates(folder, 0.004, 0.002, 1e-9)["candidates"].keys() == set(names)
    assert all(path.read_bytes() == text for path, text in configs_before.items())


def test_what_is_drawn_is_of_the_replicate_that_is_best_on_val(run, shared_cache):
    config = workdir.read_config(str(run))
    made = parts.load(config, None)
    result = parts.load_replicates(made, str(run), "best")
    assert isinstance(result, Replicated)
    scores = [each.measured["val"]["exact_match"] for each in result.replicates]
    best = result.replicates[int(np.argmax(scores))]
    assert result.predictions["val"] is best.predictions["val"]


PROCESS = """
import sys
from tests.small import NUMBERS
from mnist3 import experiments
from mnist3.jobs import run
from mnist3.jobs.arguments import Arguments
config = experiments.load(NUMBERS)
config.wandb.mode, config.training.epochs = "disabled", 2
with config.ignore_type():
    config.update(eval(sys.argv[2]))
run.run(config, Arguments(workdir=sys.argv[1], figures="none"))
"""


def test_eight_replicates_on_eight_devices_have_the_same_bytes(shared_cache, run, tmp_path):
    """This process has one device, on which the replicates of `run` took turns."""
    devices = "--xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(tmp_path / "run"), "{'seeds': 8}"],
        env=os.environ
        | {
            "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {devices}",
            "PYTHONPATH": ".",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert metrics_of(tmp_path / "run")["environment"]["devices"] == "8 x cpu"
    for seed in "34":
        assert_same_run(tmp_path / "run" / "replicates" / seed, run / "replicates" / seed)


def test_an_ensemble_is_the_mean_of_all_log_probabilities(shared_cache):
    """Of a network of several modules, none of which the members may share."""
    text = NUMBERS.replace("model=logistic", "model=multihead")
    config = config_of(f"{text} --config.model.stem=4 --config.model.channels=(4,)")
    run = assemble(config, parts.task_of(config), 512, (0, 1))
    members = [
        Network(run.replicate(place), jax.device_get(run.initial_state(place).params), [], 1)
        for place in range(2)
    ]
    images = np.random.default_rng(0).integers(0, 256, (8, 84, 56), np.uint8)
    each = [jax.nn.log_softmax(member.raw(images)) for member in members]
    np.testing.assert_allclose(ensemble(members).raw(images), np.mean(each, axis=0), atol=1e-5)


@pytest.mark.parametrize(("task", "probabilities"), [("multiclass", True), ("denoise", False)])
def test_any_task_takes_seeds(shared_cache, tmp_path, task, probabilities):
    text = f"experiments/classify.py:task={task},learner=network,train_limit=60"
    config = config_of(
        f"{text} --config.model.stem=4 --config.model.channels=(8,) --config.training.batch_size=8",
        seeds=2,
    )
    validation.validate(config)
    folder = tmp_path / "run"
    job.run(config, Arguments(workdir=str(folder), figures="none"))
    metrics = metrics_of(folder)
    name = "accuracy" if probabilities else "rmse"
    assert len(metrics["test"][f"{name}_replicates"]) == 2
    low, high = metrics["test"][f"{name}_ci95"]
    assert low <= metrics["test"][name] <= high
    assert ("ensemble" in metrics) == probabilities
    if not probabilities:
        with pytest.raises(UserError, match="no probabilities"):
            reading.load(folder, replicate="ensemble")


@pytest.mark.parametrize(("text", "seeds"), [("8", 8), ("(0,7)", (0, 7))])
def test_the_config_of_a_run_takes_other_seeds(run, text, seeds):
    config = experiments.read(str(run / "config.json"))
    assert config.seeds == (3, 4)
    assert experiments.change(config, [f"--config.seeds={text}"]) == []
    assert config.seeds == seeds
    assert configs.seeds_of(config) == (seeds if isinstance(seeds, tuple) else tuple(range(8)))


def test_a_candidate_that_cannot_train_is_told_before_another_does(shared_cache, tmp_path):
    config = configs.comparison()
    config.compare.experiments = (
        f"{NUMBERS} --config.seeds=2",
        f"{NUMBERS} --config.training.batch_size=1024",
    )
    config.wandb.mode = "disabled"
    with pytest.raises(UserError, match="an epoch has only 512 images"):
        compare.run(config, Arguments(workdir=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_more_replicates_compile_no_more_programs(shared_cache, tmp_path):
    """Placed last, so that fewer tests compile anew: it forgets what was compiled."""

    def prepared(*seeds):
        config = config_of(seeds=seeds, training={"epochs": 1}, optimizer={"name": "sgd"})
        return str(seeds), config, parts.prepared(parts.load(config, None))

    def compilations(name, config, learn):
        found, folder = [], tmp_path / name

        def count(event, seconds, **_):
            if event == "/jax/core/compile/backend_compile_duration":
                found.append(event)

        folder.mkdir()
        jax.clear_caches()
        jax.monitoring.register_event_duration_secs_listener(count)
        try:
            learn(str(folder), Tracker(folder, config))
        finally:
            jax.monitoring.unregister_event_duration_listener(count)
        return len(found)

    every = [prepared(*seeds) for seeds in ((0, 1, 2), (3,), (0, 1), range(2, 10))]
    _, one, two, eight = (compilations(*each) for each in every)  # the first what a process needs
    assert two == eight > 0
    assert one <= eight < one + 7  # what puts states side by side and apart is a few small ones
