"""Which server owns a key, and how to find out. Nothing here does I/O.

Sentinels name the primary, and nodes of a cluster name the owners of slots. `discover` is a generator: it yields
queries, is sent the replies, and returns the topology. Both kinds of clients run it.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as TooLate

from sanctum_bus.connection.url import Address, Kind, Target

#: Seconds between two queries to sentinels. After a manual failover the old primary accepts writes for about ten more
#: seconds, and loses them.
SENTINEL_REFRESH_S = 1.0

#: Seconds between two queries to a cluster. A reply reveals a slot that has moved at once.
CLUSTER_REFRESH_S = 10.0

#: Seconds that a server has to accept a connection, and to answer a query.
QUERY_TIMEOUT_S = 1.0

#: A discovery may take up to this fraction of the time: if it is slow, it runs less often.
_MAX_LOAD = 1 / 5

#: Commands with a script, then the number of keys, then the keys.
_SCRIPTS = {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO"}

#: Commands without a key: any server can answer.
_KEYLESS = {"PING", "INFO", "TIME", "DBSIZE", "CONFIG", "ACL", "CLIENT"}


class Query(NamedTuple):
    """Commands for several servers.

    The reply is a list with one item for each server: its replies to the commands, or the error of the connection.
    """

    addresses: tuple[Address, ...]
    commands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """The owners of all slots.

    Args:
        spans: first slot, last slot and owner of each range.
    """

    spans: tuple[tuple[int, int, Address], ...]

    @property
    def primaries(self) -> tuple[Address, ...]:
        """The servers that hold keys."""
        return tuple(dict.fromkeys(owner for _, _, owner in self.spans))

    def owner(self, key: str | bytes | None) -> Address:
        """Return the server that owns a key; for None, any server.

        Raises:
            ClusterDownError: no server owns its slot.
        """
        if key is None and self.spans:
            return self.spans[0][2]
        slot = key_slot(key.encode() if isinstance(key, str) else key or b"")
        for first, last, owner in self.spans:
            if first <= slot <= last:
                return owner
        raise ClusterDownError(f"no server of the cluster owns slot {slot}")


Discovery: TypeAlias = Generator[Query, list[Any], Topology]


def discover(target: Target, known: Sequence[Address]) -> Discovery:
    """Return the program that finds the topology.

    Args:
        target: the servers that the URL names.
        known: nodes to query before those that the URL names.

    Raises:
        ConnectionLost, AuthenticationError: no server answered, or no server accepted the credentials.
    """
    if target.kind is Kind.SENTINEL:
        return _ask_sentinels(target)
    return _ask_nodes(tuple(dict.fromkeys((*known, *target.seeds))))


def refresh_interval_s(target: Target, took_s: float) -> float:
    """Return the seconds until the next discovery.

    Args:
        target: the servers that the URL names.
        took_s: seconds that the last discovery took.
    """
    least_s = SENTINEL_REFRESH_S if target.kind is Kind.SENTINEL else CLUSTER_REFRESH_S
    return max(least_s, took_s / _MAX_LOAD)


def _ask_sentinels(target: Target) -> Discovery:
    service = target.service
    # The first reply names the primary, during a failover too. The second has the epoch, by which views are compared.
    commands = (("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service), ("SENTINEL", "MASTER", service))
    replies = yield Query(target.seeds, commands)
    views, errors = [], []
    for sentinel, reply in zip(target.seeds, replies, strict=True):
        if isinstance(reply, Exception):
            errors.append((sentinel, reply))
        elif isinstance(reply[0], list | tuple) and not isinstance(reply[1], Exception):
            host, port = (_text(item) for item in reply[0])
            views.append((_config_epoch(reply[1]), Address(host, int(port))))
        else:
            refusal = next((one for one in reply if isinstance(one, Exception)), None)
            errors.append((sentinel, refusal or ResponseError(f"unknown Sentinel service {service!r}")))
    if not views:
        raise _discovery_failed("sentinel", errors)
    _, primary = max(views, key=lambda view: view[0])
    return Topology(((0, REDIS_CLUSTER_HASH_SLOTS - 1, primary),))


def _config_epoch(reply: Any) -> int:
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return int(next((value for name, value in pairs if _text(name) == "config-epoch"), 0))


def _ask_nodes(nodes: tuple[Address, ...]) -> Discovery:
    errors: list[tuple[Address, Exception]] = []
    for node in nodes:
        (reply,) = yield Query((node,), (("CLUSTER", "SLOTS"),))
        error = reply if isinstance(reply, Exception) else reply[0]
        if isinstance(error, Exception):
            errors.append((node, error))
            continue
        # A node that does not have its own address yet leaves it empty.
        return Topology(
            tuple(
                (int(first), int(last), Address(_text(owner[0] or node.host), int(owner[1])))
                for first, last, owner, *_ in reply[0]
            )
        )
    raise _discovery_failed("node", errors)


def _discovery_failed(kind: str, errors: list[tuple[Address, Exception]]) -> RedisError:
    """Return the error for a query that no server answered; its cause is the error of the first server."""
    replies = "; ".join(f"{address}: {error}" for address, error in errors)
    refused = next((error for _, error in errors if isinstance(error, AuthenticationError)), None)
    found: RedisError = ConnectionLost(f"no {kind} returned the topology ({replies})")
    if refused is not None:
        found = AuthenticationError(f"no {kind} accepted the credentials ({replies})")
    found.__cause__ = refused or errors[0][1]
    return found


def key_of(command: Sequence[Any]) -> str | bytes | None:
    """Return the key that decides which server gets a command, or None if any server can answer.

    Raises:
        ValueError: the command covers all keys, so it must go to each server.
    """
    name = _text(command[0]).upper()
    if name in {"SCAN", "KEYS", "FLUSHALL", "FLUSHDB"}:
        raise ValueError(f"send {name} to each of the `primaries`: a routed client reaches one server only")
    if name.partition(" ")[0] in _KEYLESS:
        return None
    if name in _SCRIPTS:
        return _key(command[3]) if int(command[2]) else None
    if name in {"XREAD", "XREADGROUP"}:
        words = [_text(word).upper() if isinstance(word, str | bytes) else "" for word in command]
        return _key(command[words.index("STREAMS") + 1])
    if name in {"XINFO", "XGROUP"}:
        return _key(command[2])
    return _key(command[1]) if len(command) > 1 else None


def invalidates_topology(error: BaseException) -> bool:
    """Return whether, after this error, topology or connections may lead to the wrong server."""
    if isinstance(error, ConnectionLost | TooLate | OSError | AskError | ClusterDownError | ReadOnlyError):
        return True
    return isinstance(error, ResponseError) and str(error).startswith("MASTERDOWN")


def _key(item: Any) -> str | bytes:
    return item if isinstance(item, str | bytes) else str(item)


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
