"""A network to take away: the files that other programs read with it, by format.

A format is a function from a `Reader` to the contents of files by their names, and a line in
`FORMATS`. What a network computes is traced once (`reader`), with XLA's own operations alone
(`mnist3.ops.plain_operations`).
"""

from collections.abc import Callable, Sequence

from mnist3.errors import UserError, nearest
from mnist3.export import onnx_file, page, stablehlo
from mnist3.export.reader import Reader, reader_of

__all__ = ["FORMATS", "Reader", "reader_of", "require_formats"]

FORMATS: dict[str, Callable[[Reader], dict[str, bytes]]] = {
    "stablehlo": stablehlo.files,
    "onnx": onnx_file.files,
    "html": page.files,
}
_REQUIREMENTS: dict[str, Callable[[], None]] = {"onnx": onnx_file.require_library}


def require_formats(names: Sequence[str]) -> None:
    """Checks the formats that are asked for, and that what they need is installed.

    Raises:
        UserError: if there is no such format, none is named, or a library is missing.
    """
    if not names:
        raise UserError(f"--formats names no format; give some of {','.join(FORMATS)}.")
    for name in names:
        if name not in FORMATS:
            raise UserError(
                f"--formats has {name!r}; did you mean {nearest(name, FORMATS)!r}? "
                f"The formats are {', '.join(FORMATS)}."
            )
        _REQUIREMENTS.get(name, lambda: None)()
