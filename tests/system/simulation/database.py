"""Keys and the commands on them, except for those of streams: a part of the model server."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.system.simulation.replies import OK, ReplyError, Status
from tests.system.simulation.streams import Stream

T = TypeVar("T")

Hash = dict[bytes, bytes]


class Scores(dict[bytes, float]):
    """A sorted set: member -> score."""

    def ordered(self) -> list[tuple[float, bytes]]:
        """Return scores and members in order."""
        return sorted((score, member) for member, score in self.items())


WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

_NAMES: dict[type, bytes] = {dict: b"hash", Scores: b"zset", Stream: b"stream", bytes: b"string"}


@dataclass
class Database:
    """All keys.

    Args:
        now_us: the server's clock, in microseconds.
    """

    now_us: Callable[[], int]
    keys: dict[bytes, Any] = field(default_factory=dict)

    def copy(self) -> "Database":
        """Return an independent copy."""
        keys = {
            name: value.copy() if not isinstance(value, bytes | Scores) else _same(value)
            for name, value in self.keys.items()
        }
        return Database(self.now_us, keys)

    def get(self, name: bytes, kind: type[T]) -> T | None:
        """Return a value of one type, or None if the key does not exist."""
        value = self.keys.get(name)
        if value is not None and type(value) is not kind:
            raise ReplyError(WRONGTYPE)
        return value

    def make(self, name: bytes, kind: type[T]) -> T:
        """Return a value of one type, which is created if the key does not exist."""
        found = self.get(name, kind)
        if found is None:
            found = self.keys[name] = kind()
        return found

    def hash_of(self, name: bytes) -> Hash:
        """Return a hash for reading."""
        return self.get(name, dict) or {}

    def kind_of(self, name: bytes) -> bytes:
        """Return the type of a key, or `none`."""
        value = self.keys.get(name)
        return b"none" if value is None else _NAMES[type(value)]

    def execute(self, arguments: list[bytes]) -> Any:
        """Execute one command of this module.

        Raises:
            ReplyError: the error that a server would reply with.
        """
        handler = getattr(self, f"_do_{arguments[0].decode().lower()}", None)
        if handler is None:
            raise ReplyError(f"ERR unknown command {arguments[0].decode()!r}")
        try:
            return handler(*arguments[1:])
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise ReplyError(f"ERR wrong number of arguments for '{arguments[0].decode().lower()}'") from None

    def _do_ping(self) -> Any:
        return Status(b"PONG")

    def _do_time(self) -> Any:
        seconds, rest = divmod(self.now_us(), 1_000_000)
        return [b"%d" % seconds, b"%d" % rest]

    def _do_type(self, name: bytes) -> Any:
        return Status(self.kind_of(name))

    def _do_exists(self, *names: bytes) -> Any:
        return sum(name in self.keys for name in names)

    def _do_set(self, name: bytes, value: bytes) -> Any:
        self.keys[name] = value
        return OK

    def _do_del(self, *names: bytes) -> Any:
        return sum(self.keys.pop(name, None) is not None for name in names)

    _do_unlink = _do_del

    def _do_flushall(self) -> Any:
        self.keys.clear()
        return OK

    def _do_info(self, _section: bytes = b"") -> Any:
        return b"# Server\r\nredis_version:7.2.4\r\nserver_name:model\r\n"

    def _do_scan(self, _cursor: bytes, *options: bytes) -> Any:
        given = {options[at].upper(): options[at + 1] for at in range(0, len(options), 2)}
        head, _, tail = given.get(b"MATCH", b"*").partition(b"*")
        kind = given.get(b"TYPE")
        found = [
            name
            for name in self.keys
            if name.startswith(head) and name.endswith(tail) and kind in {None, self.kind_of(name)}
        ]
        return [b"0", found]

    def _do_memory(self, _usage: bytes, name: bytes, *_options: bytes) -> Any:
        value = self.keys.get(name)
        if isinstance(value, Stream):
            return 100 + sum(sum(map(len, flat)) + 32 for flat in value.flats)
        return None if value is None else 100

    def _do_pubsub(self, _shardnumsub: bytes, channel: bytes) -> Any:
        return [channel, 0]

    def _do_spublish(self, _channel: bytes, _message: bytes) -> Any:
        return 0

    def _do_hset(self, name: bytes, *flat: bytes) -> Any:
        if not flat or len(flat) % 2:
            raise ReplyError("ERR wrong number of arguments for 'hset' command")
        fields = self.make(name, dict)
        before = len(fields)
        fields.update(zip(flat[::2], flat[1::2], strict=True))
        return len(fields) - before

    def _do_hincrby(self, name: bytes, key: bytes, by: bytes) -> Any:
        fields = self.make(name, dict)
        fields[key] = b"%d" % (int(fields.get(key, b"0")) + int(by))
        return int(fields[key])

    def _do_hget(self, name: bytes, key: bytes) -> Any:
        return self.hash_of(name).get(key)

    def _do_hmget(self, name: bytes, *keys: bytes) -> Any:
        fields = self.hash_of(name)
        return [fields.get(key) for key in keys]

    def _do_hgetall(self, name: bytes) -> Any:
        return [part for pair in self.hash_of(name).items() for part in pair]

    def _do_hkeys(self, name: bytes) -> Any:
        return list(self.hash_of(name))

    def _do_hlen(self, name: bytes) -> Any:
        return len(self.hash_of(name))

    def _do_hdel(self, name: bytes, *keys: bytes) -> Any:
        fields = self.hash_of(name)
        gone = sum(fields.pop(key, None) is not None for key in keys)
        if not fields:
            self.keys.pop(name, None)
        return gone

    def _do_zadd(self, name: bytes, *rest: bytes) -> Any:
        greater = rest[0].upper() == b"GT"
        if greater:
            rest = rest[1:]
        scores, added = self.make(name, Scores), 0
        for score, member in zip(rest[::2], rest[1::2], strict=True):
            known = scores.get(member)
            added += known is None
            if known is None or not greater or float(score) > known:
                scores[member] = float(score)
        return added

    def _do_zcard(self, name: bytes) -> Any:
        return len(self.get(name, Scores) or Scores())

    def _do_zrem(self, name: bytes, *members: bytes) -> Any:
        scores = self.get(name, Scores) or Scores()
        gone = sum(scores.pop(member, None) is not None for member in members)
        if not scores:
            self.keys.pop(name, None)
        return gone

    def _do_zrange(self, name: bytes, start: bytes, end: bytes) -> Any:
        found = [member for _, member in (self.get(name, Scores) or Scores()).ordered()]
        return found[int(start) : int(end) + 1 or None]

    def _do_zrangebyscore(self, name: bytes, low: bytes, high: bytes) -> Any:
        ordered = (self.get(name, Scores) or Scores()).ordered()
        return [member for score, member in ordered if _above(score, low) and _below(score, high)]

    def _do_zremrangebyscore(self, name: bytes, low: bytes, high: bytes) -> Any:
        gone = self._do_zrangebyscore(name, low, high)
        return self._do_zrem(name, *gone) if gone else 0


def _same(value: Any) -> Any:
    return Scores(value) if isinstance(value, Scores) else value


def _above(score: float, low: bytes) -> bool:
    return score > float(low[1:]) if low.startswith(b"(") else score >= float(low)


def _below(score: float, high: bytes) -> bool:
    return score < float(high[1:]) if high.startswith(b"(") else score <= float(high)
