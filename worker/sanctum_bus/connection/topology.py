"""Which server owns a key, and how that is found out. Nothing here does I/O.

Sentinels are asked who the master is, nodes of a cluster who owns which slots: a program says whom to ask what, is
sent the replies, and returns the routes. The two kinds of clients carry it out.
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

#: Seconds after which sentinels are asked again. After a manual failover the old master takes writes for about ten
#: seconds more, and loses them.
SENTINEL_EVERY_S = 1.0

#: Seconds after which a cluster is asked again; a slot that has moved is noticed at once, by the reply.
CLUSTER_EVERY_S = 10.0

#: Commands that name how many keys follow, after a script.
_SCRIPTS = {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO"}

#: Commands that have no key: whoever is asked can answer.
_KEYLESS = {"PING", "INFO", "TIME", "DBSIZE", "CONFIG", "ACL", "CLIENT"}


class Query(NamedTuple):
    """Ask servers the same thing; the reply is a list: for each server what it said to each command, or its error."""

    addresses: tuple[Address, ...]
    commands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """Who owns which slots.

    Args:
        spans: first and last slot, and the owner.
    """

    spans: tuple[tuple[int, int, Address], ...]

    @property
    def primaries(self) -> tuple[Address, ...]:
        """The servers that hold keys."""
        return tuple(dict.fromkeys(owner for _, _, owner in self.spans))

    def owner(self, key: str | bytes | None) -> Address:
        """Return the server that owns a key; None: any server.

        Raises:
            ClusterDownError: nobody owns it.
        """
        if key is None and self.spans:
            return self.spans[0][2]
        slot = key_slot(key.encode() if isinstance(key, str) else key or b"")
        for first, last, owner in self.spans:
            if first <= slot <= last:
                return owner
        raise ClusterDownError(f"no server of the cluster owns slot {slot}")


Search: TypeAlias = Generator[Query, list[Any], Topology]


def discover(target: Target, known: Sequence[Address]) -> Search:
    """Return the program that finds the routes.

    Args:
        target: what the URL says.
        known: whom to ask before those that the URL names.

    Raises:
        ConnectionLost, AuthenticationError: nobody could or would tell.
    """
    if target.kind is Kind.SENTINEL:
        return _master(target)
    return _slots(tuple(dict.fromkeys((*known, *target.seeds))))


def refresh_interval_s(target: Target, took_s: float) -> float:
    """Return after how many seconds to look again, the last look having taken so long: most time is not for looking."""
    return max(SENTINEL_EVERY_S if target.kind is Kind.SENTINEL else CLUSTER_EVERY_S, 5 * took_s)


def _master(target: Target) -> Search:
    service = target.service
    # The first is the master that counts, during a failover too; the second says which of two views is newer.
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
            errors.append((sentinel, refusal or ResponseError(f"it knows no master called {service!r}")))
    if not views:
        raise _nobody("sentinel", errors)
    _, master = max(views, key=lambda view: view[0])
    return Topology(((0, REDIS_CLUSTER_HASH_SLOTS - 1, master),))


def _config_epoch(reply: Any) -> int:
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return int(next((value for name, value in pairs if _text(name) == "config-epoch"), 0))


def _slots(nodes: tuple[Address, ...]) -> Search:
    errors: list[tuple[Address, Exception]] = []
    for node in nodes:
        (reply,) = yield Query((node,), (("CLUSTER", "SLOTS"),))
        error = reply if isinstance(reply, Exception) else reply[0]
        if isinstance(error, Exception):
            errors.append((node, error))
            continue
        # A node that does not know its own address leaves it empty.
        return Topology(
            tuple(
                (int(first), int(last), Address(_text(owner[0] or node.host), int(owner[1])))
                for first, last, owner, *_ in reply[0]
            )
        )
    raise _nobody("node", errors)


def _nobody(kind: str, errors: list[tuple[Address, Exception]]) -> RedisError:
    """Return the error for a question that nobody answered; that of the first who was asked is its cause."""
    said = "; ".join(f"{address}: {error}" for address, error in errors)
    refused = next((error for _, error in errors if isinstance(error, AuthenticationError)), None)
    found: RedisError = ConnectionLost(f"no {kind} says where the keys are ({said})")
    if refused is not None:
        found = AuthenticationError(f"no {kind} takes the credentials ({said})")
    found.__cause__ = refused or errors[0][1]
    return found


def key_of(command: Sequence[Any]) -> str | bytes | None:
    """Return the key that decides which server gets a command, or None where any will do.

    Raises:
        ValueError: none will do, for each has keys of its own.
    """
    name = _text(command[0]).upper()
    if name in {"SCAN", "KEYS", "FLUSHALL", "FLUSHDB"}:
        raise ValueError(f"{name} must go to each of the `primaries`, not to a client of them all")
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
    """Whether an error says that the routes, or the connections, may lead to the wrong place."""
    if isinstance(error, ConnectionLost | TooLate | OSError | AskError | ClusterDownError | ReadOnlyError):
        return True
    return isinstance(error, ResponseError) and str(error).startswith("MASTERDOWN")


def _key(item: Any) -> str | bytes:
    return item if isinstance(item, str | bytes) else str(item)


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
