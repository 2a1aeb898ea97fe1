"""What --mode=inspect says before a training, through the command line, and that it trains not."""

import json
import math
import pathlib

import pytest
from PIL import Image

from mnist3 import experiments, profiling
from mnist3.jobs import command_line, inspect
from mnist3.reporting import drawing
from mnist3.training import loop, program
from tests import small

ROOT = pathlib.Path(__file__).parent.parent.parent
DIGITS = "experiments/classify.py:source=digits,train_limit=600"


@pytest.fixture
def ask(shared_cache, monkeypatch, capsys):
    """Inspects an experiment, whose training would fail; returns its output and exit status."""
    monkeypatch.setattr(profiling, "MEASURED_SECONDS", 0.0)
    monkeypatch.setattr(loop, "train", None)

    def run(text, *flags):
        config, *changes = text.split(" ")
        words = ["launch.py", "--mode=inspect", f"--config={config}", *changes, *map(str, flags)]
        status = command_line.main(words)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_network_is_told_with_its_cost_its_data_and_a_batch(ask, tmp_path):
    seeds = f"{small.NUMBERS} --config.seeds=(4,9)"
    status, out, err = ask(seeds, f"--output={tmp_path}/new")
    assert status == 0, err
    found = json.loads((tmp_path / "new" / "inspect.json").read_text())
    pixels = 84 * 56
    parameters = (pixels + 1) * 2 * 10
    assert found["model"]["parameters"] == parameters
    assert found["changed"]["data.digits"] == {"value": 2, "default": 3}
    assert "data.source" not in found["changed"]
    assert found["config"]["data"]["source"] == "digits"
    batch, steps = found["training"]["batch_size"], found["training"]["steps_an_epoch"]
    assert steps == 512 // batch
    step = 2 * 2 * batch * pixels * 20  # forward, and the gradient of the only kernel
    assert found["training"]["operations_a_step"] == step
    reading = 2 * 100 * pixels * 20
    assert found["training"]["operations_an_epoch"] == 2 * (steps * step + reading)
    mesh = program.create_mesh(2).shape
    each = 2 // mesh["replicate"]
    assert found["bytes_a_device"]["parameters"] == each * 4 * parameters
    assert found["bytes_a_device"]["val"] == 100 * pixels + 100 * 2 * 4
    assert found["bytes_a_device"]["gradients"] == each * 4 * parameters
    micro_batch = experiments.load(small.NUMBERS).training.cpu_micro_batch
    at_once = math.gcd(batch // mesh["data"], micro_batch)
    assert found["bytes_a_device"]["layers"] == each * at_once * 20 * 4
    assert found["data"]["splits"] == {"train": 512, "val": 100, "test": 100}
    estimate = found["estimate"]
    assert estimate["seconds_an_epoch"] == pytest.approx(
        found["training"]["operations_an_epoch"]
        / (estimate["matrix_product_rate"] * estimate["assumed_share"])
    )
    assert "2 replicates, of seeds 4, 9, train in one program" in out
    assert "numbers disjoint, digit images disjoint; train 512, val 100, test 100 images" in out
    with Image.open(tmp_path / "new" / "batch.png") as picture:
        assert picture.width > 500
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "batch.png",
        "inspect.json",
    ]


def test_without_a_folder_nothing_is_written(ask, tmp_path, monkeypatch):
    monkeypatch.setattr(inspect, "_draw", None)
    config = str(ROOT / "experiments" / "classify.py:source=digits,train_limit=600,learner=knn")
    monkeypatch.chdir(tmp_path)
    status, out, err = ask(f"{config},task=pair")
    assert status == 0, err
    assert "\nknn with " in out
    assert not list(tmp_path.iterdir())


def test_what_differs_from_the_kind_is_marked(ask):
    _, out, _ = ask(f"{DIGITS},learner=knn --config.learner.parameters.n_neighbors=7")
    lines = [line.split() for line in out.splitlines()]
    assert ["*", "learner.parameters.n_neighbors", "7", "(default", "None)"] in lines
    assert ["seed", "0"] in lines
    assert "n_neighbors=7, p=2, weights=uniform, fitted to 600 images" in out


@pytest.mark.parametrize("task", ["multiclass", "denoise"])
def test_the_batch_is_of_training_images_as_the_network_sees_them(ask, task, tmp_path, monkeypatch):
    drawn = {}

    def draw(images, captions, title):
        drawn.update(images=images, captions=captions)
        return grid(images, captions, title)

    grid = drawing.image_grid
    monkeypatch.setattr(drawing, "image_grid", draw)
    status, _, err = ask(f"{DIGITS},task={task}", f"--workdir={tmp_path}")
    assert status == 0, err
    assert (tmp_path / "batch.png").exists()
    dataset = inspect.parts.load(experiments.load(f"{DIGITS},task={task}"), None).dataset
    train = dataset.splits["train"]
    assert drawn["images"].shape == (inspect.SHOWN, 28, 28)
    known = {
        image.tobytes(): str(label[0])
        for image, label in zip(train.images, train.labels, strict=True)
    }
    if task == "denoise":
        assert not any(image.tobytes() in known for image in drawn["images"])
        return
    assert [known[image.tobytes()] for image in drawn["images"]] == list(drawn["captions"])


def test_a_table_is_told_in_a_sentence(ask, tmp_path):
    status, out, err = ask("experiments/tabular.py", f"--output={tmp_path}")
    assert status == 0, err
    assert "are compared by cross-validation." in out
    assert [path.name for path in tmp_path.iterdir()] == ["inspect.json"]


@pytest.mark.parametrize(
    ("text", "flags", "words"),
    [
        (f"{small.NUMBERS} --config.training.batch_size=600", (), "batch size of at most that"),
        (f"{DIGITS},learner=svc_ovo,task=pair", (), "svc_ovo"),
        ("experiments/compare.py", (), "--mode=inspect is not for runs of kind comparison"),
        (small.NUMBERS, ("--output=/dev/null/x",), "cannot make the folder --output=/dev/null/x"),
        (small.NUMBERS, ("--workdir=/dev/null/x",), "cannot make the folder --workdir=/dev/null/x"),
    ],
)
def test_what_a_training_would_refuse_is_one_sentence(ask, text, flags, words):
    status, _, err = ask(text, *flags)
    assert status == 1
    assert words in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("Error: ")
