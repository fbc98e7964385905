"""End to end: publishers, a worker and readers, while servers fail."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol, cast

from sanctum_bus import Publisher
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.reader import AsyncReader, Reader
from sanctum_bus.worker.settings import load
from sanctum_bus.worker.supervisor import Worker
from tests.support.paths import ROOT
from tests.support.waiting import wait_until
from tests.support.worker_rig import Side, assert_is_fold

#: The ACL file of the project.
USERS = ROOT / "config" / "users.acl"

#: The users of that file, in the form of a URL.
PUBLISHER, WORKER, READER = (f"{name}:change-me-{name}" for name in ("publisher", "worker", "reader"))

#: Seconds that a busy machine may take to recover.
PATIENCE_S = 40.0


class Start(Protocol):
    """The type of the fixture `start`."""

    def __call__(self, make: Any, *arguments: Any, **options: Any) -> Any:
        """Start servers that end with the test."""
        ...


@contextmanager
def working(url: str, **settings: object) -> Iterator[Worker]:
    """Run a worker in a separate thread; an error that ends the worker fails the test."""
    quick: dict[str, object] = {
        "poll_timeout_ms": 100,
        "heartbeat_interval_s": 0.1,
        "scan_interval_s": 0.5,
        "log_level": "error",
    }
    failures: list[BaseException] = []
    started = threading.Event()
    parts: list[Any] = []

    async def work() -> None:
        worker = Worker(load(**(quick | settings | {"redis_url": url})))
        parts[:] = [worker, asyncio.get_running_loop()]
        started.set()
        await worker.run()

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:  # noqa: BLE001  # asserted at the end of the block
            failures.append(error)
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield parts[0]
    finally:
        parts[1].call_soon_threadsafe(parts[0].stop)
        thread.join()
    assert failures == []


class Feed:
    """A publisher that numbers its events from 0.

    Args:
        url: URL of the servers.
        run_id: ID of the run.
    """

    def __init__(self, url: str, run_id: str) -> None:
        self.run = RunKeys(run_id)
        self.publisher = Publisher(run_id, url=url, linger_s=0.001, batch_events=20)
        self.emitted = 0

    def send(self, count: int = 50) -> None:
        """Emit more events."""
        for number in range(self.emitted, self.emitted + count):
            self.publisher.emit({"event_type": "X", "data": {"n": number}})
        self.emitted += count

    def arrive(self) -> None:
        """Wait until the servers have accepted all events."""
        wait_until(lambda: self.publisher.flush(1.0), f"run {self.run.run_id} is sent", PATIENCE_S)

    def finish(self) -> None:
        """Close the publisher, which publishes an end-of-stream marker."""
        self.arrive()
        self.publisher.close(PATIENCE_S)


@contextmanager
def feeding(url: str, *run_ids: str) -> Iterator[list[Feed]]:
    """Yield a publisher for each run."""
    feeds = [Feed(url, run_id) for run_id in run_ids]
    try:
        yield feeds
    finally:
        for feed in feeds:
            feed.publisher.close(0)


def last_number(url: str, run_id: str) -> int:
    """Return the number of the last folded event, from a snapshot; -1 if there is none."""
    with Reader(url) as reader:
        return int(reader.snapshot(run_id).sections.get("event:X", {}).get("n", -1))


class Following:
    """A reader that follows a run in a thread.

    Args:
        url: URL of the servers.
        run_id: ID of the run.
        kind: `sync` or `async`.
    """

    def __init__(self, url: str, run_id: str, kind: str) -> None:
        self._url = url
        self._run_id = run_id
        self.seen: list[int] = []
        self.error: BaseException | None = None
        self.until: int | None = None
        self._thread = threading.Thread(target=self._follow if kind == "sync" else self._follow_async)
        self._thread.start()
        # Only the first read is not retried.
        wait_until(lambda: self.seen or self.error, "the follower has a snapshot", PATIENCE_S)

    def finish(self, feed: Feed) -> None:
        """Publish until the follower has an event that was emitted after this call."""
        self.until = feed.emitted

        def is_done() -> bool:
            feed.send(1)
            return not self._thread.is_alive()

        wait_until(
            is_done, f"the follower has event {self.until}; its last one is {self.seen[-1:]}", PATIENCE_S
        )
        if self.error is not None:
            raise self.error

    def _take(self, view: Any) -> bool:
        self.seen.append(view.sections.get("event:X", {}).get("n", -1))
        return self.until is not None and self.seen[-1] >= self.until

    def _follow(self) -> None:
        try:
            with Reader(self._url) as reader, closing(reader.follow(self._run_id, poll_s=0.2)) as views:
                any(self._take(view) for view in views)
        except BaseException as error:  # noqa: BLE001  # raised by `finish`
            self.error = error

    def _follow_async(self) -> None:
        async def follow() -> None:
            async with AsyncReader(self._url) as reader:
                async for view in reader.follow(self._run_id, poll_s=0.2):
                    if self._take(view):
                        break

        try:
            asyncio.run(follow())
        except BaseException as error:  # noqa: BLE001  # raised by `finish`
            self.error = error


def numbers(client: Any, run: RunKeys) -> list[int]:
    """Return the sequence numbers of the entries in a stream, in order."""
    rows = cast("list[Any]", client.xrange(run.events))
    return [int(fields[b"seq"]) for _, fields in rows if fields[b"type"] == b"X" and b"seq" in fields]


def assert_folded(client: Any, feed: Feed) -> None:
    """Assert that the snapshot is the fold of the stream, and no event is folded twice."""
    side = Side(client, feed.run)
    stream = side.stream
    wait_until(
        lambda: side.checkpoint() == stream()[-1][0],
        f"run {feed.run.run_id} is folded to its end",
        PATIENCE_S,
    )
    assert_is_fold(side)
    distinct = len(set(numbers(client, feed.run)))
    assert side.sections()["event:X"][b"count"] == str(distinct).encode()
