"""Faults of the server while a worker runs: the worker logs them, retries, and in the end the view is right.

`test_acquire.py` and `test_guards.py` cover deleted, emptied and mistyped keys. `test_failures.py` also
covers full servers.
"""

from contextlib import ExitStack

import pytest

from sanctum_bus.publisher import Publisher
from tests.support.faults import DEADLINE_S, FAULTS, Fault
from tests.support.fold_run import entry
from tests.support.servers import SUPPORTED, VALKEY_9, Server, ServerKind, StartServer, free_port
from tests.support.waiting import wait_until
from tests.support.worker_rig import RUN, assert_is_fold, drain, plain, side_of, story
from tests.support.worker_task import at_work, wait_for_fold, wait_for_words


@pytest.mark.parametrize("kind", SUPPORTED, ids=lambda kind: kind.name)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_a_fault_under_a_worker_at_work(start_server: StartServer, kind: ServerKind, fault: Fault) -> None:
    """P17: the worker logs the server's error, continues when it can, and no entry is lost or folded twice."""
    server = fault.start(start_server, kind)
    side = side_of(server)
    side.add(story())

    with at_work(server) as lines:
        wait_for_fold(side)
        with fault.lasts(server):
            wait_for_words(lines, fault.error, "run reloaded")
        # The connection may have been lost with the server.
        side.redis.close()
        side.add(story(first=8))
        wait_for_fold(side)
        wait_for_words(lines, "", "run recovered")

    assert_is_fold(side)
    assert side.pending() == 0
    assert side.checkpoint("lost") == "{}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_a_worker_that_starts_under_a_fault(start_server: StartServer, fault: Fault) -> None:
    """P17: a worker that starts while the server has a fault does not end; it folds the entries afterwards."""
    server = fault.start(start_server, VALKEY_9)
    side = side_of(server)
    side.add(story())

    with ExitStack() as stack:
        stack.enter_context(fault.lasts(server))
        with at_work(server) as lines:
            wait_for_words(lines, fault.error, "redis unavailable", "discovery")
            stack.close()
            side.redis.close()
            wait_for_fold(side)

    assert_is_fold(side)


def test_a_primary_that_is_a_replica_for_a_while(start_server: StartServer) -> None:
    """P17, P25: a worker on a demoted primary writes nothing; after the promotion it folds what arrived meanwhile."""
    server, other = (start_server(VALKEY_9, port=free_port()) for _ in range(2))
    other.client().replicaof("127.0.0.1", str(server.port))
    side, elsewhere = side_of(server), side_of(other)
    side.add(story())

    with at_work(server) as lines:
        wait_for_fold(side)
        wait_until(lambda: elsewhere.checkpoint() == side.checkpoint(), "the replica has all", DEADLINE_S)
        other.client().replicaof("NO", "ONE")
        server.client().replicaof("127.0.0.1", str(other.port))
        wait_for_words(lines, "read only replica", "run reloaded")
        elsewhere.add(story(first=8))
        wait_until(
            lambda: len(side.stream()) == len(elsewhere.stream()),
            "the replica has the new entries",
            DEADLINE_S,
        )
        server.client().replicaof("NO", "ONE")
        wait_for_fold(side)

    assert len(side.stream()) == 2 * len(story())
    assert_is_fold(side)


def test_a_full_server_drains_itself(start_server: StartServer) -> None:
    """A8: publisher and worker together finish on a server that is too small for everything that is published."""
    server = start_server()
    side = side_of(server)
    events, room = 12_000, 3 << 20
    server.client().config_set("maxmemory-policy", "noeviction")
    server.client().config_set("maxmemory", server.client().info("memory")["used_memory"] + room)
    publisher = Publisher(RUN, url=server.url, batch_events=100)
    for number in range(events):
        publisher.emit({"event_type": "X", "data": {"n": number, "text": "x" * 1000}})
    wait_until(lambda: "OutOfMemory" in str(publisher.stats.last_error), "the server is full", DEADLINE_S)
    assert publisher.stats.sent < events

    with at_work(server, stream_retain_entries=100, read_batch_size=200, commit_max_entries=200):
        assert publisher.flush(3 * DEADLINE_S)
        publisher.close(DEADLINE_S)
        wait_for_fold(side)

    assert (publisher.stats.sent, publisher.stats.dropped) == (events, 0)
    assert side.checkpoint("events") == str(events)
    assert side.checkpoint("lost") == "{}"
    assert side.checkpoint("parked") == "0"


def test_an_emptied_server_under_publisher_and_worker(start_server: StartServer) -> None:
    """P9, A10: the run is described again by a second start, and every event is folded or counted as lost before it."""
    server = start_server()
    side = side_of(server)
    publisher = Publisher(RUN, url=server.url)

    with at_work(server):
        publisher.emit({"event_type": "TRAINING_STARTED", "data": {"n_envs": 2, "task": "cifar10"}})
        for number in range(99):
            publisher.emit({"event_type": "X", "data": {"n": number}})
        assert publisher.flush(DEADLINE_S)
        wait_for_fold(side)
        side.redis.flushall()
        for number in range(50):
            publisher.emit({"event_type": "X", "data": {"n": number}})
        publisher.close(DEADLINE_S)
        wait_for_fold(side)

    assert side.sections()["run"][b"task"] == b"cifar10"
    assert side.checkpoint("lost") == '{"before this history":100}'
    assert side.checkpoint("events") == "51"
    assert_is_fold(side)


def test_a_stream_that_goes_with_something_unread(server: Server) -> None:
    """P10, P19: unread events of a deleted stream are counted by their sequence numbers; the state stays."""
    side = side_of(server)
    side.add([entry("X", {"n": seq}, producer="p", seq=seq) for seq in range(1, 6)])
    drain(server)
    side.add([entry("X", {"n": seq}, producer="p", seq=seq) for seq in range(6, 10)])
    side.redis.delete(side.keys.events)
    side.add([entry("X", {"n": seq}, producer="p", seq=seq) for seq in range(10, 13)])

    drain(server)

    assert side.checkpoint("lost") == '{"gap":4}'
    assert '"after":5,"until":10' in side.checkpoint("lost_ranges")
    assert side.checkpoint("events") == "8"
    assert side.sections()["event:X"][b"count"] == b"8"


def test_a_snapshot_that_goes_as_a_whole(server: Server) -> None:
    """A7: if everything that a worker wrote is deleted at once, the next view is the fold of the stream."""
    side = side_of(server)
    side.add(story())
    drain(server)
    side.redis.delete(*[key for key in side.dump() if key.decode() != side.keys.events])
    side.add(story(first=8))

    drain(server)

    assert_is_fold(side)
    assert side.checkpoint("lost") == "{}"


def test_a_stream_of_another_type_under_a_worker_at_work(server: Server) -> None:
    """P22: the worker logs the key and its type; when the key is moved away, the run continues, and no entry is folded twice."""
    side = side_of(server)
    side.add(story())

    with at_work(server) as lines:
        wait_for_fold(side)
        side.redis.rename(side.keys.events, "aside")
        side.redis.set(side.keys.events, "x")
        wait_for_words(lines, f"{side.keys.events} has type string", "run reloaded")
        side.redis.rename("aside", side.keys.events)
        side.add(story(first=8))
        wait_for_fold(side)

    assert_is_fold(side)


@pytest.mark.parametrize("key", ["nissa:runs", "nissa:workers"])
def test_an_index_of_another_type(valkey: Server, key: str) -> None:
    """P22: without the workers key no run is acquired, without the runs key a scan finds the run; then all runs are folded."""
    side = side_of(valkey)
    side.redis.set(key, "x")
    side.add(plain(3))

    with at_work(valkey) as lines:
        wait_for_words(lines, "WRONGTYPE", "discovery")
        side.redis.delete(key)
        wait_for_fold(side)

    assert_is_fold(side)
