import numpy as np
import pytest

from mnist3.evaluation import curves
from mnist3.evaluation.classification import by_row, errors_by_row
from mnist3.reporting import classification_figures

WORDS = "SGD on mnist"


@pytest.fixture(scope="module")
def detectors():
    random = np.random.default_rng(0)
    targets = random.random(400) < 0.3
    return {
        name: (targets, random.normal(size=400) + shift * targets)
        for name, shift in (("good", 3), ("poor", 1))
    }


def test_class_balance_shares_add_up(drawn_whole):
    targets = {"train": np.array([0, 0, 1, 2]), "val": np.array([1, 1])}
    figure = classification_figures.class_balance(targets, ("a", "b", "c"), WORDS)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [0.5, 0.25, 0.25, 0, 1, 0]
    drawn_whole(figure, WORDS)


@pytest.mark.parametrize("classes", [2, 10, 20])
def test_confusion_shows_images_shares_and_errors(classes, drawn_whole):
    counts = np.random.default_rng(0).integers(0, 40, (classes, classes))
    counts[0, 1] = 0
    names = [f"class {index}" for index in range(classes)]
    figure = classification_figures.confusion(counts, names, WORDS)
    panels = (counts, by_row(counts), errors_by_row(counts))[: 3 if classes > 2 else 2]
    for axes, expected in zip(figure.axes, panels, strict=False):
        [picture] = axes.images
        np.testing.assert_allclose(np.ma.filled(picture.get_array(), 0), expected)
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == ([f"{count}" for count in counts[counts > 0]] if classes <= 15 else [])
    wrong = counts.sum() - np.trace(counts)
    assert f"{wrong:,} of {counts.sum():,} wrong" in figure.get_suptitle()
    drawn_whole(figure, WORDS)


def test_no_error_at_all_is_drawn_too(drawn_whole):
    figure = classification_figures.confusion(np.diag([3, 4]), ("a", "b"), WORDS)
    assert "0 of 7 wrong" in figure.get_suptitle()
    drawn_whole(figure, WORDS)


@pytest.mark.parametrize(
    ("share", "text"), [(0.004, "0.4"), (0.5, "50"), (0.997, "99.7"), (1.0, "100")]
)
def test_a_share_is_rounded_neither_to_nothing_nor_to_all(share, text):
    assert classification_figures._percent(share) == text


def test_the_chosen_threshold_is_marked(detectors, texts, drawn_whole):
    curve = curves.precision_recall(*detectors["good"])
    chosen = curves.threshold_for_precision(curve, 0.9)
    figure = classification_figures.thresholds(curve, chosen, WORDS)
    precision, recall, line, *points = figure.axes[0].lines
    np.testing.assert_array_equal(precision.get_xydata().T, [curve.thresholds, curve.precision])
    np.testing.assert_array_equal(recall.get_ydata(), curve.recall)
    assert set(line.get_xdata()) == {chosen.threshold}
    assert [point.get_ydata()[0] for point in points] == [chosen.precision, chosen.recall]
    assert f"recall {chosen.recall:.2%}" in texts(figure)
    drawn_whole(figure, WORDS)


def test_without_a_chosen_threshold_the_curves_are_drawn_alone(detectors, drawn_whole):
    curve = curves.precision_recall(*detectors["good"])
    figure = classification_figures.thresholds(curve, None, WORDS)
    assert len(figure.axes[0].lines) == 2
    assert "chosen" not in figure.get_suptitle()
    drawn_whole(figure, WORDS)


def test_curves_of_several_estimators_share_their_axes(detectors, texts, drawn_whole):
    precision_recall = {n: curves.precision_recall(*each) for n, each in detectors.items()}
    chosen = {"good": curves.threshold_for_recall(precision_recall["good"], 0.8)}
    figure = classification_figures.precision_recall_curves(precision_recall, WORDS, chosen)
    for name, curve in precision_recall.items():
        assert f"{name}: average precision {curve.average_precision:.4f}" in texts(figure)
    assert len(figure.axes[0].lines) == 3
    drawn_whole(figure, WORDS)

    roc = {name: curves.roc(*each) for name, each in detectors.items()}
    figure = classification_figures.roc_curves(roc, WORDS)
    for name, curve in roc.items():
        assert f"{name}: area {curve.area:.4f}" in texts(figure)
    assert len({line.get_color() for line in figure.axes[0].lines}) == 3
    assert figure.axes[1].get_ylim()[0] == pytest.approx(0.8)
    drawn_whole(figure, WORDS)
