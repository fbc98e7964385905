"""Signals: the first SIGTERM or SIGINT stops a command in good order, the second ends it at once."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never

#: Exit status of a command that a signal stopped before it was done.
INTERRUPTED = 130

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Stopped(BaseException):
    """A signal requested the command to stop. Not an Exception, so that handlers of errors do not catch it."""


@contextmanager
def until_signal() -> Iterator[None]:
    """Leave the block at the first SIGTERM or SIGINT. For blocks without an event loop."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        for number in old:
            signal.signal(number, signal.SIG_DFL)
        raise _Stopped

    old = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in old:
        signal.signal(number, on_signal)
    try:
        yield
    except _Stopped:
        return
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def stop_on_signal(stop: Callable[[], object]) -> Iterator[Callable[[], bool]]:
    """Call a function at the first SIGTERM or SIGINT. For blocks inside a running event loop.

    Args:
        stop: makes the block end; the event loop calls it.

    Yields:
        A function that returns whether a signal has arrived.
    """
    loop = asyncio.get_running_loop()
    old = {number: signal.getsignal(number) for number in _SIGNALS}
    stopped = False

    def on_signal() -> None:
        nonlocal stopped
        if stopped:
            _exit_now()
        stopped = True
        stop()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield lambda: stopped
    finally:
        for number, handler in old.items():
            loop.remove_signal_handler(number)
            # The event loop would leave the default handler behind.
            signal.signal(number, handler)


def _exit_now() -> Never:
    os._exit(1)
