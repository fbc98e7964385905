"""The standard streams of every command: open, and never the cause of a traceback.

A closed stream becomes the null device. A character that the output's encoding lacks becomes a question mark.
"""

import io
import os
import sys
from typing import Any

from sanctum_bus.errors import OutputFailed

_IN, _OUT, _ERR = 0, 1, 2


class _Output(io.FileIO):
    """Standard output, with an error class that distinguishes it from other files."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # The rest of the buffer would fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), _OUT)
            if isinstance(error, BrokenPipeError):
                raise
            raise OutputFailed(
                f"cannot write standard output: {error.strerror}; the output is incomplete"
            ) from error


class _Complaints(io.FileIO):
    """Standard error. If it cannot be written, the command continues without it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Replace the standard streams of this process. Call it once, before anything is opened."""
    _open_closed_ones()
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    sys.stdin = open(_IN, encoding=encoding, errors="replace", closefd=False)  # noqa: SIM115  # open for the whole process
    # One character for one, so that columns stay aligned.
    sys.stdout = _text(_Output(_OUT, "wb", closefd=False), encoding, "replace")
    sys.stderr = _text(_Complaints(_ERR, "wb", closefd=False), encoding, "backslashreplace")


def _open_closed_ones() -> None:
    """Open the null device for each closed stream; otherwise the next file or connection would get its number."""
    for number in (_IN, _OUT, _ERR):
        try:
            os.fstat(number)
        except OSError:
            # The system assigns the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _text(raw: io.FileIO, encoding: str, errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, newline="\n", line_buffering=True)
