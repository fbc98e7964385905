"""An idle owner waits for entries and reads them in one request: the read follows the wait on the same connection."""

import asyncio
from functools import partial

import pytest
from redis.exceptions import NoPermissionError

from sanctum_bus.errors import RestartRun
from sanctum_bus.protocol.entry import Entries
from sanctum_bus.protocol.keys import GROUP
from sanctum_bus.worker.run_loop import cancel_when
from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.support.worker_rig import Rig, Side, plain, rigged, side_of


def _is_waited_for(side: Side) -> bool:
    return bool(side.redis.info("clients")["blocked_clients"] == 1)


async def _when_waiting(side: Side, what: str) -> None:
    await asyncio.to_thread(wait_until, partial(_is_waited_for, side), what, 10.0)


def test_what_comes_while_it_waits_is_read(server: Server) -> None:
    """The read runs when the wait is over and not before: it brings the entry that ended the wait, which is then pending."""
    side = side_of(server)
    side.add(plain(3))

    async def use(rig: Rig) -> tuple[Entries, list[str]]:
        _, _, in_flight = await rig.begin()
        waiting = asyncio.create_task(rig.store.read_blocking(in_flight.ids[-1], 10))
        await _when_waiting(side, "it waits")
        told = await asyncio.to_thread(side.add, plain(1, first=3))
        return await waiting, told

    found, told = rigged(server, use, poll_timeout_ms=4_000)

    assert [raw_id.decode() for raw_id, _ in found] == told
    assert side.pending() == 4


def test_what_is_there_is_read_at_once(server: Server) -> None:
    """Entries that exist are read without waiting; the read brings as many as it requests."""
    side = side_of(server)
    told = side.add(plain(8))

    async def use(rig: Rig) -> Entries:
        _, _, in_flight = await rig.begin(2)
        return await rig.store.read_blocking(in_flight.ids[-1], 5)

    assert [raw_id.decode() for raw_id, _ in rigged(server, use, poll_timeout_ms=4_000)] == told[2:7]


def test_nothing_is_read_when_nothing_came(server: Server) -> None:
    """A wait that times out brings nothing, and leaves nothing pending."""
    side = side_of(server)
    side.add(plain(1))

    async def use(rig: Rig) -> Entries:
        _, _, in_flight = await rig.begin()
        return await rig.store.read_blocking(in_flight.ids[-1], 5)

    assert rigged(server, use, poll_timeout_ms=10) == []
    assert side.pending() == 1


def test_a_lost_group_is_noticed(server: Server) -> None:
    """A read without a group restarts the run, whether the wait found an entry or not."""
    side = side_of(server)
    side.add(plain(1))

    async def use(rig: Rig) -> None:
        await rig.begin()
        side.redis.xgroup_destroy(side.keys.events, GROUP)
        with pytest.raises(RestartRun, match="NOGROUP"):
            await rig.store.read_blocking("0-0", 5)

    rigged(server, use)


def test_a_wait_that_is_given_up_reads_nothing(server: Server) -> None:
    """A worker that stops leaves later entries to the next owner: nothing is delivered without a reader."""
    side = side_of(server)
    side.add(plain(1))

    async def use(rig: Rig) -> None:
        _, _, in_flight = await rig.begin()
        waiting = asyncio.create_task(rig.store.read_blocking(in_flight.ids[-1], 5))
        await _when_waiting(side, "it waits")
        waiting.cancel()
        await asyncio.wait({waiting})
        gone = "the server has closed the connection"
        await asyncio.to_thread(wait_until, lambda: not _is_waited_for(side), gone, 3.0)
        await asyncio.to_thread(side.add, plain(1, first=2))

    rigged(server, use, poll_timeout_ms=4_000)

    assert side.pending() == 1


def test_a_wait_that_is_refused_is_trouble(server: Server) -> None:
    """If the server refuses the wait, the error is raised, and the worker does not loop."""
    side = side_of(server)
    side.add(plain(1))

    async def use(rig: Rig) -> None:
        _, _, in_flight = await rig.begin()
        side.redis.execute_command("ACL", "SETUSER", "default", "-xread")
        try:
            with pytest.raises(NoPermissionError, match="xread"):
                await rig.store.read_blocking(in_flight.ids[-1], 5)
        finally:
            side.redis.execute_command("ACL", "SETUSER", "default", "+xread")

    rigged(server, use)


def test_a_wait_and_the_order_to_stop_may_end_in_the_same_turn() -> None:
    """The stop ends the wait, and nothing after the wait has ended, whichever comes first."""
    troubles: list[dict[str, object]] = []

    async def turns(count: int) -> bool:
        for _ in range(count):
            await asyncio.sleep(0)
        return True

    async def race(until_stop: int, until_found: int) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
        stopping = asyncio.create_task(turns(until_stop))
        async with cancel_when(stopping):
            await turns(until_found)
        await stopping
        await turns(5)

    for until_stop in range(6):
        for until_found in (*range(6), 1_000_000_000):
            asyncio.run(asyncio.wait_for(race(until_stop, until_found), 10))

    assert troubles == []
