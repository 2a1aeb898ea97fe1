import numpy as np

from mnist3.data import strips
from mnist3.data.locate import locate
from tests import renderer


def test_a_strip_is_parted_where_it_has_least_ink():
    strip = np.zeros((strips.HEIGHT, 60), np.uint8)
    strip[6:26, 10:20] = strip[8:20, 22:40] = 255  # two digits
    strip[15, 20:22] = 100  # that touch
    spans = np.array([[12, 16], [28, 32]], np.int32)
    boxes = strips.digit_boxes(strip, spans).tolist()
    assert [(top, bottom) for _, top, _, bottom in boxes] == [(6, 26), (8, 20)]
    assert boxes[0][0] == 10 and 20 <= boxes[0][2] <= 22 <= boxes[1][0] + 2 and boxes[1][2] == 40


def test_spans_of_a_squeezed_strip_are_of_its_own_width():
    strip = np.zeros((strips.HEIGHT, 2 * strips.WIDTHS[-1]), np.uint8)
    strip[6:26, 100:120] = strip[6:26, 900:920] = 255
    spans = np.array([[52, 56], [452, 456]], np.int32)
    assert strips.digit_boxes(strip, spans).tolist() == [[100, 6, 120, 26], [900, 6, 920, 26]]


def test_no_digit_has_no_box():
    strip = np.zeros((strips.HEIGHT, 40), np.uint8)
    assert strips.digit_boxes(strip, np.zeros((0, 2), np.int32)).shape == (0, 4)


def test_the_columns_of_a_strip_are_known_in_the_picture():
    picture, _ = renderer.render(np.random.default_rng(3), "4207", kinds=(), width=500)
    for turned in (picture, np.ascontiguousarray(np.rot90(picture))):
        (line,) = locate(turned)
        inked = np.flatnonzero((line.strip >= strips.INKED).any(axis=0))
        ends = line.track[inked[[0, -1]]].mean(axis=1)  # of the middle row
        left, top, right, bottom = line.box
        along = (top, bottom) if line.sideways else (left, right)
        found = ends[:, int(line.sideways)]
        np.testing.assert_allclose(sorted(found), along, atol=0.03 * 500)
