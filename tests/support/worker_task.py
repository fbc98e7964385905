"""A worker that runs beside a test: its log lines, and waiting for it."""

import asyncio
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import structlog

from sanctum_bus.worker.supervisor import Worker
from tests.support.faults import DEADLINE_S
from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.support.worker_rig import Side, settings_of

#: The log lines of a worker.
Lines = list[MutableMapping[str, Any]]

#: Settings to notice an unresponsive server soon, and to tolerate a busy machine.
_PATIENCE = {"socket_timeout_s": 1.0, "lease_s": 20.0}


@contextmanager
def at_work(server: Server, **given: object) -> Iterator[Lines]:
    """Run a worker over all runs in a separate thread; raise the error that ends it before the end of the context.

    The test keeps the main thread: a server that it starts ends with the thread that started it.
    """

    async def follow(told: "Future[Callable[[], object]]") -> None:
        worker, loop = Worker(settings_of(server, **(_PATIENCE | given))), asyncio.get_running_loop()
        told.set_result(lambda: loop.call_soon_threadsafe(worker.stop))
        await worker.run()

    stop: Future[Callable[[], object]] = Future()
    with structlog.testing.capture_logs() as lines, ThreadPoolExecutor(1) as pool:
        ended = pool.submit(lambda: asyncio.run(follow(stop)))
        try:
            yield lines
        finally:
            # A worker that has ended has no loop to be stopped, but a reason.
            with suppress(RuntimeError):
                stop.result(DEADLINE_S)()
            ended.result(DEADLINE_S)


def wait_for_words(lines: Lines, words: str, *events: str) -> None:
    """Wait until the worker has logged an error with some words, as one of these events or for one of these tasks."""
    wait_until(
        lambda: any(
            {line["event"], line.get("task")} & {*events} and words in line.get("error", "") for line in lines
        ),
        f"the worker logs one of {events} with {words!r}",
        DEADLINE_S,
    )


def wait_for_fold(side: Side) -> None:
    """Wait until every entry of the stream is folded."""
    last = side.stream()[-1][0]
    wait_until(lambda: side.checkpoint() == last, f"entry {last} is folded", DEADLINE_S)
