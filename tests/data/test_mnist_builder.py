import gzip
import http.server
import os
import pathlib
import re
import resource
import socket
import threading

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mnist3.data import idx, mnist_builder, sources
from mnist3.data.mnist_builder import MnistBuilder
from mnist3.errors import UserError


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `/MODE/FILE` from the server's folder, well or as badly as the mode says."""

    def do_GET(self):
        _, mode, name = self.path.split("/")
        self.server.requests.append(self.path)
        if mode == "silent":
            self.server.stopping.wait()
            return
        if mode == "refusing" or (mode == "incomplete" and "labels" in name):
            self.send_error(403)
            return
        data = (self.server.folder / name).read_bytes()
        if mode == "wrong":
            data = gzip.compress(b"something else")
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if mode == "half" else data)

    def log_message(self, *arguments):
        del arguments


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        server.stopping = threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.stopping.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def tiny(tiny_mnist, server, monkeypatch) -> pathlib.Path:
    """The folder of `tiny_mnist`, served and expected by the builder."""
    server.folder = tiny_mnist
    monkeypatch.setattr(MnistBuilder, "FILES", idx.MNIST_FILES)
    return tiny_mnist


@pytest.fixture
def serve(server, monkeypatch):
    """Makes these modes of the server the builder's mirrors."""

    def set_mirrors(*modes: str) -> None:
        port = server.server_port
        mirrors = tuple(f"http://127.0.0.1:{port}/{mode}/" for mode in modes)
        monkeypatch.setattr(MnistBuilder, "MIRRORS", mirrors)

    return set_mirrors


def files_below(folder: pathlib.Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_the_real_files_come_through_tfds_as_they_are(server, data_dir, serve, tmp_path, caplog):
    below = pathlib.Path(data_dir, "mnist")
    server.folder = below if below.is_dir() else pathlib.Path(data_dir)
    serve("refusing", "good")
    source = sources.load_source("mnist", tfds_dir=str(tmp_path))
    direct = sources.load_source("mnist", data_dir)
    assert source.fingerprint == direct.fingerprint
    assert source.official_test == direct.official_test
    assert "403" in caplog.text


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("wrong", "wrong checksum"),
        ("half", "train-images-idx3-ubyte.gz: .*(IncompleteRead|truncated)"),
        ("refusing", "403"),
        ("incomplete", "train-labels-idx1-ubyte.gz: 403"),
        ("silent", "timed out"),
    ],
)
def test_a_bad_mirror_is_logged_and_the_next_one_serves(
    tiny, serve, tmp_path, monkeypatch, caplog, mode, reason
):
    monkeypatch.setattr(mnist_builder, "_READ_SECONDS", 0.2)
    serve(mode, "good")
    source = sources.load_source("mnist", tfds_dir=str(tmp_path / "tfds"))
    assert source.fingerprint == sources.load_source("mnist", str(tiny)).fingerprint
    (warning,) = [record for record in caplog.records if "Gave up" in record.message]
    assert warning.levelname == "WARNING"
    assert f"/{mode}/" in warning.message
    assert re.search(reason, warning.message)


def test_a_server_that_is_down_is_asked_once_and_the_next_one_serves(
    tiny, server, serve, tmp_path, monkeypatch, caplog
):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    serve("good")
    monkeypatch.setattr(MnistBuilder, "MIRRORS", (down, *MnistBuilder.MIRRORS))
    sources.load_source("mnist", tfds_dir=str(tmp_path / "tfds"))
    assert caplog.text.count(f"Gave up the mirror {down}") == 1
    assert server.requests == [f"/good/{name}" for name in idx.MNIST_FILES]


def test_files_from_several_incomplete_mirrors_are_combined(tiny, server, serve, tmp_path):
    serve("incomplete", "good")
    sources.load_source("mnist", tfds_dir=str(tmp_path / "tfds"))
    assert "/good/train-images-idx3-ubyte.gz" not in server.requests


def test_no_good_mirror_leaves_nothing_and_says_what_to_do(tiny, serve, tmp_path):
    serve("half", "wrong", "refusing")
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz came from none.*--data_dir"):
        sources.load_source("mnist", tfds_dir=str(tmp_path / "tfds"))
    assert files_below(tmp_path / "tfds") == []
    serve("good")
    sources.load_source("mnist", tfds_dir=str(tmp_path / "tfds"))


def test_tfds_users_find_it_in_the_official_order(tiny, serve, tmp_path):
    serve("good")
    parts = tfds.data_source("mnist3_mnist", data_dir=str(tmp_path / "tfds"))
    source = sources.load_source("mnist", str(tiny))
    for name, offset in [("train", 0), ("test", 30)]:
        for index, example in enumerate(parts[name]):
            image = source.images[offset + index, :, :, None]
            np.testing.assert_array_equal(example["image"], image, strict=True)
            assert example["label"] == source.labels[offset + index]
    assert (len(parts["train"]), len(parts["test"])) == (30, 20)


def test_prepared_once_it_needs_no_server(tiny, server, serve, tmp_path):
    serve("good")
    first = sources.load_source("mnist", tfds_dir=str(tmp_path / "tfds"))
    server.requests.clear()
    second = sources.load_source("mnist", tfds_dir=str(tmp_path / "tfds"))
    assert second.fingerprint == first.fingerprint
    assert server.requests == []


def test_a_data_folder_without_mnist_leaves_it_to_tfds(tiny, serve, tmp_path, caplog):
    serve("good")
    empty = tmp_path / "empty"
    empty.mkdir()
    source = sources.load_source("mnist", str(empty), str(tmp_path / "tfds"))
    assert source.fingerprint == sources.load_source("mnist", str(tiny)).fingerprint
    assert f"No MNIST files in {empty}" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("*-test.array_record-*", lambda path: os.truncate(path, path.stat().st_size // 2)),
        ("*-test.array_record-*", lambda path: path.write_bytes(path.read_bytes()[::-1])),
        ("*-train.array_record-*", lambda path: path.unlink()),
        ("dataset_info.json", lambda path: path.unlink()),
        ("dataset_info.json", lambda path: os.truncate(path, 99)),
    ],
)
def test_damaged_tfds_files_are_named(tiny, serve, tmp_path, pattern, damage):
    serve("good")
    sources.load_source("mnist", tfds_dir=str(tmp_path / "tfds"))
    (path,) = (tmp_path / "tfds").rglob(pattern)
    damage(path)
    folder = tmp_path / "tfds" / "mnist3_mnist"
    with pytest.raises(UserError, match=f"MNIST in {folder} cannot be read.*delete that folder"):
        sources.load_source("mnist", tfds_dir=str(tmp_path / "tfds"))


def test_no_space_left_leaves_nothing_and_says_so(tiny, serve, tmp_path):
    serve("good")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Stands for a full disk: TFDS's smallest file has 64 KiB.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 15, hard))
    try:
        with pytest.raises(UserError, match=r"could not be written to .*free space there"):
            sources.load_source("mnist", tfds_dir=str(tmp_path / "tfds"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_below(tmp_path / "tfds") == []


def test_a_tfds_folder_that_cannot_be_written_is_named(tiny, serve, tmp_path):
    serve("good")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"could not be written to {tmp_path / 'file'}"):
        sources.load_source("mnist", tfds_dir=str(tmp_path / "file"))
