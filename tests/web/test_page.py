"""The page in Chromium: strokes, pictures, a phone, the keyboard alone.

What reads is a stand-in that finds lines as every run does, and calls the digits 1, 2, 3, ... from
the left. MNIST3_BROWSER=required makes a missing browser a failure.
"""

import asyncio
import base64
import contextlib
import io
import re
import socket
import threading
import urllib.request

import numpy as np
import pytest
import uvicorn
from PIL import Image
from scipy import ndimage

from mnist3.data.images import UnreadableImage
from mnist3.data.numbers import DIGITS
from mnist3.data.strips import INKED
from mnist3.pictures import NOTHING, Reading, lines_of
from mnist3.web import app
from mnist3.web.answers import Answer, data_url
from mnist3.web.drawings import Drawings
from mnist3.web.guard import hosts_of
from tests import renderer

DESKTOP = {"width": 1100, "height": 720}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def counted(pictures):
    """Reads as many digits as there is ink side by side; of four or more it is not sure."""
    found = []
    for picture in pictures:
        try:
            lines = lines_of(picture, False, app.MOST_PIXELS)
        except UnreadableImage as error:
            found.append([Answer(Reading(error=str(error)))])
            continue
        if not lines:
            found.append([Answer(Reading(error=NOTHING))])
            continue
        seen = lines[0][0]
        _, count = ndimage.label((seen.image >= INKED).any(axis=0))
        left, top, right, bottom = seen.box
        edges = np.linspace(left, right, count + 1).astype(int).tolist()
        spans = [(edges[n], top, edges[n + 1], bottom) for n in range(count)]
        shares = tuple(0.999 if n < 3 else 0.5 for n in range(count))
        text = "123456789"[:count]
        reading = Reading(
            text, min(shares), shares, None, "", count < 4, seen.box, tuple(spans), shares
        )
        found.append([Answer(reading, seen.image)])
    return found


def maps(image):
    """Two layers: one of five maps, the last of which is empty, and one of three rows."""
    pixels = np.zeros((5 * 4, 6), np.uint8)
    pixels[:16, ::2] = 255
    return [
        {"layer": "stem", "rows": 4, "columns": 6, "channels": 5, "image": data_url(pixels)},
        {"layer": "rows", "rows": 1, "columns": 6, "channels": 3, "image": data_url(pixels[:3])},
    ]


def counting(drawings):
    about = {"classes": list(DIGITS), "digits": [0, 9], "once": False}
    return app.Service(counted, DIGITS, about, drawings, maps)


@contextlib.contextmanager
def running(service):
    """Serves beside the tests, and gives the address."""
    application = app.create(service, hosts_of("127.0.0.1"))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, ws="none"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("drawings")


@pytest.fixture(scope="module")
def url(folder):
    with running(counting(Drawings(str(folder), DIGITS))) as address:
        yield address


@pytest.fixture
def opened(browser, url):
    """Opens the page in a context of its own; it may log no error and ask no other server."""
    contexts, wrong = [], []

    def open_page(address=url, **options):
        context = browser.new_context(**{"viewport": DESKTOP} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on(
            "request",
            lambda asked: (
                wrong.append(asked.url)
                if not asked.url.startswith((address, "data:", "blob:"))
                else None
            ),
        )
        page.goto(address)
        page.wrong = wrong
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def strokes(page, text, place=0, of=3):
    """Returns the points on the screen of the strokes of a text, from its `place` of `of` on."""
    box = page.locator("#canvas").bounding_box()
    height = min(0.5 * box["height"], box["width"] / (1.1 * of))
    left = box["x"] + (box["width"] - of * height) / 2
    top = box["y"] + (box["height"] - height) / 2
    return [
        [(left + height * (place + n + x), top + height * y) for x, y in stroke]
        for n, digit in enumerate(text)
        for stroke in renderer.DIGITS[digit][0]
    ]


def draw(page, text, place=0, of=3):
    for stroke in strokes(page, text, place, of):
        page.mouse.move(*stroke[0])
        page.mouse.down()
        for point in stroke[1:]:
            page.mouse.move(*point, steps=2)
        page.mouse.up()


def write_by_finger(page, text, of):
    touch = page.context.new_cdp_session(page)
    for stroke in strokes(page, text, of=of):
        for kind, (x, y) in zip(
            ["touchStart"] + ["touchMove"] * (len(stroke) - 1), stroke, strict=True
        ):
            points = [{"x": x, "y": y}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def write_by_keys(page, lines):
    """Draws upright lines side by side; the paper has the focus."""
    for _ in range(lines):
        page.keyboard.press("Space")
        assert page.inner_text("#pen") == "Pen down"  # at once
        for _ in range(4):
            page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("Space")
        assert page.inner_text("#pen") == "Pen up"
        for _ in range(4):
            page.keyboard.press("Shift+ArrowUp")
        for _ in range(2):
            page.keyboard.press("Shift+ArrowRight")


def fits_a_phone(page):
    """Whether nothing sticks out, and the number is seen without scrolling."""
    sizes = "[document.documentElement.scrollWidth, innerWidth, scrollY]"
    number = page.locator("#number").bounding_box()
    return page.evaluate(sizes) == [390, 390, 0] and number["y"] + number["height"] < 844


def is_inked(page, x, y):
    """Tells whether anything is drawn at a place on the screen."""
    return page.evaluate(
        """([x, y]) => {
            const canvas = document.querySelector("#canvas");
            const { left, top } = canvas.getBoundingClientRect();
            const place = [x - left, y - top].map((each) => Math.round(each * devicePixelRatio));
            return canvas.getContext("2d").getImageData(...place, 1, 1).data[3] > 0;
        }""",
        [x, y],
    )


@contextlib.contextmanager
def unanswered(page):
    """Keeps requests to read from the server for the length of the block; gives those kept."""
    kept = []
    page.route("**/read?*", lambda route: kept.append(route))
    yield kept
    page.unroute("**/read?*")
    for route in kept:
        with contextlib.suppress(Exception):  # of one that the page has given up
            route.continue_()


def arrives(page, kept):
    """Waits for a request that the server is kept from; there is one at a time."""
    for _ in range(400):
        if kept:
            break
        page.wait_for_timeout(50)
    page.wait_for_timeout(300)  # for one too many
    assert len(kept) == 1


def wait_for(page, number):
    """Waits until a number is read and nothing more is asked, as of a stroke's last points."""
    from playwright.sync_api import expect

    shows(page, "#number", number)
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false", timeout=20_000)


def shows(page, selector, text):
    """Waits until a part of the page has a text, or one that matches a pattern."""
    from playwright.sync_api import expect

    expect(page.locator(selector)).to_have_text(text, timeout=20_000)


def test_a_number_is_read_while_it_is_drawn(opened):
    page = opened()
    assert page.inner_text("#verdict") == "Nothing is written yet."
    for name in ("#undo", "#redo", "#clear"):
        assert page.get_attribute(name, "aria-disabled") == "true"
    for place, digit in enumerate("206"):
        draw(page, digit, place)
        wait_for(page, "123"[: place + 1])
    assert page.inner_text("#verdict") == "Sure, 99.9 %"
    assert page.locator("#digits li").all_inner_texts() == [f"{n}\n99.9 %" for n in (1, 2, 3)]
    assert page.locator("#view").evaluate("image => image.naturalHeight") == 32
    shows(page, "#spoken", "1 2 3. Sure, 99.9 %")


def test_a_stroke_beyond_the_edge_leaves_the_others_as_they_are(opened):
    page = opened()
    draw(page, "1", of=3)
    (first, *_) = strokes(page, "1", of=3)
    wait_for(page, "1")
    box = page.locator("#canvas").bounding_box()
    right, bottom = box["x"] + box["width"], box["y"] + box["height"]
    page.mouse.move(right - 60, bottom - 60)
    page.mouse.down()
    for n in range(40):
        page.mouse.move(right + 20 + n, bottom + 20 + n)
    assert all(is_inked(page, *point) for point in first)
    page.mouse.up()
    assert all(is_inked(page, *point) for point in first)
    assert is_inked(page, right - 6, bottom - 6)  # where it left


def test_what_was_read_does_not_stand_beside_a_new_picture(opened):
    page = opened()
    draw(page, "2", of=3)
    wait_for(page, "1")
    with unanswered(page) as kept:
        hand_over(page, "drop", picture("58"))
        shows(page, "#verdict", "Reading…")
        assert page.locator("#number .none").count() == 1
        assert page.locator("#digits li").count() == 0
        assert page.get_attribute("#answer", "aria-busy") == "true"
        shows(page, "#spoken", "Reading…")
        arrives(page, kept)
    wait_for(page, "12")
    assert page.get_attribute("#answer", "aria-busy") == "false"


def test_an_answer_to_what_is_no_longer_there_is_not_shown(opened):
    page = opened()
    draw(page, "20", of=3)
    wait_for(page, "12")
    page.evaluate(
        """() => {
            globalThis.shown = [];
            new MutationObserver(() => shown.push(document.querySelector("#number").textContent))
                .observe(document.querySelector("#number"), { childList: true });
        }"""
    )
    with unanswered(page) as kept:
        draw(page, "6", place=2)
        arrives(page, kept)
        page.click("#undo")
        assert page.inner_text("#number") == "12"  # which still is what stands there
    wait_for(page, "12")
    with unanswered(page) as kept:
        hand_over(page, "drop", picture("5830"))
        shows(page, "#verdict", "Reading…")
        arrives(page, kept)
        draw(page, "7")
    wait_for(page, "1")
    assert not {"123", "1234"} & set(page.evaluate("shown"))


def test_of_two_pictures_the_later_stays_and_so_does_what_is_drawn_meanwhile(opened):
    from playwright.sync_api import expect

    page = opened()
    page.evaluate(
        """() => {
            const decode = Image.prototype.decode;
            globalThis.slow = [];
            Image.prototype.decode = function () {
                if (this.naturalWidth < 700) return decode.call(this);
                document.title = "slow";
                return new Promise((done) => slow.push(done)).then(() => decode.call(this));
            };
        }"""
    )
    for meanwhile in (
        lambda: hand_over(page, "drop", picture("5", width=400)),
        lambda: draw(page, "7"),
    ):
        hand_over(page, "drop", picture("583"))
        expect(page).to_have_title("slow")
        meanwhile()
        wait_for(page, "1")
        page.evaluate("slow.pop()()")
        page.wait_for_timeout(300)
        assert page.inner_text("#number") == "1"
        page.evaluate("document.title = ''")


def test_on_a_picture_that_is_not_shown_nothing_is_marked(opened):
    page = opened()
    drawn = "document.querySelector('#canvas').toDataURL()"
    with unanswered(page):
        hand_over(page, "drop", picture("58", "tiff"), "image/tiff")
        shows(page, "#verdict", "Reading…")
        before = page.evaluate(drawn)
    wait_for(page, "12")
    assert page.evaluate(drawn) == before


def test_shares_are_rounded_down(opened):
    page = opened()
    shares = [0.29, 0.989, 0.99, 0.9999]
    fields = {"number": "1234", "confidence": 0.28, "confidences": shares, "sure": False,
              "spans": [], "error": "", "view": None, "maps": []}  # fmt: skip
    page.route("**/read?*", lambda route: route.fulfill(json=fields))
    draw(page, "1")
    shows(page, "#verdict", "Not sure, 28 %: check it.")
    shown = page.locator("#digits span").all_inner_texts()
    assert shown == ["29 %", "98 %", "99 %", "99.9 %"]
    assert page.locator("#digits .doubtful b").all_inner_texts() == ["1", "2"]


def test_a_pointer_that_is_lost_ends_its_stroke(opened):
    page = opened()
    (points, *_) = strokes(page, "1")
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1])
    page.evaluate("document.querySelector('#canvas').releasePointerCapture(1)")
    page.mouse.move(*points[2])
    assert not is_inked(page, *points[2])
    page.mouse.up()
    draw(page, "1", place=1)
    wait_for(page, "12")


def test_steps_are_undone_and_done_again_and_what_is_not_sure_says_so(opened):
    page = opened()
    draw(page, "2036", of=4)
    wait_for(page, "1234")
    assert page.inner_text("#verdict") == "Not sure, 50 %: check it."
    assert page.locator("#digits .doubtful").all_inner_texts() == ["4\n50 %"]
    page.click("#undo")
    wait_for(page, "123")
    page.keyboard.press("Control+Z")
    wait_for(page, "12")
    page.click("#redo")
    wait_for(page, "123")
    page.click("#clear")
    assert page.inner_text("#verdict") == "Nothing is written yet."
    page.keyboard.press("Control+Z")
    wait_for(page, "123")


def test_feature_maps_are_drawn_and_described_while_they_are_asked_for(opened):
    page = opened()
    assert page.is_hidden("#maps")
    draw(page, "2", of=2)
    wait_for(page, "1")
    assert page.locator("#layers canvas").count() == 0
    page.focus("#maps summary")
    page.keyboard.press("Enter")
    layers = page.get_by_role("img", name="Layer")
    layers.first.wait_for()
    assert [each.get_attribute("aria-label") for each in layers.all()] == [
        "Layer stem: 5 maps of 4 by 6, 4 of them respond",
        "Layer rows: 3 maps of 1 by 6, 3 of them respond",
    ]
    shown = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 3, 1).data]"
    assert layers.first.evaluate(shown) == [255, 255, 255, 255, 0, 0, 0, 255] + [255] * 4
    draw(page, "3", place=1, of=2)
    wait_for(page, "12")
    assert page.locator("#layers canvas").count() == 2
    page.click("#maps summary")
    page.locator("#layers canvas").first.wait_for(state="detached")


def picture(text, kind="jpeg", width=700):
    pixels, _ = renderer.render(np.random.default_rng(7), text, kinds=(), width=width)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format=kind)
    return content.getvalue()


def hand_over(page, event, content, kind="image/jpeg"):
    """Drops or pastes a file."""
    page.evaluate(
        """([event, content, type]) => {
            const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "photo", {type}));
            const made = event === "drop"
                ? new DragEvent("drop", {dataTransfer: data, bubbles: true})
                : new ClipboardEvent("paste", {clipboardData: data, bubbles: true});
            document.querySelector("#canvas").dispatchEvent(made);
        }""",
        [event, base64.b64encode(content).decode(), kind],
    )


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted_and_saved_with_its_number(opened, folder, event):
    page = opened()
    hand_over(page, event, picture("58"))
    wait_for(page, "12")
    page.fill("#truth", "58")
    page.press("#truth", "Enter")
    shows(page, "#saved", re.compile("^Saved as"))
    name = page.inner_text("#saved").removeprefix("Saved as ").removesuffix(".")
    assert f"{name},58" in (folder / "labels.csv").read_text().splitlines()
    assert (folder / name).is_file()
    draw(page, "7")  # takes the place of the picture
    wait_for(page, "1")
    page.click("#undo")
    wait_for(page, "12")


def test_a_picture_is_chosen(opened):
    page = opened()
    with page.expect_file_chooser() as chooser:
        page.click("#choose")
    chooser.value.set_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": picture("5", "png")}
    )
    wait_for(page, "1")
    assert page.get_attribute("#camera", "capture") == "environment"


def test_a_wrong_file_and_an_empty_picture_say_so(opened):
    page = opened()
    hand_over(page, "drop", b"no picture", "text/plain")
    shows(page, "#verdict", re.compile("^Not a PNG"))
    assert page.wrong and all("422" in each for each in page.wrong)  # what the browser logs of it
    page.wrong.clear()
    hand_over(page, "drop", b"", "image/png")
    shows(page, "#verdict", "The file is empty; choose another.")
    blank = io.BytesIO()
    Image.new("L", (300, 200), 255).save(blank, format="png")
    hand_over(page, "drop", blank.getvalue(), "image/png")
    shows(page, "#verdict", "No number is found on it.")


def megapixels(count):
    """A black picture as a PNG file."""
    content = io.BytesIO()
    side = round(1000 * count**0.5)
    Image.new("1", (side, side)).save(content, format="png", compress_level=1)
    return content.getvalue()


@pytest.mark.filterwarnings("ignore:Image size")  # by which Pillow warns
def test_a_picture_of_100_megapixels_is_refused(opened):
    page = opened()
    hand_over(page, "drop", megapixels(100), "image/png")
    shows(page, "#verdict", "Has 100 megapixels, and at most 64 are read; scale it down.")
    assert page.wrong and all("422" in each for each in page.wrong)
    page.wrong.clear()
    draw(page, "7")
    wait_for(page, "1")


def test_on_a_phone_a_finger_writes_and_nothing_sticks_out(opened):
    page = opened(**PHONE)
    write_by_finger(page, "25", of=2)
    wait_for(page, "12")
    assert fits_a_phone(page)
    for button in page.locator("button").all():
        assert button.bounding_box()["height"] >= 44
    page.set_viewport_size({"width": 844, "height": 390})
    assert page.evaluate("document.documentElement.scrollWidth") == 844


def test_on_a_phone_that_is_turned_the_keys_reach_every_place(opened):
    page = opened(viewport={"width": 844, "height": 390})
    box = page.locator("#canvas").bounding_box()
    for x in (20, box["width"] - 20):
        page.mouse.move(box["x"] + x, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + x, box["y"] + 120, steps=5)
        page.mouse.up()
    wait_for(page, "12")
    page.set_viewport_size({"width": 390, "height": 844})
    page.focus("#canvas")
    for _ in range(40):
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    page.focus("#truth")  # which takes the pen's cross away
    box = page.locator("#canvas").bounding_box()
    corner = box["x"] + box["width"] - 2, box["y"] + box["height"] - 2
    assert is_inked(page, *corner)


def test_the_keyboard_alone_draws_and_saves(opened, folder):
    page = opened()
    rows = len((folder / "labels.csv").read_text().splitlines()) if any(folder.iterdir()) else 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "canvas"
    write_by_keys(page, lines=2)
    wait_for(page, "12")
    reached = []
    while not reached or reached[-1] != "truth":
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    # The summary of the feature maps has no name.
    assert reached == ["undo", "redo", "clear", "choose", "photograph", "", "truth"]
    page.keyboard.type("1x")
    page.keyboard.press("Enter")
    assert "x is none of 0, 1" in page.inner_text("#saved")
    page.keyboard.press("Backspace")
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    shows(page, "#saved", re.compile("^Saved as"))
    written = (folder / "labels.csv").read_text().splitlines()
    assert len(written) == rows + 1 and written[-1].endswith(",11")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Delete")
    assert page.inner_text("#verdict") == "Nothing is written yet."
    shows(page, "#spoken", "Nothing is written yet.")
    page.focus("#truth")
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    assert page.inner_text("#saved") == "Nothing is written yet: draw a number first."


def test_keys_that_are_held_and_buttons_that_do_nothing_more(opened):
    page = opened()
    page.focus("#canvas")
    page.keyboard.down("Space")
    page.keyboard.down("Space")  # as a key that is held
    page.keyboard.up("Space")
    assert page.inner_text("#pen") == "Pen down"
    for _ in range(4):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Control+Z")
    assert page.inner_text("#pen") == "Pen up"
    assert page.inner_text("#verdict") == "Nothing is written yet."
    page.focus("#redo")
    page.keyboard.press("Enter")
    wait_for(page, "1")
    assert page.get_attribute("#redo", "aria-disabled") == "true"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "redo"
    assert page.inner_text("#number") == "1"


def test_a_drawing_is_saved_once(opened, folder):
    page = opened()
    draw(page, "4")
    page.fill("#truth", "1234")
    page.evaluate("for (let n = 0; n < 3; n += 1) document.querySelector('#save').requestSubmit()")
    shows(page, "#saved", re.compile("^Saved as"))
    assert (folder / "labels.csv").read_text().count(",1234\n") == 1


def test_without_a_folder_a_drawing_is_downloaded(opened):
    with running(counting(None)) as address:
        page = opened(address)
        draw(page, "4")
        wait_for(page, "1")
        page.fill("#truth", "04")
        downloads = []
        page.on("download", lambda each: downloads.append(each))
        page.click("#keep")
        shows(page, "#saved", re.compile("^Downloaded drawing-.*; name the last"))
        page.wait_for_timeout(300)
        files = {each.suggested_filename: each.path().read_bytes() for each in downloads}
        hand_over(page, "drop", b"no picture", "text/plain")
        page.fill("#truth", "4")
        page.press("#truth", "Enter")
        shows(page, "#saved", "This browser cannot show the picture, and so cannot save it.")
        page.wrong.clear()  # what the browser logs of an answer 422
        page.close()  # it may ask once more, and the server ends here
    drawing, labels = sorted(files)
    assert re.fullmatch(r"drawing-\d{8}-\d{6}-\d{3}\.png", drawing)
    assert labels == drawing.replace("drawing", "labels").replace("png", "csv")
    assert files[labels].decode() == f"file,number\n{drawing},04\n"
    with Image.open(io.BytesIO(files[drawing])) as image:
        assert image.format == "PNG"


def test_a_server_that_has_ended_is_said(opened):
    with running(counting(None)) as address:
        page = opened(address)
        shows(page, "#about", re.compile("9 digits"))
    draw(page, "4")
    shows(page, "#verdict", "The server does not answer; start it again.")
    page.close()
    page.wrong.clear()  # the browser's own words about it


def test_a_part_that_did_not_load_is_said(opened):
    page = opened()
    page.route("**/server.js", lambda route: route.abort())
    page.reload()
    shows(page, "#verdict", re.compile("^A part of the page did not load; load it again"))
    assert page.wrong and all("ERR_FAILED" in each for each in page.wrong)
    page.wrong.clear()


def test_dark_pages_have_light_ink(opened):
    page = opened(color_scheme="dark")
    draw(page, "3")
    wait_for(page, "1")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, ground.removeprefix("rgb(").removesuffix(")").split(","))) < 60


def test_nothing_but_the_page_may_run_in_it(opened, url):
    page = opened()
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.text = "window.strange = 1";
            document.body.append(script);
        }"""
    )
    assert page.evaluate("window.strange") is None
    assert page.wrong and "Content Security Policy" in page.wrong.pop()
    with urllib.request.urlopen(url) as found:
        assert found.headers["Content-Security-Policy"]
