"""Populations: candidates that differ in numbers train in one program, each as it would alone."""

import json
import shutil

import jax
import pytest

from mnist3 import experiments, reading, validation
from mnist3.errors import UserError
from mnist3.jobs import candidates, job_of, parts, population, workdir
from mnist3.jobs import run as job
from mnist3.jobs.arguments import Arguments
from mnist3.tracking import Tracker, read_history
from mnist3.training.checkpoints import Checkpoints
from tests.jobs.test_replicates import EPOCHS, Killed, assert_same_run, config_of, metrics_of
from tests.small import NUMBERS

RATES = (0.05, 0.2, 1e30)  # of which the last learns nothing
NAMES = tuple(f"optimizer.learning_rate={rate}" for rate in RATES)
FOLDERS = tuple(f"candidates/{place}-{name}" for place, name in enumerate(NAMES, start=1))


def population_of(rates=RATES, **changes):
    values = {"optimizer": {"learning_rate": rates}}
    return config_of(population=values, optimizer={"name": "sgd"}, **changes)


def train(folder, config):
    validation.validate(config)
    assert population.run(config, Arguments(workdir=str(folder), command="mnist3")) == 0
    return folder


@pytest.fixture(scope="module")
def run(once, common_cache):
    """The folder of a population of three learning rates and the seeds 3 and 4."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MNIST3_CACHE_DIR", common_cache)
            train(folder / "run", population_of(seeds=(3, 4)))

    return once("population", make) / "run"


def test_a_replicate_of_a_candidate_has_the_bytes_of_the_run_of_its_config(
    run, shared_cache, tmp_path
):
    config = config_of(seed=4, optimizer={"name": "sgd", "learning_rate": RATES[1]})
    job.run(config, Arguments(workdir=str(tmp_path / "alone"), figures="none"))
    own = run / FOLDERS[1] / "replicates" / "4"
    workdir.require_same(str(own), config)
    assert_same_run(own, tmp_path / "alone")


def test_the_metrics_say_deviation_and_each_replicate_by_candidate(run):
    metrics = metrics_of(run)
    assert set(metrics["candidates"]) == set(NAMES[:2])
    for name, folder in zip(NAMES[:2], FOLDERS, strict=False):
        line, own = metrics["candidates"][name], metrics_of(run / folder)
        assert line["workdir"] == folder and line["seeds"] == [3, 4]
        for split in ("val", "test"):
            assert line[split] == own[split]
        history = read_history(run / folder, EPOCHS)
        assert [line["replicates"] for line in history] == [
            [each["val"]["exact_match"] for each in lines]
            for lines in zip(
                *[read_history(run / folder / "replicates" / seed, EPOCHS) for seed in "34"],
                strict=True,
            )
        ]


def test_a_candidate_whose_loss_is_not_finite_stops_alone(run):
    metrics = metrics_of(run)
    assert [*metrics["failures"]] == [NAMES[2]]
    assert "not finite" in metrics["failures"][NAMES[2]]
    assert f"{NAMES[2]} has no result" in (run / "report.html").read_text()
    assert not (run / FOLDERS[2] / "metrics.json").exists()


def test_the_curves_of_replicates_are_drawn_by_candidate(run):
    assert (run / "figures" / "replicates.png").exists()
    header = (run / "predictions_test.csv").read_text().partition(",")[0]
    assert header == "replicate"


def test_what_is_chosen_predicts(run, shared_cache):
    chosen = json.loads((run / "comparison.json").read_text())
    folder = run / chosen["workdir"]
    best = metrics_of(folder)["replicates"]["best_on_val"]
    assert reading.load(run).folder == str(folder / "replicates" / str(best))
    assert reading.load(run, replicate="4").folder == str(folder / "replicates" / "4")
    assert reading.load(run, replicate="ensemble").folder == str(folder)


def test_evaluating_it_writes_the_same_again(run, shared_cache, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "metrics.json").unlink()
    arguments = Arguments(mode="evaluate", workdir=str(copy), figures="none")
    config = workdir.read_config(str(copy))
    assert job_of("evaluate", config) == "population"
    population.run(config, arguments)
    before, after = metrics_of(run)["candidates"], metrics_of(copy)["candidates"]
    assert [(each["val"], each["test"]) for each in after.values()] == [
        (each["val"], each["test"]) for each in before.values()
    ]


def test_a_population_that_was_killed_goes_on_to_the_same_bytes(
    run, shared_cache, tmp_path, monkeypatch
):
    folder, save = tmp_path / "run", Checkpoints.save

    def stop_before_the_last(self, epoch, *inputs, **options):
        if epoch == EPOCHS and str(self._folder.parent).endswith(f"{FOLDERS[1]}/replicates/3"):
            raise Killed
        save(self, epoch, *inputs, **options)

    config = population_of(seeds=(3, 4))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Checkpoints, "save", stop_before_the_last)
        train(folder, config)
    assert not (folder / "metrics.json").exists()
    train(folder, config)
    for own in FOLDERS[:2]:
        for seed in "34":
            assert_same_run(folder / own / "replicates" / seed, run / own / "replicates" / seed)


def test_no_candidate_that_learns_is_told_in_a_sentence(shared_cache, tmp_path):
    with pytest.raises(UserError, match="no candidate came to its end; of the last one the loss"):
        train(tmp_path / "run", population_of((1e29, 1e30)))


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("training.epochs=(1,2)", r"takes no training\.epochs, .* can differ in optimizer"),
        ("optimizer.schedule=('cosine',)", r"takes no optimizer\.schedule"),
        ("model.stem=(4,8)", r"takes no model\.stem"),
        ("optimizer.learning_rate=(0.1,0.1)", "none twice"),
        ("optimizer.warmup=(0.1,1.5)", r"config\.optimizer\.warmup is 1\.5; give a value"),
        ("augmentation.shift=(1.5,2)", "of type float; it takes a int"),
        ("augmentation.rotation=('a',)", "of type str; it takes a float"),
        ("optimizer.momentum=(0.0,0.9)", "leave the 0 out"),
        ("training.ema_decay=(0.0,0.9)", "leave the 0 out"),
    ],
)
def test_what_one_program_cannot_train_is_refused(flag, said):
    with pytest.raises(UserError, match=said) as refusal:
        validation.validate(
            experiments.load(f'{NUMBERS} --config.optimizer.name=sgd "--config.population.{flag}"')
        )
    assert str(refusal.value).count(". ") == 0


def test_fields_that_an_experiment_adds_are_refused():
    config = config_of()
    with config.unlocked():
        config.population.training.epochs = (1, 2)
    with pytest.raises(UserError, match=r"takes no training\.epochs"):
        validation.validate(config)


def test_populations_are_no_part_of_sweeps_comparisons_and_searches(load):
    with pytest.raises(UserError, match="a sweep searches others"):
        job_of("sweep", population_of())
    experiment = f"{NUMBERS} --config.population.optimizer.warmup=(0.1,0.2)"
    config = load("experiments/compare.py", compare__experiments=(experiment,))
    with pytest.raises(UserError, match="is a comparison already"):
        candidates.resolve(config)
    config = experiments.load("experiments/classify.py:learner=network")
    config.search.method = "random"
    config.population.optimizer.warmup = (0.1, 0.2)
    with pytest.raises(UserError, match="leave one of them out"):
        validation.validate(config)


def test_more_candidates_compile_no_more_programs(shared_cache, tmp_path):
    """Placed last, so that fewer tests compile anew: it forgets what was compiled."""

    def prepared(*rates):
        folder = tmp_path / "-".join(map(str, rates))
        config = population_of(rates, seeds=(0, 1), training={"epochs": 1})
        every = [*population._prepare(config, str(folder), None)[0].values()]
        configs = [made.config for made in every]
        folders = [folder / str(place) for place in range(len(every))]
        for own in folders:
            own.mkdir(parents=True)
        trackers = [Tracker(*each) for each in zip(folders, configs, strict=True)]
        return every, every[0].prepare_replicates(*configs), [*map(str, folders)], trackers

    def compilations(prepared):
        found = []

        def count(event, seconds, **_):
            if event == "/jax/core/compile/backend_compile_duration":
                found.append(event)

        jax.clear_caches()
        jax.monitoring.register_event_duration_secs_listener(count)
        try:
            parts.learn_candidates(*prepared)
        finally:
            jax.monitoring.unregister_event_duration_listener(count)
        return len(found)

    every = [prepared(*rates) for rates in ((0.05, 0.1), (0.05, 0.2), (0.05, 0.2, 0.3))]
    _, two, three = map(compilations, every)  # the first what a process needs
    assert two == three > 0
