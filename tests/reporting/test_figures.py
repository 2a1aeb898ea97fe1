import matplotlib._pylab_helpers
import numpy as np
import pytest

from mnist3.evaluation.calibration import risk_coverage
from mnist3.evaluation.clusters import cluster_interval
from mnist3.evaluation.curves import calibration
from mnist3.evaluation.intervals import effective_share_interval, wilson_interval
from mnist3.reporting import drawing, figures

WORDS = "val split, digits"
DIGITS = "0123456789"
CLASSES = {"digits": DIGITS, "letters": "abcdefghijklmnopqrstuvwxyz", "words": ("bag", "coat")}


def fake(images, digits, wrong_share=0.1, classes=10):
    """Images, labels, predictions and confidences, with some misread."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (images, 28, 28 * digits), dtype=np.uint8)
    labels = random.integers(0, classes, (images, digits), dtype=np.int32)
    wrong = random.random(labels.shape) < wrong_share
    predictions = np.where(wrong, (labels + 1) % classes, labels).astype(np.int32)
    return pixels, labels, predictions, random.random(images).astype(np.float32)


def test_misread_shows_the_most_confident_mistakes_first_and_marks_the_wrong_digits(texts, marked):
    pixels = np.stack([np.full((28, 56), grey, np.uint8) for grey in range(4)])
    labels = np.array([[0, 1], [0, 2], [0, 3], [0, 4]], np.int32)
    predictions = np.array([[0, 7], [0, 2], [0, 8], [9, 5]], np.int32)
    confidences = np.array([0.5, 0.99, 0.99999, 0.625], np.float32)
    figure = figures.misread(pixels, labels, predictions, confidences, DIGITS, WORDS, limit=2)
    shown = [int(image.get_array().max()) for image in figure.axes[0].images]
    assert shown == [2, 3]
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == ["03 read as", "0", "8", " (> 99.99 %)", "04 read as", "95", " (62 %)"]
    assert marked(figure) == ["8", "95"]
    assert "2 of 3 misread of 4 images" in figure.get_suptitle().replace("\n", " ")


@pytest.mark.parametrize("digits", [1, 3, 5])
def test_the_letters_of_a_marked_reading_stand_side_by_side(digits):
    pixels, labels, predictions, confidences = fake(60, digits, wrong_share=0.5)
    figure = figures.misread(pixels, labels, predictions, confidences, DIGITS, WORDS)
    figure.draw_without_rendering()
    places = [text.get_window_extent() for text in figure.axes[0].texts]
    for index, one in enumerate(places):
        for other in places[index + 1 :]:
            across = min(one.x1, other.x1) - max(one.x0, other.x0)
            up = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert across < 2 or up < 3, "letters lie upon each other"  # px


def test_classes_of_several_letters_are_marked_as_a_whole(marked, drawn_whole):
    pixels, labels, _, confidences = fake(2, 2, classes=2)
    figure = figures.misread(pixels, labels, 1 - labels, confidences, ("bag", "coat"), WORDS)
    order = np.argsort(-confidences, kind="stable")
    assert marked(figure) == [("coat", "bag")[each] for each in labels[order].flat]
    drawn_whole(figure, WORDS)


def test_a_digit_image_is_shown_once_for_all_its_mistakes():
    pixels, labels, _, confidences = fake(40, 2)
    digit_images = np.stack([np.arange(40) % 5, 100 + np.arange(40)], axis=1)
    predictions = labels.copy()
    predictions[:, 0] = (labels[:, 0] + 1) % 10  # always the first of them
    figure = figures.misread(
        pixels, labels, predictions, confidences, DIGITS, WORDS, digit_images=digit_images
    )
    assert len(figure.axes[0].images) == 5
    best = [confidences[digit_images[:, 0] == each].argmax() * 5 + each for each in range(5)]
    first = max(best, key=lambda index: confidences[index])
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), pixels[first])
    assert "at most one a digit image" in figure.get_suptitle().replace("\n", " ")


def test_the_same_confusion_is_shown_a_few_times_only():
    labels = np.tile(np.array([[5, 7]], np.int32), (30, 1))
    predictions = np.where(np.arange(30)[:, None] < 29, [9, 7], [5, 8]).astype(np.int32)
    pixels = np.zeros((30, 28, 56), np.uint8)
    confidences = np.linspace(1, 0, 30).astype(np.float32)
    figure = figures.misread(pixels, labels, predictions, confidences, DIGITS, WORDS)
    assert len(figure.axes[0].images) == figures.ALIKE + 1


def test_misread_of_a_perfect_reader_says_so(drawn_whole, tmp_path):
    pixels, labels, _, confidences = fake(5, 3)
    figure = figures.misread(pixels, labels, labels, confidences, DIGITS, WORDS)
    assert "0 misread of 5 images" in figure.get_suptitle().replace("\n", " ")
    drawing.save(figure, tmp_path / "none.png")


def test_examples_show_images_with_their_labels():
    pixels, labels, *_ = fake(9, 3)
    figure = figures.examples(pixels, labels, DIGITS, WORDS, limit=4)
    for image, expected in zip(figure.axes[0].images, pixels[:4], strict=True):
        np.testing.assert_array_equal(image.get_array(), expected)
    captions = ["".join(map(str, label)) for label in labels[:4]]
    assert [text.get_text() for text in figure.axes[0].texts] == captions


def test_a_digit_left_out_or_put_in_is_no_mistake_of_those_after_it(texts, marked):
    pixels = np.zeros((3, 32, 64), np.uint8)
    labels = np.array([[1, 2, 3, -1], [1, 2, 3, -1], [-1, -1, -1, -1]], np.int32)
    predictions = np.array([[2, 3, -1, -1], [1, 7, 2, 3], [4, -1, -1, -1]], np.int32)
    confidences = np.array([0.9, 0.8, 0.7], np.float32)
    figure = figures.misread(pixels, labels, predictions, confidences, DIGITS, WORDS)
    written = "".join(text.get_text() for text in figure.axes[0].texts)
    assert "123 read as23 (90 %)" in written
    assert "nothing read as4 (70 %)" in written
    assert marked(figure) == ["7", "4"]


def test_errors_by_length_have_a_bar_for_each_length_of_each_split(texts, drawn_whole):
    right = {"val": np.arange(100) >= 10, "test": np.arange(50) >= 5}
    lengths = {"val": np.arange(100) % 2, "test": 1 + np.arange(50) % 10}
    digit_images = {"val": np.where(lengths["val"][:, None] > np.arange(3), 7, -1), "test": None}
    figure = figures.accuracy_by_length(right, lengths, WORDS, digit_images)
    [axes] = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(map(str, range(11)))
    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(heights[:2], [0.1, 0.1])
    assert np.isnan(heights[2:11]).all() and np.isnan(heights[11])
    drawn_whole(figure, WORDS)


def test_position_confusion_counts_every_image_once():
    _, labels, predictions, _ = fake(200, 2)
    figure = figures.position_confusion(labels, predictions, DIGITS, WORDS)
    for position in range(2):
        layers = [
            np.nan_to_num(np.ma.filled(picture.get_array(), 0))
            for picture in figure.axes[position].images
        ]
        expected = np.zeros((10, 10))
        for label, prediction in zip(labels, predictions, strict=True):
            expected[label[position], prediction[position]] += 1
        np.testing.assert_array_equal(sum(layers), expected)
        written = {int(text.get_text()) for text in figure.axes[position].texts}
        assert written == set(expected[expected > 0])


def test_labels_of_any_length_are_drawn(drawn_whole):
    pixels, labels, predictions, confidences = fake(50, 3, wrong_share=0.3)
    labels[:20, 2] = predictions[10:30, 2] = -1  # fills short ones up
    drawn = (
        figures.position_confusion(labels, predictions, DIGITS, WORDS),
        figures.misread(pixels, labels, predictions, confidences, DIGITS, WORDS),
        figures.class_balance({"val": labels}, DIGITS, WORDS),
        figures.examples(pixels, labels, DIGITS, WORDS),
    )
    for figure in drawn:
        drawn_whole(figure, WORDS)
    assert "".join(map(str, labels[0, :2])) in {text.get_text() for text in figure.axes[0].texts}
    counted = np.nansum([np.ma.filled(image.get_array(), 0) for image in drawn[0].axes[2].images])
    assert counted == ((labels >= 0) & (predictions >= 0))[:, 2].sum()


def right_but(n, *wrong):
    """Which digits of n images are right, of each position all but the first few."""
    return np.arange(n)[:, None] >= np.array(wrong)


def test_errors_by_position_have_a_bar_a_split_and_an_interval(texts, drawn_whole):
    right = {"val": right_but(100, 10, 0), "test": right_but(50, 15, 20)}
    figure = figures.position_accuracy(right, WORDS)
    [axes] = figure.axes
    np.testing.assert_allclose(
        [bar.get_height() for bar in axes.patches], [0.1, 0, 0.3, 0.4], atol=1e-9
    )
    lines = axes.collections[0].get_segments()
    assert lines[0][:, 1] == pytest.approx(wilson_interval(10, 100))
    assert lines[1][:, 1] == pytest.approx(wilson_interval(0, 100), abs=1e-9)
    assert axes.get_ylim()[0] == 0
    assert {"10.00 %", "0.00 %"} <= set(texts(figure))
    drawn_whole(figure, WORDS)


def test_of_known_digit_images_the_intervals_by_position_are_of_new_ones():
    right = {"val": right_but(100, 10, 30), "test": right_but(50, 5, 5)}
    few, all_others = np.arange(100) // 10, 100 + np.arange(100)
    digit_images = {"val": np.stack([few, all_others], axis=1)}
    [axes] = figures.position_accuracy(right, WORDS, digit_images).axes
    val, test = ([each[:, 1] for each in bars.get_segments()] for bars in axes.collections)
    for position, images in enumerate((few, all_others)):
        low, high = cluster_interval(right["val"][:, position], images[:, None])
        assert val[position] == pytest.approx([1 - high, 1 - low])
    # one digit image of ten is misread on all its ten images, which say no more than ten images
    low, high = effective_share_interval(0.9, 10.0, 9.0)
    assert val[0] == pytest.approx([1 - high, 1 - low], abs=0.03)
    assert val[1] == pytest.approx(wilson_interval(30, 100), abs=0.02)
    assert test[0] == pytest.approx(wilson_interval(5, 50))


def test_reliability_draws_each_bin_and_the_metric_of_the_table(drawn_whole):
    _, labels, predictions, confidences = fake(500, 1, wrong_share=0.4)
    confidences[:4] = [0, 1 / 15, 1, 0.5]
    figure = figures.reliability(confidences, labels, predictions, WORDS)
    curve, histogram = figure.axes
    assert sum(bar.get_height() for bar in histogram.patches) == 500
    right = (labels == predictions)[:, 0]
    top = confidences > 14 / 15
    np.testing.assert_allclose(
        curve.lines[1].get_xydata()[-1], [confidences[top].mean(), right[top].mean()], rtol=1e-6
    )
    low, high = wilson_interval(int(right[top].sum()), int(top.sum()))
    assert curve.collections[0].get_segments()[-1][:, 1] == pytest.approx([low, high])
    assert any("95 % interval" in text.get_text() for text in figure.legends[0].get_texts())
    error = calibration(confidences, right).error
    assert f"expected calibration error {error:.4f}, 500 images" in figure.get_suptitle()
    drawn_whole(figure, WORDS)


def test_reliability_of_known_digit_images_has_intervals_of_new_ones():
    _, labels, predictions, _ = fake(300, 2, wrong_share=0.4)
    confidences = np.repeat([0.3, 0.9, 0.31], 100).astype(np.float32)
    digit_images = np.random.default_rng(1).integers(0, 20, (300, 2))
    figure = figures.reliability(confidences, labels, predictions, WORDS, digit_images)
    right = (labels == predictions).all(axis=1)
    drawn = [each[:, 1] for each in figure.axes[0].collections[0].get_segments()]
    for ends, rows in zip(drawn, (confidences < 0.5, confidences > 0.5), strict=True):
        assert ends == pytest.approx(cluster_interval(right[rows], digit_images[rows]))


def test_reliability_shows_before_and_after_and_the_error_on_other_images(drawn_whole, texts):
    _, labels, predictions, confidences = fake(500, 1, wrong_share=0.4)
    before = confidences / 2
    figure = figures.reliability(
        confidences, labels, predictions, WORDS, before=before, error=0.0123
    )
    was = calibration(before, (labels == predictions)[:, 0])
    said = figure.get_suptitle().replace("\n", " ")
    assert f"expected calibration error 0.0123 ({was.error:.4f} before), 500 images" in said
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), was.right[was.counts > 0])
    assert "before calibration" in texts(figure)
    drawn_whole(figure, WORDS)


def test_risk_by_coverage_has_its_points_and_the_threshold(drawn_whole, texts):
    confidences = np.linspace(0, 1, 2000)
    right = np.random.default_rng(0).random(2000) < 0.5 + 0.7 * confidences
    curve = risk_coverage(confidences, right)
    figure = figures.risk_coverage(confidences, right, WORDS, threshold=0.75)
    for wanted in (0.01, 0.001):
        share = drawing.percent_text(curve.coverage_at(wanted), 1)
        assert f"{share} read with at most {100 * wanted:g} % of errors" in texts(figure)
    assert "25.0 % sure, of a confidence from 0.75 on" in texts(figure)
    assert f"area under the curve {curve.area:.5f}, 2,000 images" in figure.get_suptitle()
    drawn_whole(figure, WORDS)
    without = figures.risk_coverage(confidences, right, WORDS)
    assert not [text for text in texts(without) if "sure" in text]


def test_risk_by_coverage_without_any_error_is_drawn(drawn_whole):
    drawn_whole(figures.risk_coverage(np.array([0.5, 0.9]), np.ones(2, bool), WORDS), WORDS)


def test_class_balance_shares_add_up():
    labels = {name: fake(size, 2)[1] for name, size in (("train", 50), ("val", 20))}
    figure = figures.class_balance(labels, DIGITS, WORDS)
    for position, axes in enumerate(figure.axes):
        heights = np.array([bar.get_height() for bar in axes.patches]).reshape(2, 10)
        np.testing.assert_allclose(heights.sum(axis=1), 1)
        np.testing.assert_allclose(heights[1][3], (labels["val"][:, position] == 3).mean())


def test_class_balance_of_rows_names_its_classes(texts, drawn_whole):
    targets = {"train": np.array([[0], [0], [1], [2]]), "val": np.array([[1], [1]])}
    figure = figures.class_balance(targets, ("a", "b", "c"), WORDS, examples="rows")
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [0.5, 0.25, 0.25, 0, 1, 0]
    assert {"a", "b", "c", "train (4 rows)"} <= set(texts(figure))
    [line] = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert set(line.get_ydata()) == {1 / 3}
    drawn_whole(figure, WORDS)


@pytest.mark.parametrize(("digits", "names"), [(1, "letters"), (3, "digits"), (5, "words")])
def test_every_figure_is_drawn_of_any_classes_and_positions(drawn_whole, texts, digits, names):
    classes = CLASSES[names]
    pixels, labels, predictions, confidences = fake(40, digits, classes=len(classes))
    for figure in (
        figures.examples(pixels, labels, classes, WORDS),
        figures.misread(pixels, labels, predictions, confidences, classes, WORDS),
        figures.position_confusion(labels, predictions, classes, WORDS),
        figures.position_accuracy({"val": labels == predictions}, WORDS),
        figures.reliability(confidences, labels, predictions, WORDS),
        figures.class_balance({"val": labels}, classes, WORDS),
    ):
        drawn_whole(figure, WORDS)
    assert set(classes) <= set(texts(figure))


def test_figures_leave_no_global_state(tmp_path):
    accuracy = figures.position_accuracy({"val": right_but(9, 1)}, WORDS)
    drawing.save(accuracy, tmp_path / "one.png")
    assert matplotlib._pylab_helpers.Gcf.figs == {}
