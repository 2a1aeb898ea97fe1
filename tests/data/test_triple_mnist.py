import io
import itertools
import os
import pathlib
import re
import resource
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

import mnist3
from mnist3.data import triple_mnist
from mnist3.data.triple_mnist import load_triple_mnist
from mnist3.errors import UserError

LOAD_IN_CHILD = """
import sys, time
from mnist3.data import triple_mnist
decode, done = triple_mnist._decode, []
def slow(*arguments):
    if len(done) == 3:
        print("decoding", flush=True)
        time.sleep(float(sys.argv[3]))
    done.append(1)
    return decode(*arguments)
triple_mnist._decode = slow
triple_mnist.load_triple_mnist(sys.argv[1], sys.argv[2])
"""


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def pixels_of(path: str, side: int = 84) -> np.ndarray:
    seed = list(path.rsplit("/", 3)[-2].encode() + path.rsplit("/", 1)[-1].encode())
    return np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)


PATHS = [
    f"triple_mnist/{split}/{number}/{index}_{number}.png"
    for split, numbers in {"val": ("007", "321"), "train": ("000", "045", "999")}.items()
    for number in numbers
    for index in (0, 10, 2)
]


def write_zip(path: pathlib.Path, files: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return str(path)


def write_folder(path: pathlib.Path, files: dict[str, bytes]) -> str:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return str(path)


@pytest.fixture
def files() -> dict[str, bytes]:
    return {path: encode(pixels_of(path)) for path in PATHS}


@pytest.fixture
def cache(tmp_path) -> str:
    return str(tmp_path / "cache")


def left_in(cache: str) -> list[str]:
    folder = pathlib.Path(cache, "triple_mnist")
    return [path.name for path in folder.iterdir() if path.name != "lock"]


def check_tiny(splits: dict) -> None:
    assert list(splits) == ["train", "val"]
    expected = {"train": ("000", "045", "999"), "val": ("007", "321")}
    for name, numbers in expected.items():
        rows = list(itertools.product(numbers, (0, 2, 10)))
        split = splits[name]
        assert len(split) == len(rows)
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int32)
        for image, label, (number, index) in zip(split.images, split.labels, rows, strict=True):
            assert "".join(map(str, label)) == number
            np.testing.assert_array_equal(image, pixels_of(f"{name}/{number}/{index}_{number}.png"))


@pytest.mark.parametrize("top", ["triple_mnist/", "", "some folder/"])
def test_reads_a_zip_with_any_top_folder(tmp_path, cache, files, top):
    renamed = {name.replace("triple_mnist/", top): data for name, data in files.items()}
    check_tiny(load_triple_mnist(write_zip(tmp_path / "a.zip", renamed), cache).splits)


@pytest.mark.parametrize("below", ["", "triple_mnist"])
def test_reads_a_folder(tmp_path, cache, files, below):
    write_folder(tmp_path / "a", files)
    check_tiny(load_triple_mnist(str(tmp_path / "a" / below), cache).splits)


def test_finds_the_zip_in_a_data_folder(tmp_path, cache, files):
    write_zip(tmp_path / "triple_mnist.zip", files)
    check_tiny(load_triple_mnist(str(tmp_path), cache).splits)


def test_says_whether_there_is_something_to_load(tmp_path, files):
    assert not triple_mnist.has_triple_mnist(str(tmp_path))
    assert not triple_mnist.has_triple_mnist(str(tmp_path / "nowhere"))
    write_zip(tmp_path / "triple_mnist.zip", files)
    assert triple_mnist.has_triple_mnist(str(tmp_path))


def test_skips_what_operating_systems_leave(tmp_path, cache, files):
    litter = ["__MACOSX/triple_mnist/train/000/._0_000.png", "triple_mnist/.DS_Store"]
    litter += ["triple_mnist/train/Thumbs.db", "triple_mnist/val/007/desktop.ini"]
    path = write_zip(tmp_path / "a.zip", files | dict.fromkeys(litter, b"?"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.mkdir("triple_mnist/test")
    check_tiny(load_triple_mnist(path, cache).splits)


def test_the_second_load_decodes_nothing_and_maps_the_same_images(
    tmp_path, cache, files, monkeypatch
):
    path = write_zip(tmp_path / "a.zip", files)
    load_triple_mnist(path, cache)
    monkeypatch.setattr(triple_mnist, "_decode", None)
    splits = load_triple_mnist(path, cache).splits
    check_tiny(splits)
    assert isinstance(splits["train"].images, np.memmap)
    assert not splits["train"].images.flags.writeable


def test_the_order_in_the_zip_changes_nothing(tmp_path, cache, files, monkeypatch):
    load_triple_mnist(write_zip(tmp_path / "a.zip", files), cache)
    monkeypatch.setattr(triple_mnist, "_decode", None)
    backwards = dict(reversed(files.items()))
    check_tiny(load_triple_mnist(write_zip(tmp_path / "b.zip", backwards), cache).splits)


@pytest.mark.parametrize("write", [write_zip, write_folder])
def test_a_changed_image_of_the_same_size_is_noticed(tmp_path, cache, files, write):
    files = {name: encode(np.full((84, 84), 4, np.uint8)) for name in files}
    before = load_triple_mnist(write(tmp_path / "triple_mnist", files), cache).splits
    assert (before["val"].images == 4).all()
    changed = "triple_mnist/val/007/2_007.png"
    size = len(files[changed])
    files[changed] = encode(np.full((84, 84), 5, np.uint8))
    assert len(files[changed]) == size
    after = load_triple_mnist(write(tmp_path / "triple_mnist", files), cache).splits
    np.testing.assert_array_equal(after["val"].images[:, 0, 0], [4, 5, 4, 4, 4, 4])


def test_resizes(tmp_path, cache):
    path = write_zip(
        tmp_path / "a.zip",
        {
            "train/12/0_12.png": encode(np.full((84, 84), 200, np.uint8)),
            "train/12/1_12.png": encode(pixels_of("train/12/1_12.png", side=56)),
        },
    )
    images = load_triple_mnist(path, cache, height=28, width=56, digits=2).splits["train"].images
    assert images.shape == (2, 28, 56)
    assert (images[0] == 200).all()
    # Half the height is the mean over neighbouring rows, but for the filter's wider support.
    rows = pixels_of("train/12/1_12.png", side=56).reshape(28, 2, 56).mean(axis=1)
    assert np.corrcoef(rows.ravel(), images[1].ravel())[0, 1] > 0.9
    for size in ((28, 84), (84, 84)):
        found = load_triple_mnist(path, cache, *size, digits=2).splits["train"].images
        assert found.shape == (2, *size)


def test_the_fingerprint_is_that_of_the_content(tmp_path, cache, files):
    zipped = load_triple_mnist(write_zip(tmp_path / "a.zip", files), cache).fingerprint
    assert re.fullmatch("[0-9a-f]{64}", zipped)
    assert load_triple_mnist(write_folder(tmp_path / "b", files), cache).fingerprint == zipped
    assert load_triple_mnist(str(tmp_path / "a.zip"), cache, height=42).fingerprint != zipped
    name = "triple_mnist/train/999/10_999.png"
    moved = dict(files)
    moved["triple_mnist/train/998/10_998.png"] = moved.pop(name)
    assert load_triple_mnist(write_zip(tmp_path / "c.zip", moved), cache).fingerprint != zipped
    files[name] = encode(255 - pixels_of(name))
    assert load_triple_mnist(write_zip(tmp_path / "d.zip", files), cache).fingerprint != zipped


def test_a_damaged_cache_is_made_anew(tmp_path, cache, files):
    path = write_zip(tmp_path / "a.zip", files)
    load_triple_mnist(path, cache)
    (folder,) = left_in(cache)
    os.truncate(os.path.join(cache, "triple_mnist", folder, "train_images.npy"), 1000)
    check_tiny(load_triple_mnist(path, cache).splits)
    assert left_in(cache) == [folder]


def start_loading(path: str, cache: str, pause: float) -> subprocess.Popen:
    """Starts a process that stops for some seconds with three images decoded."""
    root = pathlib.Path(mnist3.__file__).parents[1]
    child = subprocess.Popen(
        [sys.executable, "-c", LOAD_IN_CHILD, path, cache, str(pause)],
        cwd=root,
        stdout=subprocess.PIPE,
    )
    assert child.stdout.readline() == b"decoding\n"
    return child


def test_a_killed_run_leaves_nothing_that_looks_complete(tmp_path, cache, files):
    path = write_zip(tmp_path / "a.zip", files)
    with start_loading(path, cache, pause=60) as child:
        child.kill()
    (partial,) = left_in(cache)
    check_tiny(load_triple_mnist(path, cache).splits)
    assert left_in(cache) == [partial.removesuffix(".partial")]


def test_a_second_run_waits_for_the_first_and_uses_its_images(tmp_path, cache, files, monkeypatch):
    path = write_zip(tmp_path / "a.zip", files)
    with start_loading(path, cache, pause=0.5) as child:
        monkeypatch.setattr(triple_mnist, "_decode", None)
        check_tiny(load_triple_mnist(path, cache).splits)
        assert child.wait() == 0
    assert len(left_in(cache)) == 1


def fails(path: str, cache: str, *words: str, **arguments: int) -> None:
    with pytest.raises(UserError) as caught:
        load_triple_mnist(path, cache, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    for word in (path, *words):
        assert word in message
    if os.path.isdir(os.path.join(cache, "triple_mnist")):
        assert left_in(cache) == []


def test_no_space_is_an_error_that_names_the_cache(tmp_path, cache, files):
    path = write_zip(tmp_path / "a.zip", files)
    # A limit on the size of a file fails the same way as a full disk, after the first images.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, limits[1]))
    try:
        fails(path, cache, cache, "File too large", "MB")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    check_tiny(load_triple_mnist(path, cache).splits)


def test_an_unwritable_cache_is_an_error(tmp_path, files):
    (tmp_path / "cache").write_text("a file")
    path = write_zip(tmp_path / "a.zip", files)
    fails(path, str(tmp_path / "cache"), str(tmp_path / "cache"))


BROKEN = {
    "not a PNG": b"no image",
    "cut off": encode(pixels_of("train/000/0_000.png"))[:3000],
    "no bytes": b"",
    "a JPEG": encode(pixels_of("train/000/0_000.png"), "JPEG"),
    "in colour": encode(np.zeros((84, 84, 3), np.uint8)),
}


@pytest.mark.parametrize("write", [write_zip, write_folder])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_image_is_named(tmp_path, cache, files, write, kind):
    name = "triple_mnist/val/321/10_321.png"
    path = write(tmp_path / "triple_mnist", files | {name: BROKEN[kind]})
    shown = os.path.join(path, "triple_mnist") if os.path.isdir(path) else path
    fails(shown, cache, "val/321/10_321.png", "sound copy")


def test_a_flipped_byte_in_a_zip_is_named(tmp_path, cache, files):
    path = pathlib.Path(write_zip(tmp_path / "a.zip", files))
    data = bytearray(path.read_bytes())
    name = PATHS[4].encode()
    data[data.index(name) + len(name) + 500] ^= 255
    path.write_bytes(data)
    fails(str(path), cache, PATHS[4], "CRC")


@pytest.mark.parametrize(
    "name",
    [
        "triple_mnist/train/000/3_001.png",
        "triple_mnist/train/0_000.png",
        "triple_mnist/train/abc/0_abc.png",
        "triple_mnist/train/000/0_000.jpg",
        "triple_mnist/validation/000/0_000.png",
        "a/b/train/000/0_000.png",
        "notes.txt",
    ],
)
def test_a_path_that_is_not_of_the_layout_is_named(tmp_path, cache, files, name):
    path = write_zip(tmp_path / "a.zip", files | {name: files[PATHS[0]]})
    fails(path, cache, name, "layout")


def test_a_folders_path_that_is_not_of_the_layout_is_named(tmp_path, cache, files):
    write_folder(tmp_path, files | {"triple_mnist/train/000/notes.txt": b""})
    fails(str(tmp_path / "triple_mnist"), cache, "train/000/notes.txt", "layout")


def test_two_datasets_in_a_zip_are_an_error(tmp_path, cache, files):
    path = write_zip(tmp_path / "a.zip", files | {"b/train/000/0_000.png": files[PATHS[0]]})
    fails(path, cache, "b/ and triple_mnist/")


def test_numbers_of_another_length_are_an_error(tmp_path, cache, files):
    path = write_zip(tmp_path / "a.zip", files)
    fails(path, cache, "3 digits", "config.data.digits is 2", PATHS[0], digits=2)


def test_a_dataset_without_images_is_an_error(tmp_path, cache):
    fails(write_zip(tmp_path / "a.zip", {"train/.DS_Store": b""}), cache, "no image")
    (tmp_path / "b" / "train").mkdir(parents=True)
    fails(str(tmp_path / "b"), cache, "no image")


def test_a_missing_or_wrong_path_is_an_error(tmp_path, cache, files):
    fails(str(tmp_path / "nowhere"), cache, "No such file")
    (tmp_path / "empty").mkdir()
    fails(str(tmp_path / "empty"), cache, "triple_mnist.zip")
    path = pathlib.Path(write_zip(tmp_path / "a.zip", files))
    path.write_bytes(path.read_bytes()[:-500])
    fails(str(path), cache, "not a zip file")
