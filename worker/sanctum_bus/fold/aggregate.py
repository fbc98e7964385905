"""The aggregate of one run: state, counters and coverage, fed with stream entries in order, and what to commit of it.

This is the whole meaning of a stream: `feed` is a pure function of the entries, so any worker that feeds the same
entries to the same aggregate has the same bytes to commit.
"""

from dataclasses import dataclass, field
from itertools import islice

from sanctum_bus.errors import DuplicateStart, FoldFailed, Gap, InvalidEntry
from sanctum_bus.events.decode import Event, decode, decode_plain
from sanctum_bus.events.shape import Shape
from sanctum_bus.fold.changes import Changes, Parked
from sanctum_bus.fold.counters import Counters
from sanctum_bus.fold.coverage import Coverage
from sanctum_bus.fold.dispatch import fold
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.handlers.batch import batch_line
from sanctum_bus.fold.handlers.run import edit_run, note_event
from sanctum_bus.fold.log_line import LogFields, loss_line, synthetic_line
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.fold.sequences import GREATEST_SEQ, Sequences
from sanctum_bus.fold.state import State
from sanctum_bus.protocol import entry as wire
from sanctum_bus.protocol.entry import PRODUCER_AT, RAW_LAYOUT, Entries, Entry, Fields, Value, entry_of
from sanctum_bus.protocol.stream_id import ZERO

_CLOSED = wire.CLOSED.encode()

#: The field that names the parked entry for which an entry stands, and the greatest length of an id.
_REQUEUED_FROM = wire.REQUEUED_FROM.encode()
_MAX_ID_BYTES = 41

#: Sections that are named where a fold failed.
_MOST_NAMED = 5

#: Entries of which something may be left for later: enough to be worth it, and little in memory.
_MOST_UNSETTLED = 4096


@dataclass(slots=True)
class Aggregate:
    """One run's aggregate.

    Args:
        version: id of the last entry fed.
        memo: of earlier attempts.
    """

    state: State = field(default_factory=State)
    counters: Counters = field(default_factory=Counters)
    coverage: Coverage = field(default_factory=Coverage)
    version: str = ZERO
    memo: RecoveryMemo = field(default_factory=RecoveryMemo)
    _lines: list[tuple[str, Fields]] = field(default_factory=list)
    _batches: list[tuple[str, Fields]] = field(default_factory=list)
    _parked: dict[str, Parked] = field(default_factory=dict)
    _put_back: list[str] = field(default_factory=list)
    # Entries taken in since what they left for later was put where it belongs.
    _unsettled: int = 0
    _sequences: Sequences = field(init=False)

    def __post_init__(self) -> None:
        self._sequences = Sequences(self.counters, self.memo)
        self.state.eager = self.memo.eager

    def apply(self, entry_id: str, entry: Entry) -> None:
        """Take one entry in.

        Raises:
            Spoiled: the fold failed half-way; the aggregate is of no more use.
            GapSuspected: the producer's numbers have a hole; the aggregate is of no more use.
            Unsettled: what an earlier event had left could not be put in; the aggregate is of no more use.
        """
        self.version = self.state.at = entry_id
        if _REQUEUED_FROM in entry:
            self._note_put_back(entry)
        try:
            if self._sequences.take(entry_id, entry):
                self._take(entry_id, entry)
        except InvalidEntry as error:
            self._park(entry_id, str(error), entry)
        if self._sequences.missing:
            self._note_loss(entry_id, int(entry_id.partition("-")[0]) / 1000)
        self.counters.entries += 1
        self._settle_some(1)

    def apply_batch(self, entries: Entries) -> None:
        """Take entries in as `feed` does one by one; quicker where they are what nearly all are.

        That is: the next ones of a known producer, laid out as its publisher does, and not suspicious.

        Raises:
            Spoiled, GapSuspected, Unsettled: as `feed` does.
        """
        place = 0
        while place < len(entries):
            taken = self._apply_fast(entries, place)
            if taken == place:
                raw_id, flat = entries[place]
                self.apply(raw_id.decode(), entry_of(flat))
                taken += 1
            place = taken
        self._settle_some(len(entries))

    def gaps_after(self, entries: Entries) -> list[Gap]:
        """Return the holes in those of the entries that come after the version; the aggregate is of no more use."""
        ids = [raw_id for raw_id, _ in entries]
        return self._sequences.holes(entries[ids.index(self.version.encode()) + 1 :])

    def _apply_fast(self, entries: Entries, first: int) -> int:
        """Take usual entries of one producer in, from a place on; return the place of the first that is not one."""
        flat = entries[first][1]
        producer = self._sequences.known(flat[PRODUCER_AT]) if flat[::2] == RAW_LAYOUT else None
        if producer is None or self.memo.quarantined or self._sequences.missing:
            return first
        state, raw_producer, seq = self.state, flat[PRODUCER_AT], self.counters.producers[producer]
        place, due, last, shapes = first, repr(seq + 1).encode(), None, list[Shape]()
        most = min(len(entries), first + GREATEST_SEQ - seq)
        try:
            for raw_id, flat in islice(entries, first, most):
                if flat[::2] != RAW_LAYOUT:
                    break
                _, raw_type, _, whose, _, number, _, packed = flat
                if number != due or whose != raw_producer or raw_type == _CLOSED:
                    break
                event = decode_plain(raw_type, packed)
                if event is None:
                    break
                seq += 1
                due = repr(seq + 1).encode()
                self.version = state.at = entry_id = raw_id.decode()
                try:
                    # Of events in a row the run notes the last; and the first, so that there is a run.
                    notes = not shapes or event.labels is not None or event.group_id is not None
                    if self._fold(entry_id, event, notes=notes):
                        shapes.append(event.shape)
                        last = None if notes else (entry_id, event)
                except InvalidEntry as error:
                    self._park(entry_id, str(error), entry_of(flat))
                except FoldFailed as error:
                    error.with_entry(entry_of(flat))
                    raise
                place += 1
        finally:
            self._count_fast(producer, seq, place - first, shapes)
            if last is not None:
                state.at = last[0]
                note_event(state, last[1])
        return place

    def _count_fast(self, producer: str, seq: int, entries: int, shapes: list[Shape]) -> None:
        """Count what was taken in of one producer, up to a number of its."""
        if not entries:
            return
        self._sequences.advance(producer, seq)
        self.counters.entries += entries
        self.counters.events += len(shapes)
        self.coverage.see_all(shapes)

    def _settle_some(self, entries: int) -> None:
        """Keep what is left for later small in memory."""
        self._unsettled += entries
        if self._unsettled >= _MOST_UNSETTLED:
            self._unsettled = 0
            self.state.settle()

    def record_trim(self, until: str, entries: int) -> None:
        """Keep that the stream lost entries between the version and an id before they could be read.

        How many events that were is known by their producers' numbers; `entries` counts those that bore none too, and is
        the least that it can have been. The next entry's line in the log says it.
        """
        self._sequences.record_trim(self.version, until, entries)

    def drain_changes(self) -> Changes:
        """Return what changed since the last call.

        Raises:
            Unsettled: as `feed` does.
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
            self._put_back,
        )
        state.changed.clear()
        self._lines, self._batches, self._parked, self._put_back = [], [], {}, []
        return changes

    def _take(self, entry_id: str, entry: Entry) -> None:
        poison = self.memo.quarantined.get(entry_id)
        if poison is not None and poison.entry == entry:
            if poison.can_be_read:
                self.coverage.see(decode(entry_id, entry).shape, kept=False)
            raise InvalidEntry(poison.why)
        if entry.get(b"type") == _CLOSED:
            self._close(entry_id, entry)
            return
        try:
            event = decode(entry_id, entry)
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InvalidEntry(f"not decodable: {error!r:.200}") from error
        try:
            if self._fold(entry_id, event):
                self.coverage.see(event.shape)
                self.counters.events += 1
        except FoldFailed as error:
            error.with_entry(entry)
            raise

    def _fold(self, entry_id: str, event: Event, *, notes: bool = True) -> bool:
        """Fold an event, and let the run note it; return whether it was folded, and is none that was here before."""
        try:
            line = fold(self.state, event)
            if notes:
                note_event(self.state, event)
        except DuplicateStart:
            self.counters.duplicates += 1
            return False
        except InvalidEntry as error:
            if self.state.touched:
                raise FoldFailed(entry_id, str(error)) from error
            self.coverage.see(event.shape, kept=False)
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise FoldFailed(entry_id, self._failure(error)) from error
        if line is not None:
            self._write_down(entry_id, event, line)
        elif self._sequences.missing:
            self._note_loss(entry_id, event.timestamp)
        return True

    def _failure(self, error: Exception) -> str:
        """Say of a fold that failed where it was, and what may be the matter: the event was found to be all right."""
        touched = sorted(self.state.touched)
        where = f" in {', '.join(touched[:_MOST_NAMED])}" if touched else ""
        return f"the fold failed{where}: {error!r:.200}; if a section was changed by hand, rebuild the run"

    def _close(self, entry_id: str, entry: Entry) -> None:
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

    def _write_down(self, entry_id: str, event: Event, line: LogFields) -> None:
        self._add_line(entry_id, line)
        if event.shape.type == "BATCH_EPOCH_COMPLETED":
            self._batches.append((entry_id, batch_line(event)))

    def _note_loss(self, entry_id: str, at: float) -> None:
        self._add_line(entry_id, loss_line(at, self._sequences.missing))

    def _add_line(self, entry_id: str, line: LogFields) -> None:
        if missing := self._sequences.missing:
            line.update(missing)
            self._sequences.missing = {}
        self._lines.append((entry_id, line))

    def _park(self, entry_id: str, reason: str, entry: Entry) -> None:
        self.counters.parked += 1
        self._parked[entry_id] = Parked(entry_id, reason, entry)

    def _note_put_back(self, entry: Entry) -> None:
        """Note that an entry stands for a parked one, whether it can be folded itself or not.

        The count of parked entries stays: as in `entries`, each entry of the stream is counted by what became of it.
        """
        named = entry.get(_REQUEUED_FROM)
        if named is not None and len(named) <= _MAX_ID_BYTES:
            parked_id = named.decode("ascii", "replace")
            self._parked.pop(parked_id, None)
            self._put_back.append(parked_id)
