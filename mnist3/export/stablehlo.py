"""A reader as StableHLO: one program for CPUs, NVIDIA GPUs and TPUs, by `jax.export`."""

import io
import json
import pathlib
import zipfile

import jax

from mnist3.export.reader import Reader

FILE, LOADER = "reader.stablehlo", "load_stablehlo.py"
PLATFORMS = ("cpu", "cuda", "tpu")
METADATA = "metadata.json"


def files(reader: Reader) -> dict[str, bytes]:
    """Returns the file, and a program beside it that loads it with JAX alone, by their names.

    The file begins with what `jax.export.deserialize` reads, which looks at nothing behind it, and
    ends with a ZIP archive of the metadata, which is read from the end.
    """
    file = io.BytesIO(bytes(_exported(reader).serialize()))
    with zipfile.ZipFile(file, "a") as archive:
        entry = zipfile.ZipInfo(METADATA)  # of a fixed date, so that the same run gives same bytes
        archive.writestr(entry, json.dumps(reader.metadata, indent=2))
    loader = pathlib.Path(__file__).with_name(LOADER).read_bytes()
    return {FILE: file.getvalue(), LOADER: loader}


def _exported(reader: Reader) -> jax.export.Exported:
    """Returns the program without the lines of code that it comes from, and their paths."""
    name = "jax_traceback_in_locations_limit"
    limit = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        return jax.export.export(jax.jit(reader.read), platforms=PLATFORMS)(reader.images)
    finally:
        jax.config.update(name, limit)
