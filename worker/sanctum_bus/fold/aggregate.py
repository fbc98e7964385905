"""The aggregate of one run: its state, counters and coverage, and the changes to commit.

This is the single place that gives a stream its meaning. `apply` is a pure function of the entries: every worker that
applies the same entries in the same order commits the same bytes.
"""

from dataclasses import dataclass, field
from itertools import islice

from sanctum_bus.errors import DuplicateStart, FoldFailed, Gap, InvalidEntry
from sanctum_bus.events.decode import Event, decode, decode_plain
from sanctum_bus.events.shape import Shape
from sanctum_bus.fold.changes import Changes, ParkedEntry
from sanctum_bus.fold.counters import Counters
from sanctum_bus.fold.coverage import Coverage
from sanctum_bus.fold.dispatch import fold
from sanctum_bus.fold.groups import PLAIN_GROUPS, Scope
from sanctum_bus.fold.handlers.batch import batch_line
from sanctum_bus.fold.handlers.run import edit_run, note_event
from sanctum_bus.fold.log_line import LogFields, loss_line, synthetic_line
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.fold.sequences import Sequences
from sanctum_bus.fold.state import State
from sanctum_bus.protocol import entry as wire
from sanctum_bus.protocol.entry import Entries, Entry, Fields, Flat, Value, entry_of
from sanctum_bus.protocol.stream_id import ZERO

_CLOSED = wire.CLOSED.encode()

#: Indexes of two values in an entry of the publisher's layout.
_TYPE_AT, _EVENT_AT = (2 * wire.LAYOUT.index(name) + 1 for name in (wire.TYPE, wire.EVENT))

#: The field with the ID of the dead letter that an entry replaces, and the maximum length of that ID.
_REQUEUED_FROM = wire.REQUEUED_FROM.encode()
_MAX_ID_BYTES = 41

#: Sections that the reason of a failed fold names.
_MAX_NAMED = 5

#: Entries between two flushes of deferred writes: many enough that deferring pays, and few enough to save memory.
_MAX_DEFERRED = 4096

#: Errors that a defect in a handler, or a section that was changed by hand, can raise.
_FOLD_ERRORS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(slots=True)
class Aggregate:
    """The aggregate of one run.

    Args:
        state: all sections.
        counters: of the checkpoint.
        coverage: counts of event types and fields.
        version: ID of the last entry applied.
        memo: what earlier attempts at the same entries recorded.
    """

    state: State = field(default_factory=State)
    counters: Counters = field(default_factory=Counters)
    coverage: Coverage = field(default_factory=Coverage)
    version: str = ZERO
    memo: RecoveryMemo = field(default_factory=RecoveryMemo)
    _lines: list[tuple[str, Fields]] = field(default_factory=list)
    _batches: list[tuple[str, Fields]] = field(default_factory=list)
    _parked: dict[str, ParkedEntry] = field(default_factory=dict)
    _requeued: list[str] = field(default_factory=list)
    # Entries since the last flush of deferred writes.
    _unflushed: int = 0
    _sequences: Sequences = field(init=False)

    def __post_init__(self) -> None:
        self._sequences = Sequences(self.counters, self.memo)
        self.state.eager = self.memo.eager

    def apply(self, entry_id: str, entry: Entry) -> None:
        """Apply one entry.

        Raises:
            FoldFailed: the fold failed after it had changed the state. The aggregate is invalid.
            UnconfirmedGap: the producer's sequence has a gap that was not confirmed. The aggregate is invalid.
            DeferredWriteFailed: a deferred write of an earlier event failed. The aggregate is invalid.
        """
        self.version = self.state.entry_id = entry_id
        self.counters.entries += 1
        if _REQUEUED_FROM in entry:
            self._note_requeued(entry)
        try:
            event = self._decode(entry_id, entry) if self._sequences.take(entry_id, entry) else None
        except InvalidEntry as error:
            self._park(entry_id, str(error), entry)
        else:
            if event is not None and self._apply(entry_id, event, entry):
                self._count([event.shape])
        if self._sequences.missing:
            self._note_loss(entry_id, int(entry_id.partition("-")[0]) / 1000)
        self._flush_if_due(1)

    def apply_batch(self, entries: Entries) -> None:
        """Apply entries in order, with the result of `apply` for each, but faster for the usual ones.

        An entry is usual if it is the next one of a known producer, has the publisher's layout, and is not quarantined.

        Raises:
            FoldFailed, UnconfirmedGap, DeferredWriteFailed: as `apply` does.
        """
        index = end = 0
        while index < len(entries):
            if index >= end:
                end = self._sequences.expected_until(entries, index)
            stop = self._apply_run(entries, index, end)
            if stop == index or stop < end:
                raw_id, flat = entries[stop]
                self.apply(raw_id.decode(), entry_of(flat))
                stop += 1
            index = stop
        self._flush_if_due(len(entries))

    def gaps_after(self, entries: Entries) -> list[Gap]:
        """Return the sequence gaps in the entries after the version. The aggregate is invalid afterwards."""
        ids = [raw_id for raw_id, _ in entries]
        return self._sequences.gaps(entries[ids.index(self.version.encode()) + 1 :])

    def record_trim(self, until: str, entries: int) -> None:
        """Record that the stream was trimmed between the version and an ID before the entries were read.

        The next log line reports it. The producers' sequence numbers show how many events were lost.

        Args:
            until: ID of the last entry that was trimmed.
            entries: minimum of the entries that were trimmed, including entries without a sequence number.
        """
        self._sequences.record_trim(self.version, until, entries)

    def drain_changes(self) -> Changes:
        """Return the changes since the last call.

        Raises:
            DeferredWriteFailed: as `apply` does.
        """
        state, sections = self.state, self.state.sections
        changes = Changes(
            self.version,
            {name: sections.get(name) for name in state.changed},
            dict(state.changed),
            self._lines,
            self._batches,
            list(self._parked.values()),
            self.coverage.drain_changes(),
            self._requeued,
        )
        state.changed.clear()
        self._lines, self._batches, self._parked, self._requeued = [], [], {}, []
        return changes

    def _apply_run(self, entries: Entries, first: int, end: int) -> int:
        """Apply a run of expected entries of one producer. Return the index of the first that was not applied.

        The run stops early at an entry that only the general way can decode, or if each entry needs a check.
        """
        if first == end or self.memo.quarantined or self._sequences.missing:
            return first
        state, index, shapes, unnoted = self.state, first, list[Shape](), None
        try:
            for raw_id, flat in islice(entries, first, end):
                event = decode_plain(flat[_TYPE_AT], flat[_EVENT_AT])
                if event is None:
                    break
                index += 1
                self.version = state.entry_id = entry_id = raw_id.decode()
                # The run notes the last of consecutive events, and the first, so that its section exists.
                notes = not shapes or event.labels is not None or event.group_id not in PLAIN_GROUPS
                if self._apply(entry_id, event, flat, notes=notes):
                    shapes.append(event.shape)
                    unnoted = None if notes else (entry_id, event)
        finally:
            if index > first:
                self._sequences.advance(entries[first][1], index - first)
                self.counters.entries += index - first
                self._count(shapes)
            if unnoted is not None:
                state.entry_id = unnoted[0]
                note_event(state, unnoted[1])
        return index

    def _apply(self, entry_id: str, event: Event, entry: Entry | Flat, *, notes: bool = True) -> bool:
        """Fold one event, or park its entry. Every event passes through this function.

        Args:
            entry_id: ID of the entry.
            event: the decoded entry.
            entry: the entry, to park it.
            notes: the run notes the event.

        Returns:
            Whether the event was folded. A parked or duplicate event was not.

        Raises:
            FoldFailed: the fold failed after it had changed the state.
        """
        try:
            line = fold(self.state, event)
            if notes:
                note_event(self.state, event)
        except DuplicateStart:
            self.counters.duplicates += 1
            return False
        except InvalidEntry as error:
            if self.state.touched:
                raise FoldFailed(entry_id, str(error)).with_entry(_as_entry(entry)) from error
            self.coverage.see(event.shape, kept=False)
            self._park(entry_id, str(error), _as_entry(entry))
            return False
        except _FOLD_ERRORS as error:
            raise FoldFailed(entry_id, self._describe(error)).with_entry(_as_entry(entry)) from error
        if line is not None:
            self._add_line(entry_id, line)
            if event.shape.type == "BATCH_EPOCH_COMPLETED":
                self._batches.append((entry_id, batch_line(event)))
        elif self._sequences.missing:
            self._note_loss(entry_id, event.timestamp)
        return True

    def _decode(self, entry_id: str, entry: Entry) -> Event | None:
        """Return the event of an entry, or None for an end-of-stream marker, which is applied here.

        Raises:
            InvalidEntry: the entry is quarantined, or is not an event.
        """
        quarantined = self.memo.quarantined.get(entry_id)
        if quarantined is not None and quarantined.entry == entry:
            if quarantined.can_be_read:
                self.coverage.see(decode(entry_id, entry).shape, kept=False)
            raise InvalidEntry(quarantined.why)
        if entry.get(b"type") == _CLOSED:
            self._close(entry_id, entry)
            return None
        try:
            return decode(entry_id, entry)
        except _FOLD_ERRORS as error:
            raise InvalidEntry(f"cannot be decoded: {error!r:.200}") from error

    def _count(self, shapes: list[Shape]) -> None:
        """Count events that were folded."""
        self.counters.events += len(shapes)
        self.coverage.see_all(shapes)

    def _flush_if_due(self, entries: int) -> None:
        """Flush deferred writes after enough entries, to limit their memory."""
        self._unflushed += entries
        if self._unflushed >= _MAX_DEFERRED:
            self._unflushed = 0
            self.state.flush()

    def _describe(self, error: Exception) -> str:
        """Return why the fold of a valid event failed, and in which sections."""
        touched = sorted(self.state.touched)
        where = f" in {', '.join(touched[:_MAX_NAMED])}" if touched else ""
        return f"the fold failed{where}: {error!r:.200}; if a section was changed by hand, rebuild the run"

    def _close(self, entry_id: str, entry: Entry) -> None:
        """Record that a producer has closed. When all known producers have, the run has ended."""
        producer = entry.get(b"producer", b"").decode("utf-8", "replace")
        closed, known = self.counters.closed, self.counters.producers
        if producer in known and producer not in closed:
            self.counters.closed = closed = sorted([*closed, producer])
        if len(closed) < len(known):
            return
        run = edit_run(Scope(self.state, ""))
        run["status"] = "ended"
        at: Value = run.get("last_event_at")
        self._add_line(entry_id, synthetic_line(wire.CLOSED, at, "run ended"))

    def _note_loss(self, entry_id: str, at: float) -> None:
        self._add_line(entry_id, loss_line(at, self._sequences.missing))

    def _add_line(self, entry_id: str, line: LogFields) -> None:
        if missing := self._sequences.missing:
            line.update(missing)
            self._sequences.missing = {}
        self._lines.append((entry_id, line))

    def _park(self, entry_id: str, reason: str, entry: Entry) -> None:
        self.counters.parked += 1
        self._parked[entry_id] = ParkedEntry(entry_id, reason, entry)

    def _note_requeued(self, entry: Entry) -> None:
        """Note that an entry replaces a dead letter, whether it can be folded or not.

        The count of parked entries stays the same. As in `entries`, each entry of the stream is counted once.
        """
        named = entry.get(_REQUEUED_FROM)
        if named is not None and len(named) <= _MAX_ID_BYTES:
            parked_id = named.decode("ascii", "replace")
            self._parked.pop(parked_id, None)
            self._requeued.append(parked_id)


def _as_entry(entry: Entry | Flat) -> Entry:
    return entry_of(entry) if isinstance(entry, list) else entry
