"""A stream and its groups: a part of the model server."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from tests.system.simulation.replies import ReplyError

Id = tuple[int, int]

#: An entry: field names and values in turn.
Flat = tuple[bytes, ...]

LEAST: Id = (0, 0)
GREATEST: Id = ((1 << 64) - 1, (1 << 64) - 1)


def parse_id(text: bytes, missing: int = 0) -> Id:
    """Return an ID as two numbers; `missing` is the sequence of an ID without one."""
    if text == b"-":
        return LEAST
    if text == b"+":
        return GREATEST
    head, dash, tail = text.partition(b"-")
    if not head.isdigit() or (dash and not tail.isdigit()):
        raise ReplyError("ERR Invalid stream ID specified as stream command argument")
    return int(head), int(tail) if dash else missing


def show_id(one: Id) -> bytes:
    """Return an ID as text."""
    return b"%d-%d" % one


def after(one: Id) -> Id:
    """Return the next ID."""
    return one[0], one[1] + 1


def parse_range(start: bytes, end: bytes) -> tuple[Id, Id]:
    """Return the bounds of a range, both inclusive."""
    low = after(parse_id(start[1:])) if start.startswith(b"(") else parse_id(start)
    if end.startswith(b"("):
        high = parse_id(end[1:])
        high = (high[0], high[1] - 1) if high[1] else (high[0] - 1, GREATEST[1])
    else:
        high = parse_id(end, GREATEST[1])
    return low, high


@dataclass(slots=True)
class Group:
    """A consumer group.

    Args:
        delivered: ID of the last delivered entry.
        pending: ID -> consumer.
    """

    delivered: Id
    pending: dict[Id, bytes] = field(default_factory=dict)
    consumers: dict[bytes, None] = field(default_factory=dict)
    read: int | None = None

    def copy(self) -> "Group":
        """Return an independent copy."""
        return Group(self.delivered, dict(self.pending), dict(self.consumers), self.read)


@dataclass(slots=True)
class Stream:
    """A stream.

    Args:
        full: every entry that it ever had; a server does not have this, the oracle needs it.
        removed: IDs of removed entries.
        skipped: IDs over which a client has moved the group's cursor.
    """

    ids: list[Id] = field(default_factory=list)
    flats: list[Flat] = field(default_factory=list)
    last: Id = LEAST
    max_deleted: Id = LEAST
    added: int = 0
    groups: dict[bytes, Group] = field(default_factory=dict)
    full: list[tuple[Id, Flat]] = field(default_factory=list)
    removed: set[Id] = field(default_factory=set)
    skipped: set[Id] = field(default_factory=set)

    def copy(self) -> "Stream":
        """Return an independent copy."""
        return Stream(
            list(self.ids),
            list(self.flats),
            self.last,
            self.max_deleted,
            self.added,
            {name: group.copy() for name, group in self.groups.items()},
            list(self.full),
            set(self.removed),
            set(self.skipped),
        )

    def add(self, wanted: bytes, now_ms: int, flat: Flat) -> Id:
        """Append an entry."""
        if wanted == b"*":
            new = (now_ms, 0) if now_ms > self.last[0] else after(self.last)
        else:
            new = parse_id(wanted)
            if new == LEAST:
                raise ReplyError("ERR The ID specified in XADD must be greater than 0-0")
        if new <= self.last:
            raise ReplyError(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item"
            )
        self.ids.append(new)
        self.flats.append(flat)
        self.full.append((new, flat))
        self.last = new
        self.added += 1
        return new

    def between(self, low: Id, high: Id, count: int | None = None) -> list[tuple[Id, Flat]]:
        """Return the entries of a range."""
        start, end = bisect_left(self.ids, low), bisect_right(self.ids, high)
        if count is not None:
            end = min(end, start + max(0, count))
        return list(zip(self.ids[start:end], self.flats[start:end], strict=True))

    def cut(self, count: int) -> int:
        """Remove the first entries."""
        count = max(0, min(count, len(self.ids)))
        self.removed.update(self.ids[:count])
        del self.ids[:count]
        del self.flats[:count]
        return count

    def delete(self, wanted: list[Id]) -> int:
        """Remove entries by ID."""
        gone = [one for one in wanted if one in self.ids]
        for one in gone:
            place = self.ids.index(one)
            del self.ids[place]
            del self.flats[place]
            self.removed.add(one)
            self.max_deleted = max(self.max_deleted, one)
        return len(gone)

    def deliver(self, group: Group, consumer: bytes, count: int | None) -> list[tuple[Id, Flat]]:
        """Deliver the next entries of the group, which are pending from then on."""
        group.consumers[consumer] = None
        found = self.between(after(group.delivered), GREATEST, count)
        for one, _ in found:
            group.pending[one] = consumer
        if found:
            group.delivered = found[-1][0]
        return found
