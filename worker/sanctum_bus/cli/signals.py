"""Signals: the first one leaves in good order, a second one at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Exit status of a command that was told to stop before it was through.
INTERRUPTED = 130


class _Told(BaseException):
    """A signal said to stop. No error: what guards against errors must let it through."""


@contextmanager
def until_told() -> Iterator[None]:
    """Leave the block when SIGTERM or SIGINT comes; a second one ends the process at once."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        for number in old:
            signal.signal(number, signal.SIG_DFL)
        raise _Told

    old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in old:
        signal.signal(number, on_signal)
    try:
        yield
    except _Told:
        return
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
