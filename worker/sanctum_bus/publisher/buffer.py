"""The bounded buffer between training and the sender's thread, and every count of a publisher. It does no I/O.

An event has its number (`seq`) from the moment it enters. What is dropped afterwards leaves a gap in the numbers, which
the worker sees and the counts here explain: `emitted == sent + dropped + buffered + spilled`, always.

Signal handlers and finalisers may emit while the same thread is inside one of these methods. So the lock can be entered
again, and what such an inner call brings waits in the inbox until the outer one is done: numbers stay in order. An
exception that comes out of a handler, as Ctrl-C does, may leave at any place: so the lock is held by a `with` of the
method itself, and what can be worked out is not counted.
"""

import threading
from collections import deque
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast

from sanctum_bus.protocol.entry import CLOSED

#: An entry over this many bytes is never sent: servers refuse a request of 512 MiB, and the memory is training's.
MAX_SENT_BYTES = 64 << 20

#: The type of the event that begins a run; everything that is known about a run hangs on it.
TRAINING_STARTED = "TRAINING_STARTED"

#: Dropped TRAINING_STARTED that are kept aside; more than groups are ever compared in one run.
_MAX_LOST_STARTS = 64

_NEVER = 1 << 62


class Entry(NamedTuple):
    """One event with its number.

    Args:
        dropped: how many numbers right before this one will never be sent.
    """

    seq: int
    type: str
    event: bytes
    dropped: int = 0


class Counts(NamedTuple):
    """What became of the events of one producer.

    Args:
        emitted: events that were handed over and have a type; a TRAINING_STARTED that is sent again counts again.
        sent: accepted by the server.
        dropped: thrown away: the buffer was full, the event too large, or the publisher closed.
        buffered: neither yet.
        unnumbered: those of `dropped` that came after `close` and so leave no gap.
        unconvertible: values that were sent as their `repr`, renamed, or could not be read.
        rejected: events without a type; they are in no other count.
        spilled: in files, and neither sent nor dropped.
    """

    emitted: int
    sent: int
    dropped: int
    buffered: int
    unnumbered: int
    unconvertible: int
    rejected: int
    spilled: int = 0


def size_of(entry: tuple[Any, ...]) -> int:
    """Return the bytes that an event takes, those of its type among them."""
    return len(entry[1]) + len(entry[2])


Method = TypeVar("Method", bound=Callable[..., Any])


def alone(method: Method) -> Method:
    """Let one thread at a time into a method of a buffer; what handlers brought meanwhile is taken in at its end."""

    @wraps(method)
    def held(self: "Buffer", *args: Any, **given: Any) -> Any:
        lock = self._lock
        inner = lock._is_owned()  # type: ignore[attr-defined]  # noqa: SLF001  # as in `entered`
        with lock:
            try:
                if not inner:
                    self._empty_inbox()
                return method(self, *args, **given)
            finally:
                if not inner:
                    self._empty_inbox()

    return cast("Method", held)


class Buffer:
    """Events in order, those that are under way to the server included.

    Args:
        max_events: bound on the events that were never sent.
        max_bytes: bound on their bytes.
        wake: called when there is as much as `arm` asked for; must neither block nor take a lock.
    """

    def __init__(self, max_events: int, max_bytes: int, wake: Callable[[], None]) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._high_events, self._high_bytes = max_events, max_bytes
        self._max_entry = min(max_bytes, MAX_SENT_BYTES)
        self._wake = wake
        self._wake_at = _NEVER
        self._lock = threading.RLock()
        self._inbox: deque[tuple[str, bytes, int, bool]] = deque()
        # Plain tuples: an Entry costs more to make than all the rest of `put`.
        self._entries: deque[tuple[int, str, bytes]] = deque()
        self._under_way: list[Entry] = []
        self._lost_starts: deque[Entry] = deque(maxlen=_MAX_LOST_STARTS)
        self._closed = False
        self._bytes = self._last_seq = self._handed_out = 0
        self._sent = self._dropped = self._unnumbered = 0
        self._unconvertible = self._rejected = self._spilled = 0

    def put(self, kind: str, event: bytes, unconvertible: int = 0) -> bool:
        """Take an event in; when the buffer is full, the oldest go that were never sent.

        Returns:
            False: the buffer is closed and the event was dropped.
        """
        lock = self._lock
        if lock._is_owned():  # type: ignore[attr-defined]  # noqa: SLF001  # as in `entered`
            self._inbox.append((kind, event, unconvertible, self._closed))
            return not self._closed
        with lock:
            self._unconvertible += unconvertible
            if self._closed:
                self._unnumbered += 1
                return False
            self._add(kind, event)
            if self._inbox:
                self._empty_inbox()
        return True

    @alone
    def put_again(self, kind: str, event: bytes) -> None:
        """Take in an event of the publisher's own, also when the buffer is closed."""
        self._add(kind, event)

    @alone
    def reject(self) -> None:
        """Count an event that has no type."""
        self._rejected += 1

    @alone
    def arm(self, events: int) -> bool:
        """Whether there are so many events that were never sent; if not, `wake` is called when there are."""
        enough = len(self._entries) + len(self._under_way) >= events
        self._wake_at = _NEVER if enough else events
        return enough

    @alone
    def take(self, max_events: int, max_bytes: int) -> list[Entry]:
        """Hand out the oldest events, at least one if there is any. From now on they are under way, and stay.

        Nothing else may be under way.
        """
        self._wake_at = _NEVER
        size = 0
        while self._entries and len(self._under_way) < max_events:
            size += size_of(self._entries[0])
            if self._under_way and size > max_bytes:
                break
            self._under_way.append(self._after_dropped(self._pop()))
        return list(self._under_way)

    @alone
    def settle(self, sent: int, lost: int) -> None:
        """Say what became of what is under way.

        Args:
            sent: events that the server accepted.
            lost: events before them that it refused for good.
        """
        del self._under_way[: sent + lost]
        self._sent += sent
        self._dropped += lost

    def close(self) -> None:
        """Take nothing more in, except what the publisher itself sends."""
        self._closed = True

    @alone
    def farewell(self) -> tuple[Entry, Counts] | None:
        """Return the goodbye, still empty, and the final counts; None if there is nothing to take leave of.

        Nothing may be left to be sent.
        """
        if not self._last_seq:
            return None
        self._last_seq += 1
        return self._after_dropped(Entry(self._last_seq, CLOSED, b"")), self.counts

    @alone
    def take_lost_starts(self) -> list[Entry]:
        """Hand out the TRAINING_STARTED that were dropped since the last call."""
        lost = list(self._lost_starts)
        self._lost_starts.clear()
        return lost

    @property
    def entered(self) -> bool:
        """Whether the calling thread is inside one of these methods: it is a signal handler that interrupted one.

        Nobody else can get in before the handler returns, so it must not wait for anybody.
        """
        # What `threading.Condition` asks too; there is no public way.
        return bool(self._lock._is_owned())  # type: ignore[attr-defined]  # noqa: SLF001

    @property
    @alone
    def last_seq(self) -> int:
        """The number given last."""
        return self._last_seq

    @property
    @alone
    def settled_seq(self) -> int:
        """Everything up to this number was accepted by the server, or dropped."""
        oldest = self._under_way or self._entries
        return oldest[0][0] - 1 if oldest else self._last_seq

    @property
    def holds_any(self) -> bool:
        """Whether there are events that are neither sent nor dropped."""
        counts = self.counts
        return bool(counts.buffered or counts.spilled)

    @property
    @alone
    def counts(self) -> Counts:
        """All counts of one moment."""
        dropped, buffered = self._dropped + self._unnumbered, self._in_memory()
        return Counts(
            self._sent + dropped + buffered + self._spilled,
            self._sent,
            dropped,
            buffered,
            self._unnumbered,
            self._unconvertible,
            self._rejected,
            self._spilled,
        )

    def _in_memory(self) -> int:
        return len(self._entries) + len(self._under_way)

    def _empty_inbox(self) -> None:
        while self._inbox:
            kind, event, unconvertible, late = self._inbox.popleft()
            self._unconvertible += unconvertible
            if late:
                self._unnumbered += 1
            else:
                self._add(kind, event)

    def _add(self, kind: str, event: bytes) -> None:
        self._last_seq = seq = self._last_seq + 1
        size = len(kind) + len(event)
        if size > self._max_entry:
            # It takes a number, so that the worker sees what is missing, but it must not push everything else out.
            self._dropped += 1
            return
        entries = self._entries
        entries.append((seq, kind, event))
        self._bytes += size
        if self._bytes > self._high_bytes or len(entries) > self._high_events:
            self._relieve()
        if len(entries) >= self._wake_at:
            self._wake_at = _NEVER
            self._wake()

    def _relieve(self) -> None:
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        while self._bytes > self._max_bytes or len(self._entries) > self._max_events:
            entry = self._pop()
            self._dropped += 1
            if entry.type == TRAINING_STARTED:
                self._lost_starts.append(entry)

    def _after_dropped(self, entry: Entry) -> Entry:
        # All goes in order: what was not handed out by now never will be.
        dropped = entry.seq - 1 - self._handed_out
        self._handed_out = entry.seq
        return entry._replace(dropped=dropped) if dropped else entry

    def _pop(self) -> Entry:
        entry = Entry(*self._entries.popleft())
        self._bytes -= size_of(entry)
        return entry
