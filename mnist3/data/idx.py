"""The format of MNIST's files and of those made after it: IDX under gzip.

The format is described on the MNIST page, LeCun, Cortes and Burges,
http://yann.lecun.com/exdb/mnist/: a magic number (0, 0, type code, dimensions), the size of each
dimension as a big-endian int32, then the values.
"""

import gzip
import hashlib
import io
import math
import zlib

import numpy as np
from jaxtyping import UInt8

MNIST_FILES = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}

_GZIP_MAGIC = b"\x1f\x8b"
_UINT8_CODE = 8
_CHUNK_BYTES = 1 << 20


def _read_at_most(file: gzip.GzipFile, n: int) -> bytes:
    """Returns what is left of a file, or so many bytes: few may unpack to any number."""
    parts = []
    while n > 0 and (part := file.read(min(n, _CHUNK_BYTES))):
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def decode(data: bytes, sha256: str | None = None) -> UInt8[np.ndarray, "..."]:
    """Returns the array of a gzipped IDX file of unsigned bytes.

    Args:
        data: the whole compressed file.
        sha256: its expected checksum, in hex; without it the file's own one (CRC) alone counts.

    Returns:
        The read-only array, in the shape that the file's header states.

    Raises:
        ValueError: what is wrong with the file, as the end of a sentence that its name begins.
    """
    if not data.startswith(_GZIP_MAGIC):
        raise ValueError("is not a gzip file")
    found = hashlib.sha256(data).hexdigest()
    damaged = "has the wrong checksum" + (f" (sha256 {found}, expected {sha256})" if sha256 else "")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            magic = file.read(4)
            is_idx = len(magic) == 4 and magic[:3] == bytes([0, 0, _UINT8_CODE])
            sizes = file.read(4 * magic[3]) if is_idx else b""
            shape = tuple(np.frombuffer(sizes[: len(sizes) // 4 * 4], ">i4").tolist())
            n = math.prod(shape)
            content = _read_at_most(file, n + 1)  # to the end, if it fits, for the checksum
    except EOFError as error:
        raise ValueError("is truncated") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(damaged) from error
    if sha256 not in (None, found):
        raise ValueError(damaged)
    if not is_idx:
        raise ValueError("is not an IDX file of unsigned bytes")
    if len(shape) != magic[3] or min(shape, default=0) < 0 or len(content) != n:
        raise ValueError(f"does not hold the {shape} bytes that its IDX header states")
    return np.frombuffer(content, np.uint8).reshape(shape)
