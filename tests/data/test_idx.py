import gzip
import hashlib
import math
import struct

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as numpy_strategies

from mnist3.data import idx


def encode(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    return gzip.compress(header + array.tobytes())


def checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@hypothesis.given(
    numpy_strategies.arrays(np.uint8, numpy_strategies.array_shapes(min_dims=1, max_dims=3))
)
def test_decode_returns_what_was_encoded(array):
    data = encode(array)
    np.testing.assert_array_equal(idx.decode(data, checksum(data)), array, strict=True)


@hypothesis.given(strategies.data())
def test_any_changed_byte_is_noticed(data):
    original = encode(np.arange(200, dtype=np.uint8).reshape(2, 10, 10))
    changed = bytearray(original)
    position = data.draw(strategies.integers(0, len(changed) - 1))
    changed[position] ^= data.draw(strategies.integers(1, 255))
    with pytest.raises(ValueError, match=r"gzip|truncated|checksum"):
        idx.decode(bytes(changed), checksum(original))


@hypothesis.given(strategies.integers(2, 100))
def test_a_truncated_file_is_called_so(length):
    original = encode(np.arange(200, dtype=np.uint8))
    with pytest.raises(ValueError, match="is truncated"):
        idx.decode(original[:length], checksum(original))


@pytest.mark.parametrize("shape", [(1, 2), (2**31 - 1,) * 2, (-1, -2), (1,) * 200])
def test_no_more_is_unpacked_than_the_header_states(shape, monkeypatch):
    unpacked = []

    class Counted(gzip.GzipFile):
        def read(self, size=-1):
            found = super().read(size)
            unpacked.append(len(found))
            return found

    header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}i", *shape)
    content = gzip.compress(header + bytes(100_000))
    monkeypatch.setattr(gzip, "GzipFile", Counted)
    with pytest.raises(ValueError, match="does not hold"):
        idx.decode(content)
    assert sum(unpacked) <= len(header) + math.prod(shape) + 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"<html>", "not an IDX file"),
        (b"", "not an IDX file"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 1, 0, 0, 0, 0]), "not an IDX file of unsigned bytes"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 7]), r"does not hold the \(3,\) bytes"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 1, 7, 7]), r"does not hold the \(1,\) bytes"),
        (bytes([0, 0, 8, 1, 255, 255, 255, 255]), r"does not hold the \(-1,\) bytes"),
        (bytes([0, 0, 8, 200, 0, 0, 0, 1]), "does not hold"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(content, complaint):
    data = gzip.compress(content)
    with pytest.raises(ValueError, match=complaint):
        idx.decode(data, checksum(data))
