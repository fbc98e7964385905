"""The switch from the old snapshot to the new one: whatever happens in between, the run has one of the two."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import ConnectionError as NoConnection

from sanctum_bus.errors import CommitRefused, RestartRun
from sanctum_bus.ops import rebuild as module
from sanctum_bus.ops import stream_pages
from sanctum_bus.ops.rebuild import rebuild_run
from tests.support.repairs import Hooked, assert_is_right, cut, folded, rebuild, view
from tests.support.servers import Server
from tests.support.worker_rig import Rig, assert_is_fold, drain, rigged, settings_of, side_of, story


def test_the_old_one_stays_until_the_switch(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the switch every byte of the old snapshot is readable, at the same version."""
    monkeypatch.setattr(stream_pages, "_PAGE", 1)
    side = folded(server)
    before, seen, client = view(side), [], Hooked(side)
    for name in ("lock_run", "replace_snapshot"):
        client.before[name] = lambda: seen.append(view(side))

    rebuild_run(client, side.keys, settings_of(server))

    assert seen == [before, before]


@pytest.mark.parametrize("name", ["lock_run", "replace_snapshot"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_cut_at_any_moment(server: Server, monkeypatch: pytest.MonkeyPatch, name: str, when: str) -> None:
    """An interrupted rebuild leaves the old snapshot or the new one, and the workers continue with it."""
    monkeypatch.setattr(module, "_LOCK_MS", 100)
    side = folded(server)
    before, client = view(side), Hooked(side)
    getattr(client, when)[name] = cut

    with pytest.raises(NoConnection):
        rebuild_run(client, side.keys, settings_of(server))

    assert view(side) == before
    side.add(story(first=20))
    drain(server)
    assert_is_right(side)
    rebuild(server, side)
    assert_is_right(side)


def test_the_owner_goes_on_meanwhile(server: Server) -> None:
    """The new snapshot has what the owner commits before the lock; afterwards the owner acquires the run again."""
    side = folded(server)

    async def use(rig: Rig) -> None:
        aggregate, lease, in_flight = await rig.begin()
        client = Hooked(side)
        side.add(story(first=20))
        client.before["lock_run"] = lambda: _drain_in_thread(server)
        rebuild_run(client, side.keys, settings_of(server))
        assert_is_right(side)
        with pytest.raises(CommitRefused, match="generation"):
            await rig.commit(aggregate, lease, in_flight)
        side.add(story(first=28))
        await rig.drain()

    rigged(server, use)

    assert_is_right(side)


def _drain_in_thread(server: Server) -> None:
    """Drain from within a coroutine."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(drain, server).result()


def test_a_held_run_is_not_taken_over(server: Server) -> None:
    """While a run is locked no worker acquires it; after the time-out, or after the switch, any worker can."""
    side = folded(server)
    client = Hooked(side)
    generations = []
    client.before["replace_snapshot"] = lambda: generations.append(_acquire(server))

    rebuild_run(client, side.keys, settings_of(server))

    assert generations == ["held"]
    assert _acquire(server) == "acquired"


def _acquire(server: Server) -> str:
    async def use(rig: Rig) -> str:
        try:
            await rig.store.acquire("other", blameless=True)
        except RestartRun as error:
            return error.reason
        return "acquired"

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(rigged, server, use).result()


def test_too_late_for_the_switch(server: Server) -> None:
    """A rebuild that misses the end of its lock replaces nothing that was folded since; it starts again."""
    side = folded(server)
    client = Hooked(side)

    def sleep_through() -> None:
        side.redis.hdel(side.keys.checkpoint, "held_until")
        side.add(story(first=20))
        drain(server)

    client.before["replace_snapshot"] = sleep_through

    rebuild_run(client, side.keys, settings_of(server))

    assert side.checkpoint("entries") == "27"
    assert_is_right(side)


def test_taken_over_before_the_switch(server: Server) -> None:
    """A15: an owner that acquired the run in between never keeps a state that differs from the snapshot: it is fenced first."""
    side = folded(server)
    client = Hooked(side)

    def come_between() -> None:
        side.redis.hdel(side.keys.checkpoint, "held_until")
        assert _acquire(server) == "acquired"
        acquired.append(int(side.checkpoint("generation")))

    acquired: list[int] = []
    client.before["replace_snapshot"] = come_between

    built = rebuild_run(client, side.keys, settings_of(server))

    assert built.generation == int(side.checkpoint("generation")) > acquired[0]


def test_rolled_back_before_the_switch(server: Server) -> None:
    """A failover that rolls the version back restarts the rebuild: state and version belong together."""
    side = side_of(server)
    ids = side.add(story())
    drain(server)
    client = Hooked(side)
    client.before["lock_run"] = lambda: side.redis.hset(
        side.keys.checkpoint, mapping={"version": ids[3], "entries": 4}
    )

    built = rebuild_run(client, side.keys, settings_of(server))

    assert (built.version, built.entries) == (ids[3], 4)
    assert_is_fold(side, side.stream()[:4])
    drain(server)
    assert_is_right(side)
