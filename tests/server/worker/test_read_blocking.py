"""An idle owner waits for entries and reads them in one request: behind the wait, on the same connection."""

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
    """The read runs when the wait is over and not before: it has the entry that ended it, and that is pending."""
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
    """Nobody waits for what is there already; the read brings as many as it asks for."""
    side = side_of(server)
    told = side.add(plain(8))

    async def use(rig: Rig) -> Entries:
        _, _, in_flight = await rig.begin(2)
        return await rig.store.read_blocking(in_flight.ids[-1], 5)

    assert [raw_id.decode() for raw_id, _ in rigged(server, use, poll_timeout_ms=4_000)] == told[2:7]


def test_nothing_is_read_when_nothing_came(server: Server) -> None:
    """After its time a wait that was for nothing brings nothing, and leaves nothing pending."""
    side = side_of(server)
    side.add(plain(1))

    async def use(rig: Rig) -> Entries:
        _, _, in_flight = await rig.begin()
        return await rig.store.read_blocking(in_flight.ids[-1], 5)

    assert rigged(server, use, poll_timeout_ms=10) == []
    assert side.pending() == 1


def test_a_lost_group_is_noticed(server: Server) -> None:
    """A read that has no group any more starts the run over, whether the wait was for something or not."""
    side = side_of(server)
    side.add(plain(1))

    async def use(rig: Rig) -> None:
        await rig.begin()
        side.redis.xgroup_destroy(side.keys.events, GROUP)
        with pytest.raises(RestartRun, match="NOGROUP"):
            await rig.store.read_blocking("0-0", 5)

    rigged(server, use)


def test_a_wait_that_is_given_up_reads_nothing(server: Server) -> None:
    """Whoever is told to stop leaves what comes later to the next owner: nothing is delivered to nobody."""
    side = side_of(server)
    side.add(plain(1))

    async def use(rig: Rig) -> None:
        _, _, in_flight = await rig.begin()
        waiting = asyncio.create_task(rig.store.read_blocking(in_flight.ids[-1], 5))
        await _when_waiting(side, "it waits")
        waiting.cancel()
        await asyncio.wait({waiting})
        gone = "the server has noticed"
        await asyncio.to_thread(wait_until, lambda: not _is_waited_for(side), gone, 3.0)
        await asyncio.to_thread(side.add, plain(1, first=2))

    rigged(server, use, poll_timeout_ms=4_000)

    assert side.pending() == 1


def test_a_wait_that_is_refused_is_trouble(server: Server) -> None:
    """Where the server does not let it wait it says so, and does not ask again and again."""
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
    """The order to stop ends what is waited for, and nothing more once that has ended, whichever comes first."""
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
