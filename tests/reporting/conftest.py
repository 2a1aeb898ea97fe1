import numpy as np
import pytest
from PIL import Image

from mnist3.reporting import drawing


@pytest.fixture
def drawn_whole(tmp_path):
    """Draws a figure and checks that something is there and nothing is cut off at an edge."""

    def check(figure, words):
        assert words in figure.get_suptitle().replace("\n", " ")
        drawing.save(figure, tmp_path / "figure.png")
        with Image.open(tmp_path / "figure.png") as image:
            pixels = np.asarray(image.convert("L"))
        edge = np.concatenate([pixels[[0, -1]].ravel(), pixels[:, [0, -1]].ravel()])
        assert (edge == 255).all(), "cut off at its edge"
        assert pixels.min() < 128

    return check


@pytest.fixture
def texts():
    """Returns all texts of a figure."""

    def find(figure):
        return [text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text"))]

    return find
