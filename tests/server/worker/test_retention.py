"""Retention: a run that was judged old is removed only if nothing has happened to it since."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sanctum_bus.connection import connect_async
from sanctum_bus.protocol import keys
from sanctum_bus.worker.registry import Registry, RestPoint
from sanctum_bus.worker.supervisor import Worker
from tests.support.servers import Server
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


def told(server: Server, side: Side) -> None:
    """An event comes, and nobody has folded it yet."""
    side.add(plain(1, first=3))


def folded(server: Server, side: Side) -> None:
    """An event comes and is folded, by somebody who is gone again."""
    told(server, side)
    drain(server)


def taken(server: Server, side: Side) -> None:
    """Somebody takes the run over, for an event that is just coming."""
    rigged(server, Rig.begin)


def retire(server: Server, meanwhile: Callable[[], object], among: frozenset[str] = frozenset()) -> bool:
    """Find a run at rest, let something happen, and remove it; return whether it was removed."""

    async def use() -> bool:
        client = connect_async(server.url)
        directory = Registry(client, "nissa")
        try:
            resting = await directory.at_rest({RUN}, among)
            await asyncio.to_thread(meanwhile)
            return RUN in resting and await directory.retire(RUN, resting[RUN])
        finally:
            await client.aclose()

    return asyncio.run(use())


def old_run(server: Server) -> Side:
    """A run that is folded, and that nobody folds any more."""
    side = side_of(server)
    side.add(plain(3))
    drain(server)
    side.redis.zadd(keys.runs(), {RUN: 1})
    return side


@pytest.mark.parametrize("wakes", [told, folded, taken])
def test_a_run_that_wakes_up_before_it_is_removed_stays(
    server: Server, wakes: Callable[[Server, Side], None]
) -> None:
    """Whatever happened since it was judged old, the run stays, with its new event."""
    side = old_run(server)

    assert not retire(server, lambda: wakes(server, side))
    assert side.stream() != []
    drain(server)
    assert_is_fold(side)


@pytest.mark.parametrize("gone", ["", "events", "checkpoint", "all"])
def test_a_run_that_rests_is_removed(server: Server, gone: str) -> None:
    """A run at rest goes, with what is left of it; entries that have no snapshot are unread."""
    side = old_run(server)
    if gone == "all":
        side.redis.delete(*side.redis.keys(side.keys.base + "*"))
    elif gone:
        side.redis.delete(side.keys.base + gone)

    assert retire(server, lambda: None) == (gone != "checkpoint")
    assert bool(side.redis.keys(side.keys.base + "*")) == (gone == "checkpoint")
    assert (side.redis.zscore(keys.runs(), RUN) is None) == (gone != "checkpoint")


def test_a_run_with_a_living_owner_does_not_rest(server: Server) -> None:
    """Who folds a run says when it is over; an owner that is gone cannot."""
    side = old_run(server)
    rigged(server, Rig.begin)

    assert not retire(server, lambda: None, frozenset({"me"}))
    assert side.stream()
    assert retire(server, lambda: None, frozenset({"somebody else"}))


def test_a_checkpoint_of_another_type_keeps_only_its_own_run(server: Server) -> None:
    """It is for its owner to see to; the others that are old are found."""
    old_run(server)
    broken = side_of(server, "a")
    broken.redis.set(broken.keys.checkpoint, "x")

    async def use() -> dict[str, RestPoint]:
        client = connect_async(server.url)
        try:
            return await Registry(client, "nissa").at_rest({"a", RUN, "no run id"}, ())
        finally:
            await client.aclose()

    assert asyncio.run(use()).keys() == {RUN}


def test_a_run_that_woke_up_before_it_was_seen_at_rest_stays(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was frozen after it had asked for the old runs asks again before it removes any."""
    side = old_run(valkey)

    async def use() -> None:
        worker = Worker(settings_of(valkey))
        await worker._beat()
        at_rest = worker._directory.at_rest

        async def late(*asked: Any) -> dict[str, RestPoint]:
            await asyncio.to_thread(folded, valkey, side)
            return await at_rest(*asked)

        monkeypatch.setattr(worker._directory, "at_rest", late)
        await worker._retire({RUN})
        await worker._end()

    asyncio.run(use())

    assert len(side.stream()) == 4
    assert_is_fold(side)
