"""Redis Cluster: runs on many slots, slots that move, servers that die."""

from contextlib import ExitStack

import pytest

from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.reader import Reader
from tests.support.commands import sanctum
from tests.support.servers import REDIS_7, REDIS_8, VALKEY_9, ServerKind
from tests.support.topologies import Cluster, Security
from tests.support.waiting import wait_until
from tests.support.whole_way import (
    PATIENCE_S,
    PUBLISHER,
    READER,
    WORKER,
    Following,
    Start,
    assert_folded,
    feeding,
    last_number,
    numbers,
    working,
)

RUNS = ("a", "b", "c", "d")


def _is_folded(url: str, run_id: str, number: int) -> None:
    wait_until(lambda: last_number(url, run_id) == number, f"run {run_id} is folded", PATIENCE_S)


def test_a_slot_that_moves_and_a_master_that_dies(start: Start) -> None:
    """A run whose slot moves loses nothing; a run whose primary dies loses what the replica did not have."""
    cluster = start(Cluster, replicas=1)
    with ExitStack() as open_until_the_end:
        feeds = open_until_the_end.enter_context(feeding(cluster.url, *RUNS))
        open_until_the_end.enter_context(working(cluster.url))
        for feed in feeds:
            feed.send()
        for feed in feeds:
            feed.arrive()
            _is_folded(cluster.url, feed.run.run_id, 49)
        moving, dying = feeds[0], feeds[1]
        followers = [
            (feed, Following(cluster.url, feed.run.run_id, kind))
            for feed in (moving, dying)
            for kind in ("sync", "async")
        ]
        victim = cluster.owner(dying.run.events)
        target = next(
            node for node in cluster.masters() if node not in {victim, cluster.owner(moving.run.events)}
        )
        cluster.move_slot(moving.run.events, target, lambda _: moving.send(5))
        dying.send()
        safe = [feed for feed in feeds if cluster.owner(feed.run.events) is not victim]
        cluster.kill(victim)
        for feed, follower in followers:
            follower.finish(feed)
        for feed in feeds:
            feed.send()
            feed.finish()

        client = cluster.client()
        for feed in feeds:
            assert_folded(client, feed)
        assert moving in safe
        for feed in safe:
            assert sorted(set(numbers(client, feed.run))) == list(range(1, feed.emitted + 1))


@pytest.mark.parametrize("kind", [REDIS_8, REDIS_7], ids=lambda kind: kind.name)
def test_a_slot_moves_in_the_middle(start: Start, kind: ServerKind) -> None:
    """Events that arrive while a slot moves are neither lost nor folded twice."""
    cluster = start(Cluster, kind)
    with feeding(cluster.url, "r") as (feed,), working(cluster.url):
        feed.send()
        feed.arrive()
        _is_folded(cluster.url, "r", 49)
        cluster.move_slot(feed.run.events, step=lambda _: feed.send(5))
        feed.send()
        feed.finish()
        _is_folded(cluster.url, "r", feed.emitted - 1)

        client = cluster.client()
        assert_folded(client, feed)
        assert sorted(set(numbers(client, feed.run))) == list(range(1, feed.emitted + 1))


def test_tls_and_users(start: Start, secured: Security) -> None:
    """Each user of config/users.acl has the rights that it needs, over TLS, on every server of the cluster."""
    cluster = start(Cluster, REDIS_7, security=secured)
    reading = cluster.url_of(READER)
    with feeding(cluster.url_of(PUBLISHER), *RUNS) as feeds, working(cluster.url_of(WORKER)):
        for feed in feeds:
            feed.send()
            feed.arrive()
        for feed in feeds:
            _is_folded(reading, feed.run.run_id, 49)
            for kind in ("sync", "async"):
                Following(reading, feed.run.run_id, kind).finish(feed)
            feed.finish()
        with Reader(reading) as reader:
            assert {one.run_id for one in reader.runs()} == set(RUNS)

        client = cluster.client()
        for feed in feeds:
            assert_folded(client, feed)


def test_the_commands_work_on_a_cluster(start: Start) -> None:
    """Commands reach the servers that own the runs, and the server that owns the index."""
    cluster = start(Cluster, VALKEY_9)
    with feeding(cluster.url, *RUNS) as feeds:
        for feed in feeds:
            feed.send()
            feed.finish()
    client = cluster.client()
    client.xadd(RunKeys("a").events, {"type": "X", "json": "no json"})

    assert sanctum("--redis", cluster.url, "worker", "--drain").status == 0
    assert {line.split()[0] for line in sanctum("--redis", cluster.url, "runs").out.splitlines()} >= set(RUNS)
    for run_id in RUNS:
        assert sanctum("--redis", cluster.url, "show", run_id).status == 0
        rebuilt = sanctum("--redis", cluster.url, "rebuild", run_id, "--yes")
        assert rebuilt.status == 0, rebuilt.err
    assert sanctum("--redis", cluster.url, "dead-letters", "a", "all", "--requeue").status == 0
    assert client.xlen(RunKeys("a").dead) == 0
    for run_id in RUNS:
        assert sanctum("--redis", cluster.url, "rm", run_id, "--yes").status == 0
    assert client.zcard("nissa:runs") == 0
    assert not [key for node in cluster.nodes for key in node.ask("KEYS", "nissa:{*")]
