"""Writing files so that they are whole or not there."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import IO, Any


@contextlib.contextmanager
def replacing(path: str | os.PathLike, mode: str = "w", **options: Any) -> Iterator[IO]:
    """Opens a file for writing that takes the place of `path` once the block has ended well."""
    target = os.path.realpath(path)
    partial = f"{target}.{os.getpid()}.partial"
    try:
        with open(partial, mode, **options) as file:
            yield file
        os.replace(partial, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)


def remove_partial(folder: str | os.PathLike) -> None:
    """Removes what `replacing` had not ended in a folder when its process was killed."""
    for path in pathlib.Path(folder).glob("*.[0-9]*.partial"):
        if path.is_file():
            path.unlink(missing_ok=True)
