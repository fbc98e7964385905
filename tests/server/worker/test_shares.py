"""Which runs a worker folds: the result of a scan is replaced by the next, and an unreadable index stops no run."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
import structlog

from sanctum_bus.errors import RestartRun
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.keys import GROUP
from sanctum_bus.worker.assignment import share_of
from sanctum_bus.worker.supervisor import Worker
from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.support.worker_rig import (
    RUN,
    Rig,
    Side,
    assert_is_fold,
    drain,
    plain,
    rigged,
    settings_of,
    side_of,
)
from tests.support.worker_task import at_work, wait_for_fold, wait_for_words

NAMES = [f"r{number}" for number in range(12)]


def with_worker(server: Server, use: Callable[[Worker], Awaitable[None]], **given: object) -> None:
    """Run a worker while a coroutine function uses it."""

    async def work() -> None:
        worker = Worker(settings_of(server, **given))
        task = asyncio.create_task(worker.run())
        try:
            await use(worker)
        finally:
            worker.stop()
            await task

    asyncio.run(work())


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition without blocking the event loop of the worker."""
    await asyncio.to_thread(wait_until, condition, what, 20.0)


def join(side: Side, worker: str) -> None:
    """Add a live worker that does nothing."""
    side.redis.zadd(keys.workers(), {worker: int(time.time() * 1000) + 60_000})


def test_what_another_has_folded_since_is_not_kept(valkey: Server) -> None:
    """If another worker has folded a run since the last scan, the next scan drops it."""
    side = side_of(valkey)
    side.add(plain(3))

    async def use() -> list[set[str]]:
        worker = Worker(settings_of(valkey, scan_interval_s=1))
        await worker._scan()
        found = [worker._discovery.unread]
        await worker._scan()
        found.append(worker._discovery.unread)
        await asyncio.to_thread(drain, valkey)
        await worker._scan()
        found.append(worker._discovery.unread)
        await worker._shut_down()
        return found

    assert asyncio.run(use()) == [{RUN}, {RUN}, set()]


def test_a_run_that_is_gone_takes_no_place(valkey: Server) -> None:
    """The loop of a run without any keys ends at once, and another run takes its place below `max_runs`."""
    side = side_of(valkey)

    async def use(worker: Worker) -> None:
        worker._discovery.unread = {"a", "b"}
        await until(lambda: len(worker.loops) == 1, "a run without keys has a loop")
        await asyncio.to_thread(side.add, plain(3))
        await until(lambda: side.checkpoint() == side.stream()[-1][0], "the run is folded")

    with_worker(valkey, use, max_runs=1)

    assert_is_fold(side)


def test_a_run_whose_first_event_is_on_its_way_is_waited_for(valkey: Server) -> None:
    """The loop of a run in the index does not end: it waits for the stream."""
    side = side_of(valkey)

    async def use(worker: Worker) -> None:
        await worker._registry.mark_active(RUN)
        await until(lambda: RUN in worker.loops and worker.loops[RUN].is_gone, "the loop has found no stream")
        loop = worker.loops[RUN]
        await asyncio.sleep(0.3)
        assert worker.loops[RUN] is loop

    with_worker(valkey, use, scan_interval_s=0)
    assert not side.redis.exists(side.keys.checkpoint)


def test_a_loop_ends_when_the_run_is_another_s(server: Server) -> None:
    """The loop of a run that belongs to another worker ends, and logs a recovery only if it owns the run again."""
    side = side_of(server)
    side.add(plain(3))
    answers: list[bool] = []

    async def refuse(_: str) -> bool:
        if not answers:
            answers.append(True)
            raise RestartRun("load", "a fault of the moment")
        answers.append(False)
        return False

    async def use(rig: Rig) -> None:
        rig.loop.still_mine = refuse
        await asyncio.wait_for(rig.loop.run(rig.stop), 10)

    with structlog.testing.capture_logs() as lines:
        rigged(server, use, idle_timeout_s=3600)

    assert answers == [True, False]
    assert [line["event"] for line in lines] == ["run reloaded"]


def test_shares_change_where_the_index_cannot_be_read(valkey: Server) -> None:
    """A worker without a readable index releases the runs of others, keeps its own runs, and sends few commands."""
    sides = [side_of(valkey, name) for name in NAMES]
    for side in sides:
        side.add(plain(1))
    server = sides[0].redis

    async def use(worker: Worker) -> None:
        await until(lambda: server.zcard(keys.runs()) == len(sides), "all are folded")
        await asyncio.to_thread(server.rename, keys.runs(), "aside")
        await asyncio.to_thread(server.set, keys.runs(), "x")
        await asyncio.to_thread(join, sides[0], "idle")
        for side in sides:
            await asyncio.to_thread(server.xgroup_destroy, side.keys.events, GROUP)
        mine = share_of(worker.id, NAMES, {worker.id, "idle"})
        assert 0 < len(mine) < len(NAMES)
        await until(lambda: worker.loops.keys() == mine, "it keeps only its own runs")
        own = [side for side in sides if side.keys.run_id in mine]
        for side in own:
            await asyncio.to_thread(side.add, plain(1, first=1))
        await until(
            lambda: all(side.checkpoint() == side.stream()[-1][0] for side in own), "they are folded again"
        )
        before = commands(sides[0])
        await asyncio.sleep(1)
        assert commands(sides[0]) - before < 1000

    with_worker(valkey, use, poll_timeout_ms=1000)


def commands(side: Side) -> int:
    """The number of commands that the server has executed."""
    return cast("int", side.redis.info("stats")["total_commands_processed"])


@pytest.mark.parametrize("how", ["begin", "wake"])
def test_a_scan_needs_no_index(valkey: Server, how: str) -> None:
    """If the index is unreadable, a scan still finds unregistered streams and idle runs with new entries."""
    side = side_of(valkey)
    if how == "wake":
        side.add(plain(3))
        drain(valkey)
    side.redis.delete(keys.runs())
    side.redis.set(keys.runs(), "x")

    with at_work(valkey) as lines:
        wait_for_words(lines, "WRONGTYPE", "scan")
        side.add(plain(3, first=3))
        wait_for_fold(side)

    assert_is_fold(side)
