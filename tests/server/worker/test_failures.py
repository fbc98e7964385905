"""Servers and settings that cause failures: full, old, restricted, many runs. A worker continues, or reports the cause."""

import asyncio

import pytest

from sanctum_bus.errors import ConfigurationError, ServerTooOld
from sanctum_bus.worker.supervisor import Worker
from tests.support.fold_run import entry
from tests.support.servers import REDIS_6, Server, StartServer
from tests.support.waiting import wait_until
from tests.support.worker_rig import (
    RUN,
    Rig,
    assert_is_fold,
    drain,
    plain,
    rigged,
    settings_of,
    side_of,
    story,
)


def test_a_full_server_drains(start_server: StartServer) -> None:
    """A8: if the memory is full and nothing is evicted, a worker that starts now folds, commits and trims."""
    server = start_server()
    side = side_of(server)
    side.add([entry("X", {"text": "x" * 2000, "n": number}) for number in range(2000)])
    whole = side.stream()
    used = side.redis.info("memory")["used_memory"]
    side.redis.config_set("maxmemory-policy", "noeviction")
    side.redis.config_set("maxmemory", used - 100_000)

    drain(server, stream_retain_entries=100, read_batch_size=100, commit_max_entries=100)

    assert_is_fold(side, whole)
    assert side.redis.xlen(side.keys.events) < 500


def test_a_server_that_fills_under_a_worker(valkey: Server) -> None:
    """A8: the same for a worker that ran before, with its acquisition and its commits."""
    side = side_of(valkey)
    side.add(story())

    async def use(rig: Rig) -> None:
        await rig.drain()
        side.add(story(first=8))
        side.redis.config_set("maxmemory", 1)
        rig.loop.session = None
        await rig.drain()

    try:
        rigged(valkey, use)
    finally:
        side.redis.config_set("maxmemory", 0)

    assert_is_fold(side)


def test_an_old_server_is_refused(start_server: StartServer) -> None:
    """P30: the message names the version that was found and the one that is needed; nothing is written."""
    server = start_server(REDIS_6)

    with pytest.raises(ServerTooOld, match=r"6\.2\.\d+.*Redis 7\.0 or Valkey 8"):
        drain(server)

    assert server.client().keys() == []


def test_a_user_who_may_not_is_not_an_old_server(valkey: Server) -> None:
    """P30: a command that an access list forbids is reported as a missing permission."""
    admin = valkey.client()
    admin.execute_command("ACL", "SETUSER", "some", "reset", "on", ">pw", "~*", "&*", "+@all", "-eval_ro")
    settings = settings_of(valkey, redis_url=valkey.url.replace("unix://", "unix://some:pw@"))
    try:
        with pytest.raises(Exception, match="permission") as caught:
            asyncio.run(Worker(settings).drain())
        assert not isinstance(caught.value, ServerTooOld)
    finally:
        admin.execute_command("ACL", "DELUSER", "some")


def test_a_wrong_password_is_told(valkey: Server) -> None:
    """P32: credentials that the server refuses end the worker with a message that does not contain the password."""
    settings = settings_of(valkey, redis_url=valkey.url.replace("unix://", "unix://nobody:hidden@"))

    with pytest.raises(ConfigurationError, match="rejected the credentials") as caught:
        asyncio.run(asyncio.wait_for(Worker(settings).run(), 5))

    assert "hidden" not in str(caught.value)


def test_a_trickle_is_trimmed_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """P18: the stream keeps `stream_retain_entries` folded entries and few more, also if each entry has a separate commit."""
    # Few trim points, so that some hundred entries reach their limit.
    monkeypatch.setattr("sanctum_bus.worker.session._TRIM_POINTS", 64)
    side = side_of(server)

    async def use(rig: Rig) -> None:
        for number in range(400):
            side.add(plain(1, first=number))
            await rig.drain()

    rigged(server, use, stream_retain_entries=100)

    # A trim removes whole nodes of a stream, which have a hundred entries each.
    assert side.redis.xlen(side.keys.events) <= 300


def test_what_was_not_folded_is_never_trimmed(server: Server) -> None:
    """P18: if no folded entry is retained, a trim behind each commit removes no entry that is not folded."""
    side = side_of(server)
    entries = plain(3000)
    ids = side.add(entries)

    drain(server, stream_retain_entries=0, read_batch_size=10, commit_max_entries=10)

    assert_is_fold(side, zip(ids, entries, strict=True))
    assert side.redis.xlen(side.keys.events) < 300


def test_a_crowd_of_runs(valkey: Server) -> None:
    """P32: one worker folds more runs than a pool has connections, and an idle run has no failure."""
    sides = [side_of(valkey, f"r{number}") for number in range(130)]
    for side in sides:
        side.add(plain(1))

    async def use() -> set[int]:
        worker = Worker(settings_of(valkey, poll_timeout_ms=300))
        following = asyncio.create_task(worker.run())
        await asyncio.to_thread(
            wait_until, lambda: _busy(worker, len(sides)), "every run has had three commits"
        )
        failures = {loop._recovery.streak.failures for loop in worker.loops.values()}
        worker.stop()
        await following
        return failures

    assert asyncio.run(use()) == {0}


def _busy(worker: Worker, count: int) -> bool:
    loops = list(worker.loops.values())
    return len(loops) == count and all(loop.commits >= 3 for loop in loops)


def test_old_ids_are_no_reason_to_remove_a_run(valkey: Server) -> None:
    """Retention depends on the time of a run's last activity on the server, not on entry IDs: imported entries may be old."""
    side = side_of(valkey)
    side.add(story(), ids=[f"1-{number}" for number in range(1, 9)])
    drain(valkey)

    async def use() -> None:
        worker = Worker(settings_of(valkey))
        await worker._membership.heartbeat()
        await worker._retention.expire({RUN}, set())
        await worker._shut_down()

    asyncio.run(use())

    assert_is_fold(side)
    assert side.stream()


def test_junk_among_the_runs(valkey: Server) -> None:
    """P33: an invalid name in the index of runs does not prevent that the other runs are folded."""
    side = side_of(valkey)
    side.add(story())
    side.redis.zadd("nissa:runs", {b"not a run": 1, RUN.encode(): 2, b"\xff": 3})

    drain(valkey)

    assert_is_fold(side)


def test_a_run_in_trouble_keeps_no_other_from_being_drained(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P22, P33: a stream key of another type is reported, and the runs after it are drained."""
    monkeypatch.setattr("sanctum_bus.connection.retry.FIRST_BACKOFF_S", 0.001)
    side, broken = side_of(valkey, "z"), side_of(valkey, "a")
    side.add(story())
    broken.redis.set(broken.keys.events, "x")
    broken.redis.zadd("nissa:runs", {"a": 1, "z": 1})

    with pytest.raises(Exception, match="has type string"):
        drain(valkey)

    assert_is_fold(side)
