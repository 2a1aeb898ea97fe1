import numpy as np
import pytest
from PIL import Image

from mnist3.reporting import drawing


@pytest.fixture
def drawn_whole(tmp_path):
    """Draws a figure; something is there, no edge cuts it off and no legend covers anything."""

    def check(figure, words):
        assert words in figure.get_suptitle().replace("\n", " ")
        drawing.save(figure, tmp_path / "figure.png")
        with Image.open(tmp_path / "figure.png") as image:
            pixels = np.asarray(image.convert("L"))
        edge = np.concatenate([pixels[[0, -1]].ravel(), pixels[:, [0, -1]].ravel()])
        assert (edge == 255).all(), "cut off at its edge"
        assert pixels.min() < 128
        assert not [axes for axes in figure.axes if axes.get_legend() is not None]
        for legend in figure.legends:
            place = legend.get_window_extent()
            assert not any(place.overlaps(axes.get_window_extent()) for axes in figure.axes)

    return check


@pytest.fixture
def texts():
    """Returns all texts of a figure."""

    def find(figure):
        return [text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text"))]

    return find


@pytest.fixture
def marked():
    """Returns the texts of a figure that are marked as wrong, in the order they were written."""

    def find(figure):
        texts = figure.findobj(lambda item: hasattr(item, "get_text"))
        return [text.get_text() for text in texts if text.get_weight() == "bold"]

    return find
