"""Runs with many entries wait for a slot to catch up; a run with few entries does not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

from sanctum_bus.connection import connect_async
from sanctum_bus.protocol.entry import Entries
from sanctum_bus.worker.metrics.health import stuck_loops
from sanctum_bus.worker.metrics.recorder import WorkerMetrics
from sanctum_bus.worker.run_loop import RunLoop
from sanctum_bus.worker.store import RunStore
from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.support.worker_rig import Side, assert_is_fold, plain, settings_of, side_of

#: Many entries are several batches. Few entries need no slot. The first read requests this number.
MANY = 3000
FEW = 20
FIRST = 128

PATIENCE_S = 10.0

_RUNS = ("r1", "r2", "r3")


async def _until(holds: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_until, holds, what, PATIENCE_S)


class Watched(RunStore):
    """A store that calls a function before each read."""

    look: Callable[[], object] = staticmethod(bool)

    async def read(self, count: int) -> Entries:
        """Call the function, then read."""
        self.look()
        return await super().read(count)


@asynccontextmanager
async def _loops(
    server: Server, slots: asyncio.Semaphore, metrics: WorkerMetrics
) -> AsyncIterator[tuple[dict[str, RunLoop], asyncio.Event]]:
    """Fold runs that share the slots, until the end of the block."""
    settings = settings_of(server, read_batch_size=500, commit_max_entries=1000)
    client, blocking, stop = connect_async(server.url), connect_async(server.url), asyncio.Event()
    loops = {
        run: RunLoop(
            run,
            Watched(client, blocking, side_of(server, run).keys, settings),
            settings,
            "me",
            catch_up_slots=slots,
            metrics=metrics.add_run(run),
        )
        for run in _RUNS
    }
    tasks = [asyncio.create_task(loop.run(stop)) for loop in loops.values()]
    try:
        yield loops, stop
    finally:
        stop.set()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*tasks)
        finally:
            await client.aclose()
            await blocking.aclose()


def _has_folded(side: Side, entries: int) -> bool:
    return side.checkpoint("entries") == str(entries)


def _have_read(loops: Iterable[RunLoop]) -> bool:
    return all(loop.session is not None and loop.session.ahead for loop in loops)


def _sides(server: Server) -> list[Side]:
    return [side_of(server, run) for run in _RUNS]


def test_a_run_with_few_entries_does_not_wait(valkey: Server) -> None:
    """While no slot is free, a run with few entries is folded; a run with many entries waits, and counts as healthy."""
    few, *others = _sides(valkey)
    for side in others:
        side.add(plain(MANY))
    few.add(plain(FEW))

    async def work() -> None:
        slots, metrics = asyncio.Semaphore(0), WorkerMetrics(stuck_s=0.0)
        async with _loops(valkey, slots, metrics) as (loops, _):
            await _until(partial(_has_folded, few, FEW), "the few entries are folded")
            waiting = [loops[run] for run in _RUNS[1:]]
            await _until(lambda: _have_read(waiting), "the others wait")

            assert [side.checkpoint("entries") for side in others] == ["0", "0"]
            assert not {f"run {run}" for run in _RUNS[1:]} & set(stuck_loops(metrics))

            slots.release()
            for side in others:
                await _until(partial(_has_folded, side, MANY), "the run has caught up")

    asyncio.run(work())

    for side in (few, *others):
        assert_is_fold(side)


def test_whoever_waits_holds_little(valkey: Server) -> None:
    """A run that shares the slots has committed what it has read before the next run gets a slot."""
    sides = _sides(valkey)
    for side in sides:
        side.add(plain(MANY))
    most: list[int] = []

    async def work() -> None:
        async with _loops(valkey, asyncio.Semaphore(1), WorkerMetrics()) as (loops, _):

            def look() -> None:
                holding = [loop.session for loop in loops.values() if loop.session]
                most.append(sum(len(one.in_flight.ids) + len(one.ahead) > FIRST for one in holding))

            for loop in loops.values():
                vars(loop.store)["look"] = look
            await _until(lambda: all(_has_folded(side, MANY) for side in sides), "all are folded")

    asyncio.run(work())

    assert max(most) == 1
    for side in sides:
        assert_is_fold(side)


def test_a_run_that_waits_ends_at_once_when_told(valkey: Server) -> None:
    """A run that waits for a slot stops at once: it commits what it has read, and leaves the rest to the next owner."""
    sides = _sides(valkey)
    for side in sides:
        side.add(plain(MANY))

    async def work() -> None:
        slots = asyncio.Semaphore(0)
        async with _loops(valkey, slots, WorkerMetrics()) as (loops, stop):
            await _until(lambda: _have_read(loops.values()), "all of them wait")
            stop.set()
        # The runs gave up their slots, too: the next waiter gets one.
        slots.release()
        async with asyncio.timeout(PATIENCE_S):
            await slots.acquire()

    asyncio.run(work())

    for side in sides:
        assert_is_fold(side, side.stream()[: int(side.checkpoint("entries"))])
