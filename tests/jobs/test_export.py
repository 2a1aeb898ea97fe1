"""export of a run, through the command line."""

import pathlib
import shutil

import numpy as np
import pytest

import mnist3
from mnist3.errors import UserError
from mnist3.export import load_onnx, load_stablehlo
from mnist3.jobs import command_line
from tests import small

ROOT = pathlib.Path(__file__).parent.parent.parent
FILES = {"reader.stablehlo", "load_stablehlo.py", "reader.onnx", "load_onnx.py", "reader.html"}


def launch(*flags):
    return command_line.run(["launch.py", *map(str, flags)])


def export(run, output, *flags):
    return launch("--mode=export", f"--workdir={run}", f"--output={output}", *flags)


@pytest.fixture
def run(trained):
    return trained(small.NUMBERS)


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_run_is_exported_and_reads_as_it_does(run, tmp_path):
    assert export(run, tmp_path / "taken") == 0
    assert names(tmp_path / "taken") == FILES
    images = np.random.default_rng(0).integers(0, 256, (3, 84, 56)).astype(np.uint8)
    expected = mnist3.load(run).read(images)
    for loader, name in ((load_stablehlo, "reader.stablehlo"), (load_onnx, "reader.onnx")):
        read, metadata = loader.load(tmp_path / "taken" / name)
        found = {key: np.asarray(value) for key, value in read(images).items()}
        texts = ["".join(metadata["classes"][v] for v in row) for row in found["values"]]
        assert texts == [reading.text for reading in expected]
        assert found["sure"].tolist() == [reading.sure for reading in expected]
        confidences = [reading.confidence for reading in expected]
        np.testing.assert_allclose(found["confidence"], confidences, rtol=1e-4)
        assert metadata["checkpoint_epoch"] == 1
        assert metadata["preprocessing"]["height"] == 84
        assert metadata["preprocessing"]["width"] == 56


def test_formats_are_selected_and_files_replaced(run, tmp_path):
    (tmp_path / "reader.onnx").write_text("of another run")
    (tmp_path / "reader.stablehlo").write_text("of another run")
    assert export(run, tmp_path, "--formats=onnx") == 0
    assert names(tmp_path) == {"reader.onnx", "load_onnx.py", "reader.stablehlo"}
    assert (tmp_path / "reader.stablehlo").read_text() == "of another run"
    assert len((tmp_path / "reader.onnx").read_bytes()) > 1000


def test_nothing_is_replaced_where_a_file_cannot_be_made(run, tmp_path, monkeypatch):
    from mnist3.export import FORMATS

    def fails(reader):
        raise UserError("the network computes fft")

    (tmp_path / "reader.stablehlo").write_text("of another run")
    monkeypatch.setitem(FORMATS, "onnx", fails)
    with pytest.raises(UserError, match="computes fft"):
        export(run, tmp_path)
    assert names(tmp_path) == {"reader.stablehlo"}
    assert (tmp_path / "reader.stablehlo").read_text() == "of another run"


def test_mistakes_are_one_sentence(run, tmp_path):
    for flags, words in (
        (("--mode=export",), "--mode=export needs a finished run"),
        (("--mode=export", f"--workdir={run}"), "--mode=export needs --output"),
        (("--mode=export", f"--workdir={run}", f"--output={run}/config.json"), "cannot make"),
        (("--mode=export", f"--workdir={run}", f"--output={run}/checkpoints"), "replace a file of"),
        (("--mode=export", f"--workdir={run}", f"--output={tmp_path}", "--formats=pt"), "pt"),
        (("--mode=export", f"--workdir={tmp_path}", f"--output={tmp_path}"), "config.json"),
    ):
        with pytest.raises(UserError, match=words):
            launch(*flags)
    assert not names(tmp_path)


def test_an_estimator_is_not_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "knn"
    text = "--config=experiments/classify.py:task=binary,learner=dummy,train_limit=600"
    assert launch(text, "--config.wandb.mode=disabled", f"--workdir={folder}") == 0
    with pytest.raises(UserError, match="of the learner dummy, and networks alone"):
        export(folder, tmp_path / "taken")
    assert not (tmp_path / "taken").exists()
    shutil.rmtree(folder)
