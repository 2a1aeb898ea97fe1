"""Damaged copies of files: bytes of any format, and values of JSON texts."""

import json
import math
import random
from collections.abc import Callable
from typing import Any

EXTREMES = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\0\0\x40\0",
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -0.0, 1e308, math.nan, math.inf, 0.5),
    *("", "x", "0", "-1", "NaN", "\0", "\ud800", "é" * 100, "../..", "/dev/zero"),
    *([], {}, [[]], [None], [1, "a"], {"a": {"b": {}}}, [0] * 10_000),
)


def bytes_of(random_: random.Random, data: bytes) -> bytes:
    """Returns a damaged copy of a file of any format."""
    for _ in range(random_.choice((1, 1, 1, 2, 4))):
        data = random_.choice(_OF_BYTES)(random_, data)
    return data


def _flip_bits(random_: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(random_.choice((1, 2, 8, 64)) if data else 0):
        found[random_.randrange(len(found))] ^= 1 << random_.randrange(8)
    return bytes(found)


def _flip_bits_of_the_beginning(random_: random.Random, data: bytes) -> bytes:
    return _flip_bits(random_, data[:64]) + data[64:]


def _truncate(random_: random.Random, data: bytes) -> bytes:
    return data[: random_.randint(0, len(data))]


def _leave_out(random_: random.Random, data: bytes) -> bytes:
    start = random_.randint(0, len(data))
    return data[:start] + data[start + random_.choice((1, 4, 64, 1024)) :]


def _repeat(random_: random.Random, data: bytes) -> bytes:
    start = random_.randint(0, len(data))
    end = start + random_.choice((1, 16, 256))
    return data[:end] + data[start:end] * random_.choice((1, 3, 100)) + data[end:]


def _write_over(random_: random.Random, data: bytes) -> bytes:
    start, length = random_.randint(0, len(data)), random_.choice((1, 4, 32, 512))
    return data[:start] + random_.randbytes(length) + data[start + length :]


def _set_extremes(random_: random.Random, data: bytes) -> bytes:
    start, value = random_.randint(0, min(len(data), 512)), random_.choice(EXTREMES)
    length = random_.choice((1, 2, 4))
    return data[:start] + value[:length] + data[start + length :]


def _only_the_beginning_stays(random_: random.Random, data: bytes) -> bytes:
    return data[: random_.choice((0, 4, 8, 16, 64))] + random_.randbytes(
        random_.choice((0, 10, 1000, 20_000))
    )


_OF_BYTES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _flip_bits,
    _flip_bits_of_the_beginning,
    _truncate,
    _leave_out,
    _repeat,
    _write_over,
    _set_extremes,
    _only_the_beginning_stays,
)


def json_of(random_: random.Random, data: bytes) -> bytes:
    """Returns a JSON text whose values or names are odd; now and then one that is none."""
    if random_.random() < 0.25:
        return bytes_of(random_, data)
    if random_.random() < 0.02:
        return b"[" * 100_000
    value = json.loads(data)
    for _ in range(random_.choice((1, 1, 2, 5))):
        value = _odd(random_, value)
    return json.dumps(value).encode("utf-8", "surrogatepass")


def lines_of_json(random_: random.Random, data: bytes) -> bytes:
    """Returns a text with a JSON value a line, of which one is odd or gone."""
    lines = data.splitlines(keepends=True)
    place = random_.randrange(len(lines))
    return b"".join([*lines[:place], json_of(random_, lines[place]) + b"\n", *lines[place + 1 :]])


def _odd(random_: random.Random, value: Any) -> Any:
    """Returns a value of which a part, at any depth, is another, gone or new."""
    if not isinstance(value, dict | list) or not value or random_.random() < 0.15:
        return random_.choice(ODD_VALUES)
    names = list(value) if isinstance(value, dict) else list(range(len(value)))
    name, found = random_.choice(names), value.copy()
    action = random_.random()
    if action < 0.1:
        del found[name]
    elif action < 0.2 and isinstance(found, dict):
        found[random_.choice(("", "name", "kind", str(name) + "_"))] = random_.choice(ODD_VALUES)
    else:
        found[name] = _odd(random_, found[name])
    return found


def csv_of(random_: random.Random, data: bytes) -> bytes:
    """Returns a CSV text with odd cells, quotes, line ends and bytes."""
    if random_.random() < 0.4:
        return bytes_of(random_, data)
    lines = data.split(b"\n")
    for _ in range(random_.choice((1, 2, 10))):
        row = random_.randrange(len(lines))
        cells = lines[row].split(b",")
        cells[random_.randrange(len(cells))] = random_.choice(
            (
                *(b"", b'"', b'""', b"a,b", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"1e999", b"nan"),
                *(b"-", b" ", b"\r", b'"a\nb"', b";", b"\t", b"9" * 400, b"x" * 200_000),
                *(b"2020-02-30", "½".encode(), b"=1+1", b"inf", b"0x10", b"1_000"),
            )
        )
        lines[row] = b",".join(cells)
    return b"\n".join(lines)
