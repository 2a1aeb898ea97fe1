"""Compiled programs kept whole, so that a command that was run before neither traces nor compiles.

JAX's own cache knows a program by what tracing and lowering it give, which takes longer than a
small training. Here it is known by what it is made from: the sources of this package and of all
other code that is loaded but is no library, the versions of the libraries, the processor, the
devices, what the caller names (a config), and shapes, types and places of the arguments. Where that
key is new, the program is lowered, and a second key of its text finds what an earlier version of
the sources has compiled to the same program.

Programs are kept for a command that has the process for itself (`keep`), on CPUs. They are read as
pickles, from the user's own cache folder alone.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import pathlib
import pickle
import platform
import site
import sys
import sysconfig
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache import compilation_cache

from mnist3 import profiling, runtime
from mnist3.files import replacing

_PACKAGE = pathlib.Path(__file__).parent.parent
_SETTINGS = ("JAX_", "XLA_")  # what the names of variables begin with that change programs


class _Kept(NamedTuple):
    folder: str
    sources: tuple[str, ...]


_kept: list[_Kept] = []  # at most one


def keep(folder: str, sources: Sequence[str] = ()) -> None:
    """Has this process keep its programs.

    Args:
        folder: where; it is made when there is one to keep.
        sources: files with code that is run without being imported, as experiments are.
    """
    _kept[:] = [_Kept(folder, tuple(sources))]


def compiled(
    program: Any,
    about: str,
    *arguments: Any,
    static: tuple[Any, ...] = (),
    options: dict[str, Any] | None = None,
) -> Any:
    """Returns a compiled program, kept or compiled now.

    Args:
        program: what `jax.jit` returned.
        about: says all that the program is made from besides sources and arguments, and its name.
        arguments: to compile it for, without those that are static.
        static: the static arguments, which come last; the compiled program does not take them.
        options: of XLA.
    """
    if not _kept or jax.default_backend() != "cpu" or jax.process_count() > 1:
        return program.lower(*arguments, *static).compile(compiler_options=options)
    like = repr((about, static, options, *_described(arguments)))
    first = _path(_environment(), _sources(), like)
    with contextlib.suppress(OSError):
        second = os.path.join(_kept[0].folder, pathlib.Path(first).read_text())
        if (found := _read(second)) is not None:
            return found
    lowered = program.lower(*arguments, *static)
    second = _path(_environment(), like, lowered.as_text())
    found = _read(second)
    if found is None:
        found = _compile(lowered, options)
        _write(second, found)
    _put(first, os.path.basename(second).encode())
    return found


def text(about: str, make: Callable[[], str]) -> str:
    """Returns a text that takes as long to make as a program, kept or made now.

    Args:
        about: says all that it is made from besides sources, and its name.
        make: makes it.
    """
    if not _kept:
        return make()
    path = _path(_environment(), _sources(), about)
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        made = make()
        _put(path, made.encode())
        return made


class Program:
    """A program that is compiled, or found kept, for the arguments that it is called with.

    Args:
        program: what `jax.jit` returned, without static arguments.
        about: as for `compiled`.
    """

    def __init__(self, program: Callable[..., Any], about: str):
        self._program, self._about = program, about
        self._compiled: dict[str, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Returns what the program gives."""
        if not _kept:
            return self._program(*arguments)
        like = repr(_described(arguments))
        if like not in self._compiled:
            self._compiled[like] = compiled(self._program, self._about, *arguments)
        return self._compiled[like](*arguments)


def _described(arguments: Any) -> tuple[str, list[str]]:
    """Returns the structure of arguments, and shape, type and place of each array."""
    leaves, structure = jax.tree.flatten(arguments)
    return str(structure), [
        f"{jax.typeof(leaf)} {getattr(leaf, 'weak_type', '')} {getattr(leaf, 'sharding', '')}"
        for leaf in leaves
    ]


def _path(*parts: str) -> str:
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()
    return os.path.join(_kept[0].folder, digest)


@functools.cache
def _sources() -> str:
    """Returns a hash of the sources of this package, and of what else is loaded and no library."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    libraries = tuple(os.path.join(each, "") for each in folders | {*site.getsitepackages()})
    loaded = {str(getattr(module, "__file__", None) or "") for module in sys.modules.values()}
    own = {path for path in loaded if path.endswith(".py") and not path.startswith(libraries)}
    own = {path for path in own if os.path.isfile(path)}  # a module may name any text, as torch's
    own |= {str(path) for path in _PACKAGE.rglob("*.py")} | {*_kept[0].sources}
    digest = hashlib.sha256()
    for path in sorted(own):
        digest.update(hashlib.sha256(pathlib.Path(path).read_bytes()).digest())
    return digest.hexdigest()


@functools.cache
def _environment() -> str:
    """Returns what a program is compiled by and for."""
    processor = platform.processor()
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
        processor += str(
            [line for line in lines if line.startswith(("model", "flags", "Features"))]
        )
    settings = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_SETTINGS) and "CACHE" not in name
    }
    versions = [sys.version, *map(importlib.metadata.version, (*runtime.LIBRARIES, "jaxlib"))]
    return repr((versions, processor, str(jax.devices()), sorted(settings.items())))


def _compile(lowered: Any, options: dict[str, Any] | None) -> Any:
    """Compiles a program without JAX's cache: what comes from there cannot be written again."""
    before = getattr(jax.config, "jax_enable_compilation_cache", True)
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        return lowered.compile(compiler_options=options)
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()


@profiling.phase(profiling.LOADING)
def _read(path: str) -> Any:
    """Returns a program that was kept; None if it is not there or cannot be read."""
    try:
        with open(path, "rb") as file:
            devices, (content, inputs, outputs) = pickle.load(file)
        places = [device for device in jax.devices() if device.id in devices]
        return serialize_executable.deserialize_and_load(
            content, inputs, outputs, execution_devices=places
        )
    except Exception:  # whatever is wrong with the file: the program is compiled anew
        return None


def _write(path: str, program: Any) -> None:
    places = jax.tree.leaves((program.input_shardings, program.output_shardings))[0]
    devices = [device.id for device in places.device_set]
    try:
        content = pickle.dumps((devices, serialize_executable.serialize(program)))
    except (ValueError, NotImplementedError, TypeError):  # there are programs that cannot be
        return
    _put(path, content)


def _put(path: str, content: bytes) -> None:
    """Writes a file, and its folder; that it cannot be written is no reason to stop."""
    with contextlib.suppress(OSError):
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, "wb") as file:
            file.write(content)
