import csv
import functools

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mnist3 import config as configs
from mnist3 import pictures, tasks
from mnist3.data import locate, strips
from mnist3.data.locate import OTHERS, Sight
from mnist3.data.numbers import NO_DIGIT
from mnist3.errors import UserError
from mnist3.evaluation.calibration import Calibrator
from mnist3.learners import calibrated
from mnist3.learners.learned import Learned
from mnist3.reporting import views
from mnist3.tasks import Predictions
from tests import renderer

TASK = tasks.create(configs.strings("digits").task, positions=(1, 4))


def predict(images):
    """Reads how many columns have ink, as four digits; surer where ink is in the upper half."""
    inked = images.any(axis=1).sum(axis=1)
    values = inked[:, None] // [1000, 100, 10, 1] % 10
    upper = images[:, : strips.HEIGHT // 2].sum(axis=(1, 2), dtype=float)
    confidence = (upper + 1) / (images.sum(axis=(1, 2), dtype=float) + 2)
    sure = confidence > 0.5
    shape = (len(images), 4)
    return Predictions(
        values.astype(np.int32),
        confidence,
        np.ones(shape),
        spans=np.full((*shape, 2), -1),
        sure=sure,
    )


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


def strip(columns, width):
    image = np.zeros((strips.HEIGHT, width), np.uint8)
    image[10:20, 8 : 8 + columns] = 255
    return image


@pytest.fixture
def written(tmp_path):
    """A folder with a number, the same on its side, a blank sheet, and no picture."""
    picture, _ = renderer.render(np.random.default_rng(3), "4207", kinds=(), width=500)
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(np.rot90(picture)).save(tmp_path / "b.png")
    Image.fromarray(np.full((60, 80), 240, np.uint8)).save(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(b"no picture")
    return [str(tmp_path / f"{name}.png") for name in "abcd"]


def test_strips_of_many_widths_are_read_in_their_order():
    widths = [40, 600, 100, 64, 300, 41] * 12
    images = [strip(20 + place, width) for place, width in enumerate(widths)]
    found = pictures.predict_strips(predict, images)
    assert len(found) == len(images)
    assert found.log_likelihood is None
    numbers = [int("".join(map(str, row))) for row in found.values]
    for place, (number, width) in enumerate(zip(numbers, widths, strict=True)):
        squeezed = min(1, strips.WIDTHS[-1] / width)
        assert abs(number - (20 + min(place, width - 28)) * squeezed) <= 1


def test_programs_see_few_shapes():
    shapes = set()

    def seen(images):
        shapes.add(images.shape)
        return predict(images)

    pictures.predict_strips(seen, [strip(8, width) for width in range(20, 700, 7)])
    assert shapes == {(pictures.STRIPS, strips.HEIGHT, width) for width in strips.WIDTHS}


def test_a_batch_says_of_each_file_what_was_found(written):
    config = configs.strings("digits")
    [batch] = pictures.reader_of(config, TASK, predict)(written)
    assert [len(seen) for seen in batch.seen] == [1, 1, 0, 0]
    assert batch.errors[:3] == ["", "", pictures.NOTHING] and "not a PNG" in batch.errors[3]
    assert len(batch.predictions) == 2
    for path, seen in zip(written[:2], batch.seen, strict=False):
        left, top, right, bottom = seen[0].box
        height, width = pixels_of(path).shape[:2]
        assert 0 <= left < right <= width and 0 <= top < bottom <= height


def test_a_line_on_its_side_is_held_the_way_that_is_read_surer(written):
    ways = pictures.lines_of(written[1], every_line=False)[0]
    assert len(ways) == 2
    np.testing.assert_array_equal(ways[0].image, ways[1].image[::-1, ::-1])
    scores = predict(np.stack([each.image for each in ways])).confidence
    [batch] = pictures.reader_of(configs.strings("digits"), TASK, predict)([written[1]])
    np.testing.assert_array_equal(batch.seen[0][0].image, ways[int(scores.argmax())].image)


def lined(tmp_path):
    """A number that a line is drawn through, in a file, and its strip with and without the line."""
    picture, _ = renderer.render(np.random.default_rng(3), "4207", kinds=(), width=500)
    image = Image.fromarray(picture)
    middle = picture.shape[0] // 2
    ImageDraw.Draw(image).line([(0, middle), (500, middle)], fill=(20, 20, 20), width=3)
    image.save(tmp_path / "lined.png")
    ways = [locate.locate(np.asarray(image), False, sight) for sight in (Sight(), *OTHERS)]
    return str(tmp_path / "lined.png"), [lines[0].strip for lines in ways]


def test_a_picture_in_doubt_is_looked_at_in_other_ways_and_the_surest_is_taken(tmp_path):
    path, ways = lined(tmp_path)
    kept = ways[1 + OTHERS.index(Sight(rules=False))]
    assert kept.shape != ways[0].shape or (kept != ways[0]).any()

    def surest_with_the_line(images):
        is_kept = [
            image.shape[1] >= kept.shape[1] and (image[:, : kept.shape[1]] == kept).all()
            for image in images
        ]
        return predict(images).replaced(confidence=np.where(is_kept, 0.9, 0.3))

    read = pictures.reader_of(configs.strings("digits"), TASK, surest_with_the_line)
    [batch] = read([path])
    np.testing.assert_array_equal(batch.seen[0][0].image, kept)
    assert batch.predictions.confidence == [0.9]


def test_a_picture_that_is_read_surely_is_looked_at_once(tmp_path, monkeypatch):
    path, _ = lined(tmp_path)
    sights = []

    def noted(picture, every_line, sight):
        sights.append(sight)
        return found(picture, every_line, sight)

    found = locate.locate
    monkeypatch.setattr(locate, "locate", noted)
    for confidence in (0.95, 0.2):
        sure = functools.partial(_with_confidence, confidence=confidence)
        list(pictures.reader_of(configs.strings("digits"), TASK, sure)([path]))
    assert sights == [Sight(), Sight(), *OTHERS]


def _with_confidence(images, confidence):
    return predict(images).replaced(confidence=np.full(len(images), confidence))


def test_readings_come_with_their_box_or_their_error(written):
    batches = pictures.reader_of(configs.strings("digits"), TASK, predict)
    lists = list(pictures.read_lists(written, TASK, batches))
    assert [len(each) for each in lists] == [1, 1, 1, 1]
    assert lists[0][0].box and lists[0][0].text.isdigit() and lists[0][0].sure is not None
    assert lists[2][0] == pictures.Reading(error=pictures.NOTHING)


def test_every_line_of_a_page_is_read(tmp_path):
    lines = [
        renderer.render(np.random.default_rng(seed), text, kinds=(), width=600)[0]
        for seed, text in ((1, "123"), (2, "4567"))
    ]
    height = max(line.shape[0] for line in lines)
    page = np.full((2 * height, 600, 3), lines[0][0, 0], np.uint8)
    for row, line in enumerate(lines):
        page[row * height : row * height + line.shape[0]] = line
    Image.fromarray(page).save(tmp_path / "page.png")
    found = pictures.lines_of(str(tmp_path / "page.png"), every_line=True)
    assert len(found) == 2
    assert found[0][0].box[3] < found[1][0].box[1] + 10


def test_a_view_shows_the_picture_and_what_was_seen(written, tmp_path):
    folder = tmp_path / "views"
    folder.mkdir()
    save = views.saver(TASK, str(folder))
    [batch] = pictures.reader_of(configs.strings("digits"), TASK, predict)(written)
    save(batch)
    save(batch)
    assert sorted(path.name for path in folder.iterdir()) == [
        "a-2.png",
        "a.png",
        "b-2.png",
        "b.png",
    ]
    picture, shown = pixels_of(written[0]), pixels_of(folder / "a.png")
    seen = batch.seen[0][0].image
    assert shown.shape[0] > len(picture) + len(seen)
    assert ((shown == (0xD5, 0x5E, 0x00)).all(axis=-1)).any()  # the box


class Known(Learned):
    """A learner that predicts a digit, and then none, with all confidence."""

    task = TASK
    calibrator = Calibrator(threshold=0.5)
    name, parameters, training, history, loss_curve, search_results = "known", 0, {}, [], [], None

    def raw(self, inputs):
        return inputs

    def decode(self, raw, targets, temperature):
        values = np.array([[1, NO_DIGIT], [NO_DIGIT, NO_DIGIT]], np.int32)
        return Predictions(values, np.ones(2), np.array([[1.0, 0.0], [0.0, 0.0]]))


def test_every_line_is_asked_of_tasks_that_read_lines():
    number = tasks.create(configs.numbers().task, positions=3)
    with pytest.raises(UserError, match="which the task number does not"):
        pictures.reader_of(configs.numbers(), number, predict, every_line=True)


def test_what_the_network_sees_nothing_on_is_never_sure():
    found = calibrated.predict(Known(), None)
    readings = pictures.readings_of(TASK, found)
    assert [reading.sure for reading in readings] == [True, False]
    assert [reading.probabilities for reading in readings] == [(1.0,), ()]
    cells = TASK.predicted_cells(found)
    columns = TASK.predicted_columns
    rows = [dict(zip(columns, row, strict=True)) for row in cells]
    assert [row["sure"] for row in rows] == ["1", "0"]
    assert [row["number"] for row in rows] == ["1", ""]
    assert [row["confidences"] for row in rows] == ["1.000000", ""]
    assert next(csv.reader([",".join(cells[1])])) == cells[1]


def test_each_digit_has_its_box_in_the_picture(written):
    def read(strips_):
        found = predict(strips_)
        spans = np.full((len(strips_), 4, 2), -1)
        spans[:, :, 0] = np.linspace(8, 64, 4).astype(int)
        spans[:, :, 1] = spans[:, :, 0] + 4
        return found.replaced(spans=spans, confidence=np.full(len(strips_), 0.9))

    batches = pictures.reader_of(configs.strings("digits"), TASK, read)
    ((reading,),) = pictures.read_lists(written[:1], TASK, batches)
    assert len(reading.spans) == len(reading.confidences) == len(reading.text)
    left, top, right, bottom = reading.box
    edges = [edge for span in reading.spans for edge in (span[0], span[2])]
    assert edges == sorted(edges)
    assert abs(edges[0] - left) < 15 and abs(edges[-1] - right) < 15
    assert all(top - 15 < span[1] < span[3] < bottom + 15 for span in reading.spans)


def test_limits_say_the_shapes_that_programs_see(written):
    shapes, limits = set(), pictures.Limits(sizes=(4, 16))

    def seen(images):
        shapes.add(images.shape)
        return predict(images)

    config = configs.strings("digits")
    batches = pictures.reader_of(config, TASK, seen, limits=limits)
    for _ in batches(written):
        pass
    pictures.predict_strips(seen, [strip(8, 64)] * 9, limits.sizes)
    assert {shape[0] for shape in shapes} == {4, 16}
    assert shapes <= set(pictures.shapes_read(config, TASK, limits))
