"""serve of a run of strings and one of numbers, through the command line."""

import contextlib
import io
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

import mnist3
from mnist3.data import strips
from mnist3.errors import UserError
from mnist3.jobs import command_line, serve
from mnist3.jobs.arguments import Arguments
from mnist3.pictures import Reading
from tests import renderer, small

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.fixture
def strings(trained):
    return str(trained(small.STRINGS, drawn=True))


@pytest.fixture
def numbers(trained):
    return str(trained(f"{small.NUMBERS} --config.evaluation.shift=1"))


def content(text="42", kind="png", width=400):
    picture, _ = renderer.render(np.random.default_rng(5), text, kinds=(), width=width)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format=kind)
    return file.getvalue()


class Running(uvicorn.Server):
    """A server that runs beside the test, as in `mnist3.jobs.serve` but for signals."""

    ran = None

    async def serve(self, sockets=None):
        Running.ran = self
        self.address = sockets[0].getsockname()
        await super().serve(sockets)


@pytest.fixture
def few_programs(monkeypatch):
    """Two widths of strips and one size of a batch: compiling takes longest."""
    monkeypatch.setattr(strips, "WIDTHS", (64, 128))
    monkeypatch.setattr(serve, "LIMITS", serve.LIMITS._replace(sizes=(8,)))


@contextlib.contextmanager
def served(monkeypatch, *flags):
    """Runs the job beside the test and gives a client of it."""
    monkeypatch.setattr(serve, "Server", Running)
    Running.ran, statuses = None, []
    command = ["launch.py", "--mode=serve", "--port=0", *flags]
    thread = threading.Thread(target=lambda: statuses.append(command_line.run(command)))
    thread.start()
    while thread.is_alive() and not getattr(Running.ran, "started", False):
        thread.join(0.05)
    address = f"http://127.0.0.1:{Running.ran.address[1]}"
    with httpx.Client(base_url=address, timeout=120) as client:
        yield client
    Running.ran.should_exit = True
    thread.join()
    assert statuses == [0]


def test_a_run_of_strings_reads_as_a_program_does(
    strings, few_programs, monkeypatch, tmp_path, capsys
):
    shapes = []
    raw = serve.learners.load

    def load(*arguments):
        learned = raw(*arguments)
        predict = learned.predict
        monkeypatch.setattr(
            learned, "predict", lambda images: (shapes.append(images.shape), predict(images))[1]
        )
        return learned

    monkeypatch.setattr(serve.learners, "load", load)
    folder = tmp_path / "drawings"
    with served(monkeypatch, f"--workdir={strings}", f"--save_drawings={folder}") as client:
        known = set(shapes)
        assert known == {(8, strips.HEIGHT, width) for width in strips.WIDTHS}
        about = client.get("/healthz").json()
        assert about["digits"] == [0, 3] and about["lines"] and not about["once"]
        found = client.post("/read?views=1", content=content()).json()
        (first, *_) = client.post("/read?maps=1", content=content()).json()["maps"]
        assert first["layer"] == "stem" and first["rows"] == strips.HEIGHT // 2
        lines = client.post("/read?lines=1", content=content()).json()["lines"]
        assert len(lines) == 1 and lines[0]["box"] and not lines[0]["error"]
        several = [("image", ("a.jpg", content("317", "jpeg")))] * 6
        assert len(client.post("/read", files=several).json()) == 6
        blank = io.BytesIO()
        Image.new("L", (300, 200), 255).save(blank, format="png")
        empty = client.post("/read", content=blank.getvalue())
        files = {"image": ("a.png", content())}
        assert client.post("/drawings", files=files, data={"number": "42"}).status_code == 201
        many = Image.fromarray(np.zeros((10_000, 10_000), np.uint8))
        large = io.BytesIO()
        many.save(large, format="png", compress_level=1)
        refused = client.post("/read", content=large.getvalue())
        assert set(shapes) == known  # nothing is compiled for a request
    assert "reads at http://127.0.0.1:" in capsys.readouterr().out
    (tmp_path / "a.png").write_bytes(content())
    (expected,) = mnist3.load(strings).read(tmp_path / "a.png")
    assert (found["number"], found["error"]) == (expected.text, "")
    assert found["confidence"] == pytest.approx(expected.confidence, rel=1e-4)
    assert tuple(found["box"]) == expected.box
    assert tuple(map(tuple, found["spans"])) == expected.spans
    assert len(found["spans"]) == len(found["confidences"]) == found["length"]
    assert empty.status_code == 200 and empty.json()["error"]
    assert refused.status_code == 422
    assert "has 100 megapixels, and at most 64 are read" in refused.json()["error"]
    assert (folder / "labels.csv").read_text() == "file,number\ndrawing-0001.png,42\n"


def test_a_run_of_numbers_reads_pictures_as_a_whole_and_once(numbers, few_programs, monkeypatch):
    folder = numbers
    with served(monkeypatch, f"--workdir={folder}") as client:
        about = client.get("/healthz").json()
        assert about["digits"] == [2, 2] and about["once"] and not about["lines"]
        found = client.post("/read?views=1", content=content("42")).json()
    assert found["length"] == len(found["number"]) == len(found["confidences"]) == 2
    assert found["spans"] == [] and found["box"] is None and found["view"]


def test_a_busy_port_is_said_before_anything_is_loaded(strings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} of 127\.0\.0\.1.*give another"):
            command_line.run(["x", "--mode=serve", f"--workdir={strings}", f"--port={port}"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--host=no.such.host.invalid"], "no address of this machine"),
        (["--port=70000"], "--port"),
        (["--save_drawings=setup.cfg/x"], "for the drawings"),
        (["--checkpoint=77"], "77"),
    ],
)
def test_what_cannot_be_served_is_refused(strings, flags, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=re.escape(words)):
        command_line.run(["x", "--mode=serve", f"--workdir={strings}", "--port=0", *flags])


def test_a_run_that_reads_no_numbers_is_refused(tmp_path):
    from mnist3 import experiments

    config = experiments.load("experiments/classify.py:task=binary,digit=3")
    with pytest.raises(UserError, match=r"binary, which reads no numbers; .* number, string, m"):
        serve.run(config, Arguments(workdir=str(tmp_path)))


def test_serve_needs_a_run():
    with pytest.raises(UserError, match="--mode=serve needs a finished run"):
        command_line.run(["x", "--mode=serve"])


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_quietly(numbers, name):
    command = [sys.executable, "launch.py", "--mode=serve", "--port=0", f"--workdir={numbers}"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline()
        url = re.search(r"http://\S+/", line)[0]
        assert json.loads(httpx.get(f"{url}healthz", timeout=120).text)["status"] == "ok"
        os.kill(process.pid, getattr(signal, name))
        out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert out == "" and "Traceback" not in error and "Stopped" not in error


BUSY = """
import asyncio, socket, time
import uvicorn
from mnist3.jobs import serve
from mnist3.web import app
from mnist3.web.guard import hosts_of

def read(pictures):
    print("reading", flush=True)
    time.sleep(120)

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
application = app.create(app.Service(read, ("1",), {}), hosts_of("127.0.0.1"))
config = uvicorn.Config(application, log_config=None, timeout_graceful_shutdown=1)
asyncio.run(serve.Server(config).serve([listener]))
"""


def test_a_second_ctrl_c_ends_it_at_once_whatever_it_reads():
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as busy:
        port = int(busy.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = f"POST /read HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1\r\n\r\n"
            client.sendall(f"{head}x".encode())
            assert busy.stdout.readline() == "reading\n"
            os.kill(busy.pid, signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                busy.wait(timeout=3)  # it waits for what it reads
            os.kill(busy.pid, signal.SIGINT)
            assert busy.wait(timeout=60) == -signal.SIGINT


def test_each_field_of_a_reading_is_answered():
    from mnist3.web import openapi

    assert {"confidences", "spans"} <= set(openapi.FIELDS) & set(Reading._fields)
