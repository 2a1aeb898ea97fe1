import gzip
import hashlib
import pathlib
import struct

import numpy as np
import pytest

from mnist3.data import idx


@pytest.fixture
def tiny_mnist(tmp_path, monkeypatch) -> pathlib.Path:
    """A folder with four valid files, 30 training and 20 test images, that pass as MNIST's."""
    folder = tmp_path / "tiny_mnist"
    folder.mkdir()
    random = np.random.default_rng(0)
    checksums = {}
    for name in idx.MNIST_FILES:
        count = 30 if name.startswith("train") else 20
        shape = (count, 28, 28) if "images" in name else (count,)
        header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}i", *shape)
        data = gzip.compress(header + random.integers(0, 10, shape, np.uint8).tobytes())
        (folder / name).write_bytes(data)
        checksums[name] = hashlib.sha256(data).hexdigest()
    monkeypatch.setattr(idx, "MNIST_FILES", checksums)
    return folder
