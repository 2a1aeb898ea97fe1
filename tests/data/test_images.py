import contextlib
import os
import shutil
import socket
import struct
import threading
import time
import warnings
from typing import NamedTuple

import hypothesis
import numpy as np
import pytest
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw

from mnist3.data import images as data_images
from mnist3.data.images import UnreadableImage, find_images, read_files, read_image
from mnist3.errors import UserError

HEIGHT, WIDTH = 84, 84


def number_image(height=HEIGHT, width=WIDTH, enlarged=1) -> np.ndarray:
    """Returns a grey picture that looks like 147: strokes, bright on dark, smooth edges."""
    fine = Image.new("L", (4 * WIDTH, 4 * HEIGHT))
    draw = ImageDraw.Draw(fine)
    for stroke in (
        [(60, 40), (56, 120)],
        [(140, 140), (120, 190), (190, 190), (180, 140), (176, 220)],
        [(230, 240), (300, 240), (260, 320)],
    ):
        draw.line(stroke, fill=255, width=11)
    return np.asarray(fine.resize((width * enlarged, height * enlarged), Image.Resampling.BOX))


def read(path):
    return read_image(str(path), HEIGHT, WIDTH)


class ReadImages(NamedTuple):
    images: np.ndarray
    errors: list[str]
    inverted: np.ndarray
    warnings: list[str]


def read_images(paths, height, width, batch_size, workers):
    """What is read of files, batch by batch; black where a file was unreadable."""
    blank = np.zeros((height, width), np.uint8)

    def read(path):
        return data_images.read_image(path, height, width)

    for batch in read_files(paths, read, batch_size, workers):
        images, inverted = zip(*(each.value or (blank, False) for each in batch), strict=True)
        errors, warned = ([getattr(each, name) for each in batch] for name in ("error", "warning"))
        yield ReadImages(np.stack(images), errors, np.array(inverted), warned)


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the mean absolute difference, in grey levels."""
    return float(np.abs(first.astype(float) - second).mean())


LARGE = bytes(1000)


@pytest.mark.parametrize("below", [0, 1000], ids=["together", "in turns"])
@pytest.mark.parametrize(("count", "batch_size"), [(0, 4), (1, 4), (133, 64)])
def test_files_are_read_in_order_and_each_once(count, batch_size, below):
    sources = [bytes([number]) for number in range(count)]
    batches = list(read_files(sources, ord, batch_size, 2, below))
    assert [file.value for batch in batches for file in batch] == list(range(count))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)


def test_threads_read_large_files_together_and_take_turns_at_small_ones():
    """Those that read small ones would wait for each other; the first files do not decide."""
    barrier, reading = threading.Barrier(2), threading.Lock()

    def read(source):
        if source == LARGE:
            return barrier.wait(20) < 2  # broken, if the other thread does not come
        alone = reading.acquire(blocking=False)
        time.sleep(0.001)
        reading.release()
        return alone

    sources = [b"small"] * 64 + [LARGE] * 64
    files = [file for batch in read_files(sources, read, 64, 2, 500) for file in batch]
    assert len(files) == len(sources) and all(file.value for file in files)


@pytest.fixture
def saved(tmp_path):
    """Saves an image under a name and returns the path."""

    def save(image, name="image.png", **options):
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def test_an_image_of_the_models_size_stays_as_it_is(saved):
    image = number_image()
    pixels, inverted = read(saved(image))
    assert not inverted
    np.testing.assert_array_equal(pixels, image)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "CMYK", "I;16", "I", "F", "1"])
@pytest.mark.parametrize("dark_on_light", [False, True])
def test_every_mode_and_both_polarities_give_the_same_image(saved, mode, dark_on_light):
    image = number_image()
    shown = Image.fromarray(255 - image if dark_on_light else image)
    path = saved(shown.convert(mode), "image.tif")
    with Image.open(path) as image_file:
        assert image_file.mode == mode
    pixels, inverted = read(path)
    assert inverted == dark_on_light
    assert distance(pixels, image) < (3 if mode == "1" else 0.01)


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg", "jpeg", "tif", "TIFF", "webp", "gif"])
def test_every_format(saved, suffix):
    image = number_image()
    pixels, inverted = read(saved(255 - image, f"image.{suffix}"))
    assert inverted
    assert distance(pixels, image) < 4


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_pixels_need_not_use_their_whole_range(saved, dtype):
    image = number_image()
    values = {np.float32: image / np.float32(255)}.get(dtype, image.astype(dtype) * 16 + 100)
    pixels, _ = read(saved(values.astype(dtype), "image.tif"))
    assert distance(pixels, image) < 0.01


def test_pixels_that_are_not_numbers_are_refused(saved):
    values = number_image().astype(np.float32)
    values[3, 4] = np.nan
    with pytest.raises(UnreadableImage, match="not finite"):
        read(saved(values, "image.tif"))


@pytest.mark.parametrize("ink", [0, 90, 255])
def test_ink_alone_on_transparency(saved, ink):
    image = number_image()
    layers = [np.full_like(image, ink)] * 3 + [image]
    pixels, _ = read(saved(np.dstack(layers)))
    assert distance(pixels, image) < 1


def test_paper_with_transparent_corners(saved):
    image = number_image()
    visible = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(visible).rounded_rectangle((0, 0, WIDTH - 1, HEIGHT - 1), 20, fill=255)
    layers = np.dstack([255 - image, np.asarray(visible)])
    pixels, inverted = read(saved(Image.fromarray(layers).convert("RGBA")))
    assert inverted
    assert distance(pixels, image) < 0.1


def test_a_transparent_palette_entry(saved):
    image = np.where(number_image() > 127, 255, 0).astype(np.uint8)
    palette = Image.fromarray(image // 255).convert("P")
    palette.putpalette([9, 9, 9, 0, 0, 0])  # ink and what is behind it are both dark
    pixels, inverted = read(saved(palette, transparency=0))
    assert inverted
    np.testing.assert_array_equal(pixels, image)


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "TIFF"])
def test_the_first_picture_of_several(saved, format_name):
    image = number_image()
    others = [Image.fromarray(np.roll(image, shift, axis=1)) for shift in (20, 40)]
    options = {"lossless": True} if format_name == "WEBP" else {}
    path = saved(
        image, "several", format=format_name, save_all=True, append_images=others, **options
    )
    with Image.open(path) as several:
        assert several.n_frames == 3
    pixels, _ = read(path)
    np.testing.assert_array_equal(pixels, image)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_ink_on_transparency_in_formats_for_the_web(saved, suffix):
    image = np.where(number_image() > 127, 255, 0).astype(np.uint8)
    layers = Image.fromarray(np.dstack([np.zeros_like(image)] * 3 + [image]))
    options = {"lossless": True} if suffix == "webp" else {}
    pixels, _ = read(saved(layers, f"image.{suffix}", **options))
    np.testing.assert_array_equal(pixels, image)


def test_a_photograph_is_turned_upright(saved):
    image = number_image(enlarged=6)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned clockwise by 90 degrees
    turned = Image.fromarray(255 - image).transpose(Image.Transpose.ROTATE_90)
    pixels, inverted = read(saved(turned, "photo.jpg", exif=exif))
    assert inverted
    assert distance(pixels, number_image()) < 4


@pytest.mark.parametrize("enlarged", [2, 3, 11])
def test_a_larger_picture_is_scaled_down(saved, enlarged):
    pixels, _ = read(saved(number_image(enlarged=enlarged)))
    assert distance(pixels, number_image()) < 3


def test_a_smaller_picture_is_scaled_up(saved):
    pixels, _ = read(saved(number_image(height=42, width=42)))
    assert distance(pixels, number_image()) < 8


@pytest.mark.parametrize(("height", "width"), [(42, 84), (84, 30), (120, 360), (500, 200)])
def test_proportions_are_kept_and_the_rest_is_paper(saved, height, width):
    paper, ink = 200, 20
    picture = np.full((height, width), paper, np.uint8)
    side = min(height, width) // 3
    top, left = height // 2 - side // 2, width // 2 - side // 2
    picture[top : top + side, left : left + side] = ink

    pixels, inverted = read(saved(picture))

    assert inverted
    rows, columns = np.nonzero(pixels > 127)
    expected = side * min(HEIGHT / height, WIDTH / width)
    assert np.ptp(rows) + 1 == pytest.approx(expected, abs=1.5)
    assert np.ptp(columns) + 1 == pytest.approx(expected, abs=1.5)
    assert (rows.mean(), columns.mean()) == pytest.approx((41.5, 41.5), abs=1.5)
    np.testing.assert_array_equal(np.unique(pixels[[0, -1]]), [0])
    np.testing.assert_array_equal(np.unique(pixels[:, [0, -1]]), [0])


def test_faint_ink_is_brought_out_and_specks_do_not_hinder(saved):
    image = number_image()
    faint = 180 - image // 5
    faint[70:72, 10:14] = 0
    pixels, inverted = read(saved(faint.astype(np.uint8)))
    pixels[70:72, 10:14] = 0
    assert inverted
    assert distance(pixels, image) < 2


@pytest.mark.parametrize("dark_on_light", [False, True])
@pytest.mark.parametrize("trouble", ["noise", "shading", "frame", "jpeg"])
def test_polarity_in_spite_of(saved, trouble, dark_on_light):
    image = number_image().astype(float)
    picture = 220 - 0.7 * image if dark_on_light else 35 + 0.7 * image
    if trouble == "noise":
        picture += np.random.default_rng(0).normal(0, 20, picture.shape)
    elif trouble == "shading":
        picture += np.linspace(-30, 30, WIDTH)
    elif trouble == "frame":
        picture[[0, -1]] = 255 - picture[0, 0]
    options = {"quality": 10} if trouble == "jpeg" else {}
    name = "image.jpg" if trouble == "jpeg" else "image.png"
    _, inverted = read(saved(np.clip(picture, 0, 255).astype(np.uint8), name, **options))
    assert inverted == dark_on_light


@hypothesis.given(arrays.arrays(np.uint8, (6, 9)))
def test_a_negative_reads_as_the_picture_itself(tmp_path_factory, image):
    path = str(tmp_path_factory.getbasetemp() / "hypothesis.bmp")

    def read_again(pixels):
        Image.fromarray(pixels).save(path)
        try:
            return read_image(path, 12, 18)
        except UnreadableImage as error:
            return str(error), None

    (pixels, inverted), (negative, also_inverted) = read_again(image), read_again(255 - image)
    if inverted or also_inverted:  # neither: no ink, or as much ink as paper
        assert inverted != also_inverted
        assert distance(pixels, negative) < 3
        assert pixels.shape == (12, 18)


@pytest.mark.parametrize(
    "image",
    [
        np.full((84, 84), 0, np.uint8),
        np.full((30, 50), 255, np.uint8),
        np.full((1, 1), 7, np.uint8),
        np.full((84, 84), 700, np.uint16),
        np.zeros((84, 84, 4), np.uint8),
    ],
)
def test_a_blank_picture_holds_no_number(saved, image):
    with pytest.raises(UnreadableImage, match="blank"):
        read(saved(image))


def test_unreadable_files_say_why(saved, tmp_path):
    whole = saved(number_image(enlarged=4)).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "flipped.png").write_bytes(whole[:200] + bytes([whole[200] ^ 255]) + whole[201:])
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    saved(number_image(), "other.ppm")
    for name, reason in {
        "half.png": "damaged",
        "flipped.png": "damaged",
        "text.png": "not a PNG, JPEG, BMP, TIFF, WebP or GIF",
        "empty.png": "not a PNG, JPEG, BMP, TIFF, WebP or GIF",
        "folder.png": "not a file but a folder",
        "other.ppm": "not a PNG, JPEG, BMP, TIFF, WebP or GIF",
        "absent.png": "No such file",
        "zero\0.png": "null byte",
    }.items():
        with pytest.raises(UnreadableImage, match=reason) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_picture_of_absurd_size_is_refused_before_it_fills_the_memory(saved):
    path = saved(number_image(), "image.bmp")
    header = bytearray(path.read_bytes())
    struct.pack_into("<ii", header, 18, 30_000, 30_000)  # width and height
    path.write_bytes(header)
    with pytest.raises(UnreadableImage, match="900000000 pixels"):
        read(path)


@pytest.fixture
def folder(tmp_path):
    """A folder with images in folders below, and what is none."""
    names = ["b/10.png", "b/9.PNG", "a/x.jpeg", "c/deep/1.tif", "2.bmp", "b/.9.png", ".c/1.png"]
    for name in [*names, "notes.txt", "b/9.csv"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_stands_for_the_images_below_it_in_natural_order(folder):
    found = [os.path.relpath(path, folder) for path in find_images(str(folder))]
    assert found == ["2.bmp", "a/x.jpeg", "b/9.PNG", "b/10.png", "c/deep/1.tif"]


def test_a_glob_stands_for_the_files_it_matches(folder):
    found = [os.path.relpath(path, folder) for path in find_images(f"{folder}/**/[0-9]*.[pc]*")]
    assert found == ["b/9.csv", "b/10.png"]


def test_a_file_stands_for_itself_whatever_its_name(folder):
    name = str(folder / "odd [1]*.png")
    (folder / "odd [1]*.png").touch()
    assert find_images(name) == [name]


@pytest.fixture
def pipe(tmp_path):
    """A named pipe that nobody writes to, but for an end after some time, so that no test hangs."""
    path = tmp_path / "a" / "pipe.png"
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)

    def end():
        with contextlib.suppress(OSError):  # nobody reads it either
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    timer = threading.Timer(20, end)
    timer.start()
    yield str(path)
    timer.cancel()


def test_a_pipe_is_not_waited_for(pipe):
    with pytest.raises(UnreadableImage, match="not a file but a pipe"):
        read(pipe)


def test_a_socket_is_no_image(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
        with pytest.raises(UnreadableImage, match="not a file but a socket"):
            read("socket.png")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/tty"])
def test_a_device_is_no_image(path):
    with pytest.raises(UnreadableImage, match="not a file but a device"):
        read(path)


def test_what_is_no_file_is_listed_so_that_its_row_says_why(folder, pipe):
    (folder / "a/nowhere.png").symlink_to("absent")
    (folder / "a/x.jpeg").unlink()
    for pattern in (f"{folder}/a", f"{folder}/a/*.png", f"{folder}/**/[np]*.png"):
        assert find_images(pattern) == [f"{folder}/a/nowhere.png", pipe]
    assert find_images(pipe) == [pipe]


@pytest.mark.parametrize("pattern", ["", "**/*.*", "**", "**/**/*"])
def test_links_to_folders_above_lead_nowhere(tmp_path, pattern):
    (tmp_path / "b/c").mkdir(parents=True)
    for name in ("b/z.png", "b/c/1.png"):
        (tmp_path / name).touch()
    for name in ("again", "b/again", "b/and_again"):
        (tmp_path / name).symlink_to(tmp_path)
    found = find_images(os.path.join(tmp_path, pattern))
    assert [os.path.relpath(path, tmp_path) for path in found] == ["b/c/1.png", "b/z.png"]


def test_a_glob_crosses_links_to_folders(tmp_path):
    for name in ("elsewhere/deep", "scans"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere/deep/1.png").touch()
    (tmp_path / "scans/linked").symlink_to(tmp_path / "elsewhere")
    assert find_images(f"{tmp_path}/scans/**/*.png") == [f"{tmp_path}/scans/linked/deep/1.png"]


def test_a_glob_below_the_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert find_images("**/*.png") == ["b/10.png"]
    assert find_images("b/**") == ["b/9.csv", "b/9.PNG", "b/10.png"]


def test_each_image_is_listed_once(tmp_path, caplog):
    (tmp_path / "2.png").touch()
    (tmp_path / "1.png").symlink_to("2.png")
    (tmp_path / "3.png").hardlink_to(tmp_path / "2.png")
    (tmp_path / "4.png").touch()
    with caplog.at_level("INFO", logger="absl"):
        assert find_images(str(tmp_path)) == [f"{tmp_path}/1.png", f"{tmp_path}/4.png"]
    assert f"left out 2 paths of images that are listed already: {tmp_path}/2.png" in caplog.text
    named = [f"{tmp_path}/4.png", f"{tmp_path}/[12].png", f"{tmp_path}/../{tmp_path.name}/4.png"]
    assert find_images(named) == [f"{tmp_path}/4.png", f"{tmp_path}/1.png"]


def test_every_pattern_has_to_stand_for_something(folder):
    with pytest.raises(UserError, match=r"no file matches .*absent"):
        find_images([str(folder), str(folder / "absent.png")])


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch, caplog):
    look = os.scandir

    def refused(path):
        if path.endswith("b"):
            raise PermissionError(13, "Permission denied")
        return look(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert len(find_images(str(folder))) == 3
    assert f"left out the folder {folder}/b: Permission denied" in caplog.text


@pytest.mark.parametrize("pattern", ["absent.png", "*.heic", "a/absent/"])
def test_nothing_found_is_an_error_with_a_remedy(folder, pattern):
    with pytest.raises(UserError, match=r"no file matches .*; give --images"):
        find_images(str(folder / pattern))


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(UserError, match="holds no image file"):
        find_images(str(tmp_path))


@pytest.mark.parametrize("count", [1, 4, 11])
def test_batches_keep_the_order_and_hold_errors_in_their_place(saved, tmp_path, count):
    image = number_image()
    saved(255 - image, "first.png")
    paths = []
    for index in range(count):
        path = tmp_path / f"{index}.png"
        if index % 5 == 3:
            path.write_text("broken")
        elif index == 0:
            shutil.copy(tmp_path / "first.png", path)
        else:
            saved(np.roll(image, index, axis=1), path.name)
        paths.append(str(path))

    batches = list(read_images(paths, HEIGHT, WIDTH, batch_size=4, workers=2))

    assert [len(batch.images) for batch in batches] == [4] * (count // 4) + [count % 4] * (
        count % 4 > 0
    )
    images = np.concatenate([batch.images for batch in batches])
    errors = [error for batch in batches for error in batch.errors]
    inverted = np.concatenate([batch.inverted for batch in batches])
    for index in range(count):
        broken = index % 5 == 3
        assert bool(errors[index]) == broken
        assert inverted[index] == (index == 0)
        expected = np.zeros_like(image) if broken else np.roll(image, index, axis=1)
        np.testing.assert_array_equal(images[index], expected)


@pytest.fixture
def odd_exif(saved):
    """A sound photograph whose EXIF entry ends too soon, which Pillow warns of."""
    exif = Image.Exif()
    exif[0x0112] = 1
    return str(saved(255 - number_image(), "odd.jpg", exif=exif.tobytes()[:20]))


def test_what_the_decoder_warns_of_stays_with_its_image(saved, odd_exif, recwarn):
    plain = str(saved(number_image()))
    for paths in ([plain, odd_exif, plain, odd_exif], [plain]):
        [batch] = read_images(paths, HEIGHT, WIDTH, batch_size=4, workers=2)
        assert batch.errors == [""] * len(paths)
        for path, noted in zip(paths, batch.warnings, strict=True):
            assert noted.startswith("Corrupt EXIF data. Expecting") == (path == odd_exif)
    assert not recwarn.list


def test_warnings_of_others_go_their_way_while_images_are_read(saved, odd_exif):
    before = warnings.filters[:], warnings.showwarning
    batches = read_images([odd_exif] * 3, HEIGHT, WIDTH, batch_size=1, workers=2)
    next(batches)
    with pytest.warns(UserWarning, match="of another"):
        warnings.warn("of another", stacklevel=1)
    batches.close()
    assert (warnings.filters, warnings.showwarning) == before


def test_a_huge_picture_is_read_with_a_warning(saved, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH - 1)
    [batch] = read_images([str(saved(number_image()))], HEIGHT, WIDTH, batch_size=1, workers=1)
    assert batch.errors == [""]
    assert "exceeds limit" in batch.warnings[0]


def test_no_more_than_two_batches_are_read_ahead(saved, monkeypatch):
    path = str(saved(number_image()))
    opened = []

    def counted(*arguments):
        opened.append(arguments)
        return read_image(*arguments)

    monkeypatch.setattr("mnist3.data.images.read_image", counted)
    batches = read_images([path] * 100, HEIGHT, WIDTH, batch_size=5, workers=2)
    next(batches)
    assert 5 <= len(opened) <= 10
    batches.close()
    assert len(opened) <= 10


def test_the_images_of_the_published_set_stay_as_they_are(triple_mnist_dir, tmp_path):
    import zipfile

    archive = os.path.join(triple_mnist_dir, "triple_mnist.zip")
    if not os.path.exists(archive):
        pytest.skip("triple MNIST is in MNIST3_DATA_DIR as a folder, not as triple_mnist.zip")
    with zipfile.ZipFile(archive) as published:
        names = [name for name in published.namelist() if name.endswith(".png")][::400]
        paths = [published.extract(name, tmp_path) for name in names]
    for batch in read_images(paths, HEIGHT, WIDTH, batch_size=len(paths), workers=2):
        assert not any(batch.errors)
        assert not batch.inverted.any()
        for path, pixels in zip(paths, batch.images, strict=True):
            np.testing.assert_array_equal(pixels, np.asarray(Image.open(path)))


@pytest.mark.parametrize(("mode", "most"), [("L", 99), ("RGB", 99), ("RGBA", 30), ("I;16", 30)])
def test_a_picture_that_would_take_too_much_memory_is_refused(tmp_path, mode, most, monkeypatch):
    Image.new(mode, (10, most // 10)).save(tmp_path / "blank.png")
    Image.new(mode, (10, most // 10 + 1)).save(tmp_path / "large.png")
    monkeypatch.setattr(data_images, "MOST_PIXELS", 99)
    monkeypatch.setattr(data_images, "MOST_DEEP_PIXELS", 30)
    with pytest.raises(UnreadableImage, match="blank"):
        read(tmp_path / "blank.png")
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("is decoded"))
    with pytest.raises(UnreadableImage, match="megapixels, and at most 0 are read; scale it"):
        read(tmp_path / "large.png")


def test_the_content_of_a_file_reads_as_the_file(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))).save(path)
    of_file, of_content = (
        data_images.read_picture(each, 30) for each in (str(path), path.read_bytes())
    )
    np.testing.assert_array_equal(of_file.pixels, of_content.pixels)
    assert of_file.scale == of_content.scale
    for each in (str(path), path.read_bytes()):
        with pytest.raises(
            data_images.UnreadableImage, match="has 0 megapixels, and at most 0 are"
        ):
            data_images.read_picture(each, 30, most_pixels=2399)
    assert data_images.read_picture(path.read_bytes(), 30, most_pixels=2400).scale == 2
