"""reader.html in Chromium, held against Python on the same rounded weights."""

import base64
import functools
import importlib
import importlib.resources
import io
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageDraw

from mnist3.data import strips
from mnist3.data.images import read_picture
from mnist3.data.labelled import read_labels
from mnist3.data.locate import LARGEST_SIDE, OTHERS, USUAL, locate
from mnist3.data.numbers import DIGITS
from mnist3.export import page as reader_page
from mnist3.export.page_network import Constants, program_of
from mnist3.pictures import reader_of, readings_in
from mnist3.web import maps
from tests import renderer
from tests.export.test_export import images_of, network
from tests.web.exported import READ, encoded, page_with_parts
from tests.web.test_page import (
    DESKTOP,
    PHONE,
    draw,
    fits_a_phone,
    hand_over,
    megapixels,
    shows,
    write_by_finger,
    write_by_keys,
)

NAMES = [
    "multihead",
    "multihead_cropped",
    "multihead_of_two_members",
    "cnn",
    "cnn_of_two_digits",
    "mlp",
    "logistic",
    "multiclass",
    "sequence",
    "sequence_of_two_members",
]


@functools.cache
def network_of(name):
    """The network of a name; no test here changes it."""
    return network(name)


@functools.cache
def page_of(name):
    return page_with_parts(network_of(name))


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of a network from the disk, offline; it may log no error.

    `before` is a script that changes the browser.
    """
    contexts, wrong = [], []

    def open_page(name, text=None, before="", **options):
        path = tmp_path / "reader.html"
        path.write_text(text or page_of(name))
        context = browser.new_context(**{"viewport": DESKTOP} | options, offline=True)
        context.add_init_script(before)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_every_network_computes_what_jax_does(opened, name):
    here = network_of(name)
    half = reader_page.with_rounded_weights(here)
    page = opened(name)
    widths = (64, 256) if here.task.reads_lines else (None,)
    for images in [images_of(here, 16, width) for width in widths]:  # as `network` has predicted
        expected = half.predict(images)
        found = page.evaluate(READ, [[encoded(image) for image in images[:3]], images.shape[2]])
        assert len(found) == 3
        for row, each in enumerate(found):
            values = np.ravel(expected.values[row])
            assert each["digits"] == values[values >= 0].tolist()
            assert each["confidence"] == pytest.approx(expected.confidence[row], abs=1e-3)
            count = len(each["probabilities"])
            probabilities = np.ravel(expected.probabilities[row])[:count]
            np.testing.assert_allclose(each["probabilities"], probabilities, atol=1e-3)
            if here.task.reads_lines:
                spans = np.asarray(each["spans"]).reshape(-1, 2) * strips.COLUMN
                np.testing.assert_array_equal(spans, expected.spans[row, : len(spans)])


@pytest.mark.parametrize(
    "name", ["multihead_cropped", "cnn", "logistic", "sequence_of_two_members"]
)
def test_feature_maps_are_those_of_the_server(opened, name):
    here = network_of(name)
    half = reader_page.with_rounded_weights(here)
    strip = (32, 64) if here.task.reads_lines else None
    size = strip or (here.run.config.data.height, here.run.config.data.width)
    (image,) = images_of(here, 1, size[1])
    read = maps.reader(here.task, half, [size])
    expected = [] if read is None else read(image)
    page = opened(name)
    found = page.evaluate(
        "([image, width]) => parts.maps(width, bytesFrom(image))",
        [encoded(image), size[1]],
    )
    assert [{**each, "image": ""} for each in found] == [{**each, "image": ""} for each in expected]
    for each, other in zip(found, expected, strict=True):
        own = np.frombuffer(base64.b64decode(each["image"]), np.uint8).astype(int)
        theirs = np.asarray(decoded(other["image"]), int)
        assert np.abs(own.reshape(theirs.shape) - theirs).max() <= 1  # grey levels
    about = page.evaluate("parts.network.about")
    assert about["maps"] == bool(expected) == (name != "logistic")


def decoded(url):
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


FUNCTIONS = [
    lambda x: jnp.exp(-x) + jnp.log(x + 1) + jnp.tanh(x - 1),
    lambda x: jax.nn.sigmoid(x - 1) * jax.lax.rsqrt(x**2 + 1) + jnp.sqrt(x) + jnp.square(x) + x**3,
    lambda x: jnp.round(x * 2.5) % 3 + jnp.floor(x / 2) - jnp.ceil(x / 3) + jnp.sign(x - 1),
    lambda x: jnp.where((x > 1) & ~(x >= 3) | (x == 0), jnp.clip(x, 0.5, 1.5), jnp.abs(x - 9)),
    lambda x: (x.astype(jnp.int32) // 2 * 3 - 7) // 2 + (x != 2) + (x <= 1) + (x < 1),
    lambda x: jnp.stack([x.min(axis=1), x.max(axis=1), x.prod(axis=1)], axis=1),
    lambda x: jnp.concatenate([(x > 0).all(axis=0), (x > 2).any(axis=0), x.argmax(axis=0)]),
    lambda x: jnp.pad(x, ((1, 2), (0, 3)))[:, 1::2] + x[0, 0] + x[:, :1].sum(),
    lambda x: jnp.take_along_axis(x, jnp.argmax(x, axis=1)[:, None], axis=1),
    lambda x: jnp.take_along_axis(x, x.astype(jnp.int32) + 2, axis=1),  # not a number outside
    lambda x: jax.vmap(lambda row, at: jax.lax.dynamic_slice_in_dim(row, at, 2))(
        x, x.argmax(axis=1)
    ),
    lambda x: jnp.einsum("bi,bj->bij", x, x) + jnp.arange(4.0),
    lambda x: jnp.einsum("bi,jb->ij", x, x.T) + jnp.broadcast_to(x.sum(axis=0), (4, 4)),
    lambda x: jnp.maximum(x, x.T[:3].T.sum(axis=1, keepdims=True)) + jnp.minimum(x, 2),
]


def test_operations_give_what_jax_gives(opened):
    page = opened("logistic")
    image = np.random.default_rng(0).integers(0, 5, (3, 4)).astype(np.uint8)
    for function in FUNCTIONS:

        def compute(images, function=function):
            return {"found": function(images.astype(jnp.float32)).astype(jnp.float32)}

        constants = Constants()
        program = program_of(compute, image.shape, constants)
        found = page.evaluate(
            "(given) => parts.compute(...given)",
            [
                program,
                constants.described,
                encoded(np.frombuffer(constants.content, np.uint8)),
                encoded(image),
            ],
        )
        np.testing.assert_allclose(
            np.array(found, float), np.ravel(compute(image)["found"]), rtol=1e-5, atol=1e-6
        )


def drawing(text, height, inverted=False):
    """A drawing as the page makes it: black on white or the other way round, with a margin."""
    pen, margin, finer = height / 12, 0.35 * height, 3
    width = int(0.75 * height * len(text) + 2 * margin)
    image = Image.new("L", (finer * width, finer * int(height + 2 * margin)), 255)
    pencil = ImageDraw.Draw(image)
    for place, digit in enumerate(text):
        for stroke in renderer.DIGITS[digit][0]:
            points = [
                (
                    finer * (margin + height * (0.75 * place + x)),
                    finer * (margin + height * y),
                )
                for x, y in stroke
            ]
            pencil.line(points, fill=0, width=int(finer * pen), joint="curve")
    pixels = np.asarray(image.reduce(finer))
    return 255 - pixels if inverted else pixels


def photo(seed, kinds=None, text="40713", width=420):
    return renderer.render(np.random.default_rng(seed), text, kinds, width=width)[0]


PICTURES = {
    **{f"photo with {kind}": photo(7, [kind]) for kind in renderer.KINDS},
    **{f"photo of {n} digits": photo(n, text="9876543210"[:n], width=600) for n in (1, 2, 4, 8)},
    **{f"{kind}": renderer.not_numbers(np.random.default_rng(3), kind, width=400)[0]
       for kind in renderer.NOT_NUMBERS},
    "drawing": drawing("2057", 120),
    "small drawing": drawing("31", 40),
    "tiny drawing": drawing("8", 18),
    "tall drawing": drawing("64", 400),
    "drawing on black": drawing("2057", 120, inverted=True),
    "small drawing on black": drawing("906", 40, inverted=True),
    "drawing that touches the edge": drawing("44", 60)[20:-20, 20:-20],
    "lying on its side": np.rot90(photo(5, [], text="48205")),
    "nothing": np.full((90, 200), 230, np.uint8),
}  # fmt: skip


def test_lines_are_found_as_in_python(opened):
    page = opened("sequence")
    different = []
    for name, picture in PICTURES.items():
        channels = 1 if picture.ndim == 2 else 3
        size = {"height": picture.shape[0], "width": picture.shape[1], "channels": channels}
        found = page.evaluate(
            """([size, data]) => [parts.USUAL, ...parts.OTHERS].map((sight) => {
                const line = parts.locate({ ...size, data: bytesFrom(data) }, sight);
                return line && { ...line, strip: { ...line.strip, data: textOf(line.strip.data) } };
            })""",
            [size, encoded(picture)],
        )
        for sight, line in zip((USUAL, *OTHERS), found, strict=True):
            expected = locate(np.ascontiguousarray(picture), sight=sight)
            if not same_line(line, expected[0] if expected else None):
                different.append((name, sight))
    assert len(different) <= 0.01 * len(PICTURES) * (1 + len(OTHERS)), different


def same_line(found, expected):
    if found is None or expected is None:
        return found is None and expected is None
    shape = found["strip"]["height"], found["strip"]["width"]
    strip = np.frombuffer(base64.b64decode(found["strip"]["data"]), np.uint8).reshape(shape)
    return (
        strip.shape == expected.strip.shape
        and int(np.abs(strip.astype(int) - expected.strip).max()) <= 2  # grey levels
        and found["box"] == list(expected.box)
        and found["sideways"] == expected.sideways
        and np.allclose(found["track"], expected.track, atol=1e-2)
    )


def as_file(picture, kind="png", **options):
    content = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(content, format=kind, **options)
    return content.getvalue()


def read_in_page(page, content, kind):
    return page.evaluate(
        """async ([content, type]) => {
            const blob = new Blob([bytesFrom(content)], { type });
            const fields = await mnist3Reader.read(await parts.sourceOf(blob));
            return { ...fields, view: Boolean(fields.view) };
        }""",
        [base64.b64encode(content).decode(), kind],
    )


def transparent(pixels):
    """Ink alone, that can be seen."""
    opacity = Image.fromarray(255 - pixels)
    return Image.merge("LA", (Image.new("L", opacity.size, 0), opacity)).convert("RGBA")


def turned(pixels):
    """Stored on its side, with a note that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"picture": np.ascontiguousarray(np.rot90(pixels)), "exif": exif}


FILES = {
    "photo": as_file(photo(1, [])),
    "large photo": as_file(photo(2, [], width=1900)),
    "drawing": as_file(drawing("2057", 120)),
    "drawing as a canvas has it": as_file(Image.fromarray(drawing("61", 90)).convert("RGBA")),
    "drawing without paper": as_file(transparent(drawing("38", 90))),
    "drawing on its side": as_file(**turned(drawing("75", 90))),
    "blank": as_file(np.full((120, 300), 200, np.uint8)),
    "scribble": as_file(PICTURES["scribble"]),
}


@pytest.mark.parametrize("name", ["sequence", "multihead_cropped"])
def test_files_are_read_as_in_python(opened, name):
    """What has learned nothing doubts every line, so that the other sights are taken too."""
    here = network_of(name)
    half = reader_page.with_rounded_weights(here)
    (batch,) = reader_of(here.run.config, here.task, half.predict)(list(FILES.values()))
    page = opened(name)
    for (file, content), (expected, *_) in zip(
        FILES.items(), readings_in(batch, here.task), strict=True
    ):
        found = read_in_page(page, content, "image/png")
        assert found["number"] == expected.text, file
        assert found["sure"] == expected.sure, file
        assert found["error"] == expected.error, file
        assert found["box"] == (list(expected.box) if expected.box else None), file
        assert found["confidence"] == pytest.approx(expected.confidence, abs=1e-3), file
        assert found["confidences"] == pytest.approx(list(expected.confidences), abs=1e-3), file
        assert found["spans"] == [list(span) for span in expected.spans], file
        assert found["view"] == (not expected.error), file


def test_a_photograph_as_jpeg_is_scaled_as_in_python(opened):
    page = opened("sequence")
    content = as_file(photo(2, [], width=3600), "jpeg", quality=90)
    picture = read_picture(content, LARGEST_SIDE)
    (line,) = locate(picture.pixels)
    found = page.evaluate(
        """async (content) =>
            parts.lineIn(new Blob([bytesFrom(content)], { type: "image/jpeg" }))""",
        base64.b64encode(content).decode(),
    )
    assert found["scale"] == picture.scale > 2
    # Decoders differ in the last bits, and Pillow scales while it decodes.
    np.testing.assert_allclose(found["box"], line.box, atol=2)
    assert abs(found["strip"]["width"] - line.strip.shape[1]) <= 2


def test_constants_are_those_of_python():
    modules = [
        importlib.import_module(f"mnist3.{name}")
        for name in (
            "data.images",
            "data.ink",
            "data.page",
            "data.rules",
            "data.groups",
            "data.strips",
            "data.locate",
            "pictures",
            "tasks.ctc",
            "web.app",
        )
    ]
    names = {"STRIP_HEIGHT": strips.HEIGHT, "WIDEST": strips.WIDTHS[-1]}
    known = {}
    for module in modules:
        known |= {name: value for name, value in vars(module).items() if name.isupper()}
    known |= names
    folder = importlib.resources.files("mnist3.web").joinpath("js")
    checked = set()
    for script in folder.iterdir():
        for name, value in re.findall(
            r"^(?:export )?const ([A-Z_]+) = ([^;{}\[\]]+);", script.read_text(), re.M
        ):
            if name in known:
                assert json.loads(value) == known[name], name
                checked.add(name)
    assert {"DOUBT", "PER_DIGIT", "NOTHING", "BLANK", "LEVEL", "UNIFORM", "STEP"} <= checked
    assert len(checked) >= 25


def saved(page, number):
    """Saves what is on the page with its number; gives the files' names and contents."""
    downloads = []
    page.on("download", lambda each: downloads.append(each))
    page.fill("#truth", number)
    page.press("#truth", "Enter")
    shows(page, "#saved", re.compile("^Downloaded drawing-.*; name the last"))
    page.wait_for_timeout(300)
    return {each.suggested_filename: each.path().read_bytes() for each in downloads}


def test_drawings_and_photos_are_saved_as_a_folder_that_evaluate_reads(opened, tmp_path):
    page = opened("sequence")
    shows(page, "#about", re.compile("up to 4 digits"))
    folder = tmp_path / "saved"
    folder.mkdir()
    draw(page, "20", of=3)
    files = saved(page, "20")
    hand_over(page, "drop", as_file(photo(1, [], width=1900), "jpeg"))
    shows(page, "#verdict", "Reading…")
    files |= saved(page, "40713")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    *drawings, _, last = sorted(files)
    (folder / last).rename(folder / "labels.csv")
    found = read_labels(str(folder), DIGITS)
    assert found.files == drawings
    assert found.numbers == ["20", "40713"]
    for path, largest in zip(found.paths, (640, 1600), strict=True):
        with Image.open(path) as image:
            assert image.format == "PNG" and max(image.size) <= largest


def test_a_wrong_file_and_an_empty_picture_say_so(opened):
    page = opened("sequence")
    hand_over(page, "drop", b"no picture", "text/plain")
    shows(page, "#verdict", "This browser cannot read the file as a picture.")
    hand_over(page, "drop", as_file(np.full((120, 300), 255, np.uint8)), "image/png")
    shows(page, "#verdict", "No number is found on it.")


def test_a_picture_of_100_megapixels_is_refused(opened):
    page = opened("sequence")
    hand_over(page, "drop", megapixels(100), "image/png")
    shows(page, "#verdict", "Has 100 megapixels, and at most 64 are read; scale it down.")


@pytest.mark.parametrize("turn", [False, True])
def test_a_large_photo_is_read_where_it_is_shown(opened, turn):
    """Of 18 megapixels, which is more than a canvas of a phone holds."""
    pixels = np.kron(photo(2, [], width=1500)[..., 0], np.ones((5, 5), np.uint8))
    assert pixels.size > 16e6
    given = turned(pixels) if turn else {"picture": pixels}
    content = as_file(given.pop("picture"), "jpeg", quality=90, **given)
    page = opened("sequence")
    found = page.evaluate(
        """async (content) =>
            parts.lineIn(new Blob([bytesFrom(content)], { type: "image/jpeg" }))""",
        base64.b64encode(content).decode(),
    )
    picture = read_picture(content, LARGEST_SIDE)
    (line,) = locate(picture.pixels)
    assert found["scale"] == pytest.approx(picture.scale, rel=1e-3)
    np.testing.assert_allclose(found["box"], line.box, atol=3)
    hand_over(page, "drop", content)
    page.locator("#seen").wait_for()


def test_on_a_phone_a_finger_writes_and_nothing_sticks_out(opened):
    page = opened("sequence", **PHONE)
    write_by_finger(page, "25", of=2)
    page.locator("#seen").wait_for()
    assert fits_a_phone(page)


def test_the_keyboard_alone_writes_and_clears(opened):
    page = opened("sequence")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    write_by_keys(page, lines=2)
    page.locator("#seen").wait_for()
    page.keyboard.press("Delete")
    shows(page, "#verdict", "Nothing is written yet.")


def test_the_page_goes_on_while_a_picture_is_read_and_can_give_it_up(opened):
    page = opened("sequence")
    content = base64.b64encode(as_file(photo(1, []))).decode()
    found = page.evaluate(
        """async (content) => {
            const source = await parts.sourceOf(new Blob([bytesFrom(content)]));
            const given = new AbortController();
            const reading = mnist3Reader.read(source, given.signal).catch((error) => error.message);
            given.abort();
            const first = await reading;
            let turns = 0;
            const going = setInterval(() => { turns += 1; }, 1);
            const { error, view } = await mnist3Reader.read(source);
            clearInterval(going);
            return { first, turns, error, view: Boolean(view) };
        }""",
        content,
    )
    assert "given up" in found["first"]
    assert found["turns"] > 1
    assert (found["error"], found["view"]) == ("", True)


def test_a_browser_that_lacks_something_is_told(opened):
    page = opened("sequence", before="globalThis.Worker = undefined")
    draw(page, "2", of=3)
    shows(page, "#verdict", re.compile("^This browser cannot read it .*; open the page in one of"))
