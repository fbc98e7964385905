"""What signals do to a worker."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Never

from sanctum_bus.worker.supervisor import Worker


@contextmanager
def signals(worker: Worker) -> Iterator[Callable[[], bool]]:
    """Let SIGTERM and SIGINT stop a worker; a second one exits at once. Yields whether one came."""
    loop = asyncio.get_running_loop()
    told = False

    def on_signal() -> None:
        nonlocal told
        if told:
            _exit_now()
        told = True
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield lambda: told
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _exit_now() -> Never:
    os._exit(1)
