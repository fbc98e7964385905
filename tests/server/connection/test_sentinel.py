"""Sentinel: publisher, worker and readers when the primary changes."""

from contextlib import ExitStack

import pytest

from tests.support.servers import REDIS_7, VALKEY_9
from tests.support.topologies import Security, Sentinels
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


def test_a_killed_master_and_a_failover_by_hand(start: Start) -> None:
    """All clients continue with the new primary, and the snapshot is the fold of its stream.

    The sentinels do not demote the old primary after the second failover. It disconnects no client, so each client has to
    detect the change.
    """
    servers = start(Sentinels)
    with ExitStack() as open_until_the_end:
        (feed,) = open_until_the_end.enter_context(feeding(servers.url, "r"))
        open_until_the_end.enter_context(working(servers.url))
        feed.send()
        feed.arrive()
        wait_until(lambda: last_number(servers.url, "r") == 49, "the first events are folded", PATIENCE_S)
        followers = [Following(servers.url, "r", kind) for kind in ("sync", "async")]
        feed.send()
        servers.kill_master()
        feed.send()
        feed.arrive()
        wait_until(servers.is_settled, "the other replica follows the new master", PATIENCE_S)

        for sentinel in servers.sentinels:
            sentinel.ask("SENTINEL", "DEBUG", "PUBLISH-PERIOD", 600_000)
        old = servers.master()
        new = servers.failover()
        assert old.ask("ROLE")[0] == b"master"
        with new.client() as client:
            before = client.xlen(feed.run.events)

            def is_there() -> bool:
                feed.send(1)
                return bool(client.xlen(feed.run.events) > before)

            wait_until(is_there, "events come to the new master", PATIENCE_S)
        for follower in followers:
            follower.finish(feed)
        feed.finish()

        assert old.ask("ROLE")[0] == b"master"
        assert_folded(servers.client(), feed)


def test_a_coordinated_failover_loses_nothing(start: Start) -> None:
    """Valkey 9 replicates everything before the promotion: each acknowledged event is folded once."""
    servers = start(Sentinels, VALKEY_9, replicas=1)
    with feeding(servers.url, "r") as (feed,), working(servers.url):
        feed.send()
        feed.arrive()
        feed.send(500)
        servers.failover(coordinated=True)
        feed.send(500)
        feed.finish()

        client = servers.client()
        assert_folded(client, feed)
        assert sorted(set(numbers(client, feed.run))) == list(range(1, feed.emitted + 1))


# If a server dies during a handshake, redis-py leaves the socket to the garbage collector.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
def test_tls_users_and_a_password_of_the_sentinels(start: Start, secured: Security) -> None:
    """Servers with users and sentinels with a separate password work, all over TLS only."""
    servers = start(Sentinels, REDIS_7, security=secured, replicas=1, password="of-the-sentinels")  # noqa: S106  # a test's
    with feeding(servers.url_of(PUBLISHER), "r") as (feed,), working(servers.url_of(WORKER)):
        feed.send()
        feed.arrive()
        reading = servers.url_of(READER)
        wait_until(lambda: last_number(reading, "r") == 49, "the events are folded", PATIENCE_S)
        followers = [Following(reading, "r", kind) for kind in ("sync", "async")]
        servers.kill_master()
        for follower in followers:
            follower.finish(feed)
        feed.finish()

        assert_folded(servers.client(), feed)
