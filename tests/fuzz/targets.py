"""What is fuzzed: for each format sound files, how they are damaged, and what reads them."""

import gzip
import io
import json
import pathlib
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tests.fuzz import mutations

HEIGHT, WIDTH = 28, 84
ROOT = pathlib.Path(__file__).parent.parent.parent
OLD_RUNS = ROOT / "tests" / "fixtures" / "runs_of_an_older_version"

Mutate = Callable[[random.Random, bytes], bytes]


class Target(NamedTuple):
    """A format.

    Attributes:
        make: writes sound files into a folder.
        damaged: from the folder to the paths in it, of which one is damaged at a time.
        mutate: from a sound file to a damaged one.
        read: reads the folder, of which the file of this path is damaged.
        inputs: of the long form.
    """

    make: Callable[[pathlib.Path], object]
    damaged: Callable[[pathlib.Path], list[pathlib.Path]]
    mutate: Mutate
    read: Callable[[pathlib.Path, pathlib.Path], object]
    inputs: int


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _named(*names: str) -> Callable[[pathlib.Path], list[pathlib.Path]]:
    return lambda folder: [path for path in _files(folder) if path.name in names]


def _drawn(mode: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    values = np.zeros((size[1], size[0]), np.uint8)
    values[5:-5, 10:14] = values[6:9, 30:50] = values[5:-5, 60:64] = 220
    image = Image.fromarray(values)
    if mode == "I;16":
        return Image.fromarray(values.astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(values.astype(np.float32))
    if mode in ("RGBA", "LA"):
        return Image.merge(mode, [image] * len(mode))
    return image.convert(mode)


def _save_images(folder: pathlib.Path) -> None:
    frames = [_drawn("P"), _drawn("P")]
    turned = Image.Exif()
    turned[0x112] = 6  # orientation
    for name, image, options in (
        *((f"{mode}.png".replace(";", ""), _drawn(mode), {}) for mode in _PNG_MODES),
        ("interlaced.gif", _drawn("P"), {"interlace": 1}),
        ("animated.gif", frames[0], {"save_all": True, "append_images": frames[1:]}),
        *((f"{mode}.jpg", _drawn(mode), {}) for mode in ("L", "RGB", "CMYK")),
        ("turned.jpg", _drawn("RGB"), {"exif": turned}),
        ("progressive.jpg", _drawn("RGB", (600, 200)), {"progressive": True}),
        *((f"{mode}.bmp", _drawn(mode), {}) for mode in ("1", "L", "P", "RGB")),
        *((f"{mode}.tif", _drawn(mode), {}) for mode in ("1", "L", "RGB", "RGBA", "F")),
        *(
            (f"{compression}.tif", _drawn("RGB"), {"compression": compression})
            for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")
        ),
        ("group4.tif", _drawn("1"), {"compression": "group4"}),
        ("lossy.webp", _drawn("RGB"), {}),
        ("lossless.webp", _drawn("RGBA"), {"lossless": True}),
        ("animated.webp", _drawn("RGB"), {"save_all": True, "append_images": [_drawn("RGB")]}),
    ):
        image.save(folder / name, **options)


_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def _read_image(folder: pathlib.Path, path: pathlib.Path) -> None:
    from mnist3.data.images import read_image

    read_image(str(path), HEIGHT, WIDTH)


def _read_lines(folder: pathlib.Path, path: pathlib.Path) -> None:
    from mnist3.pictures import lines_of

    lines_of(str(path), every_line=True)


def _save_large(folder: pathlib.Path) -> None:
    """Saves small files that stand for much: pictures, an IDX file, a picture in a zip."""
    _drawn("L").save(folder / "small.png")
    for mode in ("L", "RGB", "RGBA", "I;16"):  # as many pixels as are read, and more
        for side in (5_400, 9_000):
            name = f"{mode}{side}.png".replace(";", "")
            _drawn(mode, (side, side)).save(folder / name, compress_level=1)
    _save_idx(folder)
    zeros = bytes(1 << 24)
    with gzip.open(folder / "fashion_mnist" / "t10k-images-idx3-ubyte.gz", "ab") as file:
        for _ in range(128):
            file.write(zeros)
    with (
        zipfile.ZipFile(folder / "triple_mnist.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("train/123/0_123.png", "w", force_zip64=True) as picture,
    ):
        for _ in range(128):
            picture.write(zeros)


def _large(folder: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in _files(folder) if path.suffix != ".gz" or "t10k-images" in path.name]


def _read_large(folder: pathlib.Path, path: pathlib.Path) -> None:
    if path.suffix == ".gz":
        _read_idx(folder, path)
    elif path.suffix == ".zip":
        _read_zip(folder, path)
    else:
        _read_lines(folder, path)
        _read_image(folder, path)


def _save_idx(folder: pathlib.Path) -> None:
    (folder / "fashion_mnist").mkdir()
    for part, n in (("train", 20), ("t10k", 10)):
        for content, shape in (("images-idx3", (n, 28, 28)), ("labels-idx1", (n,))):
            header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}i", *shape)
            data = np.arange(np.prod(shape), dtype=np.int64) % 10
            path = folder / "fashion_mnist" / f"{part}-{content}-ubyte.gz"
            path.write_bytes(gzip.compress(header + data.astype(np.uint8).tobytes()))


def _read_idx(folder: pathlib.Path, path: pathlib.Path) -> None:
    from mnist3.data.sources import load_source

    load_source("fashion_mnist", str(folder))


def _mutate_idx(random_: random.Random, data: bytes) -> bytes:
    """Damages the file, or what is in it."""
    if random_.random() < 0.5:
        return mutations.bytes_of(random_, data)
    return gzip.compress(mutations.bytes_of(random_, gzip.decompress(data)), mtime=0)


def _save_zip(folder: pathlib.Path) -> None:
    buffer = io.BytesIO()
    _drawn("L", (84, 84)).save(buffer, "PNG")
    with zipfile.ZipFile(folder / "triple_mnist.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for split in ("train", "val", "test"):
            for number in ("012", "345"):
                archive.writestr(f"{split}/{number}/0_{number}.png", buffer.getvalue())


def _mutate_zip(random_: random.Random, data: bytes) -> bytes:
    """Damages the file, or a name or a picture in it."""
    if random_.random() < 0.5:
        return mutations.bytes_of(random_, data)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        infos = old.infolist()
        chosen = random_.choice(infos)
        for info in infos:
            name, content = info.filename, old.read(info)
            if info is chosen and random_.random() < 0.3:
                name = mutations.bytes_of(random_, name.encode()).decode(errors="replace") or "a"
            elif info is chosen:
                content = mutations.bytes_of(random_, content)
            new.writestr(name.replace("\0", "0")[:1000], content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _read_zip(folder: pathlib.Path, path: pathlib.Path) -> None:
    from mnist3.data.triple_mnist import load_triple_mnist

    cache = folder / "cache"
    try:
        load_triple_mnist(str(folder), str(cache))
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def _save_arrays(folder: pathlib.Path) -> None:
    from mnist3.data.triple_mnist import load_triple_mnist

    _save_zip(folder)
    load_triple_mnist(str(folder), str(folder / "cache"))


def _read_arrays(folder: pathlib.Path, path: pathlib.Path) -> None:
    from mnist3.data.triple_mnist import load_triple_mnist

    read = load_triple_mnist(str(folder), str(folder / "cache"))
    np.asarray(read.splits["test"].images).sum()


def _table() -> dict[str, list[Any]]:
    return {
        "name": [f"n{row % 7}" for row in range(40)],
        "size": [row * 1.5 for row in range(40)],
        "day": [f"2020-01-{row % 28 + 1:02}" for row in range(40)],
        "kind": [("cat", "dog")[row % 2] for row in range(40)],
    }


def _save_csv(folder: pathlib.Path) -> None:
    columns = _table()
    rows = [
        ",".join(columns),
        *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    (folder / "table.csv").write_text("\n".join(rows) + "\n")


def _save_parquet(folder: pathlib.Path) -> None:
    import pandas as pd

    for compression in ("snappy", "gzip", "none"):
        frame = pd.DataFrame(_table())
        frame["when"] = pd.to_datetime(frame["day"])
        frame.to_parquet(folder / f"{compression}.parquet", compression=compression)


def _read_table(folder: pathlib.Path, path: pathlib.Path) -> None:
    from mnist3.data import tabular
    from mnist3.data.table_files import read_table

    tabular.make_table(read_table(path), "kind")


def _save_labels(folder: pathlib.Path) -> None:
    rows = ["file,number,writer", *(f"{row}.png,{row:03},A" for row in range(10))]
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    for row in range(10):
        (folder / f"{row}.png").touch()


def _read_labels(folder: pathlib.Path, path: pathlib.Path) -> None:
    from mnist3.data.labelled import read_labels
    from mnist3.data.numbers import DIGITS

    read_labels(str(folder), DIGITS)


def _save_run(folder: pathlib.Path) -> None:
    shutil.copytree(OLD_RUNS / "numbers", folder / "run")
    for name, content in (
        ("dataset.json", {"fingerprint": "a", "name": "composed", "protocol": {}}),
        ("comparison.json", {"winner": "network", "workdir": "candidates/network"}),
        ("replicates.json", {"seeds": [0, 1], "best_on_val": 0, "failures": {}}),
        (
            "calibration.json",
            {
                **{"temperature": 1.5, "threshold": 0.9, "wanted_error": 0.001, "n": 100},
                **{"shown_error": 0.02, "ece_before": 0.1, "ece": 0.05, "epoch": 4},
                "fingerprint": "a",
            },
        ),
    ):
        (folder / "run" / name).write_text(json.dumps(content))
    tuned = {
        "config": json.loads((folder / "run" / "config.json").read_text()),
        "search_results": {"params": [{}], "mean_test_score": [0.5]},
        "search_seconds": 1.0,
    }
    (folder / "run" / "tuned.json").write_text(json.dumps(tuned))


def _save_sweeps(folder: pathlib.Path) -> None:
    """Saves W&B's sweep files as JSON, which YAML takes in."""
    import yaml

    for path in sorted((ROOT / "experiments" / "sweeps").glob("*.yaml")):
        text = json.dumps(yaml.safe_load(path.read_text()))
        (folder / path.name).write_text(text)


def _read_sweep(folder: pathlib.Path, path: pathlib.Path) -> None:
    from mnist3.config import numbers
    from mnist3.sweeps import checks, wandb_files

    content = wandb_files.read(str(path))
    wandb_files.experiment_of(content)
    sweep = wandb_files.translate(content)
    checks.check(sweep, numbers())
    checks.most_epochs(sweep, numbers())
    sweep.budget(None)


def _read_config(folder: pathlib.Path, path: pathlib.Path) -> None:
    from mnist3 import experiments, validation
    from mnist3.jobs.workdir import read_config

    read_config(str(path.parent))
    validation.validate(experiments.read(str(path)))


class _SomeData(NamedTuple):
    """What a run could have begun with."""

    fingerprint: str = "a"


def _read_files_of_a_run(folder: pathlib.Path, path: pathlib.Path) -> None:
    """Reads one file as the jobs do that read it."""
    from mnist3.config import comparison
    from mnist3.evaluation.calibration import UNCALIBRATED
    from mnist3.files import read_replicates
    from mnist3.jobs import workdir
    from mnist3.learners import calibrated, tuned
    from mnist3.tracking import read_history

    run = str(path.parent)
    if path.name in ("metrics.json", "dataset.json"):
        if path.name == "metrics.json":
            (path.parent / "dataset.json").unlink()
        workdir.environment_of(run)
        workdir.require_same_data(run, _SomeData())  # type: ignore[arg-type]
    elif path.name == "comparison.json":
        workdir.chosen(run, comparison())
    elif path.name == "replicates.json":
        read_replicates(run)
        config = workdir.read_config(run)
        config.seeds = 2
        workdir.chosen(run, config)
    elif path.name == "calibration.json":
        found = calibrated.read(run, 4)
        if found != UNCALIBRATED:
            found.sure(np.array([0.1, 0.99], np.float32))
    elif path.name == "tuned.json":
        tuned.read(run)
    else:
        read_history(run, 4)


def _save_checkpoints(folder: pathlib.Path) -> None:
    import jax.numpy as jnp

    from mnist3.training.checkpoints import Checkpoints

    checkpoints = Checkpoints(str(folder))
    for epoch in (1, 2):
        metrics = {"exact_match": epoch / 10, "nll": 1.0}
        checkpoints.save(epoch, _state(jnp.float32(epoch)), metrics, best=1, keep={1})
    checkpoints.wait()
    checkpoints.close()


def _state(value: Any) -> Any:
    import jax.numpy as jnp

    from mnist3.training.state import TrainState

    params = {"a": value + jnp.arange(12.0).reshape(3, 4), "b": {"c": value * jnp.ones(5)}}
    return TrainState(
        step=jnp.int32(3), params=params, average=None, opt_state=({"m": params["a"]},)
    )


def _read_checkpoints(folder: pathlib.Path, path: pathlib.Path) -> None:
    import jax.numpy as jnp

    from mnist3.training.checkpoints import Checkpoints

    checkpoints = Checkpoints(str(folder), read_only=True)
    try:
        checkpoints.restore(checkpoints.resolve("latest"), _state(jnp.float32(0)))
        checkpoints.read_params(checkpoints.resolve("best"))
    finally:
        checkpoints.close()


def _save_model(folder: pathlib.Path) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neighbors import KNeighborsClassifier

    from mnist3.learners.saved import save_estimator

    inputs, targets = np.random.default_rng(0).random((30, 4)), np.arange(30) % 3
    for name, estimator in (
        ("forest", RandomForestClassifier(3, random_state=0)),
        ("neighbours", KNeighborsClassifier(algorithm="kd_tree")),
    ):
        save_estimator(folder / f"{name}.skops", {"estimator": estimator.fit(inputs, targets)})


def _read_model(folder: pathlib.Path, path: pathlib.Path) -> None:
    from mnist3.learners.saved import load_estimator

    load_estimator(path)["estimator"].predict(np.zeros((2, 4)))


def _save_pickle(folder: pathlib.Path) -> None:
    shutil.copy(OLD_RUNS / "table" / "model.joblib", folder)


def _read_pickle(folder: pathlib.Path, path: pathlib.Path) -> None:
    from mnist3.errors import UserError
    from mnist3.learners.saved import load_estimator

    try:
        load_estimator(path)
    except UserError as error:
        if "is a pickle" in str(error):
            return
        raise
    raise AssertionError("a pickle was read without a word of the user")


def _mutate_zip_of_a_model(random_: random.Random, data: bytes) -> bytes:
    """Damages the file, its description or an array in it."""
    if random_.random() < 0.3:
        return mutations.bytes_of(random_, data)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        names = old.namelist()
        chosen = random_.choice(["schema.json", *names])
        for name in names:
            content = old.read(name)
            if name == chosen:
                mutate = mutations.json_of if name.endswith(".json") else mutations.bytes_of
                content = mutate(random_, content)
            new.writestr(name, content)
    return made.getvalue()


def _as_it_is(random_: random.Random, data: bytes) -> bytes:
    return data


TARGETS: Mapping[str, Target] = {
    "images": Target(_save_images, _files, mutations.bytes_of, _read_image, 3000),
    "pictures of lines": Target(_save_images, _files, mutations.bytes_of, _read_lines, 1000),
    "IDX": Target(_save_idx, _files, _mutate_idx, _read_idx, 1000),
    "zip of numbers": Target(_save_zip, _files, _mutate_zip, _read_zip, 700),
    "decoded images": Target(
        _save_arrays,
        lambda folder: _files(folder / "cache"),
        mutations.bytes_of,
        _read_arrays,
        300,
    ),
    "CSV": Target(_save_csv, _files, mutations.csv_of, _read_table, 700),
    "labels.csv": Target(_save_labels, _named("labels.csv"), mutations.csv_of, _read_labels, 300),
    "Parquet": Target(_save_parquet, _files, mutations.bytes_of, _read_table, 700),
    "config.json": Target(
        lambda folder: shutil.copytree(OLD_RUNS, folder, dirs_exist_ok=True),
        _named("config.json"),
        mutations.json_of,
        _read_config,
        700,
    ),
    "sweep files": Target(_save_sweeps, _files, mutations.json_of, _read_sweep, 700),
    "metrics.json and others": Target(
        _save_run,
        _named(
            *("metrics.json", "dataset.json", "comparison.json", "replicates.json"),
            *("calibration.json", "tuned.json"),
        ),
        mutations.json_of,
        _read_files_of_a_run,
        600,
    ),
    "history.jsonl": Target(
        _save_run,
        _named("history.jsonl"),
        mutations.lines_of_json,
        _read_files_of_a_run,
        200,
    ),
    "checkpoints": Target(_save_checkpoints, _files, mutations.bytes_of, _read_checkpoints, 400),
    "model.skops": Target(_save_model, _files, _mutate_zip_of_a_model, _read_model, 289),
    "model.joblib": Target(_save_pickle, _files, mutations.bytes_of, _read_pickle, 100),
    "small files of much": Target(_save_large, _large, _as_it_is, _read_large, 11),
}
