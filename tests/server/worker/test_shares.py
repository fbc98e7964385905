"""Which runs a worker folds: what a scan found is not kept for ever, and an index that cannot be read stops no run."""

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


def following(server: Server, use: Callable[[Worker], Awaitable[None]], **given: object) -> None:
    """Let a worker follow all runs while a coroutine function has it in reach."""

    async def work() -> None:
        worker = Worker(settings_of(server, **given))
        task = asyncio.create_task(worker.follow())
        try:
            await use(worker)
        finally:
            worker.stop()
            await task

    asyncio.run(work())


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait without holding up the worker."""
    await asyncio.to_thread(wait_until, condition, what, 20.0)


def join(side: Side, worker: str) -> None:
    """Let a worker count as alive that does nothing."""
    side.redis.zadd(keys.workers(), {worker: int(time.time() * 1000) + 60_000})


def test_what_another_has_folded_since_is_not_kept(valkey: Server) -> None:
    """A run that a scan caught before its owner had folded it is forgotten with the next scan."""
    side = side_of(valkey)
    side.add(plain(3))

    async def use() -> list[set[str]]:
        worker = Worker(settings_of(valkey, scan_interval_s=1))
        await worker._scan()
        found = [worker._woken]
        await worker._scan()
        found.append(worker._woken)
        await asyncio.to_thread(drain, valkey)
        await worker._scan()
        found.append(worker._woken)
        await worker._end()
        return found

    assert asyncio.run(use()) == [{RUN}, {RUN}, set()]


def test_a_run_that_is_gone_takes_no_place(valkey: Server) -> None:
    """A loop over a run of which there is nothing ends at once, and makes room for one that is there."""
    side = side_of(valkey)

    async def use(worker: Worker) -> None:
        worker._woken = {"a", "b"}
        await until(lambda: len(worker.loops) == 1, "the place is taken")
        await asyncio.to_thread(side.add, plain(3))
        await until(lambda: side.checkpoint() == side.stream()[-1][0], "the run is folded")

    following(valkey, use, max_runs=1)

    assert_is_fold(side)


def test_a_run_whose_first_event_is_on_its_way_is_waited_for(valkey: Server) -> None:
    """What the index names is not gone: its loop waits for the stream."""
    side = side_of(valkey)

    async def use(worker: Worker) -> None:
        await worker._directory.touch(RUN)
        await until(lambda: RUN in worker.loops and worker.loops[RUN].is_gone, "it is looked for")
        loop = worker.loops[RUN]
        await asyncio.sleep(0.3)
        assert worker.loops[RUN] is loop

    following(valkey, use, scan_interval_s=0)
    assert not side.redis.exists(side.keys.checkpoint)


def test_a_loop_ends_when_the_run_is_another_s(server: Server) -> None:
    """It asks nothing more, and says that it has recovered only where it owns the run again."""
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
    """A worker lets go of what is another's now, without a loop that spins, and folds on what is its own."""
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
        await until(lambda: worker.loops.keys() == mine, "it keeps its own runs alone")
        own = [side for side in sides if side.keys.run_id in mine]
        for side in own:
            await asyncio.to_thread(side.add, plain(1, first=1))
        await until(lambda: all(side.checkpoint() == side.stream()[-1][0] for side in own), "they go on")
        before = commands(sides[0])
        await asyncio.sleep(1)
        assert commands(sides[0]) - before < 1000

    following(valkey, use, poll_timeout_ms=1000)


def commands(side: Side) -> int:
    """How many commands the server has executed."""
    return cast("int", side.redis.info("stats")["total_commands_processed"])


@pytest.mark.parametrize("how", ["begin", "wake"])
def test_a_scan_needs_no_index(valkey: Server, how: str) -> None:
    """Streams that nobody registered are found, and sleepers woken, where the index cannot be read."""
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
