"""The n-th call with which a program changes its files fails.

What counts are the calls of mnist3's own modules, also through the standard library and filelock:
to open a file for writing, to write, to have it written (fsync), to rename, to make a folder and to
remove a name. Those of other libraries are not counted and never fail.
"""

import builtins
import io
import os
import sys
import sysconfig
from collections.abc import Callable
from typing import Any
from unittest import mock

import filelock

import mnist3

_OWN = tuple(os.path.dirname(str(module.__file__)) + os.sep for module in (mnist3, filelock))
_LIBRARY = sysconfig.get_path("stdlib") + os.sep
_SITE = os.sep + "site-packages" + os.sep
_PATCHED = {
    "fsync": ("fsync",),
    "rename": ("rename", "replace"),
    "mkdir": ("mkdir",),
    "unlink": ("unlink", "remove", "rmdir"),
    "write": ("posix_fallocate", "ftruncate", "truncate"),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Calls:
    """Counts the calls in a block, and lets one of them fail.

    Args:
        failing: which, counted from 1; 0 for none.
        number: the error that it fails with.

    Attributes:
        made: the calls of the block: what was called, and for what file.
    """

    def __init__(self, failing: int = 0, number: int = 0):
        self._failing, self._number = failing, number
        self.made: list[str] = []
        self._stack: list[Any] = []

    def __enter__(self) -> "Calls":
        patches = [
            mock.patch.object(os, name, self._wrapped(kind, getattr(os, name)))
            for kind, names in _PATCHED.items()
            for name in names
        ]
        patches.append(mock.patch.object(os, "open", self._os_open(os.open)))
        opening = self._open(io.open)
        patches += [mock.patch.object(module, "open", opening) for module in (builtins, io)]
        for each in patches:
            each.start()
        self._stack = patches
        return self

    def __exit__(self, *error: object) -> None:
        for each in reversed(self._stack):
            each.stop()

    def call(self, kind: str, what: object) -> None:
        """Counts a call if it is one of ours, and fails if it is its turn."""
        if not _is_ours():
            return
        if isinstance(what, int):
            what = os.readlink(f"/proc/self/fd/{what}")
        self.made.append(f"{kind} {what}")
        if len(self.made) == self._failing:
            # The kernel's own errors have the name where there was one.
            raise OSError(
                self._number,
                os.strerror(self._number),
                *([] if kind in ("write", "fsync") else [what]),
            )

    def _wrapped(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            self.call(kind, arguments[0])
            return function(*arguments, **options)

        return wrapper

    def _os_open(self, function: Callable[..., int]) -> Callable[..., int]:
        def wrapper(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & _WRITING:
                self.call("open", path)
            return function(path, flags, *arguments, **options)

        return wrapper

    def _open(self, function: Callable[..., Any]) -> Callable[..., Any]:
        calls = self

        class File(io.FileIO):
            def write(self, data: Any) -> int:
                calls.call("write", self.name)
                return super().write(data)

        def opening(
            file: Any,
            mode: str = "r",
            buffering: int = -1,
            encoding: str | None = None,
            errors: str | None = None,
            newline: str | None = None,
            closefd: bool = True,
            opener: Any = None,
        ) -> Any:
            options = (buffering, encoding, errors, newline, closefd, opener)
            if isinstance(file, int) or not set(mode) & set("wax+") or not _is_ours():
                return function(file, mode, *options)
            if opener is None:
                calls.call("open", file)
            raw = File(file, mode.replace("b", "").replace("t", ""), closefd, opener)
            if buffering == 0:
                return raw
            binary = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return binary if "b" in mode else io.TextIOWrapper(binary, encoding, errors, newline)

        return opening


def _is_ours() -> bool:
    """Tells whether the first of the callers that is not the standard library's is of mnist3."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        library = name.startswith((_LIBRARY, "<frozen")) and _SITE not in name
        if name != __file__ and not library:
            return name.startswith(_OWN)
        frame = frame.f_back
    return False
