"""The application without a browser; what reads is a stand-in that remembers its calls."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mnist3.data.images import BLANK
from mnist3.data.numbers import DIGITS
from mnist3.pictures import NOTHING, Reading
from mnist3.web import app, openapi
from mnist3.web.answers import Answer
from mnist3.web.drawings import Drawings
from mnist3.web.guard import hosts_of
from tests.web.client import Client

HOST = "http://127.0.0.1:8000"
SEEN = np.arange(32 * 40, dtype=np.uint8).reshape(32, 40)
READ = Reading("042", 0.5, (0.9, 0.8, 0.7), None, "", False, (1, 2, 3, 4), ((1, 2, 3, 4),) * 3)
READ = READ._replace(confidences=READ.probabilities)


class Reader:
    """Reads 042 from whatever is no error."""

    def __init__(self):
        self.calls = []

    def __call__(self, pictures):
        self.calls.append(len(pictures))
        return [
            [Answer(Reading(error="damaged")) if picture == b"bad" else Answer(READ, SEEN)]
            for picture in pictures
        ]


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def create(reader):
    def created(drawings=None, read=reader):
        service = app.Service(read, DIGITS, {"digits": [1, 3]}, drawings)
        return app.create(service, hosts_of("127.0.0.1"))

    return created


@pytest.fixture
def client(create):
    with Client(create()) as client:
        yield client


def test_a_raw_body_gives_an_object_as_it_is_described(client):
    found = client.post("/read", content=b"picture")
    assert found.status_code == 200
    fields = found.json()
    assert list(fields) == list(openapi.FIELDS)
    assert fields == {
        "number": "042",
        "confidence": 0.5,
        "confidences": [0.9, 0.8, 0.7],
        "sure": False,
        "length": 3,
        "box": [1, 2, 3, 4],
        "spans": [[1, 2, 3, 4]] * 3,
        "error": "",
    }


def test_one_file_gives_an_object_and_several_a_list_with_their_errors(client, reader):
    one = client.post("/read", files={"image": b"picture"})
    assert one.json()["number"] == "042"
    files = [("image", ("a.png", each)) for each in (b"picture", b"bad", b"picture")]
    several = client.post("/read", files=files)
    assert several.status_code == 200
    assert [each["error"] for each in several.json()] == ["", "damaged", ""]
    assert reader.calls == [1, 3]


def test_every_line_comes_on_request(client, reader):
    assert client.post("/read?lines=1", content=b"picture").status_code == 400  # it reads none

    def read_lines(pictures):
        return [[Answer(READ, SEEN), Answer(Reading("7"))] for _ in pictures]

    service = app.Service(reader, DIGITS, {}, read_lines=read_lines)
    with Client(app.create(service, hosts_of("127.0.0.1"))) as other:
        one = other.post("/read?lines=1&views=1", content=b"picture").json()
        files = [("image", ("a.png", b"picture"))] * 2
        several = other.post("/read?lines=1", files=files).json()
        assert other.post("/read", content=b"picture").json()["number"] == "042"
    assert [each["number"] for each in one["lines"]] == ["042", "7"]
    assert [bool(each["view"]) for each in one["lines"]] == [True, False]
    assert [[each["number"] for each in lines["lines"]] for lines in several] == [["042", "7"]] * 2


def test_a_single_file_that_is_no_picture_is_unprocessable(client):
    found = client.post("/read", content=b"bad")
    assert found.status_code == 422
    assert found.json() == {
        "number": "",
        "confidence": None,
        "confidences": [],
        "sure": None,
        "length": 0,
        "box": None,
        "spans": [],
        "error": "damaged",
    }


@pytest.mark.parametrize("error", [BLANK, NOTHING])
def test_a_picture_with_nothing_on_it_is_a_picture(create, error):
    with Client(create(read=lambda pictures: [[Answer(Reading(error=error))]])) as client:
        found = client.post("/read", content=b"picture")
    assert (found.status_code, found.json()["error"]) == (200, error)


def test_what_the_network_saw_comes_on_request(client):
    url = client.post("/read?views=1", content=b"picture").json()["view"]
    kind, _, content = url.partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        np.testing.assert_array_equal(np.asarray(image), SEEN)
    assert client.post("/read?views=1", content=b"bad").json()["view"] is None


def test_feature_maps_come_on_request(client, reader):
    assert client.post("/read?maps=1", content=b"picture").json()["maps"] == []  # it has none
    maps = [dict.fromkeys(openapi.MAPS, 0)]
    seen = []
    service = app.Service(reader, DIGITS, {}, None, lambda image: (seen.append(image), maps)[1])
    with Client(app.create(service, hosts_of("127.0.0.1"))) as other:
        assert other.get("/healthz").json()["maps"]
        assert other.post("/read?maps=1", content=b"picture").json()["maps"] == maps
        assert other.post("/read?maps=1", content=b"bad").json()["maps"] == []
        assert "maps" not in other.post("/read", content=b"picture").json()
    assert len(seen) == 1 and seen[0] is SEEN


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ({"content": b""}, 400, "no picture"),
        ({"files": {"other": b"x"}}, 400, "no picture"),
        ({"files": {"image": b""}}, 400, "no picture"),
        ({"data": {"image": "x"}, "files": {"other": b"x"}}, 400, "no file name"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
        ({"files": [("image", b"x")] * 33}, 413, "more than 32 pictures"),
        ({"content": bytes(20_000_001)}, 413, "20 MB"),
        ({"content": b"x", "headers": {"host": "example.org"}}, 403, "example.org"),
        ({"content": b"x", "headers": {"origin": "https://example.org"}}, 403, "example.org"),
        ({"content": b"x", "headers": {"origin": "null"}}, 403, "null"),
        ({"content": b"x", "headers": {"origin": "http://127.0.0.1:3000"}}, 403, "3000"),
    ],
)
def test_a_request_that_is_refused_says_why(client, reader, request_, status, words):
    found = client.post("/read", **request_)
    assert (found.status_code, words in found.json()["error"]) == (status, True), found.text
    assert reader.calls == []


def test_a_request_that_is_too_large_is_refused_as_it_arrives(client, monkeypatch):
    monkeypatch.setattr(app, "REQUEST_BYTES", 10)
    assert client.post("/read", content=b"x" * 11).status_code == 413
    assert client.post("/read", files={"image": b"x"}).status_code == 413
    monkeypatch.setattr(app, "REQUEST_BYTES", 100)
    monkeypatch.setattr(app, "HELD_BYTES", 10)
    found = client.post("/read", content=b"x" * 11)
    assert (found.status_code, found.headers["retry-after"]) == (503, "1")
    assert client.post("/read", content=b"x" * 10).status_code == 200  # nothing is held any more


def test_its_own_page_may_ask(client):
    assert client.post("/read", content=b"x", headers={"origin": HOST}).status_code == 200


def concurrently(application, *contents):
    with Client(application) as client:
        return client.together("POST", "/read", *({"content": each} for each in contents))


def test_concurrent_requests_are_answered_by_one_call(create, reader):
    found = concurrently(create(), *[b"picture"] * 20)
    assert {each.status_code for each in found} == {200}
    assert sum(reader.calls) == 20
    assert len(reader.calls) <= 2  # the first may go alone


def test_a_full_queue_asks_to_come_again(create, monkeypatch):
    monkeypatch.setattr(app, "WAITING", 3)
    found = concurrently(create(), *[b"picture"] * 30)
    refused = [each for each in found if each.status_code == 503]
    assert refused and len(refused) < 30
    assert all(each.headers["retry-after"] == "1" for each in refused)
    assert "waiting" in refused[0].json()["error"]


def test_a_reader_that_takes_too_long_is_not_waited_for(create, monkeypatch):
    monkeypatch.setattr(app, "ANSWER_SECONDS", 0.01)

    def slow(pictures):
        import time

        time.sleep(0.3)
        return [[Answer(READ)]] * len(pictures)

    (found,) = concurrently(create(read=slow), b"picture")
    assert found.status_code == 503


def test_feature_maps_that_take_too_long_are_not_waited_for(reader, monkeypatch):
    monkeypatch.setattr(app, "ANSWER_SECONDS", 0.01)

    def slow(image):
        import time

        time.sleep(0.3)
        return []

    application = app.create(app.Service(reader, DIGITS, {}, maps=slow), hosts_of("127.0.0.1"))
    with Client(application) as client:
        assert client.post("/read?maps=1", content=b"picture").status_code == 503


def test_a_fault_in_reading_ends_one_request_alone(create):
    def read(pictures):
        if b"fault" in pictures:
            raise ZeroDivisionError
        return [[Answer(READ)]] * len(pictures)

    application = create(read=read)
    with Client(application) as client:
        found = client.post("/read", content=b"fault")
        assert (found.status_code, "its log says why" in found.json()["error"]) == (500, True)
        assert found.headers["content-security-policy"]
        assert client.post("/read", content=b"picture").status_code == 200


def test_health_says_what_is_read(client):
    can = {"saves": False, "maps": False}
    assert client.get("/healthz").json() == {"status": "ok", "digits": [1, 3], **can}


def test_the_description_is_of_what_there_is(client, create, tmp_path):
    def paths(application):
        return {route.path for route in application.routes} - {*app.FILES, "/openapi.json"}

    assert set(client.get("/openapi.json").json()["paths"]) == paths(create())
    saving = create(Drawings(str(tmp_path), DIGITS))
    with Client(saving) as other:
        assert set(other.get("/openapi.json").json()["paths"]) == paths(saving)


def test_an_unknown_call_says_where_the_others_are(client):
    for found in (client.get("/nothing"), client.get("/read"), client.post("/drawings")):
        assert found.status_code in (404, 405)
        assert "/openapi.json" in found.json()["error"]


def test_the_page_asks_nothing_of_others_and_may_not(client):
    for path, (_, media_type) in app.FILES.items():
        found = client.get(path)
        assert found.status_code == 200 and found.headers["content-type"].startswith(media_type)
        policy = found.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        text = re.sub(r"^\s*//.*$", "", found.text, flags=re.M)
        elsewhere = re.findall(r"(?:https?:)?//[\w.]+", text)
        assert set(elsewhere) <= {"http://www.w3.org"}  # the namespace of the icon
    page = client.get("/").text
    assert not re.search(r"<style|<script(?! src=)|\sstyle=|\son\w+=", page)


def picture():
    content = io.BytesIO()
    Image.fromarray(np.full((20, 30), 200, np.uint8)).save(content, format="png")
    return content.getvalue()


def test_a_drawing_is_saved_with_its_number(create, tmp_path):
    with Client(create(Drawings(str(tmp_path), DIGITS))) as client:
        assert client.get("/healthz").json()["saves"]
        files = {"image": ("a.png", picture())}
        found = client.post("/drawings", files=files, data={"number": " 042 "})
        assert (found.status_code, found.json()) == (201, {"file": "drawing-0001.png"})
        assert (tmp_path / "labels.csv").read_text() == "file,number\ndrawing-0001.png,042\n"
        assert client.post("/drawings", files=files).status_code == 400
        wrong = client.post("/drawings", files=files, data={"number": "4x"})
        assert wrong.status_code == 422 and "not a number" in wrong.json()["error"]
        bad = client.post("/drawings", files={"image": b"no picture"}, data={"number": "4"})
        assert bad.status_code == 422
