import csv
import os
import pathlib
import types

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mnist3 import config as configs
from mnist3 import tasks
from mnist3.config import numbers
from mnist3.errors import UserError
from mnist3.jobs import predict as job
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.predict import predict_files
from mnist3.pictures import BATCH_SIZE, reader_of
from mnist3.tasks.numbers import Number

CANVAS = (8, 12)
TASK = Number("number", tasks.DIGITS, 3)
CONFIG = numbers()
CONFIG.data.height, CONFIG.data.width = CANVAS


def image_of(number: int) -> np.ndarray:
    """Returns a picture that holds its number in its ink: three bars, as high as each digit."""
    image = np.zeros(CANVAS, np.uint8)
    image[0, :] = 255
    for position, digit in enumerate(f"{number:03d}"):
        image[7, 4 * position + 1] = int(digit) * 20
    return image


def read_bars(images: np.ndarray) -> tasks.Predictions:
    """A model that reads such pictures without error."""
    assert images.shape == (BATCH_SIZE, *CANVAS)
    assert images.dtype == np.uint8
    digits = (images[:, 7, 1::4] // 20).astype(np.int32)
    confidences = (1 - digits / 100).astype(np.float32)
    together = confidences.prod(axis=1)
    return tasks.Predictions(digits, together, confidences, sure=together > 0.9)


@pytest.fixture
def save(tmp_path):
    def save(number, name, negative=False):
        path = tmp_path / name
        image = image_of(number)
        Image.fromarray(255 - image if negative else image).save(path)
        return str(path)

    return save


def rows_of(path):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def read_all(paths, output):
    columns = TASK.predicted_columns
    return predict_files(
        paths, reader_of(CONFIG, TASK, read_bars), columns, number_cells, str(output)
    )


def number_cells(predictions, paths):
    assert len(predictions) == len(paths)
    return TASK.predicted_cells(predictions)


def test_a_row_an_image_with_leading_zeros_and_every_column(save, tmp_path):
    paths = [save(42, "a.png"), save(907, "b, 'c'.bmp", negative=True), save(0, "d.tif")]
    output = tmp_path / "out.csv"

    assert read_all(paths, output) == 0

    assert output.read_text().splitlines()[:2] == [
        "path,number,confidence,digit_1,digit_2,digit_3,"
        "confidence_1,confidence_2,confidence_3,sure,error",
        f"{paths[0]},042,0.940800,0,4,2,1.000000,0.960000,0.980000,1,",
    ]
    rows = rows_of(output)
    assert [row["path"] for row in rows] == paths
    assert [row["number"] for row in rows] == ["042", "907", "000"]


def test_leading_zeros_survive_in_pandas_as_the_documentation_says(save, tmp_path):
    read_all([save(42, "a.png"), save(0, "b.png")], tmp_path / "out.csv")
    table = pd.read_csv(tmp_path / "out.csv", dtype={"number": str})
    assert list(table["number"]) == ["042", "000"]


def test_other_predictions_have_other_columns(save, tmp_path):
    def darkest(images):
        return tasks.Predictions(images.max(axis=(1, 2)))

    def cells(predictions, paths):
        return [["dark" if value else "light", str(value)] for value in predictions.values]

    paths = [save(1, "1.png"), str(tmp_path / "absent.png")]
    output = tmp_path / "out.csv"
    batches = reader_of(CONFIG, TASK, darkest)
    assert predict_files(paths, batches, ["shade", "value"], cells, str(output)) == 1
    assert output.read_text().splitlines() == [
        "path,shade,value,error",
        f"{paths[0]},dark,255,",
        f"{paths[1]},,,No such file or directory",
    ]


def test_standard_output_gets_the_rows_and_nothing_else(save, tmp_path, capsys):
    paths = [save(42, "a.png"), str(tmp_path / "absent.png")]
    read_all(paths, tmp_path / "out.csv")
    assert not capsys.readouterr().out
    assert read_all(paths, "-") == 1
    assert capsys.readouterr().out == (tmp_path / "out.csv").read_text()
    print("standard output is still open")
    assert "still open" in capsys.readouterr().out


def test_an_image_with_a_warning_is_read_and_named(save, tmp_path, caplog):
    exif = Image.Exif()
    exif[0x0112] = 1
    Image.open(save(42, "a.png")).save(tmp_path / "odd.png", exif=exif.tobytes()[:20])
    assert read_all([str(tmp_path / "odd.png")], tmp_path / "out.csv") == 0
    assert rows_of(tmp_path / "out.csv")[0]["number"] == "042"
    assert f"read although it is odd: {tmp_path}/odd.png: Corrupt EXIF data" in caplog.text


def test_an_unreadable_image_fills_its_own_error_and_the_others_go_on(save, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG")
    paths = [save(1, "1.png"), str(broken), save(2, "2.png"), str(tmp_path / "absent.png")]

    assert read_all(paths, tmp_path / "out.csv") == 2

    rows = rows_of(tmp_path / "out.csv")
    assert [row["number"] for row in rows] == ["001", "", "002", ""]
    assert [bool(row["error"]) for row in rows] == [False, True, False, True]
    for row in rows:
        values = [value for name, value in row.items() if name not in ("path", "error")]
        assert all(values) != bool(row["error"])
        assert any(values) != bool(row["error"])


def test_several_batches_keep_the_order(save, tmp_path):
    numbers = [(7 * index) % 1000 for index in range(2 * BATCH_SIZE + 3)]
    paths = [save(number, f"{index}.png") for index, number in enumerate(numbers)]
    assert read_all(paths, tmp_path / "out.csv") == 0
    rows = rows_of(tmp_path / "out.csv")
    assert [row["path"] for row in rows] == paths
    assert [int(row["number"]) for row in rows] == numbers


def test_a_file_name_that_is_not_text_keeps_its_bytes(save, tmp_path):
    name = os.fsdecode(os.fsencode(str(tmp_path)) + b"/caf\xe9.png")
    os.rename(save(314, "plain.png"), name)
    assert read_all([name], tmp_path / "out.csv") == 0
    assert b"/caf\xe9.png,314," in (tmp_path / "out.csv").read_bytes()


def test_the_log_tells_polarity_and_errors(save, tmp_path, caplog):
    paths = [save(1, "1.png"), save(2, "2.png", negative=True), str(tmp_path / "absent.png")]
    with caplog.at_level("INFO", logger="absl"):
        read_all(paths, tmp_path / "out.csv")
    assert "2 of 3 images read, 1 of them dark on light" in caplog.text
    assert "1 images could not be read" in caplog.text


def test_the_log_names_the_first_inverted_images(save, tmp_path, caplog):
    paths = [save(index, f"{index}.png", negative=index > 0) for index in range(14)]
    with caplog.at_level("INFO", logger="absl"):
        read_all(paths, tmp_path / "out.csv")
    named = [line.strip() for line in caplog.messages if line.startswith("  ")]
    assert named == [*(f"inverted: {path}" for path in paths[1:11]), "and 3 more"]


def test_a_failure_leaves_the_output_that_was_there(save, tmp_path):
    output = tmp_path / "out.csv"
    output.write_text("before")
    before = set(tmp_path.iterdir()) | {pathlib.Path(save(1, "1.png"))}

    def fails(images):
        raise RuntimeError("the model broke")

    with pytest.raises(RuntimeError, match="the model broke"):
        batches = reader_of(CONFIG, TASK, fails)
        predict_files([str(tmp_path / "1.png")], batches, [], number_cells, str(output))
    assert output.read_text() == "before"
    assert set(tmp_path.iterdir()) == before


def test_a_disk_that_fills_up_is_told_and_leaves_nothing(save, tmp_path, monkeypatch):
    path = save(1, "1.png")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"cannot write .*No space left on device; name a file"):
        read_all([path], tmp_path / "out.csv")
    assert [each.name for each in tmp_path.iterdir()] == ["1.png"]


@pytest.fixture
def arguments(save, tmp_path):
    """What a run over one image needs; the model's loading is replaced."""
    config = configs.numbers()
    config.data.height, config.data.width = CANVAS
    config.data.source = "mnist"
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text(configs.to_json(config))
    save(123, "image.png")
    return config, {
        "workdir": str(tmp_path / "run"),
        "data_dir": None,
        "experiment": "",
        "checkpoint": "best",
        "images": str(tmp_path / "*.png"),
        "output": str(tmp_path / "out.csv"),
        "table": None,
        "mode": "predict",
        "command": "launch.py --mode=predict",
    }


@pytest.fixture
def loaded(monkeypatch):
    """Replaces the loading of a checkpoint and records what was asked for."""
    asked = []
    learned = types.SimpleNamespace(predict=read_bars)
    monkeypatch.setattr(job.learners, "load", lambda *given: asked.append(given) or learned)
    return asked


def test_the_log_names_the_digit_source_of_the_run(arguments, loaded, caplog):
    config, flags = arguments
    with caplog.at_level("INFO", logger="absl"):
        job.run(config, Arguments(**flags))
    assert f"reading 1 images with {flags['workdir']}" in caplog.text
    assert "source mnist" in caplog.text
    assert "inverted:" not in caplog.text


def test_the_exit_status_is_2_when_an_image_could_not_be_read(arguments, loaded, tmp_path):
    config, flags = arguments
    assert job.run(config, Arguments(**flags)) == 0
    assert rows_of(flags["output"])[0]["number"] == "123"
    assert loaded == [(config, TASK, flags["workdir"], "best", False)]
    (tmp_path / "broken.png").touch()
    assert job.run(config, Arguments(**flags)) == 2


@pytest.mark.parametrize("flag", ["workdir", "images", "output"])
def test_a_missing_flag_is_named_with_an_example(arguments, loaded, flag):
    config, flags = arguments
    with pytest.raises(UserError, match=f"needs --{flag}; add --{flag}="):
        job.run(config, Arguments(**flags | {flag: None}))
    assert not loaded


@pytest.mark.parametrize("name", ["image.png", "symbolic.csv", "hard.csv"])
def test_no_image_is_written_over(arguments, loaded, tmp_path, name):
    config, flags = arguments
    (tmp_path / "symbolic.csv").symlink_to("image.png")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "image.png")
    before = (tmp_path / "image.png").read_bytes()
    with pytest.raises(UserError, match=rf"{name} would replace .*image\.png, which is read"):
        job.run(config, Arguments(**flags | {"output": str(tmp_path / name)}))
    assert (tmp_path / name).read_bytes() == before
    assert not loaded


@pytest.mark.parametrize("name", ["config.json", "predictions_test.csv", "figures/new.csv"])
def test_no_file_of_the_run_is_written_over(arguments, loaded, tmp_path, name):
    config, flags = arguments
    (tmp_path / "run/figures").mkdir()
    with pytest.raises(UserError, match="would replace a file of the run itself"):
        job.run(config, Arguments(**flags | {"output": str(tmp_path / "run" / name)}))
    assert not loaded


def test_an_output_of_before_in_the_workdir_is_replaced(arguments, loaded, tmp_path):
    config, flags = arguments
    for _ in range(2):
        assert job.run(config, Arguments(**flags | {"output": str(tmp_path / "run/a.csv")})) == 0


@pytest.mark.parametrize(
    ("flag", "value", "reason"),
    [
        ("images", "absent.png", "no file matches absent.png"),
        ("output", "absent/out.csv", "cannot write --output=absent/out.csv"),
    ],
)
def test_bad_flags_stop_before_the_model_is_loaded(arguments, loaded, flag, value, reason):
    config, flags = arguments
    with pytest.raises(UserError, match=reason):
        job.run(config, Arguments(**flags | {flag: value}))
    assert not loaded
    assert not os.path.exists("absent")
