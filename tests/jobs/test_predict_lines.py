"""predict of a run of strings, through the command line."""

import csv
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import mnist3
from mnist3.errors import UserError
from mnist3.jobs import command_line
from tests import renderer, small

HEADER = "path,line,number,confidence,sure,length,confidences,box,error"


def launch(*flags):
    return command_line.run(["launch.py", *flags])


@pytest.fixture
def run(trained):
    """The folder of a run that has learned hardly anything."""
    return str(trained(small.STRINGS, drawn=True))


@pytest.fixture
def folder(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name, text in (("a", "12"), ("b", "345")):
        picture, _ = renderer.render(np.random.default_rng(5), text, kinds=(), width=400)
        Image.fromarray(picture).save(pictures / f"{name}.png")
    Image.fromarray(np.full((50, 60), 255, np.uint8)).save(pictures / "c.png")
    return pictures


def test_a_run_of_strings_leaves_what_every_run_leaves(run):
    names = {path.name for path in pathlib.Path(run).iterdir()}
    assert {"metrics.json", "report.html", "calibration.json", "predictions_test.csv"} <= names
    figures = {path.stem for path in (pathlib.Path(run) / "figures").iterdir()}
    assert {"accuracy_by_length", "augmented", "misread", "risk_coverage"} <= figures


def test_predict_writes_a_row_a_line_with_its_box(run, folder, tmp_path):
    output, views = tmp_path / "numbers.csv", tmp_path / "views"
    status = launch(
        "--mode=predict",
        f"--workdir={run}",
        f"--images={folder}",
        f"--output={output}",
        f"--save_views={views}",
    )
    assert status == 2  # a blank sheet is among them
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]) == HEADER
    assert [pathlib.Path(row["path"]).name for row in rows] == ["a.png", "b.png", "c.png"]
    for row in rows[:2]:
        assert row["line"] == "1" and row["sure"] in ("0", "1")
        assert len(row["number"]) == int(row["length"]) == len(row["confidences"].split())
        assert len(row["box"].split()) == 4
    assert rows[2]["error"] and not rows[2]["number"]
    assert sorted(path.name for path in views.iterdir()) == ["a.png", "b.png"]


def test_predict_reads_every_line_of_a_page(run, folder, tmp_path):
    output = tmp_path / "numbers.csv"
    flags = f"--workdir={run}", f"--images={folder / 'a.png'}", f"--output={output}"
    assert launch("--mode=predict", "--lines", *flags) == 0
    with open(output, newline="") as file:
        assert [row["line"] for row in csv.DictReader(file)] == ["1"]


def test_views_never_take_the_place_of_a_picture(run, folder, tmp_path):
    with pytest.raises(UserError, match=r"--save_views=.* holds .*, which is read"):
        launch(
            "--mode=predict",
            f"--workdir={run}",
            f"--images={folder}",
            f"--output={tmp_path / 'numbers.csv'}",
            f"--save_views={folder}",
        )


def test_a_program_gets_readings_with_boxes(run, folder):
    readings = mnist3.load(run).read(folder)
    assert [reading.error == "" for reading in readings] == [True, True, False]
    assert all(reading.box for reading in readings[:2])


@pytest.mark.usefixtures("shared_cache")
def test_strings_go_on_and_are_evaluated_anew(run, tmp_path):
    run = shutil.copytree(run, tmp_path / "run")
    evaluate = ("--mode=evaluate", f"--workdir={run}", "--figures=none")
    assert launch(*evaluate) == 0
    on = "experiments/people.py:source=digits --config.data.digits=(2,2) --config.data.width=96"
    on += " --config.data.val_examples=32 --config.data.test_examples=32"
    assert launch(*evaluate, f"--on={on}") == 0
    longer = on.replace("(2,2)", "(2,9)")
    with pytest.raises(UserError, match="reads numbers of 1 to 3 digits"):
        launch(*evaluate, f"--on={longer}")
