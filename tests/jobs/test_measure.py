"""A run is measured on other data than its own, through the command line."""

import csv
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from mnist3.errors import UserError
from mnist3.jobs import command_line
from mnist3.jobs import measure as job
from tests import renderer
from tests.small import KNN, NUMBERS

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture
def copy_of(trained, tmp_path_factory):
    """Copies the folder of a run of an experiment."""
    return lambda text: str(
        shutil.copytree(trained(text), tmp_path_factory.mktemp("copies") / "run")
    )


@pytest.fixture
def numbers(copy_of):
    return copy_of(NUMBERS)


@pytest.fixture
def one_digit(copy_of):
    return copy_of(KNN.format("multiclass"))


def measure(folder, *flags):
    return command_line.run(["mnist3", "--mode=evaluate", f"--workdir={folder}", *flags])


def content(folder, *names):
    return json.loads(pathlib.Path(folder, *names).read_text())


def rows_of(folder, name):
    with open(os.path.join(folder, name), newline="") as file:
        return list(csv.DictReader(file))


def files_of(folder):
    return {
        path: path.read_bytes()
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.is_file()
    }


def write_labels(folder, rows, columns=("file", "number")):
    with open(os.path.join(folder, "labels.csv"), "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures of two digits and of one, by two writers, with remarks."""
    folder = tmp_path / "people"
    folder.mkdir()
    rows = []
    for index in range(30):
        rng = np.random.default_rng(index)
        text = "".join(map(str, rng.integers(0, 10, 1 if index % 3 == 0 else 2)))
        picture, _ = renderer.render(rng, text, [], width=120, pen=6)
        Image.fromarray(picture).save(folder / f"{index}.png")
        rows.append([f"{index}.png", text, "AB"[index % 2], f"remark {index}"])
    write_labels(folder, rows, ("file", "number", "writer", "notes"))
    return folder


def test_another_experiment_is_measured_beside_the_files_of_the_run(numbers, capsys):
    before = files_of(numbers)
    own = content(numbers, "metrics.json")
    text = (
        "experiments/quickstart.py:model=logistic --config.data.digits=2 --config.data.width=56"
        " --config.data.train_examples=512 --config.data.val_examples=100"
        " --config.data.test_examples=100 --config.training.epochs=1 --config.data.seed=7"
    )
    assert measure(numbers, f"--on={text}") == 0
    name = (
        "quickstart-model=logistic-data.digits=2-data.width=56-data.train_examples=512-data.val_examples=100-"
        "data.test_examples=100-training.epochs=1-data.seed=7"
    )
    new = files_of(numbers)
    assert before.items() <= new.items()
    assert {path.name for path in new.keys() - before.keys()} == {
        f"metrics_on_{name}.json",
        f"predictions_on_{name}_val.csv",
        f"predictions_on_{name}_test.csv",
    }
    metrics = content(numbers, f"metrics_on_{name}.json")
    assert metrics["dataset"]["fingerprint"] != own["dataset"]["fingerprint"]
    assert metrics["model"] == own["model"] and metrics["environment"] == own["environment"]
    rows = rows_of(numbers, f"predictions_on_{name}_test.csv")
    assert len(rows) == metrics["test"]["n"] == 100
    right = np.mean([row["label"] == row["prediction"] for row in rows])
    assert metrics["test"]["exact_match"] == pytest.approx(right)
    assert metrics["on"]["may_share_digit_images"]
    assert "config.data.seed was 0 and is 7" in metrics["on"]["note"]
    assert "may hold digit images that the run was trained on" in capsys.readouterr().out


def test_the_own_data_of_a_run_measure_as_they_did(numbers, tmp_path):
    assert measure(numbers, f"--on={numbers}/config.json", f"--output={tmp_path}/new") == 0
    assert sorted(os.listdir(tmp_path / "new")) == [
        "metrics_on_run.json",
        "predictions_on_run_test.csv",
        "predictions_on_run_val.csv",
    ]
    metrics, own = content(tmp_path, "new/metrics_on_run.json"), content(numbers, "metrics.json")
    assert metrics["test"] == own["test"] and metrics["dataset"] == own["dataset"]
    assert not metrics["on"]["may_share_digit_images"]


def test_another_composition_of_the_same_division_shares_no_digit_image(numbers, tmp_path):
    text = f"{NUMBERS} --config.data.composition.ink=sum"
    assert measure(numbers, f"--on={text}", f"--output={tmp_path}") == 0
    (path,) = tmp_path.glob("metrics_on_*.json")
    on = json.loads(path.read_text())["on"]
    assert not on["may_share_digit_images"]
    assert "hold no digit image that the run was trained on" in on["note"]


def test_files_of_an_experiment_of_many_changes_have_a_name_that_fits(numbers, tmp_path):
    """A file's name has at most 255 bytes, and of those that begin alike each has its own files."""
    changes = " ".join(
        f"--config.augmentation.{name}=0.0" for name in ("noise", "stroke", "elastic")
    )
    for seed in (7, 8):
        text = f"{NUMBERS} {changes} --config.data.seed={seed}"
        assert measure(numbers, f"--on={text}", f"--output={tmp_path}") == 0
    found = [json.loads(path.read_text())["on"] for path in tmp_path.glob("metrics_on_*.json")]
    assert sorted(each["experiment"][-1] for each in found) == ["7", "8"]
    assert len(os.listdir(tmp_path)) == 6


@pytest.mark.parametrize(
    ("text", "begins", "size"),
    [
        ("a b/c", "a-b-c", 5),
        ("a" * 180, "a" * 180, 180),
        ("a" * 181, "a" * 171 + "-", 180),
        ("é" * 100, "é" * 85 + "-", 179),  # of two bytes each, none of which is halved
    ],
)
def test_a_text_as_part_of_the_name_of_a_file(text, begins, size):
    name = job._as_file_name(text)
    assert name.startswith(begins) and len(name.encode()) == size


def test_names_of_long_texts_that_begin_alike_differ():
    texts = ["a" * 200 + end for end in ("", " ", "/", "b")]
    assert len({job._as_file_name(text) for text in texts}) == 4


def test_splits_of_another_version_may_share(numbers, tmp_path):
    path = pathlib.Path(numbers, "dataset.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "0" * 64}))
    assert measure(numbers, f"--on={numbers}/config.json", f"--output={tmp_path}") == 0
    on = content(tmp_path, "metrics_on_run.json")["on"]
    assert on["may_share_digit_images"] and "other splits than this version" in on["note"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{NUMBERS} --config.data.digits=3", "reads numbers of 2 digits, and .* has some of 3"),
        (f"{NUMBERS} --config.data.width=90", "reads images of 84x56 px, and .* of 84x90; give"),
        (f"{NUMBERS} --config.data.source=emnist_letters", "has A, B, .* the classes of source"),
        ("experiments/compare.py", "is of kind comparison and has no images of its own"),
        ("experiments/absent.py", r"cannot read the experiment experiments/absent\.py"),
    ],
)
def test_data_that_the_run_does_not_read_are_refused(numbers, text, reason):
    before = files_of(numbers)
    with pytest.raises(UserError, match=reason):
        measure(numbers, f"--on={text}")
    assert files_of(numbers) == before


def test_an_estimator_is_measured_on_other_data(one_digit, tmp_path):
    text = f"{KNN.format('multiclass')} --config.data.seed=1"
    assert measure(one_digit, f"--on={text}", f"--output={tmp_path}") == 0
    (path,) = tmp_path.glob("metrics_on_*.json")
    metrics = json.loads(path.read_text())
    assert metrics["test"]["accuracy"] > 0.9
    assert metrics["on"]["may_share_digit_images"]


def test_pictures_are_measured_as_they_are_predicted(numbers, pictures, tmp_path, capsys):
    before = files_of(numbers)
    assert measure(numbers, f"--images={pictures}") == 0
    printed = capsys.readouterr().out
    new = files_of(numbers)
    assert before.items() <= new.items()
    assert {path.name for path in new.keys() - before.keys()} == {
        "metrics_on_pictures_people.json",
        "predictions_on_pictures_people.csv",
    }
    command_line.run(
        [
            "mnist3",
            "--mode=predict",
            f"--workdir={numbers}",
            f"--images={pictures}/*.png",
            f"--output={tmp_path}/predicted.csv",
        ]
    )
    predicted = [row["number"] for row in rows_of(tmp_path, "predicted.csv")]
    labels = [row["number"] for row in rows_of(pictures, "labels.csv")]
    rows = rows_of(numbers, "predictions_on_pictures_people.csv")
    assert list(rows[0]) == [
        *("file", "label", "prediction", "confidence", "sure", "error", "writer", "notes")
    ]
    assert [row["prediction"] for row in rows] == predicted
    assert [row["label"] for row in rows] == labels

    metrics = content(numbers, "metrics_on_pictures_people.json")
    right = np.array([one == other for one, other in zip(predicted, labels, strict=True)])
    assert metrics["n"] == 30 and metrics["exact_match"] == right.mean()
    low, high = metrics["exact_match_ci95"]
    assert low <= right.mean() <= high and high - low < 0.4
    assert metrics["right_length"] == pytest.approx(2 / 3)
    assert set(metrics["by_length"]) == {"1", "2"}
    assert metrics["by_length"]["1"]["exact_match"] == 0
    assert metrics["by_length"]["2"]["n"] == 20
    assert set(metrics["by"]) == {"writer"}  # notes are remarks
    writers = metrics["by"]["writer"]
    assert [writers[name]["n"] for name in "AB"] == [15, 15]
    assert writers["A"]["exact_match"] == right[::2].mean()
    assert metrics["unreadable"] == 0
    for words in ("all", "1 digit ", "2 digits", "writer A", "right length", "exact match of the"):
        assert words in printed


def test_sure_readings_are_measured_apart(numbers, pictures, tmp_path):
    measure(numbers, f"--images={pictures}", f"--output={tmp_path}")
    metrics = content(tmp_path, "metrics_on_pictures_people.json")
    rows = rows_of(tmp_path, "predictions_on_pictures_people.csv")
    if "sure" not in metrics:
        assert not any(row["sure"] for row in rows)
        return
    sure = [row for row in rows if row["sure"] == "1"]
    assert metrics["sure"]["n"] == len(sure)
    assert metrics["sure"]["share"] == len(sure) / 30


def test_a_run_of_one_digit_reads_the_pictures_of_one(one_digit, pictures, tmp_path):
    assert measure(one_digit, f"--images={pictures}", f"--output={tmp_path}") == 0
    metrics = content(tmp_path, "metrics_on_pictures_people.json")
    assert metrics["right_length"] == pytest.approx(1 / 3)
    assert metrics["by_length"]["2"]["exact_match"] == 0


def test_a_picture_that_cannot_be_read_is_wrong_and_the_exit_status_2(numbers, pictures, tmp_path):
    (pictures / "1.png").write_bytes(b"\x89PNG")
    assert measure(numbers, f"--images={pictures}", f"--output={tmp_path}") == 2
    row = rows_of(tmp_path, "predictions_on_pictures_people.csv")[1]
    assert row["error"] and not row["prediction"] and row["label"]
    metrics = content(tmp_path, "metrics_on_pictures_people.json")
    assert metrics["unreadable"] == 1 and metrics["n"] == 30


def test_where_nothing_is_written_to_read_nothing_is_right(numbers, tmp_path):
    Image.new("L", (90, 60), 255).save(tmp_path / "blank.png")
    write_labels(tmp_path, [["blank.png", ""]])
    assert measure(numbers, f"--images={tmp_path}", f"--output={tmp_path}/out") == 2
    (path,) = (tmp_path / "out").glob("metrics_on_*.json")
    metrics = json.loads(path.read_text())
    assert metrics["exact_match"] == metrics["right_length"] == 1
    assert metrics["by_length"].keys() == {"0"}


def test_pictures_of_other_lengths_alone_are_refused(numbers, pictures):
    write_labels(pictures, [["1.png", "12345"], ["2.png", "1"]])
    with pytest.raises(UserError, match=r"reads numbers of 2 digits, and .* but of 1, 5; give a"):
        measure(numbers, f"--images={pictures}")


def test_a_task_that_reads_no_numbers_is_refused(copy_of, pictures):
    folder = copy_of(KNN.format("binary"))
    with pytest.raises(UserError, match=r"the task binary, which reads no numbers to compare"):
        measure(folder, f"--images={pictures}")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--on=experiments/strict.py", "--images=x"), "give one of them at a time"),
        (("--images=absent",), r"--images=absent holds no labels\.csv"),
        (("--images=x", "--output=-"), "has no place for several files"),
    ],
)
def test_mistaken_flags_are_answered_with_a_sentence(numbers, flags, reason):
    before = files_of(numbers)
    with pytest.raises(UserError, match=reason):
        measure(numbers, *flags)
    assert files_of(numbers) == before


def test_an_output_that_cannot_be_made_is_told_before_anything_is_read(numbers, pictures):
    with pytest.raises(UserError, match=r"cannot make the folder .* for what is measured"):
        measure(numbers, f"--images={pictures}", f"--output={pictures}/1.png")


def test_on_is_for_evaluate_alone():
    with pytest.raises(UserError, match="which --mode=predict does not; give --mode=evaluate"):
        command_line.run(["mnist3", "--mode=predict", "--on=experiments/strict.py"])
