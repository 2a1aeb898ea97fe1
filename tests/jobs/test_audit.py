import json

import numpy as np
import pytest
from PIL import Image

from mnist3 import runtime
from mnist3.data import dataset as datasets
from mnist3.data.sources import load_source
from mnist3.errors import UserError
from mnist3.jobs import audit
from mnist3.jobs.arguments import Arguments


@pytest.fixture
def numbers_of_digits(tmp_path):
    """A folder of number images in the layout of Triple MNIST, made of the embedded digits.

    Val has the first 30 digit images; train has 15 of them, in another order, and 30 others.
    """
    source = load_source("digits")
    for split, start in (("val", 0), ("val", 15), ("train", 0), ("train", 45), ("train", 60)):
        for first in range(start, start + 15, 3):
            digits = range(first, first + 3)[:: 1 if split == "val" else -1]
            number = "".join(str(source.labels[digit]) for digit in digits)
            image = np.zeros((84, 84), np.uint8)
            image[20:48] = np.concatenate(source.images[digits], axis=1)
            path = tmp_path / "numbers" / split / number / f"{first}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return str(tmp_path / "numbers")


def test_number_images_of_another_source_are_looked_up_in_it(
    load, own_cache, numbers_of_digits, tmp_path, capsys
):
    config = load("experiments/triple_mnist.py", data__source="digits")
    output = tmp_path / "audit.json"
    audit.run(config, Arguments(data_dir=numbers_of_digits, output=str(output)))
    report = json.loads(output.read_text())
    assert report["source"] == "digits"
    assert [split["found"] for split in report["splits"].values()] == [1, 1]
    assert report["splits"]["val"]["digit_images_in_train"] == 0.5
    assert "source digits" in capsys.readouterr().out


def test_an_output_that_cannot_be_written_stops_before_the_data_are_loaded(
    load, own_cache, monkeypatch
):
    monkeypatch.setattr(datasets, "load", None)
    with pytest.raises(UserError, match="cannot write --output=absent/a"):
        audit.run(load("experiments/quickstart.py"), Arguments(output="absent/a.json"))


@pytest.mark.parametrize("name", ["numbers/train/000/new.json", "mnist/train-labels-idx1-ubyte.gz"])
def test_the_data_are_not_written_over(
    load, own_cache, numbers_of_digits, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(datasets, "load", None)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("data")
    folder = numbers_of_digits if "numbers" in name else str(tmp_path)
    experiment = "triple_mnist" if "numbers" in name else "mnist"
    with pytest.raises(UserError, match=r"would replace .*which is read"):
        config = load(f"experiments/{experiment}.py")
        audit.run(config, Arguments(data_dir=folder, output=str(path)))
    assert path.read_text() == "data"


def test_number_images_of_another_source_are_split_by_its_digit_images(
    load, own_cache, numbers_of_digits
):
    config = load(
        "experiments/triple_mnist.py:numbers=shared,digit_images=disjoint", data__source="digits"
    )
    dataset = datasets.load(config.data, numbers_of_digits, runtime.cache_dir())
    report = audit.audit_dataset(dataset, None)
    assert report.splits["val"].found == 1
    assert report.splits["val"].digit_images_in_train == 0
