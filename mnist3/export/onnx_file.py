"""A reader as ONNX: its program as JAX traces it, each operation by those of ONNX."""

import importlib.util
import json
import pathlib

import jax

from mnist3.errors import UserError
from mnist3.export.reader import IMAGES, Reader

FILE, LOADER = "reader.onnx", "load_onnx.py"


def require_library() -> None:
    """Checks that the library is there.

    Raises:
        UserError: if not; says how to install it.
    """
    if importlib.util.find_spec("onnx") is None:
        raise UserError(
            "the format onnx needs the library onnx; install it with `pip install onnx`, or leave "
            "the format out with --formats=stablehlo,html."
        )


def files(reader: Reader) -> dict[str, bytes]:
    """Returns the file, and a program beside it that loads it with ONNX Runtime alone, by names.

    Raises:
        UserError: if the network computes something that has no translation.
    """
    from mnist3.export import onnx_model  # which imports onnx

    traced, outputs = jax.make_jaxpr(reader.read, return_shape=True)(reader.images)
    # The leaves of a dict are in the order of its names.
    model = onnx_model.model_of(traced, (IMAGES,), tuple(sorted(outputs)))
    entry = model.metadata_props.add()
    entry.key, entry.value = "metadata", json.dumps(reader.metadata, indent=2)
    loader = pathlib.Path(__file__).with_name(LOADER).read_bytes()
    return {FILE: model.SerializeToString(deterministic=True), LOADER: loader}
