import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from mnist3.data.ink import find_ink
from mnist3.data.locate import LEVEL, Sight, locate
from mnist3.data.strips import DIGIT_HEIGHT, MARGIN

STROKES = {  # of digits as somebody writes them, in a box of 1 by 1.6
    "0": [[(0.5, 0), (0.1, 0.3), (0, 0.9), (0.2, 1.5), (0.6, 1.6), (1, 1.1), (0.9, 0.3), (0.5, 0)]],
    "2": [[(0, 0.3), (0.4, 0), (0.9, 0.2), (0.8, 0.7), (0, 1.6), (1, 1.55)]],
    "3": [[(0, 0.1), (0.7, 0), (0.9, 0.4), (0.3, 0.75), (0.95, 1), (0.8, 1.5), (0, 1.6)]],
    "4": [[(0.4, 0), (0, 1), (1, 0.95)], [(0.75, 0.5), (0.7, 1.6)]],
    "5": [[(0.9, 0), (0.2, 0.05), (0.1, 0.7), (0.8, 0.8), (0.9, 1.3), (0.5, 1.6), (0, 1.5)]],
    "6": [[(0.7, 0), (0.1, 0.8), (0.2, 1.5), (0.8, 1.5), (0.9, 1), (0.5, 0.8), (0.1, 1.1)]],
    "7": [[(0, 0), (0.95, 0.05), (0.4, 1.6)]],
    "9": [[(0.9, 0.2), (0.4, 0), (0.1, 0.4), (0.4, 0.8), (0.9, 0.3), (0.85, 1), (0.6, 1.6)]],
}
PAPER, INK = (236, 232, 224), (40, 44, 120)


def written(
    number: str = "4703", height: int = 60, pen: int = 5, margin: int = 60, left: int = 0
) -> np.ndarray:
    """A number on even paper, uint8 [height, width, 3]."""
    unit = height / 1.6
    size = int(left + 2 * margin + 1.5 * unit * len(number)), height + 2 * margin
    image = Image.new("RGB", (4 * size[0], 4 * size[1]), PAPER)
    draw = ImageDraw.Draw(image)
    for place, digit in enumerate(number):
        for stroke in STROKES[digit]:
            points = [
                (4 * (left + margin + (x + 1.5 * place) * unit), 4 * (margin + y * unit))
                for x, y in stroke
            ]
            draw.line(points, fill=INK, width=4 * pen, joint="curve")
    return np.asarray(image.reduce(4))


def alike(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference of two strips, grey levels, the second shifted to where it fits best."""
    assert abs(first.shape[1] - second.shape[1]) <= 4
    width = min(first.shape[1], second.shape[1]) - 4
    centre = first[2:-2, 2 : 2 + width].astype(float)
    return min(
        float(np.abs(centre - second[2 + y : 30 + y, 2 + x : 2 + x + width]).mean())
        for y in (-1, 0, 1)
        for x in (-2, -1, 0, 1, 2)
        if second[2 + y : 30 + y, 2 + x : 2 + x + width].shape == centre.shape
    )


def only(picture: np.ndarray) -> np.ndarray:
    (line,) = locate(picture)
    return line.strip


PLAIN = written()


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return only(PLAIN)


def jpeg(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def scaled(picture: np.ndarray, factor: float) -> np.ndarray:
    image = Image.fromarray(picture)
    size = round(image.width * factor), round(image.height * factor)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def shaded(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    return (picture * (1 - 0.5 * x / width - 0.2 * y / height)[..., None]).astype(np.uint8)


def in_shadow(picture: np.ndarray) -> np.ndarray:
    light = np.where(np.arange(picture.shape[1]) < picture.shape[1] // 2, 1, 0.6)
    light = np.convolve(np.pad(light, 20, mode="edge"), np.ones(41) / 41, mode="valid")
    return (picture * light[:, None]).astype(np.uint8)


def padded(picture: np.ndarray, *sides: tuple[int, int]) -> np.ndarray:
    return np.stack(
        [np.pad(picture[..., c], sides, constant_values=PAPER[c]) for c in range(3)], axis=-1
    )


def test_a_strip_is_bright_ink_of_the_height_asked_for_within_blank_columns(plain):
    assert plain.dtype == np.uint8 and plain.shape[0] == 32
    ink = np.flatnonzero((plain > 128).any(axis=0))
    assert not plain[:, :MARGIN].any() and not plain[:, -MARGIN:].any()
    assert MARGIN <= ink[0] <= MARGIN + 2 and plain.max() >= 230
    rows = np.flatnonzero((plain > 128).any(axis=1))
    assert abs(rows[-1] + 1 - rows[0] - DIGIT_HEIGHT) <= 2
    assert abs((rows[-1] + 1 + rows[0]) / 2 - 16) <= 1.5


@pytest.mark.parametrize(
    "changed",
    [
        lambda picture: padded(picture, (200, 10), (30, 300)),
        lambda picture: padded(picture, (0, 500), (400, 0)),
        lambda picture: picture[50:-50, 50:-60],
        lambda picture: scaled(picture, 0.5),
        lambda picture: scaled(picture, 2),
        lambda picture: 255 - picture,
        lambda picture: picture.mean(axis=-1).astype(np.uint8),
        shaded,
        in_shadow,
        jpeg,
    ],
    ids=[
        "margins",
        "moved",
        "tight",
        "half",
        "double",
        "inverted",
        "grey",
        "gradient",
        "shadow",
        "jpeg",
    ],
)
def test_what_does_not_change_the_number_does_not_change_its_strip(plain, changed):
    assert alike(plain, only(changed(PLAIN))) < 14


@pytest.mark.parametrize("angle", [-25, -12, 7, 25])
def test_a_tilted_line_is_levelled(plain, angle):
    wide = Image.fromarray(padded(PLAIN, (120, 120), (60, 60)))
    tilted = np.asarray(wide.rotate(angle, Image.Resampling.BICUBIC, fillcolor=PAPER))
    assert alike(plain, only(tilted)) < 22


def ruled(draw, box):
    for y in range(20, 180, 40):
        draw.line([(0, y), (box[2] + 200, y + 6)], fill=(120, 150, 200), width=2)


def framed(draw, box):
    draw.rectangle(box, outline=(60, 60, 60), width=3)


def combed(draw, box):
    left, top, right, bottom = box
    draw.line([(left, bottom), (right, bottom)], fill=(250, 150, 60), width=3)
    for x in np.linspace(left, right, 5):
        draw.line([(x, top), (x, bottom)], fill=(250, 150, 60), width=3)


def boxed(draw, box):
    combed(draw, box)
    draw.line([box[:2], (box[2], box[1])], fill=(250, 150, 60), width=3)


@pytest.mark.parametrize("printed", [ruled, framed, combed, boxed])
def test_printed_lines_are_gone_and_digits_remain(plain, printed):
    paper = Image.fromarray(written(margin=60))
    box = (50, 46, 50 + 228, 134)
    lines = Image.new("RGB", paper.size, (255, 255, 255))
    printed(ImageDraw.Draw(lines), box)
    picture = np.minimum(np.asarray(paper), np.asarray(lines))
    assert alike(plain, only(picture)) < 15


@pytest.mark.parametrize("number,tooth", [("42", 1.3), ("427", 0.6)])  # digit heights
def test_a_comb_of_few_teeth_is_gone(number, tooth):
    picture = written(number)
    width, foot, top = picture.shape[1], 138, int(138 - 60 * tooth)
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    left, right = 48, width - 58
    for x in (left, (left + right) // 2, right):
        draw.line([(x, top), (x, foot)], fill=INK, width=2)
    draw.line([(left, foot), (right, foot)], fill=INK, width=2)
    assert alike(only(picture), only(np.asarray(image))) < 12


def test_digits_that_grow_along_the_line_come_out_alike():
    parts = [written("4", height=28 + 12 * n, pen=4, margin=100) for n in range(6)]
    tall = max(part.shape[0] for part in parts)
    even = [padded(part, ((tall - part.shape[0]) // 2,) * 2, (0, 0))[:, 70:-70] for part in parts]
    strip = only(np.concatenate([part[: tall - 2] for part in even], axis=1))
    labels = np.flatnonzero(np.diff((strip > 100).any(axis=0).astype(int)))
    heights = [
        np.ptp(np.flatnonzero((strip[:, start : stop + 1] > 100).any(axis=1)))
        for start, stop in zip(labels[::2], labels[1::2], strict=True)
    ]
    assert len(heights) == 6 and min(heights) > 0.7 * max(heights)


def test_specks_far_from_the_line_change_nothing(plain):
    picture = padded(PLAIN, (100, 100), (100, 100)).copy()
    for row, column in ((20, 30), (340, 60), (30, 400), (350, 350)):
        picture[row : row + 3, column : column + 3] = 0
    assert alike(plain, only(picture)) < 9


def test_strokes_of_other_lines_at_the_edge_are_left_out(plain):
    other = written("5964")[60:120, 60:240]
    picture = padded(PLAIN, (0, 0), (10, 40)).copy()
    picture[:14, 40:220] = other[-14:]
    picture[-12:, 70:250] = other[:12]
    assert alike(plain, only(picture)) < 9


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**16), darkness=st.floats(0.45, 0.7), angle=st.floats(0, 6.28))
def test_a_hard_shadow_beside_a_number_is_no_writing(seed, darkness, angle):
    """A camera adds as much noise in shadow as in light, so that of the light it is more."""
    picture = padded(PLAIN, (150, 150), (150, 150))
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    middle = np.array(picture.shape[:2]) / 2
    across = (x - middle[1]) * np.cos(angle) + (y - middle[0]) * np.sin(angle) - 190
    light = 1 - darkness / (1 + np.exp(-np.clip(across / 6, -50, 50)))
    noise = np.random.default_rng(seed).normal(0, 8, picture.shape[:2])
    pixels = np.clip(picture * light[..., None] + noise[..., None], 0, 255)
    (line,) = locate(pixels.astype(np.uint8))
    (expected,) = locate(PLAIN)
    assert np.abs(np.array(line.box) - 150 - expected.box).max() <= 4


def test_the_one_digit_in_a_box_is_found():
    """The box and the digit have one middle, so that either may be taken to hold the other."""
    image = Image.fromarray(padded(written("4", margin=80), (200, 300), (200, 300)))
    alone = only(np.asarray(image))
    centre = 200 + 80 + 30
    draw = ImageDraw.Draw(image)
    draw.rectangle((centre - 48, 225, centre + 14, 395), outline=INK, width=3)
    assert alike(alone, only(np.asarray(image))) < 12


def test_a_line_is_followed_over_a_wide_gap():
    """At first one half of the line is found, then the other at the end of its cut-out."""
    parts = [written("47", margin=60), written("03", margin=60)]
    whole = np.concatenate([parts[0][:, :-20], parts[1][:, 20:]], axis=1)
    first, second = only(parts[0]), only(parts[1])
    assert only(whole).shape[1] > first.shape[1] + second.shape[1] - 4 * MARGIN


def test_hair_thin_strokes_are_drawn_wider():
    strip = only(written("7", height=200, pen=2, margin=40))
    assert np.percentile(strip[strip > 0], 90) > 200


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((28, 28), np.uint8),
        np.full((300, 200, 3), 255, np.uint8),
        shaded(np.full((300, 400, 3), 230, np.uint8)),
        np.full((1, 1), 7, np.uint8),
        np.full((3, 500), 90, np.uint8),
        np.random.default_rng(0).integers(0, 256, (200, 300), dtype=np.uint8),
        np.random.default_rng(1).normal(200, 6, (300, 400, 3)).astype(np.uint8),
    ],
    ids=["black", "white", "shaded", "pixel", "bar", "noise", "grain"],
)
def test_nothing_is_found_where_nothing_is_written(picture):
    assert locate(picture) == []


def test_small_images_of_bright_digits_on_black_are_read_as_they_are():
    image = 255 - scaled(written("50", height=60, margin=20), 1 / 3).mean(axis=-1)
    image = np.clip((image - 40) * 1.3, 0, 255).astype(np.uint8)
    canvas = np.zeros((84, 84), np.uint8)
    canvas[20 : 20 + len(image), 10 : 10 + image.shape[1]] = image
    strip = only(canvas)
    rows = np.flatnonzero((strip > 128).any(axis=1))
    assert 18 <= rows[-1] + 1 - rows[0] <= 22
    columns = (strip > 128).any(axis=0)
    assert np.count_nonzero(columns[1:] & ~columns[:-1]) == 2


def test_a_digit_that_fills_its_image_is_found():
    image = 255 - scaled(written("3", height=84, pen=9, margin=2), 1 / 3).mean(axis=-1)
    digit = np.clip((image - 40) * 1.3, 0, 255).astype(np.uint8)[:28, :20]
    strip = only(digit)
    rows = np.flatnonzero((strip > 128).any(axis=1))
    assert 18 <= rows[-1] + 1 - rows[0] <= 22


def test_every_line_of_a_page_comes_from_top_to_bottom_with_its_box():
    numbers = ["470", "93562", "04", "2573"]
    picture = np.full((500, 420, 3), PAPER, np.uint8)
    for place, number in enumerate(numbers):
        part = written(number, height=50, margin=20)
        top = 20 + 115 * place
        picture[top : top + part.shape[0], 30 : 30 + part.shape[1]] = part
    lines = locate(picture, every_line=True)
    assert len(lines) == len(numbers)
    for place, (line, number) in enumerate(zip(lines, numbers, strict=True)):
        left, top, right, bottom = line.box
        wanted = (50, 40 + 115 * place, 50 + (1.5 * len(number) - 0.5) * 50 / 1.6, 90 + 115 * place)
        assert np.allclose((left, top, right, bottom), wanted, atol=7)
        columns = (line.strip > 100).any(axis=0)
        assert np.count_nonzero(columns[1:] & ~columns[:-1]) == len(number)
    assert len(locate(picture)) == 1


def test_a_line_that_runs_up_the_page_is_turned(plain):
    number = "92563"
    (line,) = locate(written(number, margin=150))
    turned = np.ascontiguousarray(np.rot90(written(number, margin=150)))
    (lying,) = locate(turned)
    assert lying.sideways and not line.sideways
    assert min(alike(line.strip, lying.strip), alike(line.strip, lying.strip[::-1, ::-1])) < 9
    height = turned.shape[0]
    left, top, right, bottom = line.box
    assert np.allclose(lying.box, (top, height - right, bottom, height - left), atol=4)


def test_the_same_picture_gives_the_same_strip(plain):
    assert np.array_equal(plain, only(PLAIN.copy()))


@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    seed=st.integers(0, 2**31),
    smooth=st.integers(1, 9),
)
def test_any_picture_gives_well_formed_lines(shape, seed, smooth):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-shape[0] // smooth), -(-shape[1] // smooth), 3))
    picture = coarse.repeat(smooth, axis=0).repeat(smooth, axis=1)[: shape[0], : shape[1]]
    for line in locate(np.ascontiguousarray(picture, dtype=np.uint8), every_line=True):
        assert line.strip.shape[0] == 32 and line.strip.any()
        left, top, right, bottom = line.box
        assert 0 <= left < right <= shape[1] and 0 <= top < bottom <= shape[0]


def counted(strip: np.ndarray) -> int:
    """How many digits of `written` a strip shows, by their gaps."""
    inked = np.concatenate([[False], (strip > 100).any(axis=0)])
    return int((inked[1:] & ~inked[:-1]).sum())


@given(
    number=st.text("023569", min_size=3, max_size=7),
    where=st.sampled_from(["boxes", "comb", "underline"]),
    pen=st.integers(4, 7),
)
@settings(max_examples=12, deadline=None)
def test_digits_at_the_ends_of_a_line_stay_in_it(number, where, pen):
    picture = Image.fromarray(written(number, pen=pen))
    draw, unit = ImageDraw.Draw(picture), 60 / 1.6
    columns = [60 + round((1.5 * place - 0.25) * unit) for place in range(len(number) + 1)]
    left, right = columns[0], columns[-1]
    if where == "underline":  # by the same pen
        draw.line([(left, 136), (right, 138)], fill=INK, width=pen)
    else:
        draw.line([(left, 130), (right, 130)], fill=INK, width=2)
        for column in columns:
            draw.line([(column, 50 if where == "boxes" else 105), (column, 130)], fill=INK, width=2)
    if where == "boxes":
        draw.line([(left, 50), (right, 50)], fill=INK, width=2)
    assert counted(only(np.asarray(picture))) == len(number)


def tight(picture: np.ndarray) -> np.ndarray:
    """The picture of dark ink cut to what is written on it."""
    inked = picture.min(axis=2) < 150
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def shaded_beyond(picture: np.ndarray) -> np.ndarray:
    return shaded(padded(picture, (2, 2), (2, 2)))


def in_a_frame(picture: np.ndarray) -> np.ndarray:
    return np.pad(picture, ((1, 1), (1, 1), (0, 0)))


@pytest.mark.parametrize("digit", ["0", "3", "5"])
@pytest.mark.parametrize(
    "changed",
    [np.copy, lambda picture: 255 - picture, shaded_beyond, in_a_frame],
    ids=["as it is", "inverted", "shaded", "in a frame"],
)
def test_a_small_drawing_without_a_margin_is_seen_as_one_with_it(digit, changed):
    drawing = written(digit, height=30, pen=4, margin=20)
    (line,) = locate(changed(tight(drawing)))
    assert alike(only(drawing), line.strip) < 14
    height, width = changed(tight(drawing)).shape[:2]
    left, top, right, bottom = line.box
    assert 0 <= left < 4 and 0 <= top < 4 and width - 4 < right <= width
    assert height - 4 < bottom <= height


def test_the_grain_of_paper_is_no_line():
    generator = np.random.default_rng(3)
    page = written("47", height=40, pen=4, margin=280)
    grain = (
        generator.normal(0, 6, (*page.shape[:2], 1))
        * (generator.random(page.shape[:2]) < 0.2)[..., None]
    )
    (line,) = locate(np.clip(page + grain, 0, 255).astype(np.uint8))
    assert alike(only(page), line.strip) < 12


def test_another_sight_keeps_printed_lines_or_leaves_out_faint_ink(plain):
    lined = Image.fromarray(PLAIN)
    middle = PLAIN.shape[0] // 2
    ImageDraw.Draw(lined).line([(0, middle), (PLAIN.shape[1], middle)], fill=INK, width=2)
    seen, kept = (locate(np.asarray(lined), False, Sight(rules=each)) for each in (True, False))
    assert seen and (len(kept) != len(seen) or kept[0].box != seen[0].box)
    pencil = (PLAIN * 0.1 + np.array(PAPER) * 0.9).astype(np.uint8)
    assert locate(pencil) and not locate(pencil, False, Sight(faintest=0.18))


def test_paper_is_found_along_a_line_however_long():
    """A scribble of tiny marks is looked at as a line of hundreds of digits."""
    paper = np.broadcast_to(np.linspace(120, 240, 18_200, dtype=np.float32), (104, 18_200))
    stroke = np.zeros(paper.shape, bool)
    stroke[32:72, 9_000:9_005] = True
    ink = find_ink(np.where(stroke, 0.3 * paper, paper), LEVEL, 2 * LEVEL)
    assert (ink.strong == stroke).all()
