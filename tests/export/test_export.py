"""Every network leaves as StableHLO and as ONNX, and reads there what it reads here."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from mnist3 import config as configs
from mnist3 import export, models, tasks
from mnist3.errors import UserError
from mnist3.evaluation.calibration import Calibrator
from mnist3.export import load_onnx, load_stablehlo, onnx_file, onnx_model
from mnist3.learners.network import Network
from mnist3.training.run import assemble

TINY = {"stem": 4, "channels": (6, 8), "line_channels": (4, 6, 8, 8), "line_context": 1}


def numbers(model, digits=2, **changed):
    config = configs.numbers()
    config.data.digits, config.data.height, config.data.width = digits, 32, 28 * digits
    config.model.update(TINY | changed | {"name": model})
    return config


def digits(task, model="multihead", **changed):
    config = configs.digits("digits")
    config = config if "model" in config else configs.with_network(config)
    config.task = {"name": task, **tasks.REGISTRY[task].fields}
    config.model.update(TINY | changed | {"name": model})
    return config


def strings(**changed):
    config = configs.strings("digits")
    config.data.digits = (1, 4)
    config.model.update(TINY | changed | {"name": "sequence"})
    return config


CASES = {
    "multihead": lambda: numbers("multihead"),
    "multihead_cropped": lambda: numbers("multihead", digits=3, crop_height=28),
    "multihead_of_two_members": lambda: numbers("multihead", members=2),
    "cnn": lambda: numbers("cnn", digits=1, hidden=(7,)),
    "cnn_of_two_digits": lambda: numbers("cnn"),
    "mlp": lambda: numbers("mlp", hidden=(9, 5)),
    "logistic": lambda: numbers("logistic"),
    "multiclass": lambda: digits("multiclass"),
    "binary": lambda: digits("binary"),
    "pair": lambda: digits("pair", "cnn"),
    "multilabel": lambda: digits("multilabel"),
    "denoiser": lambda: digits("denoise", "denoiser"),
    "sequence": strings,
    "sequence_of_two_members": lambda: strings(members=2),
}


def network(name):
    """A network with random parameters, whose calibration calls about half of all sure."""
    config = CASES[name]()
    task = tasks.create(config.task, positions=config.data.digits)
    run = assemble(config, task, config.training.batch_size)
    params = jax.device_get(run.initial_state().params)
    # Zeros and the same in each class would be right by chance.
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + rng.normal(0, 0.1, leaf.shape).astype("f4"), params)
    history = [dict.fromkeys(("step", "seconds", "compile_seconds", "train_seconds"), 1)]
    untrained = Network(run, params, history, 3, calibrator=Calibrator(0.7, 0.0, epoch=3))
    if task.model_output != "images":
        found = untrained.predict(images_of(untrained, 16))
        untrained.calibrator = Calibrator(0.7, float(np.median(found.confidence)) + 1e-3, epoch=3)
    return untrained


def images_of(network, n, width=None):
    data = network.run.config.data
    rng = np.random.default_rng(n)
    blobs = rng.random((n, data.height, width or data.width)) < 0.3
    return (blobs * rng.integers(100, 256, blobs.shape)).astype(np.uint8)


def test_there_is_a_case_of_every_model():
    assert {CASES[name]().model.name for name in CASES} == set(models.REGISTRY)


@pytest.mark.parametrize("name", CASES)
def test_every_format_reads_what_the_network_reads(name, tmp_path):
    here = network(name)
    reader = export.reader_of(here)
    for format in ("stablehlo", "onnx"):  # of the page see test_page.py
        for file, content in export.FORMATS[format](reader).items():
            (tmp_path / file).write_bytes(content)
    readers = (
        load_stablehlo.load(tmp_path / "reader.stablehlo"),
        load_onnx.load(tmp_path / "reader.onnx"),
    )
    assert readers[0][1] == readers[1][1] == json.loads(json.dumps(reader.metadata))
    widths = (64, 128) if here.task.reads_lines else (None,)
    images_at = {width: images_of(here, 16, width) for width in widths}
    expected_at = {width: here.predict(images) for width, images in images_at.items()}
    for n, width in [(1, widths[0]), (5, widths[-1]), (3, widths[0])]:
        images, expected = images_at[width][:n], expected_at[width]
        for read, metadata in readers:
            found = {key: np.asarray(value) for key, value in read(images).items()}
            assert set(found) == set(metadata["outputs"])
            for key, described in metadata["outputs"].items():
                assert str(found[key].dtype) == described["dtype"]
                assert len(found[key]) == n
                if key == "logits":
                    continue
                value = np.asarray(getattr(expected, key))[:n]
                if key == "values" and here.task.model_output == "images":
                    assert np.abs(found[key].astype(int) - value).max() <= 1  # a grey level
                elif value.dtype.kind == "f":
                    np.testing.assert_allclose(found[key], value, rtol=1e-3, atol=1e-5)
                else:
                    np.testing.assert_array_equal(found[key], value)


def test_the_metadata_say_what_must_be_known():
    metadata = export.reader_of(network("sequence")).metadata
    assert metadata["preprocessing"]["widths"] == [64, 128, 256, 512]
    assert [metadata["preprocessing"][each] for each in ("height", "digit_height", "margin")] == [
        32,
        20,
        8,
    ]
    assert metadata["input"]["shape"] == ["batch", 32, "4*columns"]
    assert metadata["classes"] == list("0123456789")
    assert metadata["checkpoint_epoch"] == 3
    assert metadata["calibration"]["temperature"] == 0.7
    assert set(metadata["outputs"]) == {
        "logits",
        "values",
        "confidence",
        "probabilities",
        "spans",
        "sure",
    }
    assert not metadata["notes"]


def test_a_run_that_averages_moved_images_says_that_this_is_left_out():
    moved = network("multihead")
    moved.run.config.evaluation.shift = 1
    (note,) = export.reader_of(moved).metadata["notes"]
    assert "moved by up to 1 px" in note


def test_the_same_network_gives_the_same_bytes():
    here = network("logistic")
    for make in export.FORMATS.values():
        assert make(export.reader_of(here)) == make(export.reader_of(here))


def test_a_program_does_not_say_from_which_files_it_comes():
    name = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, name)
    jax.config.update(name, 10)  # as users have it
    try:
        files = export.FORMATS["stablehlo"](export.reader_of(network("logistic")))
        assert getattr(jax.config, name) == 10
    finally:
        jax.config.update(name, before)
    assert not [file for file, content in files.items() if b"mnist3/models" in content]


@pytest.mark.parametrize(
    ("loader", "format", "library"),
    [("load_stablehlo.py", "stablehlo", "jax"), ("load_onnx.py", "onnx", "onnxruntime")],
)
def test_the_loaders_need_one_library_alone(loader, format, library, tmp_path):
    here = network("multihead")
    for file, content in export.FORMATS[format](export.reader_of(here)).items():
        (tmp_path / file).write_bytes(content)
    images = images_of(here, 2)
    np.save(tmp_path / "images.npy", images)
    code = (
        "import runpy, sys\n"
        f"sys.modules['mnist3'] = sys.modules['flax'] = None\n"
        f"sys.argv = ['{loader}', 'images.npy']\n"
        f"runpy.run_path('{loader}', run_name='__main__')\n"
        f"assert '{library}' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    assert f"values {here.predict(images).values.tolist()}" in done.stdout
    assert len((tmp_path / loader).read_text().splitlines()) <= 35


def model_of(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    traced = jax.make_jaxpr(function)(*arguments)
    return onnx_model.model_of(traced, [f"x{n}" for n in range(len(shapes))], ["y"])


def test_an_operation_without_translation_is_named():
    with pytest.raises(UserError, match="the network computes erf_inv, which is not translated"):
        model_of(jax.lax.erf_inv, (3,))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jax.lax.conv_general_dilated(x, x, (1, 1), 2 * [(0, 0)], (2, 2)),
        lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 1, 2), (1,) * 4, "SAME"),
        lambda x: jax.lax.pad(x, 0.0, [(0, 0, 1)] + 3 * [(0, 0, 0)]),
    ],
)
def test_an_operation_used_in_another_way_is_named(function):
    with pytest.raises(UserError, match=r"the network computes .* with .*not translated"):
        model_of(function, (3, 3, 3, 3))


def test_sizes_that_are_no_sums_are_refused():
    (size,) = jax.export.symbolic_shape("a")
    with pytest.raises(UserError, match="floordiv"):
        model_of(lambda x: jnp.broadcast_to(x[:1], (x.shape[0] // 2,)), (size,))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.cumsum(x, axis=1)[:, ::-1],
        lambda x: jnp.log1p(jnp.abs(x)) + jax.nn.sigmoid(x) - jnp.tanh(x) * jax.lax.rsqrt(x**2 + 1),
        lambda x: jnp.round(x * 10) % 3,
        lambda x: jnp.where(jnp.isfinite(x) & ~(x > 0), jnp.clip(x, -0.5, 0.5), jnp.sqrt(x)),
        lambda x: jnp.stack([x.min(axis=1), x.prod(axis=1)], axis=1),
        lambda x: jax.lax.top_k(x, 2)[0] + jax.lax.top_k(x, 2)[1],
        lambda x: jnp.pad(x, ((1, 2), (0, 3)))[:, 1::2] + x[1:].sum(),
        lambda x: jnp.take_along_axis(x, jnp.argmax(x, axis=1)[:, None], axis=1),
        lambda x: jnp.take_along_axis(x, jnp.full_like(x, 9, jnp.int32), axis=1),  # not a number
        lambda x: jax.vmap(lambda row, at: jax.lax.dynamic_slice_in_dim(row, at, 2))(
            x, x.argmax(axis=1)
        ),
        lambda x: x[:, x[0].argmax()],
        lambda x: jnp.einsum("bi,bj->bij", x, x) + jnp.arange(4.0) + jnp.arange(x.shape[0])[0],
        lambda x: jax.lax.scan(lambda c, row: (c + row, c * row), x[0], x, reverse=True)[1],
        lambda x: jnp.broadcast_to(x.sum(axis=0), x.shape),
    ],
)
def test_operations_give_what_jax_gives(function):
    batch, _ = jax.export.symbolic_shape("batch, 4", constraints=("batch >= 2",))
    model = model_of(lambda x: function(x).astype(jnp.float32), (batch, 4))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for n in (2, 5):
        x = np.random.default_rng(n).normal(0, 1, (n, 4)).astype(np.float32)
        (found,) = session.run(None, {"x0": x})
        np.testing.assert_allclose(found, function(x), rtol=1e-5, atol=1e-5)


def test_formats_are_checked(monkeypatch):
    export.require_formats(("stablehlo", "onnx"))
    with pytest.raises(UserError, match="did you mean 'onnx'"):
        export.require_formats(("stablehlo", "onx"))
    with pytest.raises(UserError, match="names no format"):
        export.require_formats(())
    monkeypatch.setattr(onnx_file.importlib.util, "find_spec", lambda name: None)
    export.require_formats(("stablehlo",))
    with pytest.raises(UserError, match="pip install onnx"):
        export.require_formats(("onnx",))
