import importlib.metadata
import os
import pathlib
import sys
import sysconfig
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnist3.training import kept


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Programs are kept in this folder; `sources` is a file that they are made from."""
    sources = tmp_path / "step.py"
    sources.write_text("scale = 2")
    monkeypatch.setattr(kept, "_kept", [])
    kept._sources.cache_clear()
    kept.keep(str(tmp_path / "programs"), [str(sources)])
    yield tmp_path / "programs"
    kept._sources.cache_clear()


def edit(text):
    pathlib.Path(kept._kept[0].sources[0]).write_text(text)
    kept._sources.cache_clear()  # which a process reads once


def program_of(scale, traced):
    def function(state, step):
        traced.append(scale)
        return {"sum": state["sum"] * scale + step}

    return jax.jit(function, donate_argnums=0)


def call(scale, traced, about="a step"):
    arguments = {"sum": jnp.arange(3.0)}, np.float32(1)
    return np.asarray(
        kept.compiled(program_of(scale, traced), about, *arguments)(*arguments)["sum"]
    )


def test_a_kept_program_is_not_traced_again_and_gives_the_same(folder):
    traced = []
    first = call(2, traced)
    assert traced == [2]
    assert (call(2, traced) == first).all()
    assert (first == [1, 3, 5]).all()
    assert traced == [2]


def test_a_step_that_was_edited_gives_the_new_result(folder):
    traced = []
    call(2, traced)
    edit("scale = 3")
    assert (call(3, traced) == [1, 4, 7]).all()
    assert traced == [2, 3]


def test_another_version_of_a_library_is_another_program(folder, monkeypatch):
    """Muon is Optax's and may change with it."""
    traced = []
    call(2, traced)
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "9" if name == "optax" else version(name)
    )
    kept._environment.cache_clear()
    call(2, traced)
    kept._environment.cache_clear()
    assert traced == [2, 2]


def test_code_beside_the_libraries_of_the_system_counts(folder, tmp_path, monkeypatch):
    """Where Python lies in /usr, its prefix holds more than libraries."""
    app = types.ModuleType("app")
    app.__file__ = str(tmp_path / "src" / "app.py")
    pathlib.Path(app.__file__).parent.mkdir()
    pathlib.Path(app.__file__).write_text("1")
    monkeypatch.setitem(sys.modules, "app", app)
    paths = sysconfig.get_paths()
    monkeypatch.setattr(sysconfig, "get_paths", lambda: paths | {"data": str(tmp_path)})
    before = kept._sources()
    pathlib.Path(app.__file__).write_text("2")
    kept._sources.cache_clear()
    assert kept._sources() != before


def test_sources_that_make_the_same_program_find_it_and_need_no_tracing_again(folder):
    traced = []
    call(2, traced)
    before = {path.name for path in folder.iterdir()}
    edit("scale = 1 + 1")
    call(2, traced)
    assert traced == [2, 2]
    [pointer] = {path.name for path in folder.iterdir()} - before
    assert (folder / pointer).read_text() in before
    call(2, traced)
    assert traced == [2, 2]


@pytest.mark.parametrize("about", ["another step"])
def test_another_config_is_another_program(folder, about):
    traced = []
    call(2, traced)
    assert (call(4, traced, about) == [1, 5, 9]).all()


def test_shapes_types_and_devices_are_of_the_key(folder):
    program = kept.Program(jax.jit(lambda x: x.sum()), "a sum")
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("data",))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    for array in (
        np.ones(3, np.float32),
        np.ones(4, np.float32),
        np.ones(4, np.int32),
        jax.device_put(np.ones(4, np.int32), everywhere),
    ):
        found = program(array)
        assert found == array.sum() and found.dtype == array.dtype
    assert len(program._compiled) == 4


def test_static_arguments_are_of_the_key(folder):
    program = jax.jit(lambda x, n: x[:n], static_argnums=1)
    x = jnp.arange(4)
    for n in (1, 2, 1):
        assert kept.compiled(program, "first", x, static=(n,))(x).shape == (n,)


def test_a_damaged_file_is_compiled_anew(folder):
    traced = []
    first = call(2, traced)
    for path in folder.iterdir():
        path.write_bytes(b"damaged")
    assert (call(2, traced) == first).all()
    assert traced == [2, 2]


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(kept, "_kept", [])
    kept.keep(os.path.join(tmp_path, "file", "programs"))
    traced = []
    assert (call(2, traced) == call(2, traced)).all()
    assert traced == [2, 2]
    assert kept.text("a text", lambda: "made") == "made"


def test_a_text_is_made_once(folder):
    made = []
    for _ in range(2):
        assert kept.text("layers of a model", lambda: made.append(1) or "text") == "text"
    assert made == [1]
    assert kept.text("layers of another", lambda: "other") == "other"


def test_without_a_folder_programs_are_compiled_as_ever():
    traced = []
    call(2, traced)
    call(2, traced)
    assert traced == [2, 2]
    assert kept.Program(jax.jit(lambda x: x + 1), "one more")(1) == 2
