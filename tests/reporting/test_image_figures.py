import numpy as np
import pytest

from mnist3.reporting import image_figures

WORDS = "cnn on mnist"
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (120, 28, 28), dtype=np.uint8)


def shown(axes):
    return [np.ma.filled(image.get_array(), np.nan) for image in axes.images]


def test_one_digit_is_drawn_pixel_by_pixel(drawn_whole):
    figure = image_figures.digit(IMAGES[0], "5", WORDS)
    np.testing.assert_array_equal(shown(figure.axes[0])[0], IMAGES[0])
    drawn_whole(figure, WORDS)


@pytest.mark.parametrize(("count", "drawn"), [(120, 100), (7, 7)])
def test_the_grid_holds_a_hundred_images(count, drawn, drawn_whole):
    figure = image_figures.digit_grid(IMAGES[:count], WORDS)
    np.testing.assert_array_equal(shown(figure.axes[0]), IMAGES[:drawn])
    columns = {image.get_extent()[0] for image in figure.axes[0].images}
    assert len(columns) == min(drawn, 10)
    drawn_whole(figure, WORDS)


def test_worst_and_suspected_images_say_why(texts, marked, drawn_whole):
    names = (["1", "2"], ["7", "3"])
    figure = image_figures.worst(IMAGES[:2], *names, np.array([3.456, 0.5]), WORDS)
    assert {"1 read as ", "7", "loss 3.46"} <= set(texts(figure))
    assert marked(figure) == ["7", "3"]
    drawn_whole(figure, WORDS)
    long = image_figures.worst(IMAGES[:1], ["large+odd"], ["none"], np.array([2.0]), WORDS)
    assert {"large+odd", "read as ", "none", "loss 2.00"} <= set(texts(long))
    tiny = image_figures.worst(IMAGES[:1], ["1"], ["1"], np.array([1e-9]), WORDS)
    assert "loss < 0.01" in texts(tiny) and marked(tiny) == []
    figure = image_figures.suspects(IMAGES[:2], *names, np.array([0.99999, 0.6]), WORDS)
    assert "labelled 1\n7 with > 99.99 %" in texts(figure)
    assert "labelled 2\n3 with 60 %" in texts(figure)
    drawn_whole(figure, WORDS)
    none = image_figures.worst(IMAGES[:0], [], [], np.zeros(0), WORDS)
    assert len(none.axes[0].images) == 0


def test_the_gallery_of_a_pair_has_four_quarters(texts, drawn_whole):
    quarters = [[IMAGES[:30], IMAGES[:3]], [IMAGES[:0], IMAGES[5:6]]]
    figure = image_figures.pair_gallery(quarters, ("3", "5"), WORDS)
    assert [axes.get_title() for axes in figure.axes] == [
        "3 rightly read as 3 (25 shown)",
        "3 misread as 5 (3 shown)",
        "5 misread as 3 (none)",
        "5 rightly read as 5 (1 shown)",
    ]
    [sheet] = shown(figure.axes[1])
    np.testing.assert_array_equal(sheet[:28, :28], IMAGES[0])
    np.testing.assert_array_equal(sheet[:28, 30:58], IMAGES[1])
    assert np.isnan(sheet[30:]).all()
    drawn_whole(figure, WORDS)


def test_noisy_cleaned_and_clean_stand_below_each_other(texts, drawn_whole):
    clean = IMAGES[:9]
    noisy = clean.astype(np.int32) + 50
    figure = image_figures.denoising(noisy, clean.astype(np.float32) + 10, clean, WORDS)
    drawn = shown(figure.axes[0])
    assert len(drawn) == 24
    np.testing.assert_array_equal(drawn[0], noisy[0])
    np.testing.assert_array_equal(drawn[16], clean[0])
    assert [texts(figure).count(f"off by {error}") for error in ("50.0", "10.0")] == [8, 8]
    assert {"noisy", "cleaned", "clean"} <= set(texts(figure))
    drawn_whole(figure, WORDS)


def test_every_row_of_augmented_images_begins_with_the_original(drawn_whole):
    copies = np.stack([IMAGES[10:13], IMAGES[20:23]], axis=1)
    figure = image_figures.augmented(IMAGES[:3], copies, WORDS)
    drawn = shown(figure.axes[0])
    np.testing.assert_array_equal(drawn[3:6], [IMAGES[1], IMAGES[11], IMAGES[21]])
    drawn_whole(figure, WORDS)


def test_filters_share_one_scale_with_zero_in_the_middle(drawn_whole):
    kernels = RANDOM.normal(size=(5, 5, 10)).astype(np.float32)
    figure = image_figures.filters(kernels, WORDS)
    [picture] = figure.axes[0].images
    limit = np.abs(kernels).max()
    assert (picture.norm.vmin, picture.norm.vmax) == pytest.approx((-limit, limit))
    np.testing.assert_allclose(shown(figure.axes[0])[0][:5, 6:11], kernels[..., 1])
    assert f"from -{limit:.2g} to {limit:.2g}" in figure.get_suptitle()
    assert picture.get_interpolation() == "nearest"
    drawn_whole(figure, WORDS)


@pytest.mark.parametrize("side", [3, 5])
def test_a_tiny_filter_is_drawn_large_enough_to_see_its_pixels(side, drawn_whole):
    kernels = RANDOM.normal(size=(side, side, 16)).astype(np.float32)
    figure = image_figures.filters(kernels, WORDS)
    drawn_whole(figure, WORDS)
    axes = figure.axes[0]
    (left, _), (right, _) = axes.transData.transform([(0, 0), (side, 0)])
    assert (right - left) / figure.dpi > 0.8  # inches


def test_feature_maps_have_a_block_a_layer(drawn_whole):
    maps = {
        "stem": RANDOM.random((14, 14, 20), np.float32),
        "stage0": RANDOM.random((7, 7, 3), np.float32),
    }
    figure = image_figures.feature_maps(IMAGES[0], maps, WORDS)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [
        "the image",
        "stem: 16 of 20 channels of 14 x 14",
        "stage0: 3 channels of 7 x 7",
    ]
    np.testing.assert_allclose(shown(figure.axes[2])[0][:7, :7], maps["stage0"][..., 0])
    drawn_whole(figure, WORDS)


@pytest.mark.parametrize("width", [28, 84])
def test_saliency_colours_the_ink_that_matters_and_survives_blank_images(width, drawn_whole):
    images = np.zeros((3, 28, width), np.float32)
    images[:2, 5:20, 5:20] = 1
    gradients = RANDOM.normal(0, 0.1, images.shape).astype(np.float32)
    gradients[:, 0, 0] = 100  # of a pixel without ink, from which nothing can be taken away
    gradients[0, 10, 10], gradients[1, 10, 10] = 3, -3
    gradients[2] = 0
    figure = image_figures.saliency(images, gradients, ["1", "2", "3"], WORDS)
    for axes in figure.axes[3:5]:
        ink, share = shown(axes)
        assert np.unravel_index(share.argmax(), share.shape) == (10, 10)
        assert share.max() == pytest.approx(1) and share.min() == 0 and share[0, 0] == 0
        np.testing.assert_array_equal(ink, images[0])
    assert not shown(figure.axes[5])[1].any()
    assert "gradient" in figure.get_suptitle()
    drawn_whole(figure, WORDS)
