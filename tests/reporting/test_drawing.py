import io

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mnist3.errors import UserError
from mnist3.reporting import classification_figures, drawing, figures, image_figures

COUNTS = np.array([[30, 2], [1, 40]])
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)


def confusion():
    return classification_figures.confusion(COUNTS, ("no", "yes"), "cnn on mnist")


def gallery():
    return image_figures.digit_grid(IMAGES, "mnist")


@pytest.mark.parametrize("suffix", drawing.FORMATS)
@pytest.mark.parametrize("draw", [confusion, gallery])
def test_every_format_gives_the_same_bytes_again(draw, suffix, tmp_path):
    for name in ("first", "second"):
        drawing.save(draw(), tmp_path / f"{name}.{suffix}")
    written = (tmp_path / f"first.{suffix}").read_bytes()
    assert written == (tmp_path / f"second.{suffix}").read_bytes()
    begins = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix]
    assert written.startswith(begins)
    assert b"CreationDate" not in written and b"<dc:date>" not in written
    assert len(list(tmp_path.iterdir())) == 2


def test_saving_leaves_the_settings_of_matplotlib_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    drawing.save(confusion(), tmp_path / "one.svg")
    drawing.save(confusion(), tmp_path / "one.pdf")
    assert dict(matplotlib.rcParams) == before


def test_a_pdf_keeps_its_letters_as_journals_ask(tmp_path):
    drawing.save(confusion(), tmp_path / "one.pdf")
    written = (tmp_path / "one.pdf").read_bytes()
    assert b"/Type3" not in written.replace(b" ", b"")


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"'jpg'.*png, pdf, svg"):
        drawing.save(confusion(), tmp_path / "one.jpg")
    with pytest.raises(UserError, match="did you mean 'pdf'"):
        drawing.save_all({"one": confusion()}, tmp_path, formats=("pfd",))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("formats", [("png",), ("pdf",), ("svg", "pdf", "png")])
def test_pngs_are_always_there_for_the_page_and_other_formats_beside_them(formats, tmp_path):
    drawn = {"one": confusion(), "none": None, "two": gallery()}
    paths = drawing.save_all(drawn, tmp_path, formats)
    folder = tmp_path / "figures"
    assert paths == [str(folder / "one.png"), str(folder / "two.png")]
    expected = {f"{name}.{suffix}" for name in ("one", "two") for suffix in {"png", *formats}}
    assert {file.name for file in folder.iterdir()} == expected


def test_few_colours_make_a_small_file_that_looks_the_same(tmp_path):
    figure = confusion()
    drawing.save(figure, tmp_path / "few.png")
    figure.savefig(tmp_path / "all.png", dpi=drawing.DOTS_PER_INCH, facecolor="white")
    few, all_colours = (
        np.asarray(Image.open(tmp_path / name).convert("RGB"), np.float32)
        for name in ("few.png", "all.png")
    )
    assert np.abs(few - all_colours).mean() < 1  # of 255
    assert (few[0] == 255).all()
    sizes = [(tmp_path / name).stat().st_size for name in ("few.png", "all.png")]
    assert sizes[0] < 0.7 * sizes[1]


def test_a_notebook_shows_a_figure_by_itself_sharp_and_small():
    figure = confusion()
    shown = figure._repr_png_()
    with Image.open(io.BytesIO(shown)) as image:
        width = image.size[0]
    assert width / figure.get_figwidth() == pytest.approx(drawing.DOTS_PER_INCH, abs=1)
    assert drawing.DOTS_PER_INCH >= 100 and len(shown) < 40_000
    assert shown == figure._repr_png_()


@given(share=st.floats(0, 1), decimals=st.integers(0, 2))
def test_a_share_below_one_never_reads_a_hundred_percent(share, decimals):
    text = drawing.percent_text(share, decimals)
    assert (text.startswith("100")) == (share == 1)
    zero = text.removesuffix(" %").strip("0.") == ""
    assert zero == (share == 0)
    number = float(text.strip("<>% "))
    assert abs(number - 100 * share) <= 0.5 * 10.0**-decimals + 0.01


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.7, "70 %"), (0.996, "99.6 %"), (0.99996, "> 99.99 %"), (0.004, "0.4 %"), (1.0, "100 %")],
)
def test_percent_texts(share, text):
    assert drawing.percent_text(share) == text


def test_labels_as_text():
    label = np.array([0, 2, -1])
    assert drawing.label_text(label, "abc") == "ac"
    assert drawing.label_text(label, ("bag", "coat", "hat")) == "bag hat"


def test_long_titles_are_broken_and_make_room(drawn_whole):
    words = "a model of a rather long name on a data set of an even longer name " * 3
    drawn_whole(image_figures.digit_grid(IMAGES[:4], words.strip()), "an even longer name a model")


def test_an_image_of_a_grid_has_the_size_that_was_asked_for():
    labels = np.zeros((6, 1), np.int32)
    for figure in (
        figures.examples(IMAGES[:6], labels, "0123456789", "mnist"),
        figures.examples(IMAGES[:1], labels[:1], "0123456789", "a title " * 30),
    ):
        axes = figure.axes[0]
        (left, _), (right, _) = axes.transData.transform([(0, 0), (28, 0)])
        assert (right - left) / figure.dpi == pytest.approx(1.4, rel=0.02)  # inches


@pytest.mark.parametrize("square", [False, True])
def test_what_is_saved_has_found_its_place(square, tmp_path):
    figure = drawing.new_figure(5, 4)
    drawing.write_title(figure, "a title of two lines, since it is longer than the figure is wide")
    every = figure.subplots(2, 3).ravel()
    figure.legend(handles=every[0].plot([1, 1e6], label="a curve"), loc="outside lower center")
    if square:
        figure.colorbar(every[-1].imshow(np.eye(3)), ax=every[-1])
    engine = figure.get_layout_engine()
    drawing.save(figure, tmp_path / "figure.png")
    saved = [axes.get_position(original=True).bounds for axes in every]
    engine.execute(figure)
    again = [axes.get_position(original=True).bounds for axes in every]
    np.testing.assert_allclose(saved, again, rtol=0, atol=1 / (5 * drawing.DOTS_PER_INCH))
