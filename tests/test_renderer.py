"""The renderer's pictures are what they are said to be, and owe the project nothing."""

import ast
import pathlib

import numpy as np
import pytest

from tests import renderer

PAPER, INK = 200, 128  # grey levels of a page without any trouble


def random(seed=0):
    return np.random.default_rng(seed)


def digit_images():
    """Returns images of 1, 0 and 8: bars and rings, and an 8 whose loops have run full of ink."""
    images = np.zeros((4, 28, 28), np.uint8)
    images[0, 4:24, 12:15] = 255
    images[1:3, 4:24, 6:22] = 255
    images[1:3, 7:21, 9:19] = 0
    images[2, 12:15, 6:22] = 255
    images[3, 6:22, 6:22] = 255
    return images, np.array([1, 0, 8, 8])


def test_it_shares_no_code_with_the_project():
    tree = ast.parse(pathlib.Path(renderer.__file__).read_text())
    names = [
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (getattr(node, "module", None), *(each.name for each in node.names))
    ]
    assert names and not any(name and name.startswith("mnist3") for name in names)


@pytest.mark.parametrize("images", [None, digit_images()], ids=["strokes", "images"])
def test_a_seed_gives_the_same_bytes_and_another_one_others(images):
    first, again, other = (
        renderer.render(random(seed), "0118", images=images, width=300) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert first[0].shape != other[0].shape or (first[0] != other[0]).any()


@pytest.mark.parametrize("images", [None, digit_images()], ids=["strokes", "images"])
@pytest.mark.parametrize("pen", [1, 4, 12])
def test_a_plain_page_has_ink_where_the_digits_are_and_nowhere_else(images, pen):
    picture, facts = renderer.render(random(3), "1080", [], images, width=500, pen=pen)
    assert picture.dtype == np.uint8 and picture.shape[1:] == (500, 3)
    grey = picture.min(axis=-1)
    assert len(facts["boxes"]) == 4
    assert [box[0] for box in facts["boxes"]] == sorted(box[0] for box in facts["boxes"])
    for left, top, right, bottom in facts["boxes"]:
        digit = grey[top:bottom, left:right]
        assert digit.min() < INK
        assert 0.5 < digit.shape[0] / facts["digit_height"] < 1.6
        grey[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = 255
    assert grey.min() > PAPER


def test_an_image_whose_loops_have_run_full_is_not_thinned():
    images, labels = digit_images()
    for seed in range(5):
        picture, facts = renderer.render(random(seed), "8", [], (images, labels), 200, pen=2)
        (left, top, right, bottom), grey = facts["boxes"][0], picture.min(axis=-1)
        middle = grey[(3 * top + bottom) // 4, (left + right) // 2]
        assert middle > PAPER  # within the upper loop
    with pytest.raises(ValueError, match="the images of 8 are torn or blotted"):
        renderer.render(random(), "8", [], (images[[3]], labels[[3]]), 200, pen=2)


def test_a_broader_pen_leaves_more_ink():
    shares = []
    for pen in (1, 3, 6, 12):
        picture, _ = renderer.render(random(4), "2357", [], width=600, pen=pen)
        shares.append((picture.min(axis=-1) < INK).mean())
    ratios = np.divide(shares, shares[0])
    assert 2 < ratios[1] < 4.5 and 4 < ratios[2] < 9 and 8 < ratios[3] < 18


@pytest.mark.parametrize("kind", renderer.KINDS + renderer.MORE_KINDS)
def test_each_kind_can_be_asked_for_alone(kind):
    picture, facts = renderer.render(random(5), "40519", [kind], width=240)
    assert picture.dtype == np.uint8 and picture.ndim == 3
    assert facts["kinds"] == [kind]
    assert len(facts["boxes"]) == 5
    assert (np.median(picture) < 100) == (kind == "board")


def test_only_what_is_known_can_be_asked_for():
    with pytest.raises(ValueError, match=r"unknown kinds \['rain'\]; there are tilt, slope"):
        renderer.render(random(), "1", ["rain"])


def test_a_tilted_line_climbs_as_it_is_said_to():
    for seed in range(5):
        _, facts = renderer.render(random(seed), "1111111111", ["tilt"], width=600)
        boxes = np.array(facts["boxes"], float)
        across, down = (boxes[:, :2] + boxes[:, 2:]).T / 2
        slope = np.degrees(np.arctan(np.polyfit(across, down, 1)[0]))
        assert abs(slope - facts["tilt"]) < 3


def test_ten_digits_on_a_small_picture_with_margins_stay_readable():
    _, facts = renderer.render(random(), "0123456789", ["margins", "tilt"], width=200)
    assert facts["digit_height"] > 12


@pytest.mark.parametrize("kind", renderer.NOT_NUMBERS)
def test_what_is_no_number_is_reproducible_too(kind):
    first, again = (renderer.not_numbers(random(6), kind, width=200) for _ in range(2))
    assert first[0].dtype == np.uint8 and first[0].shape[1:] == (200, 3)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1]["kind"] == kind


def test_letters_are_none_that_look_like_digits():
    assert not set(renderer.LETTERS) & set("BCDGIJLOPQSTUYZ")
