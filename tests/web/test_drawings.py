import io

import numpy as np
import pytest
from PIL import Image

from mnist3.data.images import UnreadableImage
from mnist3.data.labelled import read_labels
from mnist3.data.numbers import DIGITS
from mnist3.errors import UserError
from mnist3.web.drawings import Drawings


def picture(value=200):
    content = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), value, np.uint8)).save(content, format="jpeg")
    return content.getvalue()


def test_drawings_are_a_folder_that_evaluate_reads(tmp_path):
    drawings = Drawings(str(tmp_path), DIGITS)
    assert drawings.save(picture(), "007") == "drawing-0001.png"
    assert Drawings(str(tmp_path), DIGITS).save(picture(), "") == "drawing-0002.png"
    found = read_labels(str(tmp_path), DIGITS)
    assert found.files == ["drawing-0001.png", "drawing-0002.png"]
    assert found.numbers == ["007", ""]
    with Image.open(found.paths[0]) as image:
        assert image.format == "PNG" and image.size == (30, 20)


def test_rows_and_columns_that_are_there_stay(tmp_path):
    (tmp_path / "labels.csv").write_text("writer,file,number\nann,drawing-0001.png,5\n")
    assert Drawings(str(tmp_path), DIGITS).save(picture(), "12") == "drawing-0002.png"
    text = (tmp_path / "labels.csv").read_text()
    assert text == "writer,file,number\nann,drawing-0001.png,5\n,drawing-0002.png,12\n"


def test_what_is_no_number_or_no_picture_is_refused_and_leaves_nothing(tmp_path):
    drawings = Drawings(str(tmp_path), DIGITS)
    with pytest.raises(UserError, match="'1x' is not a number of 0, 1"):
        drawings.save(picture(), "1x")
    with pytest.raises(UnreadableImage):
        drawings.save(b"no picture", "1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["name,label\n", "", 'file,number\n"a'])
def test_a_file_of_another_kind_is_refused_at_once(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match="another --save_drawings"):
        Drawings(str(tmp_path), DIGITS)
