"""A commit begins the wait for what comes next, in one request with it."""

import asyncio
from functools import partial
from typing import Any

import pytest

from sanctum_bus.accounts import Entries
from sanctum_bus.errors import Refused
from sanctum_bus.owned import More
from sanctum_bus.store import RunStore
from tests.servers import Server
from tests.waiting import wait_until
from tests.worker.harness import Rig, Side, assert_is_fold, plain, rigged, side_of

#: Events that come one after the other, each when the one before was committed.
ALONE = 20

#: Milliseconds of a wait that nothing ends: no test is so slow.
BLOCK_MS = 4_500


class Forgetting(RunStore):
    """A store whose server forgets all scripts before each commit."""

    async def commit(self, *given: Any, **named: Any) -> Entries:
        """Let the server forget, then commit."""
        await self._client.script_flush()
        return await super().commit(*given, **named)


async def _until(condition: Any, what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what, 10.0)


async def _until_nobody_waits(side: Side) -> None:
    await asyncio.to_thread(
        wait_until, lambda: _waiting(side) == 0, "the wait has ended early", BLOCK_MS / 2000
    )


def _waiting(side: Side) -> int:
    return int(side.redis.info("clients")["blocked_clients"])


def _calls(side: Side, command: str) -> int:
    return int(side.redis.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


def _is_folded(side: Side, told: list[str]) -> bool:
    return side.checkpoint() == told[-1]


async def _commit(rig: Rig) -> tuple[Entries, str]:
    aggregate, taken, held = await rig.begin()
    found = await rig.store.commit(aggregate, taken, taken.version, held, "", More(5, waits=True))
    return found, held.ids[-1]


@pytest.mark.parametrize("kind", [RunStore, Forgetting])
def test_the_wait_begins_with_the_commit(server: Server, kind: type[RunStore]) -> None:
    """The commit is known while the wait goes on; who waits next takes what ended it. A forgotten script changes nothing."""
    side = side_of(server)
    side.add(plain(3))

    async def use(rig: Rig) -> tuple[Entries, Entries, list[str]]:
        at_once, version = await _commit(rig)
        assert side.checkpoint() == version
        await _until(lambda: _waiting(side) == 1, "the wait has begun, and nobody has asked for it")
        told = await asyncio.to_thread(side.add, plain(2, first=3))
        return at_once, await rig.store.wait_and_read("0-0", 1), told

    at_once, found, told = rigged(server, use, kind=kind, block_ms=BLOCK_MS)

    assert at_once == []
    assert [raw_id.decode() for raw_id, _ in found][:1] == told[:1]
    assert side.pending() == len(found)


def test_a_wait_that_is_given_up_reads_nothing(server: Server) -> None:
    """Who stops waiting leaves what comes later to the next owner, and the next wait is a new one."""
    side = side_of(server)
    side.add(plain(3))

    async def use(rig: Rig) -> Entries:
        _, version = await _commit(rig)
        await rig.store.stop_waiting()
        await _until_nobody_waits(side)
        await asyncio.to_thread(side.add, plain(2, first=3))
        assert side.pending() == 0
        return await rig.store.wait_and_read(version, 1)

    assert len(rigged(server, use, block_ms=BLOCK_MS)) == 1
    assert side.pending() == 1


def test_a_refused_commit_leaves_nobody_waiting(server: Server) -> None:
    """Whoever takes the run over again gives up the wait that the refused commit has begun."""
    side = side_of(server)
    side.add(plain(3))

    async def use(rig: Rig) -> None:
        aggregate, taken, held = await rig.begin()
        side.redis.hset(side.keys.checkpoint, "generation", 77)
        with pytest.raises(Refused, match="generation"):
            await rig.store.commit(aggregate, taken, taken.version, held, "", More(5, waits=True))
        await rig.store.take_over("me", innocent=True)
        await _until_nobody_waits(side)

    rigged(server, use, block_ms=BLOCK_MS)


def test_a_run_that_is_lost_is_not_waited_for(server: Server) -> None:
    """A worker whose commit was refused, and whose the run is no more, takes nothing from the next owner."""
    side = side_of(server)
    first = side.add(plain(1))

    async def no(_: str) -> bool:
        return False

    async def use(rig: Rig) -> None:
        following = asyncio.ensure_future(rig.loop.follow(rig.stop))
        await _until(partial(_is_folded, side, first), "the first event is folded")
        await _until(lambda: _waiting(side) == 1, "the wait has begun")
        rig.loop.may_own = no
        side.redis.hset(side.keys.checkpoint, "generation", 77)
        await asyncio.to_thread(side.add, plain(1, first=1))
        await _until(lambda: rig.loop.owned is None, "the commit was refused")
        await _until_nobody_waits(side)
        rig.stop.set()
        await following

    rigged(server, use, block_ms=BLOCK_MS)


def test_an_event_that_comes_alone_costs_one_request(server: Server) -> None:
    """For each event that comes by itself the stream is waited for once and read once; a stop leaves no wait behind."""
    side = side_of(server)
    first = side.add(plain(1))

    async def use(rig: Rig) -> tuple[int, int]:
        told = first
        following = asyncio.ensure_future(rig.loop.follow(rig.stop))
        await _until(partial(_is_folded, side, told), "the first event is folded")
        before = _calls(side, "xread"), _calls(side, "xreadgroup")
        for number in range(1, ALONE + 1):
            told = await asyncio.to_thread(side.add, plain(1, first=number))
            await _until(partial(_is_folded, side, told), f"event {number} is folded")
        after = _calls(side, "xread"), _calls(side, "xreadgroup")
        rig.stop.set()
        await following
        await _until_nobody_waits(side)
        return after[0] - before[0], after[1] - before[1]

    waits, reads = rigged(server, use, block_ms=BLOCK_MS)

    assert waits == reads == ALONE
    assert_is_fold(side)
    assert side.pending() == 0
