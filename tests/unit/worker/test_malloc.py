"""A worker returns the memory that it needed to catch up."""

import ctypes
import subprocess
import sys

import pytest

from sanctum_bus.worker import malloc

#: Leaves 40 MB of gaps between small live objects, and prints how many bytes the operating system got back.
HOLES = """
import os
from sanctum_bus.worker.malloc import trim
def pages():
    return int(open("/proc/self/statm").read().split()[1])
held = []
for _ in range(400):
    held.append((bytes(100_000), bytes(1_000)))
held = [small for _, small in held]
before = pages()
trim()
print((before - pages()) * os.sysconf("SC_PAGE_SIZE"))
"""


@pytest.mark.skipif(malloc._trim() is int, reason="the C library has no malloc_trim")
def test_holes_are_given_back() -> None:
    """Free memory between live objects is returned to the operating system."""
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)

    assert int(done.stdout) > 20_000_000


def test_it_does_nothing_where_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the C library has no `malloc_trim`, nothing happens."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    malloc._trim.cache_clear()
    try:
        malloc.trim()
    finally:
        malloc._trim.cache_clear()
