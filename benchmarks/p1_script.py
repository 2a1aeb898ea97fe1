"""P1 as a user's script: `python -m benchmarks.p1_script DATA_DIR SEED FOLDER`.

It imports NumPy and PyTorch, reads MNIST's four gzipped files from DATA_DIR, fits, evaluates, and
writes the test accuracy and the parameters into FOLDER: what whole commands are held against. It
reads the files by itself, so that no check of ours is on its clock.
"""

import gzip
import json
import pathlib
import sys
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int32, UInt8

from benchmarks.peers import fit_p1
from benchmarks.report import Report


class Part(NamedTuple):
    """The images of one part of MNIST, with their labels."""

    images: UInt8[np.ndarray, "n 28 28"]
    labels: Int32[np.ndarray, "n 1"]


def read_part(folder: pathlib.Path, part: str) -> Part:
    """Returns a part, `train` or `t10k`, from its two files."""
    images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    return Part(
        np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28).copy(),
        np.frombuffer(labels, np.uint8, offset=8).astype(np.int32)[:, None],
    )


def main(data_dir: str, seed: str, folder: str) -> None:
    """Fits P1, channels last, and leaves `accuracy.json` and `model.pt` in the folder."""
    data = pathlib.Path(data_dir)
    data = data / "mnist" if (data / "mnist").is_dir() else data
    train, test = read_part(data, "train"), read_part(data, "t10k")
    report = Report()
    model = fit_p1(train, test, int(seed), report, channels_last=True)
    torch.save(model.state_dict(), pathlib.Path(folder, "model.pt"))
    pathlib.Path(folder, "accuracy.json").write_text(json.dumps(report.curve[-1].accuracy))


if __name__ == "__main__":
    main(*sys.argv[1:])
