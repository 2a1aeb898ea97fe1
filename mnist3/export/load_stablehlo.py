"""Reads images with reader.stablehlo; needs JAX alone: `python load_stablehlo.py images.npy`."""

import json
import pathlib
import sys
import zipfile

import jax
import numpy as np
from jax import export


def load(path):
    """Returns what reads uint8 images [batch, height, width], and what must be known of it."""
    with zipfile.ZipFile(path) as archive:
        metadata = json.loads(archive.read("metadata.json"))
    exported = export.deserialize(bytearray(pathlib.Path(path).read_bytes()))
    return jax.jit(exported.call), metadata


if __name__ == "__main__":
    read, metadata = load(pathlib.Path(__file__).with_name("reader.stablehlo"))
    for name, array in read(np.load(sys.argv[1])).items():
        print(name, np.asarray(array).tolist())
