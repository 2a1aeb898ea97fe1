"""Which form an operation takes: the fastest of the platform, or XLA's own, which all have."""

import contextlib
import contextvars
from collections.abc import Iterator

_PLAIN = contextvars.ContextVar("plain", default=False)


@contextlib.contextmanager
def plain_operations() -> Iterator[None]:
    """Lets the operations of this package be XLA's own wherever the block traces a function.

    They compute the same, to rounding, and are what other programs know: no form depends on the
    platform, and sizes may be symbolic (`jax.export.symbolic_shape`). What was traced and cached
    before stays as it is, so trace a function of your own.
    """
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


def is_plain() -> bool:
    """Tells whether the operations are to be XLA's own."""
    return _PLAIN.get()
