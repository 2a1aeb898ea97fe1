"""Reads images with reader.onnx; needs ONNX Runtime alone: `python load_onnx.py images.npy`."""

import json
import pathlib
import sys

import numpy as np
import onnxruntime


def load(path):
    """Returns what reads uint8 images [batch, height, width], and what must be known of it."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["metadata"])

    def read(images):
        return dict(zip(names, session.run(names, {"images": images}), strict=True))

    return read, metadata


if __name__ == "__main__":
    read, metadata = load(pathlib.Path(__file__).with_name("reader.onnx"))
    for name, array in read(np.load(sys.argv[1])).items():
        print(name, array.tolist())
