"""A2: a commit or an acquisition that fails on the server between its first and its last write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ResponseError

from sanctum_bus.connection import connect_async
from sanctum_bus.worker.store import RunStore
from tests.support.servers import Server
from tests.support.worker_rig import (
    Rig,
    Side,
    assert_is_fold,
    commit_of,
    drain,
    rigged,
    settings_of,
    side_of,
    story,
)

USER = "half"


def _restrict(side: Side, *rules: str) -> None:
    side.redis.execute_command("ACL", "SETUSER", USER, "reset", "on", ">secret", "~*", "&*", "+@all", *rules)


@asynccontextmanager
async def _store_as(rig: Rig, server: Server, *rules: str) -> AsyncIterator[RunStore]:
    """Yield the store of a user without some permissions."""
    _restrict(rig.side, *rules)
    client = connect_async(server.url.replace("unix://", f"unix://{USER}:secret@"))
    try:
        yield RunStore(client, client, rig.side.keys, settings_of(server))
    finally:
        await client.aclose()
        rig.side.redis.execute_command("ACL", "DELUSER", USER)


async def _commit_as(rig: Rig, server: Server, *rules: str) -> None:
    """Fold all entries, and commit them as a user without some permissions."""
    aggregate, lease, in_flight = await rig.begin()
    async with _store_as(rig, server, *rules) as store:
        await store.commit(lease, commit_of(aggregate, lease.version, in_flight))


@pytest.mark.parametrize("denied", ["-xadd", "-xack", "-xtrim"])
def test_a_commit_that_dies_half_way(server: Server, denied: str) -> None:
    """A2: the run is marked as torn, and the next owner starts a new history: the fold of the stream."""
    side = side_of(server)
    side.add(story())
    drain(server)
    side.add(story(first=8))

    async def use(rig: Rig) -> None:
        with pytest.raises(ResponseError, match=r"(?i)permission|can't run"):
            await _commit_as(rig, server, denied)

    rigged(server, use)
    assert side.checkpoint() == "torn"

    drain(server)

    assert_is_fold(side)
    assert side.pending() == 0


def test_a_commit_that_dies_at_the_first_write(server: Server) -> None:
    """A command that is forbidden at the first write leaves no mark; the next owner continues from the same version."""
    side = side_of(server)
    side.add(story())
    drain(server)
    version = side.checkpoint()
    side.add(story(first=8))

    async def use(rig: Rig) -> None:
        with pytest.raises(ResponseError, match=r"(?i)permission|can't run"):
            await _commit_as(rig, server, "-hset")

    rigged(server, use)

    assert side.checkpoint() == version
    drain(server)
    assert_is_fold(side)


@pytest.mark.parametrize("denied", ["-spublish", "resetchannels"])
def test_a_hint_that_is_forbidden_harms_nothing(server: Server, denied: str) -> None:
    """A2: the notification follows the version, and a user without the permission to publish can commit."""
    side = side_of(server)
    side.add(story())

    rigged(server, lambda rig: _commit_as(rig, server, denied))

    assert_is_fold(side)


def test_a_right_that_is_asked_for_before_anything_is_written_tears_nothing(server: Server) -> None:
    """With an older access list that lacks ZCARD, a commit fails before the first write and leaves the run unchanged."""
    side = side_of(server)
    side.add(story())

    async def use(rig: Rig) -> None:
        with pytest.raises(ResponseError, match=r"(?i)permission|can't run"):
            await _commit_as(rig, server, "-zcard")

    rigged(server, use)
    assert side.checkpoint() == "0-0"

    drain(server)

    assert_is_fold(side)


def test_half_of_a_commit_leaves_no_key_behind(server: Server) -> None:
    """A7: what a torn commit wrote is deleted with its history; no key is left that the index does not name."""
    side = side_of(server)
    side.add(story())

    async def use(rig: Rig) -> None:
        with pytest.raises(ResponseError, match=r"(?i)permission|can't run"):
            await _commit_as(rig, server, "-xadd")

    rigged(server, use)
    side.redis.delete(side.keys.events)
    side.add(story()[6:7])
    drain(server)

    listed = {side.keys.section(name) for name in side.sections()}
    own = {
        side.keys.base + name
        for name in ("events", "checkpoint", "sections", "coverage", "log", "batches", "dead", "recent")
    }
    found = {key.decode() for key in side.dump()}
    assert found - listed - own == set()
    assert_is_fold(side)


def test_a_take_over_that_dies_half_way_keeps_the_fence(server: Server) -> None:
    """A new history that fails to begin keeps the generation: if the clock was set back, the next one would be lower."""
    side = side_of(server)
    side.add(story())
    drain(server)
    far = 1 << 42
    side.redis.hset(side.keys.checkpoint, mapping={"version": "torn", "generation": far})
    side.redis.xadd(side.keys.dead, {"source_id": "1-1", "reason": "none"})

    async def use(rig: Rig) -> None:
        async with _store_as(rig, server, "-xrange") as store:
            with pytest.raises(ResponseError, match=r"(?i)permission|can't run"):
                await store.acquire("me", blameless=True)

    rigged(server, use)
    assert not side.sections(), "it has failed after the deletion"
    assert (side.checkpoint("generation"), side.checkpoint()) == (str(far), "torn")

    drain(server)

    assert int(side.checkpoint("generation")) > far
    assert_is_fold(side)
