"""The Python call: whatever a run has learned reads images in memory and in files."""

import io
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import mnist3
from mnist3 import experiments
from mnist3.errors import UserError
from mnist3.jobs import compare
from mnist3.jobs.arguments import Arguments
from tests import small

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture
def numbers(trained):
    return str(trained(small.NUMBERS))


@pytest.fixture
def pixels():
    generator = np.random.default_rng(0)
    images = np.zeros((3, 84, 56), np.uint8)
    images[:, 30:50, 5:50] = generator.integers(128, 256, (3, 20, 45))
    return images


def test_pixels_of_a_run_of_numbers_are_read(numbers, pixels):
    readings = mnist3.load(numbers).read(pixels)
    assert len(readings) == 3
    for reading in readings:
        assert len(reading.text) == 2 and reading.text.isdigit()
        assert len(reading.probabilities) == 2
        assert 0 < reading.confidence <= 1
        assert reading.error == "" and reading.image is None
        assert reading.sure in (True, False)


def test_one_image_reads_as_it_does_among_others(numbers, pixels):
    reader = mnist3.load(numbers)
    assert reader.read(pixels[1]) == [reader.read(pixels)[1]]


def test_no_image_has_no_reading(numbers, pixels):
    assert mnist3.load(numbers).read(pixels[:0]) == []


def test_more_images_than_a_batch_keep_their_order(numbers, pixels):
    reader = mnist3.load(numbers)
    many = pixels[np.arange(600) % 3]
    assert [each.text for each in reader.read(many)] == [
        each.text for each in reader.read(pixels)
    ] * 200


def test_files_read_as_their_pixels_also_when_dark_on_light(numbers, pixels, tmp_path):
    pixels[:, 30, 10:30] = 255  # enough ink at full brightness, so that nothing is stretched
    for place, image in enumerate(pixels):
        Image.fromarray(255 - image if place == 1 else image).save(tmp_path / f"{place}.png")
    reader = mnist3.load(pathlib.Path(numbers))
    of_pixels = reader.read(pixels)
    paths = [tmp_path / "2.png", tmp_path / "0.png"]
    assert reader.read(str(tmp_path)) == of_pixels
    assert reader.read(f"{tmp_path}/*.png") == of_pixels
    assert reader.read(paths) == [of_pixels[2], of_pixels[0]]
    contents = [path.read_bytes() for path in paths]
    images = [Image.open(io.BytesIO(content)) for content in contents]
    in_memory = [images[0], np.asarray(images[1])]
    assert reader.read(contents) == reader.read(in_memory) == reader.read(paths)


def test_a_picture_in_memory_of_another_type_is_refused(numbers):
    with pytest.raises(UserError, match="a picture is float64 of shape"):
        mnist3.load(numbers).read([np.zeros((9, 9))])


def test_a_file_that_cannot_be_read_says_so_and_the_others_go_on(numbers, pixels, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.fromarray(pixels[0]).save(tmp_path / "good.png")
    broken, good = mnist3.load(numbers).read([tmp_path / "broken.png", tmp_path / "good.png"])
    assert broken.text == "" and broken.confidence is None and broken.sure is None
    assert "not a PNG" in broken.error
    assert good.text and not good.error


@pytest.mark.parametrize("wrong", [np.zeros((1, 28, 28), np.uint8), np.zeros((1, 84, 56))])
def test_other_pixels_are_refused_with_what_the_run_reads(numbers, wrong):
    with pytest.raises(UserError, match=r"reads uint8 of shape \(n, 84, 56\)"):
        mnist3.load(numbers).read(wrong)


def test_a_run_of_an_estimator_reads_classes(trained):
    reader = mnist3.load(trained(small.KNN.format("multiclass")))
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 13:16] = 255
    (reading,) = reader.read(image)
    assert reading.text in reader.task.classes
    assert len(reading.probabilities) == 10
    assert reading.confidence == max(reading.probabilities)


def test_a_run_that_predicts_images_gives_them(trained):
    reader = mnist3.load(trained(small.KNN.format("denoise")))
    (reading,) = reader.read(np.full((28, 28), 40, np.uint8))
    assert reading.text == ""
    assert reading.image.shape == (28, 28) and reading.image.dtype == np.uint8


def test_of_a_comparison_the_choice_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path / "cache"))
    config = experiments.load("experiments/compare.py:learners=dummy+knn,train_limit=300")
    config.wandb.mode = "disabled"
    folder = str(tmp_path / "run")
    compare.run(config, Arguments(workdir=folder, figures="none"))
    reader = mnist3.load(folder)
    assert reader.folder.startswith(folder)
    assert len(reader.read(np.zeros((2, 28, 28), np.uint8))) == 2


def test_a_run_of_a_table_is_refused(tmp_path):
    from mnist3 import config as configs

    (tmp_path / "config.json").write_text(configs.to_json(configs.table()))
    with pytest.raises(UserError, match="of a table, not of images"):
        mnist3.load(tmp_path)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        mnist3.load(tmp_path)


def test_importing_the_package_loads_no_library():
    code = "import mnist3, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not {"jax", "numpy", "sklearn"} & set(done.stdout.split())


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="laod"):
        _ = mnist3.laod
