"""How large the cache may grow, which is looked after when a job is done."""

import contextlib
import os

from absl import logging

from mnist3 import runtime
from mnist3.errors import UserError


def trim_cache() -> None:
    """Deletes what was not used for longest, until fits and programs are within their size.

    See `mnist3.runtime.cache_size`; where that is none, nothing is deleted and a warning says so.
    """
    try:
        limit = runtime.cache_size()
    except UserError as error:  # after a job, whose work is done
        logging.warning("%s", error)
        return
    with contextlib.suppress(OSError):  # another process may delete the same
        if _size(fits_folder()) > limit:
            import joblib  # which takes a while to import

            joblib.Memory(fits_folder(), verbose=0).reduce_size(bytes_limit=limit)
        folders = (os.path.join(runtime.cache_dir(), name) for name in ("compiled", "programs"))
        _trim_files([folder for folder in folders if os.path.isdir(folder)], limit)


def fits_folder() -> str:
    """Returns where all versions keep predictions of fitted estimators."""
    return os.path.join(runtime.cache_dir(), "fits")


def _size(folder: str) -> int:
    return sum(
        os.path.getsize(os.path.join(place, name))
        for place, _, names in os.walk(folder)
        for name in names
    )


def _trim_files(folders: list[str], limit: int) -> None:
    files = [entry for folder in folders for entry in os.scandir(folder) if entry.is_file()]
    files.sort(key=lambda entry: entry.stat().st_atime, reverse=True)
    size = 0
    for entry in files:
        size += entry.stat().st_size
        if size > limit:
            os.remove(entry.path)
