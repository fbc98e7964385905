"""The bounded buffer between training and the sender thread, and all counts of a publisher. No I/O.

An event gets its number (`seq`) when it enters. If it is dropped later, the numbers have a gap: a worker sees the gap,
and the counts explain it. `emitted == sent + dropped + buffered + spilled` always holds.

Signal handlers and finalizers may emit while the same thread is inside a method of the buffer. Therefore the lock is
reentrant, and events of such an inner call wait in the inbox until the outer call is done: the numbers stay in order.

An exception from a handler, such as Ctrl-C, may leave a method at any point. Therefore each method holds the lock in a
`with` statement, and counts that follow from others are computed, not stored.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from sanctum_bus.protocol.entry import CLOSED
from sanctum_bus.publisher.entry import MAX_SENT_BYTES, TRAINING_STARTED, Counts, Entry, size_of

#: Maximum number of dropped TRAINING_STARTED that are kept; no run compares more groups.
_MAX_DROPPED_STARTS = 64

_NEVER = 1 << 62


Method = TypeVar("Method", bound=Callable[..., Any])


def synchronized(method: Method) -> Method:
    """Hold the buffer's lock during a method, and add the events of the inbox before and after it."""

    @wraps(method)
    def locked(self: "Buffer", *args: Any, **given: Any) -> Any:
        lock = self._lock
        is_inner = lock._is_owned()  # type: ignore[attr-defined]  # noqa: SLF001  # see `held_by_caller`
        with lock:
            try:
                if not is_inner:
                    self._empty_inbox()
                return method(self, *args, **given)
            finally:
                if not is_inner:
                    self._empty_inbox()

    return cast("Method", locked)


class Buffer:
    """Events in order, including the batch in flight to the server.

    Events pass through stages, oldest first: in flight, then memory. A subclass may put further stages between them.

    Args:
        max_events: maximum number of events in memory that were never sent.
        max_bytes: maximum size of these events in bytes.
        wake: called when the number of events requested with `wake_at` is reached; must not block or take a lock.
    """

    def __init__(self, max_events: int, max_bytes: int, wake: Callable[[], None]) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        # Above these bounds `put` calls `_relieve`.
        self._high_events, self._high_bytes = max_events, max_bytes
        self._max_entry = min(max_bytes, MAX_SENT_BYTES)
        self._wake = wake
        self._wake_threshold = _NEVER
        self._lock = threading.RLock()
        self._inbox: deque[tuple[str, bytes, int, bool]] = deque()
        self._in_flight: list[Entry] = []
        # Plain tuples: creating an Entry costs more than the rest of `put`.
        self._memory: deque[tuple[int, str, bytes]] = deque()
        self._bytes = 0
        # Oldest first. Each item of a stage starts with the number of its first event.
        self._stages: list[Sequence[tuple[Any, ...]]] = [self._in_flight, self._memory]
        self._dropped_starts: deque[Entry] = deque(maxlen=_MAX_DROPPED_STARTS)
        self._closed = False
        self._last_seq = self._last_taken = 0
        self._sent = self._dropped = self._unnumbered = 0
        self._unconvertible = self._rejected = self._spilled = 0

    def put(self, kind: str, event: bytes, unconvertible: int = 0) -> bool:
        """Add an event. If the buffer is full, drop the oldest events that were never sent.

        Returns:
            False if the buffer is closed; then the event is dropped and counted.
        """
        lock = self._lock
        if lock._is_owned():  # type: ignore[attr-defined]  # noqa: SLF001  # see `held_by_caller`
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

    @synchronized
    def put_internal(self, kind: str, event: bytes) -> None:
        """Add an event of the publisher, even if the buffer is closed."""
        self._add(kind, event)

    @synchronized
    def reject(self) -> None:
        """Count an event without a type."""
        self._rejected += 1

    @synchronized
    def wake_at(self, events: int) -> bool:
        """Return whether at least this many events can be taken; if not, call `wake` once when they can."""
        ahead, is_blocked = self._ahead_of_memory(), self._is_memory_blocked()
        is_enough = ahead + (0 if is_blocked else len(self._memory)) >= events
        self._wake_threshold = _NEVER if is_enough or is_blocked else events - ahead
        return is_enough

    @synchronized
    def take(self, max_events: int, max_bytes: int) -> list[Entry]:
        """Return the next batch: the oldest events within both bounds, at least one if there is any.

        The batch is in flight until `acknowledge`: until then it is neither changed nor dropped, and `take` returns it
        again.
        """
        self._wake_threshold = _NEVER
        source = self._sendable()
        if not self._in_flight:
            size = 0
            while source and len(self._in_flight) < max_events:
                size += size_of(source[0])
                if self._in_flight and size > max_bytes:
                    break
                self._in_flight.append(self._after_dropped(self._pop(source)))
        return list(self._in_flight)

    @synchronized
    def acknowledge(self, sent: int, lost: int) -> None:
        """Remove the oldest events in flight.

        Args:
            sent: number of events that the server accepted.
            lost: number of events before them that can no longer be sent in order.
        """
        del self._in_flight[: sent + lost]
        self._sent += sent
        self._dropped += lost

    def close(self) -> None:
        """Accept no more events, except those of the publisher."""
        self._closed = True

    @synchronized
    def closing_entry(self) -> tuple[Entry, Counts] | None:
        """Return the end-of-stream marker, with an empty map, and the final counts; None if no event was ever added.

        All events must have been sent before.
        """
        if not self._last_seq:
            return None
        self._last_seq += 1
        return self._after_dropped(Entry(self._last_seq, CLOSED, b"")), self.counts

    @synchronized
    def pop_dropped_starts(self) -> list[Entry]:
        """Return the TRAINING_STARTED that were dropped since the last call."""
        dropped = list(self._dropped_starts)
        self._dropped_starts.clear()
        return dropped

    @property
    def held_by_caller(self) -> bool:
        """Whether the calling thread is inside a method of this buffer: it runs a signal handler that interrupted one.

        No other thread can enter before the handler returns. So the handler must not wait for another thread.
        """
        # `threading.Condition` uses the same method; there is no public one.
        return bool(self._lock._is_owned())  # type: ignore[attr-defined]  # noqa: SLF001

    @property
    @synchronized
    def last_seq(self) -> int:
        """The last number that was assigned."""
        return self._last_seq

    @property
    @synchronized
    def settled_seq(self) -> int:
        """The number up to which the server accepted every event, or the buffer dropped it."""
        return next((stage[0][0] - 1 for stage in self._stages if stage), self._last_seq)

    @property
    def has_unsent(self) -> bool:
        """Whether there are events that are neither sent nor dropped."""
        counts = self.counts
        return bool(counts.buffered or counts.spilled)

    @property
    @synchronized
    def counts(self) -> Counts:
        """All counts at one moment."""
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

    # A subclass with more stages overrides these five.

    def _in_memory(self) -> int:
        """Return the number of events in memory, in all stages."""
        return sum(map(len, self._stages))

    def _ahead_of_memory(self) -> int:
        """Return the number of events that are older than those of the stage memory, and can be taken."""
        return len(self._in_flight)

    def _is_memory_blocked(self) -> bool:
        """Return whether older events keep the stage memory from being taken for now."""
        return False

    def _sendable(self) -> deque[Any]:
        """Return the stage of the next batch."""
        return self._memory

    def _relieve(self) -> None:
        """Reduce the stage memory, which is above its high bounds; must not block."""
        self._drop_oldest()

    # A subclass calls the rest, with the lock held.

    def _is_above(self, events: int, size: int) -> bool:
        """Return whether the stage memory is above a number of events or of bytes."""
        return self._bytes > size or len(self._memory) > events

    def _drop_oldest(self) -> None:
        # Without `_is_above` and `_note_dropped`: if the buffer is full, each `emit` runs this.
        while self._bytes > self._max_bytes or len(self._memory) > self._max_events:
            entry = self._pop(self._memory)
            self._dropped += 1
            if entry.type == TRAINING_STARTED:
                self._dropped_starts.append(entry)

    def _note_dropped(self, events: int, starts: Sequence[Entry] = ()) -> None:
        """Count dropped events, and keep those of them that are a TRAINING_STARTED."""
        self._dropped += events
        self._dropped_starts.extend(starts)

    def _pop(self, stage: deque[Any]) -> Entry:
        """Remove and return the oldest event of a stage."""
        entry = Entry(*stage.popleft())
        if stage is self._memory:
            self._bytes -= size_of(entry)
        return entry

    def _put_back(self, entries: Sequence[Entry]) -> None:
        """Put events that were popped back at the front of the stage memory."""
        self._memory.extendleft(entry[:3] for entry in reversed(entries))
        self._bytes += sum(map(size_of, entries))

    def _after_dropped(self, entry: Entry) -> Entry:
        # Entries are sent in order: a number between the last taken one and this one is never sent.
        dropped = entry.seq - 1 - self._last_taken
        self._last_taken = entry.seq
        return entry._replace(dropped=dropped) if dropped else entry

    def _empty_inbox(self) -> None:
        while self._inbox:
            kind, event, unconvertible, is_late = self._inbox.popleft()
            self._unconvertible += unconvertible
            if is_late:
                self._unnumbered += 1
            else:
                self._add(kind, event)

    def _add(self, kind: str, event: bytes) -> None:
        self._last_seq = seq = self._last_seq + 1
        size = len(kind) + len(event)
        if size > self._max_entry:
            # It uses a number, so that the worker sees a gap. In the buffer it would displace everything else.
            self._dropped += 1
            return
        memory = self._memory
        memory.append((seq, kind, event))
        self._bytes += size
        if self._bytes > self._high_bytes or len(memory) > self._high_events:
            self._relieve()
        if len(memory) >= self._wake_threshold:
            self._wake_threshold = _NEVER
            self._wake()
