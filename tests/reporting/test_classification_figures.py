import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colors as colours

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


@pytest.mark.parametrize("classes", [2, 10, 47])
def test_confusion_shows_images_shares_and_errors(classes, drawn_whole):
    counts = np.random.default_rng(0).integers(0, 40, (classes, classes))
    counts[0, 1] = 0
    names = [f"class {index}" for index in range(classes)]
    figure = classification_figures.confusion(counts, names, WORDS)
    panels = (counts, by_row(counts), errors_by_row(counts))[: 3 if classes > 2 else 2]
    for axes, expected in zip(figure.axes, panels, strict=False):
        right, wrong = (np.ma.filled(picture.get_array(), 0) for picture in axes.images)
        np.testing.assert_allclose(right, np.diag(np.diag(expected)))
        np.testing.assert_allclose(right + wrong, expected)
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == ([f"{count}" for count in counts[counts > 0]] if classes <= 40 else [])
    wrong = counts.sum() - np.trace(counts)
    assert f"{wrong:,} of {counts.sum():,} images wrong" in figure.get_suptitle()
    drawn_whole(figure, WORDS)


def luminance(colour):
    """Relative luminance of a colour, W3C, Web Content Accessibility Guidelines 2.1."""
    colour = np.array(colours.to_rgb(colour))
    linear = np.where(colour <= 0.03928, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def test_mistakes_stand_out_from_a_matrix_and_empty_cells_recede():
    counts = np.diag([900, 800, 700])
    counts[0, 1], counts[2, 0] = 1, 60
    figure = classification_figures.confusion(counts, "abc", WORDS)
    right, wrong = figure.axes[0].images
    cells = {
        name: luminance(picture.cmap(picture.norm(value)))
        for name, picture, value in (("right", right, 900), ("one", wrong, 1), ("many", wrong, 60))
    }
    assert cells["many"] < cells["right"] < 1  # an empty cell is white as the paper is
    assert cells["many"] < cells["one"] < 0.95
    assert min(cells.values()) > 0.15  # black numbers can be read: a contrast of 4 and more


@pytest.mark.parametrize(
    "names",
    ["0123456789", "abcdefghijklmnopqrstuvwxyz", [f"Ankle boot {index}" for index in range(10)]],
)
def test_numbers_fit_their_cells_and_names_their_places(names):
    counts = np.full((len(names), len(names)), 999)
    figure = classification_figures.confusion(counts, names, WORDS)
    figure.draw_without_rendering()
    assert figure.get_figwidth() <= 10.5  # as wide as a page shows without shrinking it
    for axes in figure.axes:
        cell = axes.get_window_extent().width / len(names)
        assert all(text.get_window_extent().width < cell for text in axes.texts)
        assert all(text.get_fontsize() >= 6 for text in axes.texts)
        labels = [label for label in axes.get_xticklabels() if label.get_text()]
        if labels[0].get_rotation() == 0:
            assert all(label.get_window_extent().width < cell for label in labels)


def test_no_error_at_all_is_drawn_too(drawn_whole):
    figure = classification_figures.confusion(np.diag([3, 4]), ("a", "b"), WORDS)
    assert "0 of 7 images wrong" in figure.get_suptitle()
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
    assert f"recall {100 * chosen.recall:.2f} %" in texts(figure)
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
    drawn_whole(figure, WORDS)


def inside(axes, line):
    """Whether a curve turns within the axes: its point nearest to the corner is in sight."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    x, y = line.get_data()
    return ((left <= x) & (x <= right) & (low <= y) & (y <= high)).any()


@given(
    shifts=st.lists(st.floats(0, 8), min_size=1, max_size=3),
    n=st.integers(20, 400),
)
@settings(deadline=None, max_examples=6)
def test_a_close_up_shows_where_the_curves_turn_or_is_not_there(shifts, n):
    random = np.random.default_rng(0)
    targets = np.arange(n) < n // 5
    scores = {f"{i}": random.normal(size=n) + shift * targets for i, shift in enumerate(shifts)}
    for draw, measure, knee in (
        (
            classification_figures.roc_curves,
            curves.roc,
            lambda curve: np.maximum(curve.false_positive_rate, 1 - curve.true_positive_rate),
        ),
        (
            classification_figures.precision_recall_curves,
            curves.precision_recall,
            lambda curve: 1 - np.minimum(curve.precision, curve.recall),
        ),
    ):
        measured = {name: measure(targets, each) for name, each in scores.items()}
        whole, *close_up = draw(measured, WORDS).axes
        assert whole.get_xlim()[0] <= 0 and whole.get_xlim()[1] >= 1
        near = [knee(curve).min() <= 0.2 for curve in measured.values()]
        assert bool(close_up) == any(near)
        for axes in close_up:
            side = np.ptp(axes.get_ylim())
            assert side <= 0.41
            for name, is_near in zip(measured, near, strict=True):
                line = next(one for one in axes.lines if one.get_label().startswith(f"{name}:"))
                assert not is_near or inside(axes, line)


def test_a_close_up_of_good_curves_is_closer_than_one_of_poor_curves(detectors):
    roc = {name: curves.roc(*each) for name, each in detectors.items()}
    perfect = curves.roc(detectors["good"][0], detectors["good"][0].astype(float))
    sides = [
        np.ptp(classification_figures.roc_curves({"one": curve}, WORDS).axes[1].get_ylim())
        for curve in (perfect, roc["good"])
    ]
    assert sides[0] < 0.02 < sides[1]
    assert len(classification_figures.roc_curves({"poor": roc["poor"]}, WORDS).axes) == 1
