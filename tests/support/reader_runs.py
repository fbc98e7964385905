"""Runs for the tests of readers: entries that the test adds to streams, and workers that fold them."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Queue
from typing import Any

import pytest
from redis import Redis

from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.reader import Snapshot
from sanctum_bus.worker.settings import Settings, load
from sanctum_bus.worker.supervisor import Worker
from tests.support.readers import Shell
from tests.support.servers import Server
from tests.support.waiting import wait_until

#: Seconds after which a follower without the expected change fails its test.
PATIENCE_S = 20.0

#: The run of most tests.
RUN = "r"


class Training:
    """One run: its producer and its workers."""

    def __init__(self, server: Server, run: str = RUN) -> None:
        self.server = server
        self.keys = RunKeys(run)
        self.client: Redis = server.client()

    def emit(self, event_type: str, data: dict[str, Any] | None = None, at: str = "*", **more: Any) -> str:
        """Add one event to the stream, and return its ID."""
        event = {"data": data or {}, **more}
        return self.add(at, {"type": event_type, "json": json.dumps(event)})

    def add(self, at: str, fields: Mapping[Any, str | bytes]) -> str:
        """Add an entry with any fields to the stream, and return its ID."""
        flat = [item for pair in fields.items() for item in pair]
        entry_id: bytes = self.client.execute_command("XADD", self.keys.events, at, *flat)
        return entry_id.decode()

    def seeds(self, count: int) -> None:
        """Add events that each make one line of the log, with the IDs `1-0`, `2-0`, ..., in one request."""
        with self.client.pipeline(transaction=False) as pipe:
            for number in range(1, count + 1):
                event = json.dumps({"slot_id": "s", "data": {"env_id": 0}})
                flat = ("type", "SEED_GERMINATED", "json", event)
                pipe.execute_command("XADD", self.keys.events, f"{number}-0", *flat)
            pipe.execute()

    def tick(self, kind: str = "a", at: str = "*") -> str:
        """Add an event that increments the count of one section."""
        return self.emit("TICK", {"kind": kind}, at)

    def seed(self, slot: str, at: str = "*", env_id: int = 0) -> str:
        """Add an event that makes one line of the log."""
        return self.emit("SEED_GERMINATED", {"env_id": env_id, "blueprint_id": "conv"}, at, slot_id=slot)

    def fold(self) -> None:
        """Run a worker that acquires the run, folds its entries, and ends."""
        asyncio.run(Worker(_settings(self.server)).drain())

    @contextmanager
    def folding(self) -> Iterator[None]:
        """Run a worker during the block: one acquisition, many commits."""
        ready: Queue[tuple[Worker, asyncio.AbstractEventLoop]] = Queue()

        async def work() -> None:
            worker = Worker(_settings(self.server))
            ready.put((worker, asyncio.get_running_loop()))
            await worker.run()

        thread = threading.Thread(target=lambda: asyncio.run(work()))
        thread.start()
        worker, loop = ready.get(timeout=10)
        try:
            yield
        finally:
            loop.call_soon_threadsafe(worker.stop)
            thread.join(20)
            assert not thread.is_alive()


def folded(reader: Shell, version: str) -> Snapshot:
    """Wait until the last entry is folded, and return the snapshot."""
    wait_until(lambda: reader.snapshot(RUN).version == version, f"{version} is folded")
    return reader.snapshot(RUN)


def ticks(view: Snapshot) -> dict[str, int]:
    """Return the counts of ticks in a snapshot, by kind."""
    prefix = "event:TICK."
    counts = {
        name.removeprefix(prefix): fields["count"]
        for name, fields in view.sections.items()
        if name.startswith(prefix)
    }
    return dict(sorted(counts.items()))


def until(views: Iterator[Snapshot], version: str) -> list[Snapshot]:
    """Return the snapshots up to the one with a version."""
    seen = []
    for view in views:
        seen.append(view)
        if view.version == version:
            return seen
    pytest.fail(
        f"version {version} never came; the last of {len(seen)} was {seen[-1].version if seen else None}"
    )


def _settings(server: Server) -> Settings:
    return load(redis_url=server.url, scan_interval_s=0.02, heartbeat_interval_s=0.02, poll_timeout_ms=20)
