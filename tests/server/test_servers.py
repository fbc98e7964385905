"""The helpers that start servers, on which other tests rely."""

import sys
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.support.servers import SUPPORTED, Server, ServerKind, StartServer, free_port, missing, require
from tests.support.waiting import wait_until

NOWHERE = ServerKind("redis-99", (99,), lambda: None, "wait for it")


@pytest.mark.parametrize("turn", [1, 2])
def test_a_test_begins_with_an_empty_server(server: Server, turn: int) -> None:
    """A test never sees data of another test."""
    with server.client() as client:
        assert client.dbsize() == 0
        client.set("left", turn)


def test_the_shared_url_is_of_an_empty_server(valkey: Server, redis_url: str) -> None:
    """`redis_url` and `valkey` are the same server."""
    assert redis_url == valkey.url
    assert valkey.client().dbsize() == 0


@pytest.mark.parametrize("kind", SUPPORTED, ids=lambda kind: kind.name)
@pytest.mark.parametrize("on_port", [False, True], ids=["socket", "port"])
def test_what_was_acknowledged_survives_a_kill(
    kind: ServerKind, start_server: StartServer, *, on_port: bool
) -> None:
    """A killed server restarts at the same address with every write that it acknowledged."""
    server = start_server(kind, "--maxmemory", "64mb", port=free_port() if on_port else 0)
    url, client = server.url, server.client()
    for number in range(100):
        client.rpush("list", number)

    server.kill()
    with pytest.raises(RedisConnectionError):
        client.llen("list")
    server.restart()

    assert (server.url, server.client().llen("list")) == (url, 100)
    assert server.client().config_get("maxmemory") == {"maxmemory": str(64 << 20)}
    assert "eady to accept connections" in server.log


def test_a_missing_server_is_skipped_by_name() -> None:
    """A missing server skips its tests. The reason names the server and how to install it."""
    with pytest.raises(pytest.skip.Exception, match="redis-99 is not installed: wait for it"):
        require(NOWHERE, {})


@pytest.mark.parametrize("environ", [{"CI": "true"}, {"SANCTUM_TEST_SERVERS": "all"}])
def test_a_missing_server_fails_where_all_must_be_there(environ: dict[str, str]) -> None:
    """In CI a missing server fails its tests."""
    with pytest.raises(pytest.fail.Exception, match="redis-99 is not installed: wait for it"):
        require(NOWHERE, environ)


def test_another_version_counts_as_missing() -> None:
    """A binary with another version does not count as this kind."""
    kind = ServerKind("redis-99", (99,), lambda: require(SUPPORTED[0]), "wait for it")

    assert "not 99: wait for it" in str(missing(kind))


def test_a_binary_that_is_no_server_counts_as_missing() -> None:
    """A binary that does not print its version does not count as a server."""
    kind = ServerKind("redis-99", (99,), lambda: Path(sys.executable), "wait for it")

    assert "is not a Valkey or Redis server" in str(missing(kind))


def test_waiting_returns_the_answer_or_says_what_was_awaited() -> None:
    """A wait that failed reports its condition and the last value."""
    answers = iter([0, 0, 3])

    assert wait_until(lambda: next(answers), "three") == 3
    with pytest.raises(
        pytest.fail.Exception, match=r"not within 0 s: the moon is full; the last answer was \[\]"
    ):
        wait_until(list, "the moon is full", deadline_s=0.0)
