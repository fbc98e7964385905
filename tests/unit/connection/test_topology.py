"""Discovery of the topology: queries, replies, and the server of each command. These tests need no server."""

from typing import Any

import pytest
from redis.crc import key_slot
from redis.exceptions import AuthenticationError, ClusterDownError
from redis.exceptions import ConnectionError as ConnectionLost

from sanctum_bus.connection.topology import Query, Topology, discover, key_of
from sanctum_bus.connection.url import Address, parse

A, B, C = (Address(name, 1) for name in "abc")
SENTINELS = parse("redis+sentinel://a:1,b:1,c:1/m")
CLUSTER = parse("redis+cluster://a:1,b:1")


def answered(program: Any, *replies: list[Any]) -> tuple[list[Query], Topology]:
    """Run a discovery with these replies; return its queries, and the topology."""
    queries = [next(program), *map(program.send, replies[:-1])]
    with pytest.raises(StopIteration) as end:
        program.send(replies[-1])
    return queries, end.value.value


def says(host: bytes, epoch: int) -> list[Any]:
    """Return the replies of a sentinel that names a primary in an epoch."""
    return [[host, b"5"], [b"name", b"m", b"config-epoch", str(epoch).encode()]]


def test_the_sentinel_with_the_newest_view_counts() -> None:
    """A sentinel that was unreachable still names the old primary, and may be the first in the URL."""
    replies = [says(b"old", 3), ConnectionLost("away"), says(b"new", 4)]
    (asked,), routes = answered(discover(SENTINELS, ()), replies)

    assert asked.addresses == (A, B, C)
    assert routes.primaries == (Address("new", 5),)
    assert routes.owner("any key") == routes.owner(None) == Address("new", 5)


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (ConnectionLost("refused"), ConnectionLost, "a:1: refused"),
        ([None, Exception("ERR No such master")], ConnectionLost, "No such master"),
        (AuthenticationError("wrong"), AuthenticationError, "credentials"),
    ],
)
def test_sentinels_that_do_not_say_are_quoted(reply: Any, kind: type[Exception], said: str) -> None:
    """The error quotes every reply, and its class shows whether the failure can pass."""
    with pytest.raises(kind, match=said):
        answered(discover(SENTINELS, ()), [reply] * 3)


def test_nodes_are_asked_one_after_the_other() -> None:
    """Known nodes are queried before those in the URL. A node that leaves out an address means its own."""
    slots = [[0, 9000, [b"", 7, b"id"]], [9001, 16382, [b"d", 8, b"id"], [b"replica", 9, b"id"]]]
    asked, routes = answered(discover(CLUSTER, [C, A]), [ConnectionLost("away")], [[slots]])

    assert [one.addresses for one in asked] == [(C,), (A,)]
    assert routes.primaries == (Address("a", 7), Address("d", 8))
    assert routes.owner("nissa:{123456789}:run") == Address("d", 8)  # slot 12739
    with pytest.raises(ClusterDownError, match="16383"):
        Topology(routes.spans).owner(_key_on(16383))


def _key_on(slot: int) -> str:
    return next(str(number) for number in range(1_000_000) if key_slot(str(number).encode()) == slot)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("HGET", "k", "f"), "k"),
        (("EVALSHA", "digest", 2, "k", "l", "x"), "k"),
        (("EVAL_RO", "text", 0), None),
        (("XREAD", "COUNT", 1, "BLOCK", 5, "STREAMS", "k", "0-0"), "k"),
        (("XREADGROUP", "GROUP", "g", "c", "STREAMS", "k", ">"), "k"),
        (("XINFO", "STREAM", "k"), "k"),
        (("XINFO STREAM", "k"), "k"),
        (("INFO", "server"), None),
        (("TIME",), None),
    ],
)
def test_the_first_key_decides(command: tuple[Any, ...], key: str | None) -> None:
    """All keys of a run are on one slot, so one of them is enough."""
    assert key_of(command) == key


def test_what_is_for_every_server_goes_to_none() -> None:
    """A SCAN of one server would silently find only some of the keys."""
    with pytest.raises(ValueError, match="primaries"):
        key_of(("SCAN", 0))
