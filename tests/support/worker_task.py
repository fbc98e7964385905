"""A worker at work beside a test: what it says, and waiting for it."""

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

#: What a worker says, as it says it.
Lines = list[MutableMapping[str, Any]]

#: Settings that make it quick to notice a server that does not answer, and patient with a busy machine.
_PATIENCE = {"socket_timeout_s": 1.0, "lease_s": 20.0}


@contextmanager
def at_work(server: Server, **given: object) -> Iterator[Lines]:
    """Let a worker follow all runs, in a thread of its own; what ends it but the end of the context is raised there.

    The test keeps the main thread: a server that it starts again would go with any other.
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
            # A worker that has ended already has no loop to be told in, but a reason.
            with suppress(RuntimeError):
                stop.result(DEADLINE_S)()
            ended.result(DEADLINE_S)


def wait_for_words(lines: Lines, words: str, *events: str) -> None:
    """Wait until the worker has said something, as an event of one of these names, or of a work that failed."""
    wait_until(
        lambda: any(
            {line["event"], line.get("task")} & {*events} and words in line.get("error", "") for line in lines
        ),
        f"the worker says one of {events} with {words!r}",
        DEADLINE_S,
    )


def wait_for_fold(side: Side) -> None:
    """Wait until everything in the stream is folded."""
    last = side.stream()[-1][0]
    wait_until(lambda: side.checkpoint() == last, f"entry {last} is folded", DEADLINE_S)
