"""Retention: an old run is removed only if it is unchanged since it was found."""

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


def published(server: Server, side: Side) -> None:
    """An event arrives, and no worker has folded it."""
    side.add(plain(1, first=3))


def folded(server: Server, side: Side) -> None:
    """An event arrives, and a worker that has stopped since has folded it."""
    published(server, side)
    drain(server)


def acquired(server: Server, side: Side) -> None:
    """A worker acquires the run, before its next event arrives."""
    rigged(server, Rig.begin)


def expire(server: Server, meanwhile: Callable[[], object], live: frozenset[str] = frozenset()) -> bool:
    """Find the resting run, do something, and expire the run; return whether it was removed."""

    async def use() -> bool:
        client = connect_async(server.url)
        registry = Registry(client, "nissa")
        try:
            resting = await registry.resting({RUN}, live)
            await asyncio.to_thread(meanwhile)
            return RUN in resting and await registry.expire(RUN, resting[RUN])
        finally:
            await client.aclose()

    return asyncio.run(use())


def old_run(server: Server) -> Side:
    """A run whose entries are folded, without an owner."""
    side = side_of(server)
    side.add(plain(3))
    drain(server)
    side.redis.zadd(keys.runs(), {RUN: 1})
    return side


@pytest.mark.parametrize("wakes", [published, folded, acquired])
def test_a_run_that_wakes_up_before_it_is_removed_stays(
    server: Server, wakes: Callable[[Server, Side], None]
) -> None:
    """If anything happened to the run since it was found, it stays, with its new event."""
    side = old_run(server)

    assert not expire(server, lambda: wakes(server, side))
    assert side.stream() != []
    drain(server)
    assert_is_fold(side)


@pytest.mark.parametrize("gone", ["", "events", "checkpoint", "all"])
def test_a_run_that_rests_is_removed(server: Server, gone: str) -> None:
    """A resting run is removed with all its remaining keys. A run without a checkpoint has unread entries and stays."""
    side = old_run(server)
    if gone == "all":
        side.redis.delete(*side.redis.keys(side.keys.base + "*"))
    elif gone:
        side.redis.delete(side.keys.base + gone)

    assert expire(server, lambda: None) == (gone != "checkpoint")
    assert bool(side.redis.keys(side.keys.base + "*")) == (gone == "checkpoint")
    assert (side.redis.zscore(keys.runs(), RUN) is None) == (gone != "checkpoint")


def test_a_run_with_a_living_owner_does_not_rest(server: Server) -> None:
    """A run with a live owner does not rest; a run whose owner is dead does."""
    side = old_run(server)
    rigged(server, Rig.begin)

    assert not expire(server, lambda: None, frozenset({"me"}))
    assert side.stream()
    assert expire(server, lambda: None, frozenset({"another"}))


def test_a_checkpoint_of_another_type_keeps_only_its_own_run(server: Server) -> None:
    """A checkpoint of the wrong type excludes its run only; other old runs are found."""
    old_run(server)
    broken = side_of(server, "a")
    broken.redis.set(broken.keys.checkpoint, "x")

    async def use() -> dict[str, RestPoint]:
        client = connect_async(server.url)
        try:
            return await Registry(client, "nissa").resting({"a", RUN, "not a run id"}, ())
        finally:
            await client.aclose()

    assert asyncio.run(use()).keys() == {RUN}


def test_a_run_that_woke_up_before_it_was_seen_at_rest_stays(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was frozen after it found the old runs checks their activity again before it removes one."""
    side = old_run(valkey)

    async def use() -> None:
        worker = Worker(settings_of(valkey))
        await worker._membership.heartbeat()
        resting = worker._registry.resting

        async def late(*arguments: Any) -> dict[str, RestPoint]:
            await asyncio.to_thread(folded, valkey, side)
            return await resting(*arguments)

        monkeypatch.setattr(worker._registry, "resting", late)
        await worker._retention.expire({RUN}, set())
        await worker._shut_down()

    asyncio.run(use())

    assert len(side.stream()) == 4
    assert_is_fold(side)
