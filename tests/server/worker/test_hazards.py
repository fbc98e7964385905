"""Hazards of Redis Streams that a worker meets, by their numbers in docs/guarantees.md, unless another test has them."""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sanctum_bus.connection import connect, connect_async
from sanctum_bus.ops.dead_letters import requeue
from sanctum_bus.ops.rebuild import rebuild_run
from sanctum_bus.ops.runs import remove_run
from sanctum_bus.protocol.entry import Entries
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.publisher import Publisher
from sanctum_bus.reader import Reader
from sanctum_bus.worker.store import RunStore
from tests.support.fold_run import entry
from tests.support.servers import Server, StartServer
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
from tests.support.worker_task import at_work, wait_for_fold

Call = Callable[[str], None]


def _ask(url: str) -> None:
    connect(url).ping()


def _ask_async(url: str) -> None:
    async def ask() -> None:
        client = connect_async(url)
        try:
            await client.execute_command("PING")
        finally:
            await client.aclose()

    asyncio.run(ask())


@pytest.mark.parametrize("call", [_ask, _ask_async])
def test_a_client_sends_nothing_twice(call: Call) -> None:
    """P1: a command whose connection is lost was sent once; the caller decides what happens next."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections: list[int] = []

        def hang_up() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connections.append(1)
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(RedisConnectionError):
            call(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        listener.shutdown(socket.SHUT_RDWR)

    assert len(connections) == 1


class Deaf(RunStore):
    """A store that loses the reply to its second read and to its second commit: both were executed."""

    reads = commits = 0

    async def read(self, count: int) -> Entries:
        """Read, and lose the reply once."""
        entries = await super().read(count)
        self.reads += 1
        if self.reads == 2:
            raise RedisConnectionError("the reply was lost")
        return entries

    async def commit(self, *given: Any, **named: Any) -> Entries:
        """Commit, and lose the reply once."""
        entries = await super().commit(*given, **named)
        self.commits += 1
        if self.commits == 2:
            raise RedisConnectionError("the reply was lost")
        return entries


def test_replies_that_are_lost(server: Server) -> None:
    """P1, P2: entries whose delivery was lost come again in order, and a commit that was executed is not repeated."""
    side = side_of(server)
    side.add(story())

    async def use(rig: Rig) -> tuple[int, int]:
        assert isinstance(rig.store, Deaf)
        await rig.drain()
        return rig.store.reads, rig.store.commits

    reads, commits = rigged(server, use, kind=Deaf, read_batch_size=2, commit_max_entries=2)

    assert reads > 2
    assert commits > 2
    assert_is_fold(side)
    assert side.pending() == 0


def test_a_stream_that_is_deleted_under_a_waiting_worker(server: Server) -> None:
    """P3, P10: the wait ends automatically, the state stays, and the worker follows a stream that is created again."""
    side = side_of(server)
    side.add(story())

    with at_work(server):
        wait_for_fold(side)
        version = side.checkpoint()
        side.redis.delete(side.keys.events)
        generation = side.checkpoint("generation")
        wait_until(
            lambda: side.checkpoint("generation") != generation, "the worker has restarted the run", 20
        )
        assert side.checkpoint() == version
        side.add(plain(3))
        wait_for_fold(side)

    assert side.checkpoint("entries") == str(len(story()) + 3)
    assert side.sections()["event:X"][b"count"] == b"3"


def test_one_consumer_however_many_workers(server: Server) -> None:
    """P11: all workers use one constant consumer name, so the list of consumers does not grow."""
    side = side_of(server)
    for first in range(0, 24, 8):
        side.add(story(first=first))
        drain(server)

    groups = side.redis.xinfo_groups(side.keys.events)
    consumers = side.redis.xinfo_consumers(side.keys.events, "sanctum")
    assert [group["name"] for group in groups] == [b"sanctum"]
    assert [consumer["name"] for consumer in consumers] == [b"owner"]


@pytest.mark.parametrize("gone", [[0], [1, 2], [5]])
def test_entries_that_were_delivered_and_deleted(server: Server, gone: list[int]) -> None:
    """P13: entries that were pending for a dead owner and then deleted count as lost, and only those."""
    side = side_of(server)
    side.add([entry("X", {"n": seq}, producer="p", seq=seq) for seq in range(1, 4)])
    drain(server)
    ids = side.add([entry("X", {"n": seq}, producer="p", seq=seq) for seq in range(4, 10)])

    async def read_and_die(rig: Rig) -> None:
        await rig.begin()

    rigged(server, read_and_die)
    side.redis.xdel(side.keys.events, *[ids[at] for at in gone])
    side.add([entry("X", {"n": 10}, producer="p", seq=10)])

    drain(server)

    assert side.checkpoint("lost") == f'{{"gap":{len(gone)}}}'
    assert side.checkpoint("events") == str(10 - len(gone))
    assert side.pending() == 0


def test_no_key_of_a_run_expires(server: Server) -> None:
    """P23: no key expires: an expiry would remove a part of a snapshot, or unread entries. A script removes old runs instead."""
    side = side_of(server)
    side.add(story())
    drain(server)

    assert {name: side.redis.ttl(name) for name in side.dump() if side.redis.ttl(name) != -1} == {}


#: Commands that no part sends: watched transactions, claims and sweeps of pending lists, expiry, caching,
#: locks.
NEVER = {
    *("watch", "xautoclaim", "xclaim", "xinfo|consumers", "xackdel", "xdelex", "xnack"),
    *(
        "expire",
        "pexpire",
        "expireat",
        "pexpireat",
        "setex",
        "psetex",
        "set",
        "setnx",
        "client|tracking",
        "hexpire",
    ),
    *(
        "xgroup|delconsumer",
        "xgroup|setid",
        "xsetid",
        "hincrby",
        "hincrbyfloat",
        "keys",
        "flushall",
        "flushdb",
    ),
}


def test_commands_that_are_never_sent(start_server: StartServer) -> None:
    """P2, P5, P6, P15, P21, P23, P31: publisher, worker, reader and repairs do without the commands of these hazards."""
    server = start_server()
    with Publisher(RUN, url=server.url) as publisher:
        publisher.emit({"event_type": "SEED_GERMINATED", "slot_id": "r0c0", "data": {"env_id": 0}})
        publisher.emit({"event_type": "EPOCH_COMPLETED", "data": {"env_id": "none"}})
    drain(server)
    with at_work(server):
        wait_for_fold(side_of(server))
    with Reader(server.url) as reader:
        list(reader.follow(RUN, idle_s=0.1))
        list(reader.follow_log(RUN, idle_s=0.1))
        list(reader.batches(RUN))
        reader.coverage(RUN)
    client, run = server.client(), RunKeys(RUN)
    rebuild_run(client, run, settings_of(server))
    assert requeue(client, run, None).done
    remove_run(client, run)

    seen = {name.removeprefix("cmdstat_") for name in server.client().info("commandstats")}
    assert {"xreadgroup", "xadd", "xack", "exec"} <= seen
    assert seen & NEVER == set()
