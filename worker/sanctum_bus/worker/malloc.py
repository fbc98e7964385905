"""Returns memory to the operating system after a run has caught up."""

import ctypes
from collections.abc import Callable
from functools import cache


def trim() -> None:
    """Return free memory to the operating system, if the C library can: large replies leave gaps between live objects."""
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    # glibc has malloc_trim; musl and macOS do not.
    found: Callable[[int], object] = getattr(ctypes.CDLL(None), "malloc_trim", int)
    return found
