"""Memory that a worker needed to catch up, and needs no more."""

import ctypes
from collections.abc import Callable
from functools import cache


def trim() -> None:
    """Return free memory to the system, where the C library can: large replies leave holes between what stays."""
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    # glibc has it, musl and macOS do not.
    found: Callable[[int], object] = getattr(ctypes.CDLL(None), "malloc_trim", int)
    return found
