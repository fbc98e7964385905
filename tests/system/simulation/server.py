"""The model server: streams, scripts and transactions on top of the keys, and states in which it refuses commands."""

from collections.abc import Callable
from hashlib import sha1
from typing import Any

from tests.system.simulation.database import Database
from tests.system.simulation.lua import scripts
from tests.system.simulation.replies import OK, ReplyError
from tests.system.simulation.streams import (
    GREATEST,
    LEAST,
    Flat,
    Group,
    Id,
    Stream,
    after,
    parse_id,
    parse_range,
    show_id,
)

_WRITES = frozenset(
    b"SET DEL UNLINK FLUSHALL HSET HINCRBY HDEL ZADD ZREM ZREMRANGEBYSCORE XADD XDEL XTRIM XGROUP XACK XREADGROUP".split()
)

#: Commands that a full server refuses.
_GROWS = frozenset(b"SET HSET HINCRBY ZADD XADD".split())

_NO_KEY = "ERR no such key"

_REFUSALS = {
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY": "READONLY You can't write against a read only replica.",
    "MISCONF": "MISCONF Errors writing to the AOF file",
    "LOADING": "LOADING Redis is loading the dataset in memory",
}


class StreamCommands(Database):
    """The commands of streams."""

    def copy(self) -> "StreamCommands":
        """Return an independent copy."""
        return StreamCommands(self.now_us, super().copy().keys)

    def _stream(self, name: bytes) -> Stream:
        found = self.get(name, Stream)
        if found is None:
            raise ReplyError(_NO_KEY)
        return found

    def group_of(self, name: bytes, group: bytes) -> Group:
        """Return a group."""
        stream = self.get(name, Stream)
        if stream is None or group not in stream.groups:
            raise ReplyError(f"NOGROUP No such key '{name.decode()}' or consumer group '{group.decode()}'")
        return stream.groups[group]

    def _do_xadd(self, name: bytes, *rest: bytes) -> Any:
        limit = None
        if rest[0].upper() == b"MAXLEN":
            rest = rest[1 + (rest[1] in {b"~", b"="}) :]
            limit, rest = int(rest[0]), rest[1:]
        if len(rest) < 3 or not len(rest) % 2:
            raise ReplyError("ERR wrong number of arguments for 'xadd' command")
        known = self.get(name, Stream)
        stream = known or Stream()
        new = stream.add(rest[0], self.now_us() // 1000, rest[1:])
        if known is None:
            self.keys[name] = stream
        if limit is not None:
            stream.cut(len(stream.ids) - limit)
        return show_id(new)

    def _do_xlen(self, name: bytes) -> Any:
        return len((self.get(name, Stream) or Stream()).ids)

    def _do_xrange(self, name: bytes, start: bytes, end: bytes, *options: bytes) -> Any:
        low, high = parse_range(start, end)
        count = int(options[1]) if options else None
        return _rows((self.get(name, Stream) or Stream()).between(low, high, count))

    def _do_xrevrange(self, name: bytes, end: bytes, start: bytes, *options: bytes) -> Any:
        low, high = parse_range(start, end)
        found = (self.get(name, Stream) or Stream()).between(low, high)[::-1]
        return _rows(found[: int(options[1])] if options else found)

    def _do_xdel(self, name: bytes, *ids: bytes) -> Any:
        return (self.get(name, Stream) or Stream()).delete([parse_id(one) for one in ids])

    def _do_xtrim(self, name: bytes, how: bytes, *rest: bytes) -> Any:
        # `~` lets a server keep more entries. A model that keeps no more is the harder test.
        limit = rest[-1]
        stream = self.get(name, Stream) or Stream()
        if how.upper() == b"MAXLEN":
            return stream.cut(len(stream.ids) - int(limit))
        return stream.cut(sum(one < parse_id(limit) for one in stream.ids))

    def _do_xinfo(self, what: bytes, name: bytes) -> Any:
        stream = self._stream(name)
        if what.upper() == b"GROUPS":
            return [_group_info(group_name, group) for group_name, group in stream.groups.items()]
        rows = _rows(list(zip(stream.ids, stream.flats, strict=True))[:1])
        lasts = _rows(list(zip(stream.ids[-1:], stream.flats[-1:], strict=True)))
        first = stream.ids[0] if stream.ids else LEAST
        info = {
            b"length": len(stream.ids),
            b"last-generated-id": show_id(stream.last),
            b"max-deleted-entry-id": show_id(stream.max_deleted),
            b"entries-added": stream.added,
            b"recorded-first-entry-id": show_id(first),
            b"groups": len(stream.groups),
            b"first-entry": rows[0] if rows else None,
            b"last-entry": lasts[0] if lasts else None,
        }
        return [part for pair in info.items() for part in pair]

    def _do_xpending(self, name: bytes, group_name: bytes, *rest: bytes) -> Any:
        group = self.group_of(name, group_name)
        pending = sorted(group.pending)
        if not rest:
            if not pending:
                return [0, None, None, None]
            owners = [group.pending[one] for one in pending]
            shares = [[owner, b"%d" % owners.count(owner)] for owner in sorted(set(owners))]
            return [len(pending), show_id(pending[0]), show_id(pending[-1]), shares]
        low, high = parse_range(rest[0], rest[1])
        some = [one for one in pending if low <= one <= high][: int(rest[2])]
        return [[show_id(one), group.pending[one], 0, 1] for one in some]

    def _do_xack(self, name: bytes, group_name: bytes, *ids: bytes) -> Any:
        stream = self.get(name, Stream)
        group = stream.groups.get(group_name) if stream else None
        if group is None:
            return 0
        return sum(group.pending.pop(parse_id(one), None) is not None for one in ids)

    def _do_xgroup(self, what: bytes, name: bytes, group_name: bytes, *rest: bytes) -> Any:
        stream = self.get(name, Stream)
        if stream is None:
            raise ReplyError("ERR The XGROUP subcommand requires the key to exist.")
        match what.upper():
            case b"CREATE":
                if group_name in stream.groups:
                    raise ReplyError("BUSYGROUP Consumer Group name already exists")
                at = stream.last if rest[0] == b"$" else parse_id(rest[0])
                stream.groups[group_name] = Group(at, read=int(rest[2]) if len(rest) > 2 else None)
                return OK
            case b"DESTROY":
                return int(stream.groups.pop(group_name, None) is not None)
            case b"SETID":
                self.group_of(name, group_name).delivered = (
                    stream.last if rest[0] == b"$" else parse_id(rest[0])
                )
                return OK
            case b"DELCONSUMER":
                group = self.group_of(name, group_name)
                gone = [one for one, owner in group.pending.items() if owner == rest[0]]
                for one in gone:
                    del group.pending[one]
                group.consumers.pop(rest[0], None)
                return len(gone)
        raise ReplyError("ERR unknown subcommand")

    def _do_xreadgroup(self, *rest: bytes) -> Any:
        """Read with `>` from one stream without blocking; the package uses nothing else."""
        given = list(rest)
        count = int(given[given.index(b"COUNT") + 1]) if b"COUNT" in given else None
        name = given[given.index(b"STREAMS") + 1]
        found = self._stream(name) if self.group_of(name, given[1]) else Stream()
        rows = _rows(found.deliver(found.groups[given[1]], given[2], count))
        return [[name, rows]] if rows else None

    def _do_xread(self, *rest: bytes) -> Any:
        """Read one stream; the network implements blocking."""
        given = list(rest)
        count = int(given[given.index(b"COUNT") + 1]) if b"COUNT" in given else None
        name, since = given[given.index(b"STREAMS") + 1 :]
        rows = _rows((self.get(name, Stream) or Stream()).between(after(parse_id(since)), GREATEST, count))
        return [[name, rows]] if rows else None


def _rows(found: list[tuple[Id, Flat]]) -> list[Any]:
    return [[show_id(one), list(flat)] for one, flat in found]


def _group_info(name: bytes, group: Group) -> list[Any]:
    info = {
        b"name": name,
        b"consumers": len(group.consumers),
        b"pending": len(group.pending),
        b"last-delivered-id": show_id(group.delivered),
    }
    return [part for pair in info.items() for part in pair]


class Model(StreamCommands):
    """A whole server. It executes the commands and transactions of all connections one at a time.

    Attributes:
        refusing: why it refuses commands at present: a key of `_REFUSALS`, or "".
        die_after: writes of a script after which its next command fails; None: no script fails.
        died: the last script failed.
        scripts: digest -> text.
    """

    refusing = ""
    die_after: int | None = None
    died = False

    def __init__(self, now_us: Callable[[], int]) -> None:
        super().__init__(now_us)
        self.scripts: dict[bytes, bytes] = {}

    def replace(self, kept: Database) -> None:
        """Restore a copy that was kept; it may be restored again."""
        self.keys = kept.copy().keys

    def refuse(self, command: bytes, flags: bytes | None = None) -> None:
        """Raise the error that a server in trouble returns for a command, or for a script with these flags."""
        writes = command in _WRITES if flags is None else b"no-writes" not in flags
        grows = command in _GROWS if flags is None else writes and b"allow-oom" not in flags
        if (
            self.refusing == "LOADING"
            or (self.refusing == "OOM" and grows)
            or (self.refusing in {"READONLY", "MISCONF"} and writes)
        ):
            raise ReplyError(_REFUSALS[self.refusing])

    def perform(self, arguments: list[bytes]) -> Any:
        """Execute a command or a script of a client, and return its reply or its error."""
        command = arguments[0].upper()
        try:
            if command in {b"EVALSHA", b"EVAL", b"EVALSHA_RO", b"EVAL_RO"}:
                return self._evaluate(command, arguments)
            self.refuse(command)
            return self.execute(arguments)
        except ReplyError as error:
            return error

    def transact(self, queued: list[list[bytes]]) -> Any:
        """Execute a transaction; a command that is refused when it is queued aborts it."""
        try:
            for arguments in queued:
                self.refuse(arguments[0].upper())
        except ReplyError:
            return ReplyError("EXECABORT Transaction discarded because of previous errors.")
        return [self.perform(arguments) for arguments in queued]

    def _evaluate(self, command: bytes, arguments: list[bytes]) -> Any:
        text, count = arguments[1], int(arguments[2])
        if command.startswith(b"EVALSHA"):
            if text not in self.scripts:
                raise ReplyError("NOSCRIPT No matching script. Please use EVAL.")
            text = self.scripts[text]
        else:
            self.scripts[sha1(text, usedforsecurity=False).hexdigest().encode()] = text
        flags = text.partition(b"\n")[0]
        self.refuse(command, flags)
        writes, self.died = 0, False

        def call(inner: list[bytes]) -> Any:
            nonlocal writes
            if self.died or self.die_after == writes:
                self.died = True
                raise ReplyError("ERR the simulation lets this script die")
            is_write = inner[0].upper() in _WRITES
            if is_write and b"no-writes" in flags:
                raise ReplyError("ERR Write commands are not allowed from read-only scripts.")
            writes += is_write
            return self.execute(inner)

        return scripts().run(text, arguments[3 : 3 + count], arguments[3 + count :], call)
