"""The standard streams as every command may count on them: open, and never the reason for a traceback.

One that was closed is the null device. What the encoding of the output lacks becomes a question mark.
"""

import io
import os
import sys
from typing import Any

from sanctum_bus.errors import OutputFailed

_IN, _OUT, _ERR = 0, 1, 2


class _Output(io.FileIO):
    """Standard output; an error of its own is told apart from those of other files."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # What is left in the buffer would fail once more at the end of the process.
            os.dup2(os.open(os.devnull, os.O_WRONLY), _OUT)
            if isinstance(error, BrokenPipeError):
                raise
            raise OutputFailed(
                f"standard output could not be written: {error.strerror}; what was printed is incomplete"
            ) from error


class _Complaints(io.FileIO):
    """Standard error; where it cannot be written nobody is there to hear of that, and the command goes on."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Replace the standard streams of this process; called once, before anything is opened."""
    _open_closed_ones()
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    sys.stdin = open(_IN, encoding=encoding, errors="replace", closefd=False)  # noqa: SIM115  # for good
    # Replaced one for one, so that columns stay where they are.
    sys.stdout = _text(_Output(_OUT, "wb", closefd=False), encoding, "replace")
    sys.stderr = _text(_Complaints(_ERR, "wb", closefd=False), encoding, "backslashreplace")


def _open_closed_ones() -> None:
    """Open the null device where a stream is closed: else the next file or connection would get its number."""
    for number in (_IN, _OUT, _ERR):
        try:
            os.fstat(number)
        except OSError:
            # The system gives the lowest number that is free, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _text(raw: io.FileIO, encoding: str, errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, newline="\n", line_buffering=True)
