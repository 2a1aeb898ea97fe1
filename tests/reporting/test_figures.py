import io

import matplotlib._pylab_helpers
import numpy as np
import pytest
from PIL import Image

from mnist3.reporting import drawing, figures

WORDS = "val split, digits"


def fake(images, digits, wrong_share=0.1):
    """Images, labels, predictions and confidences, with some misread."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (images, 28, 28 * digits), dtype=np.uint8)
    labels = random.integers(0, 10, (images, digits), dtype=np.int32)
    wrong = random.random(labels.shape) < wrong_share
    predictions = np.where(wrong, (labels + 1) % 10, labels).astype(np.int32)
    return pixels, labels, predictions, random.random(images).astype(np.float32)


def history(epochs):
    return [
        {
            "epoch": epoch,
            "train": {"loss": 2.0 / epoch, "exact_match": 1 - 0.5 / epoch},
            "val": {"nll": 3.0 / epoch, "exact_match": 0.9 - 0.1 * abs(epoch - 2)},
        }
        for epoch in range(1, epochs + 1)
    ]


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text"))]


def test_learning_curves_draw_the_history_and_mark_the_best_epoch():
    figure = figures.learning_curves(history(3), WORDS)
    loss, exact_match = figure.axes
    train, val = loss.lines
    np.testing.assert_allclose(train.get_xydata(), [[1, 2], [2, 1], [3, 2 / 3]])
    np.testing.assert_allclose(val.get_ydata(), [3, 1.5, 1])
    assert [line.get_xydata().tolist() for line in exact_match.lines[2:]] == [[[2.0, 0.9]]]
    assert "best on val: 90.00% after epoch 2" in texts(figure)


def test_misread_shows_the_most_confident_mistakes_first():
    pixels = np.stack([np.full((28, 56), grey, np.uint8) for grey in range(4)])
    labels = np.array([[0, 1], [0, 2], [0, 3], [0, 4]], np.int32)
    predictions = np.array([[0, 7], [0, 2], [0, 8], [9, 4]], np.int32)
    confidences = np.array([0.5, 0.99, 0.75, 0.625], np.float32)
    figure = figures.misread(pixels, labels, predictions, confidences, WORDS, limit=2)
    shown = [int(image.get_array().max()) for image in figure.axes[0].images]
    assert shown == [2, 3]
    assert [text for text in texts(figure) if "read as" in text] == [
        "03 read as\n08 (75%)",
        "04 read as\n94 (62%)",
    ]
    assert figure.get_suptitle().endswith("the 2 most confident of 3 of 4 images")


def test_misread_of_a_perfect_reader_says_so(tmp_path):
    pixels, labels, _, confidences = fake(5, 3)
    figure = figures.misread(pixels, labels, labels, confidences, WORDS)
    assert figure.get_suptitle().endswith("\n0 of 5 images")
    drawing.save(figure, tmp_path / "none.png")


def test_examples_show_images_with_their_labels():
    pixels, labels, *_ = fake(9, 3)
    figure = figures.examples(pixels, labels, WORDS, limit=4)
    for image, expected in zip(figure.axes[0].images, pixels[:4], strict=True):
        np.testing.assert_array_equal(image.get_array(), expected)
    captions = ["".join(map(str, label)) for label in labels[:4]]
    assert [text.get_text() for text in figure.axes[0].texts] == captions


def test_position_confusion_counts_every_image_once():
    _, labels, predictions, _ = fake(200, 2)
    figure = figures.position_confusion(labels, predictions, WORDS)
    for position in range(2):
        drawn = np.nan_to_num(np.ma.filled(figure.axes[position].images[0].get_array(), 0))
        expected = np.zeros((10, 10))
        for label, prediction in zip(labels, predictions, strict=True):
            expected[label[position], prediction[position]] += 1
        np.testing.assert_array_equal(drawn, expected)
        written = {int(text.get_text()) for text in figure.axes[position].texts}
        assert written == set(expected[expected > 0])


def test_position_accuracy_has_a_bar_a_split_and_position():
    figure = figures.position_accuracy(
        {"val": [0.9, 0.8], "test": [0.7, 0.6]}, {"val": 100, "test": 50}, WORDS
    )
    right, wrong = figure.axes
    np.testing.assert_allclose([bar.get_height() for bar in right.patches], [0.9, 0.8, 0.7, 0.6])
    np.testing.assert_allclose([bar.get_height() for bar in wrong.patches], [0.1, 0.2, 0.3, 0.4])
    assert right.get_ylim()[0] == wrong.get_ylim()[0] == 0


def test_reliability_draws_each_bin_and_the_metric_of_the_table():
    from mnist3.evaluation.curves import calibration
    from mnist3.evaluation.intervals import wilson_interval

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


def test_class_balance_shares_add_up():
    labels = {name: fake(size, 2)[1] for name, size in (("train", 50), ("val", 20))}
    figure = figures.class_balance(labels, WORDS)
    for position, axes in enumerate(figure.axes):
        heights = np.array([bar.get_height() for bar in axes.patches]).reshape(2, 10)
        np.testing.assert_allclose(heights.sum(axis=1), 1)
        np.testing.assert_allclose(heights[1][3], (labels["val"][:, position] == 3).mean())


@pytest.mark.parametrize("digits", [1, 5])
def test_every_figure_is_drawn_for_any_number_of_digits_and_holds_its_texts(tmp_path, digits):
    pixels, labels, predictions, confidences = fake(40, digits)
    accuracy = (labels == predictions).mean(axis=0).tolist()
    drawn = {
        "curves": figures.learning_curves(history(1), WORDS),
        "examples": figures.examples(pixels, labels, WORDS),
        "misread": figures.misread(pixels, labels, predictions, confidences, WORDS),
        "confusion": figures.position_confusion(labels, predictions, WORDS),
        "accuracy": figures.position_accuracy({"val": accuracy}, {"val": 40}, WORDS),
        "reliability": figures.reliability(confidences, labels, predictions, WORDS),
        "balance": figures.class_balance({"val": labels}, WORDS),
    }
    for name, figure in drawn.items():
        assert WORDS in figure.get_suptitle()
        drawing.save(figure, tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as image:
            pixels_drawn = np.asarray(image.convert("L"))
        edge = np.concatenate([pixels_drawn[[0, -1]].ravel(), pixels_drawn[:, [0, -1]].ravel()])
        assert (edge == 255).all(), f"{name} is cut off at its edge"
        assert pixels_drawn.min() < 128


def test_save_gives_the_same_bytes_and_leaves_no_global_state(tmp_path):
    for name in ("first.png", "second.png"):
        drawing.save(figures.learning_curves(history(3), WORDS), tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["first.png", "second.png"]
    assert matplotlib._pylab_helpers.Gcf.figs == {}


def test_a_notebook_shows_a_figure_by_itself():
    figure = drawing.new_figure(4, 2)
    figure.subplots()
    shown = figure._repr_png_()
    with Image.open(io.BytesIO(shown)) as image:
        assert image.size == (
            4 * drawing.NOTEBOOK_DOTS_PER_INCH,
            2 * drawing.NOTEBOOK_DOTS_PER_INCH,
        )
    assert shown == figure._repr_png_()
