import dataclasses
import itertools
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from benchmarks import candidates, fit, machine, recipes, run, summary
from benchmarks.candidates import Candidate, Task
from benchmarks.fit import Fit
from benchmarks.report import Report
from mnist3.data.splits import Split
from mnist3.errors import UserError

TASKS = {"mnist": Task("MNIST", "test accuracy", 0.99, "ours")}
CANDIDATES = {
    "ours_cold": Candidate("ours, cold", "mnist", "a:ours", ("a.py",), "jax", 2, "cold"),
    "ours": Candidate("ours", "mnist", "a:ours", ("a.py",), "jax", 3, "warm"),
    "peer": Candidate("peer", "mnist", "b:peer", ("b.py",), "torch", 2),
}


@pytest.fixture
def peers():
    pytest.importorskip(
        "torch", reason="the peers need torch: install benchmarks/requirements.lock"
    )
    from benchmarks import peers

    return peers


def _examples(n, size, digits, seed):
    """Images of which each third of the columns tells a digit by the height of its one bar."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, (n, digits)).astype(np.int32)
    images = rng.integers(0, 30, (n, size, size)).astype(np.uint8)
    width = size // digits
    for image, number in zip(images, labels, strict=True):
        for position, digit in enumerate(number):
            top = 2 + digit * (size - 6) // 10
            image[top : top + 3, position * width + 2 : (position + 1) * width - 2] = 255
    return Split(images, labels)


@pytest.mark.parametrize(
    ("model", "size", "outputs", "parameters"),
    [
        # 624 + 6,944 + 205,056 + 2,570
        ("p1_model", 28, 10, 215_194),
        # 320 + 18,496 + 1,179,776 + 1,290
        ("p2_model", 28, 10, 1_199_882),
        # 240 + 5,208 + 2,604 + batch norm 48 + 48 + 24 + 76,864 + 1,950
        ("p3_model", 84, 30, 86_986),
    ],
)
def test_peer_models_have_the_published_shapes(peers, model, size, outputs, parameters):
    import torch

    network = getattr(peers, model)()
    assert network(torch.zeros(2, 1, size, size)).shape == (2, outputs)
    assert sum(values.numel() for values in network.parameters()) == parameters


@pytest.mark.parametrize("channels_last", [False, True])
def test_p1_learns(peers, channels_last):
    train, test = _examples(3000, 28, 1, 0), _examples(200, 28, 1, 1)
    report = Report()
    peers.fit_p1(train, test, 0, report, channels_last)
    [point] = report.curve
    assert point.accuracy > 0.9


def test_p2_learns_and_is_evaluated_after_each_epoch(peers):
    train, test = _examples(640, 28, 1, 0), _examples(200, 28, 1, 1)
    report = Report()
    peers.fit_p2(train, test, 0, report, epochs=2)
    assert len(report.curve) == 2
    assert report.curve[-1].accuracy > 0.9


def test_p3_learns_and_stops_at_its_target(peers):
    train, val = _examples(640, 84, 3, 0), _examples(100, 84, 3, 1)
    report = Report()
    peers.fit_p3(train, val, 0, report)
    accuracies = [point.accuracy for point in report.curve]
    assert accuracies[-1] >= 0.9
    assert all(accuracy < 0.9 for accuracy in accuracies[:-1])


def test_p3_is_given_the_number_images_in_memory(peers, tmp_path, monkeypatch):
    for split, number, ink in (("train", "071", 10), ("val", "305", 20)):
        path = tmp_path / "triple_mnist" / split / number / f"0_{number}.png"
        path.parent.mkdir(parents=True)
        Image.new("L", (84, 84), ink).save(path)
    monkeypatch.setattr(peers.runtime, "cache_dir", lambda: str(tmp_path / "cache"))
    given = []
    monkeypatch.setattr(peers, "fit_p3", lambda *arguments: given.extend(arguments))
    peers.p3(str(tmp_path), 5, report := Report())
    train, val, *rest = given
    assert rest == [5, report]
    assert train.labels.tolist() == [[0, 7, 1]]
    assert val.labels.tolist() == [[3, 0, 5]]
    assert (train.images == 10).all() and (val.images == 20).all()
    assert type(train.images) is np.ndarray and train.images.shape == (1, 84, 84)


def test_mnist_is_split_as_officially(peers, data_dir):
    train, test = peers._load_mnist(data_dir)
    assert (train.images.shape, train.labels.shape) == ((60_000, 28, 28), (60_000, 1))
    assert (test.images.shape, test.labels.shape) == ((10_000, 28, 28), (10_000, 1))


def test_peer_scales_images_as_published(peers):
    train = _examples(4, 28, 1, 0)
    shapes = []
    model = peers.p1_model()
    model.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].clone()))

    def create_optimizer(parameters):
        import torch

        return torch.optim.SGD(parameters, lr=0.0)

    trainer = peers.Trainer(model, create_optimizer, train, peers.MNIST_SCALE, True)
    trainer.step(trainer.order())
    expected = (np.sort(train.images.ravel()) / 255 - 0.1307) / 0.3081
    np.testing.assert_allclose(np.sort(shapes[0].numpy().ravel()), expected, atol=1e-5)


def test_our_fit_trains_and_evaluates_as_its_experiment_says():
    config = recipes.mnist_speed_experiment.get_config()
    config.model.update(stem=4, channels=(8,), hidden=(16,))
    config.training.update(batch_size=32, epochs=2)
    train, test = _examples(1200, 28, 1, 0), _examples(100, 28, 1, 1)
    report = Report()
    recipes._fit(config, train, test, 3, report)
    [point] = report.curve
    assert config.seed == 3
    assert point.accuracy > 0.9 and point.seconds > 0


@pytest.fixture
def launched(monkeypatch):
    """The commands that were given in place of being run, and what they would have left."""
    commands = []

    def run_command(command, **options):
        commands.append((command, options["env"]))
        assert options["check"]
        values = dict(word.partition("=")[::2] for word in command if word.startswith("--"))
        if "--output" in values:
            rows = "path,number,confidence,confidences,sure,error\n"
            pathlib.Path(values["--output"]).write_text(f"{rows}a.png,000,1,1,True,\n")
        else:
            folder = pathlib.Path(values["--workdir"])
            folder.mkdir(exist_ok=True)
            (folder / "metrics.json").write_text('{"test": {"exact_match": 0.75}}')

    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "the cache")
    monkeypatch.setattr(recipes.subprocess, "run", run_command)
    return commands


def test_our_command_is_timed_as_a_process(launched):
    report = Report()
    recipes.mnist_speed_command("folder", 5, report)
    assert [point.accuracy for point in report.curve] == [0.75]
    [(command, environment)] = launched
    assert {"--config=experiments/mnist_speed.py", "--config.seed=5"} <= {*command}
    assert "--data_dir=folder" in command
    # All that is kept between commands lies in the folder that is empty for a cold one.
    assert environment["MNIST3_CACHE_DIR"] == "the cache"
    assert not {"JAX_COMPILATION_CACHE_DIR", "GLIBC_TUNABLES"} & environment.keys()


def test_reading_a_picture_is_timed_without_the_training(launched):
    report = Report()
    recipes.predict_command("folder", 0, report)
    training, reading = (command for command, _ in launched)
    assert "--config=experiments/quickstart.py" in training
    assert "--mode=predict" in reading
    assert [point.accuracy for point in report.curve] == [0.0]  # no test image reads 000


def test_p1_as_a_script_reads_fits_and_saves(peers, tmp_path, data_dir, monkeypatch):
    import torch

    from benchmarks import p1_script

    def fit_p1(train, test, seed, report, channels_last):
        given.update(train=train, test=test, seed=seed)
        report.start()
        report.stop()
        report.add(0.5)
        return torch.nn.Linear(1, 1)

    given = {}
    monkeypatch.setattr(p1_script, "fit_p1", fit_p1)
    p1_script.main(data_dir, "3", str(tmp_path))
    expected = peers._load_mnist(data_dir)
    for part, split in zip((given["train"], given["test"]), expected, strict=True):
        assert (part.images == split.images).all() and (part.labels == split.labels).all()
    assert given["seed"] == 3
    assert json.loads((tmp_path / "accuracy.json").read_text()) == 0.5
    assert torch.load(tmp_path / "model.pt")


def test_report_leaves_evaluation_out(monkeypatch):
    now = iter([0.0, 2.0, 10.0, 13.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    report = Report()
    for accuracy in (0.5, 0.75):
        report.start()
        report.stop()
        report.add(accuracy)
    assert report.curve == [(2.0, 0.5), (5.0, 0.75)]


def test_report_counts_nested_compilation_once(monkeypatch):
    now = iter([0.0, 4.0, 6.0, 9.0, 10.0, 20.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    report = Report()
    event = "/jax/core/compile/jaxpr_trace_duration"
    report.add_compilation(event, 1.0)  # the clock does not run yet
    report.start()
    report.add_compilation(event, 1.0)  # from 3 to 4, inside the next
    report.add_compilation(event, 5.0)  # from 1 to 6
    report.add_compilation("/jax/core/compile/backend_compile_duration", 2.0)  # from 7 to 9
    report.add_compilation("/jax/compilation_cache/cache_retrieval_time_sec", 1.0)
    assert report.compile_seconds == 7.0


def test_report_refuses_an_evaluation_on_the_clock():
    report = Report()
    with pytest.raises(RuntimeError, match="start"):
        report.stop()
    report.start()
    with pytest.raises(RuntimeError, match="stop"):
        report.start()
    with pytest.raises(RuntimeError, match="stop the clock"):
        report.add(0.5)
    report.stop()
    with pytest.raises(ValueError, match="between 0 and 1"):
        report.add(99.1)


def test_fit_runs_in_a_process_of_its_own(tmp_path):
    (tmp_path / "recipe.py").write_text(
        "import os\n"
        "def train(data_dir, seed, report):\n"
        "    import jax\n"
        "    report.start()\n"
        "    jax.jit(lambda value: value + 1)(seed).block_until_ready()\n"
        "    report.stop()\n"
        "    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1\n"
        "    assert cores <= 2 and data_dir == 'data'\n"
        "    report.add(seed / 10)\n"
    )
    root = pathlib.Path(fit.__file__).parent.parent
    result = tmp_path / "result.json"
    path = [str(root), str(tmp_path)]
    code = f"import sys; sys.path[:0] = {path!r}; from benchmarks import fit; "
    subprocess.run(
        [
            sys.executable,
            "-c",
            code + f"fit.main('jax', 'recipe:train', 'data', '7', {str(result)!r})",
        ],
        check=True,
        env=run._environment(str(tmp_path / "cache")),
    )
    written = json.loads(result.read_text())
    [(seconds, accuracy)] = written["curve"]
    assert accuracy == 0.7
    assert 0 < written["compile_seconds"] <= seconds


class _FakeFits:
    """Notes the fits asked for; stops after some, as an interrupt does."""

    def __init__(self, until=1000):
        self.calls = []
        self.until = until

    def __call__(self, candidate, seed, cache):
        if len(self.calls) == self.until:
            raise KeyboardInterrupt
        self.calls.append((candidate.title, seed, cache))
        return {"curve": [(1.0 + seed, 0.99)], "compile_seconds": 0.5}


@pytest.fixture
def log_path(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "code_version", lambda candidate: "v1")
    return tmp_path / "fits.jsonl"


def test_candidates_take_turns_and_caches_are_kept_apart(tmp_path, log_path):
    fits = _FakeFits()
    run.run_fits(CANDIDATES, None, run.Log(log_path), fits, str(tmp_path))
    assert [call[:2] for call in fits.calls] == [
        ("ours, cold", 0),
        ("ours", 0),
        ("peer", 0),
        ("ours, cold", 1),
        ("ours", 1),
        ("peer", 1),
        ("ours", 2),
    ]
    cold = [cache for title, _, cache in fits.calls if title == "ours, cold"]
    warm = {cache for title, _, cache in fits.calls if title == "ours"}
    assert len(set(cold)) == 2
    assert warm == {cold[0]}


def test_a_warm_cache_is_filled_by_a_fit_that_is_not_counted(tmp_path, log_path):
    fits, log = _FakeFits(), run.Log(log_path)
    run.run_fits({"ours": CANDIDATES["ours"]}, 2, log, fits, str(tmp_path))
    assert [call[:2] for call in fits.calls] == [("ours", 0), ("ours", 0), ("ours", 1)]
    assert len({call[2] for call in fits.calls}) == 1
    assert [fit.seed for fit in log.fits] == [0, 1]


def test_an_interrupted_benchmark_goes_on(tmp_path, log_path):
    peer = {"peer": CANDIDATES["peer"]}
    with pytest.raises(KeyboardInterrupt):
        run.run_fits(peer, 5, run.Log(log_path), _FakeFits(until=3), str(tmp_path))
    with open(log_path, "a") as file:
        file.write('{"candidate": "peer", "se')
    fits = _FakeFits()
    run.run_fits(peer, 5, run.Log(log_path), fits, str(tmp_path))
    assert [seed for _, seed, _ in fits.calls] == [3, 4]
    assert [json.loads(line)["seed"] for line in log_path.read_text().splitlines()] == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_changed_code_and_removed_fits_run_again(tmp_path, log_path, monkeypatch):
    peer = {"peer": CANDIDATES["peer"]}
    run.run_fits(peer, None, run.Log(log_path), _FakeFits(), str(tmp_path))
    run.run_fits(peer, None, run.Log(log_path), nothing := _FakeFits(), str(tmp_path))
    log = run.Log(log_path)
    log.remove(peer)
    run.run_fits(peer, None, run.Log(log_path), again := _FakeFits(), str(tmp_path))
    monkeypatch.setattr(run, "code_version", lambda candidate: "v2")
    run.run_fits(peer, None, run.Log(log_path), changed := _FakeFits(), str(tmp_path))
    assert [len(fits.calls) for fits in (nothing, again, changed)] == [0, 2, 2]


def test_code_version_follows_the_code_of_the_candidate(tmp_path):
    candidate = dataclasses.replace(CANDIDATES["peer"], code=("package", "b.py"))
    versions = []
    for name in ("b.py", "package/c.py", "package/c.py", "elsewhere.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{len(versions) if name != 'elsewhere.py' else 0}")
        versions.append(run.code_version(candidate, tmp_path))
    assert len(set(versions[:3])) == 3
    assert versions[3] == versions[2]


def _fits():
    def curve(seed, *points):
        return [(seconds * (1 + seed / 10), accuracy) for seconds, accuracy in points]

    return [
        *(
            Fit("ours", seed, "v", curve(seed, (2.0, 0.989 + seed / 500)), 0.25)
            for seed in range(3)
        ),
        *(Fit("ours_cold", seed, "v", curve(seed, (6.0, 0.991)), 4.0) for seed in range(2)),
        *(
            Fit("peer", seed, "v", curve(seed, (4.4, 0.985), (8.8, 0.988 + seed / 1000)), 0.0)
            for seed in range(2)
        ),
    ]


def test_summary_takes_medians_and_ratios():
    [task] = summary.summarise(_fits(), CANDIDATES, TASKS).values()
    rows = task["candidates"]
    assert list(rows) == ["ours", "ours_cold", "peer"]
    assert rows["ours"]["accuracy"] == pytest.approx(0.991)
    assert rows["ours"]["accuracy_deviation"] == pytest.approx(0.002)
    assert rows["ours"]["seconds"] == pytest.approx(2.2)
    assert rows["ours"]["seconds_range"] == pytest.approx([2.0, 2.4])
    assert rows["ours"]["seconds_to_target"] == pytest.approx(2.4)  # of inf, 2.2 and 2.4
    assert rows["ours"]["seconds_ratio"] == 1
    assert rows["peer"]["seconds"] == pytest.approx(9.24)
    assert rows["peer"]["seconds_ratio"] == pytest.approx(4.2)
    assert rows["peer"]["seconds_to_target"] is None
    assert rows["peer"]["seconds_to_target_ratio"] is None
    assert rows["peer"]["compile_seconds"] is None
    assert rows["ours_cold"]["compile_seconds"] == 4.0


def test_table_of_one_seed_has_no_deviation():
    fits = [fits for fits in _fits() if fits.candidate == "ours"][:1]
    table = summary.as_markdown(summary.summarise(fits, CANDIDATES, TASKS), {}, {})
    assert "| ours | 1 | 98.90 % | 2.00 (2.00 to 2.00) | 1.00 | - | - | 0.250 | - | - |" in table


def test_table_has_a_row_for_each_candidate():
    fits = [
        dataclasses.replace(each, operations=1.77e11) if each.candidate == "ours" else each
        for each in _fits()
    ]
    numbers = summary.summarise(fits, CANDIDATES, TASKS)
    table = summary.as_markdown(
        numbers, {"processor": "P", "cores": 2}, {"jax": 201.4, "step": 120.6}
    )
    assert "processor P, cores 2" in table
    assert "201 GFLOP/s in jax." in table
    assert "step of triple_mnist runs at 121 GFLOP/s, 60% of" in table
    assert (
        "| ours | 3 | 99.10 % ± 0.20 | 2.20 (2.00 to 2.40) | 1.00 | 2.40 | 1.00 | 0.250 "
        "| 177 | 40% |" in table
    )
    assert "| peer | 2 | 98.85 % ± 0.07 | 9.24 (8.80 to 9.68) | 4.20 | - | - | - | - | - |" in table


def test_plot_shows_every_candidate(tmp_path):
    path = tmp_path / "plot.png"
    numbers = summary.summarise(_fits(), CANDIDATES, TASKS)
    summary.plot(numbers, _fits(), CANDIDATES, str(path))
    with Image.open(path) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    for colour in list(summary._COLOURS)[:2]:
        assert tuple(bytes.fromhex(colour[1:])) in colours


def test_results_are_of_the_present_code(tmp_path, log_path, monkeypatch):
    monkeypatch.setattr(run, "CANDIDATES", CANDIDATES)
    monkeypatch.setattr(run, "TASKS", TASKS)
    log = run.Log(log_path)
    for fits in _fits():
        log.append(dataclasses.replace(fits, version="v1" if fits.candidate == "ours" else "v0"))
    run.write_results(log, {"jax": 200.0}, tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["tasks"]["mnist"]["candidates"]) == ["ours"]
    assert len(results["fits"]) == 3
    assert results["machine"]["threads used"] == 2
    assert (tmp_path / "results.md").read_text().startswith("Machine: processor")
    assert (tmp_path / "results.png").stat().st_size > 10_000


def test_every_candidate_belongs_to_a_task_with_its_reference():
    for task in candidates.TASKS.values():
        assert task.reference in candidates.CANDIDATES
    assert {each.task for each in candidates.CANDIDATES.values()} == {*candidates.TASKS}


def test_missing_candidates_are_told():
    with pytest.raises(UserError, match="unknown candidate 'p9'"):
        candidates.select(["p9"])


def test_missing_recipes_and_libraries_are_told(monkeypatch):
    recipe = dataclasses.replace(CANDIDATES["ours"], fit="benchmarks.no_such_module:train")
    other = dataclasses.replace(CANDIDATES["ours"], fit="benchmarks.fit:main", library="no_such")
    monkeypatch.setitem(candidates.CANDIDATES, "recipe", recipe)
    monkeypatch.setitem(candidates.CANDIDATES, "other", other)
    with pytest.raises(UserError, match=r"needs the module benchmarks.no_such_module with"):
        candidates.select(["recipe"])
    with pytest.raises(UserError, match=r"needs no_such: run pip install"):
        candidates.select(["other"])


def test_a_failed_fit_is_told(tmp_path):
    candidate = dataclasses.replace(CANDIDATES["peer"], fit="benchmarks.no_such_module:train")
    with pytest.raises(UserError, match="the fit of peer with seed 3 failed with status 1"):
        run._run_in_process("data", candidate, 3, str(tmp_path))


def test_machine_is_described():
    description = machine.describe()
    assert description["processor"]
    assert description["jax"] == jax.__version__


def test_matrix_product_rate_is_that_of_the_best_repetition(monkeypatch):
    monkeypatch.setattr(machine, "_jax_product", lambda: lambda: None)
    starts = itertools.accumulate(itertools.repeat(100.0))
    seconds = itertools.cycle([4.0, 2.0, 3.0])
    now = (time for start in starts for time in (start, start + next(seconds)))
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    assert machine.matrix_product_rate("jax") == pytest.approx(2 * 2048**3 / 2.0 / 1e9)
