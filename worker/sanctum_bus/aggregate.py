"""The aggregate of one run: state, counters and coverage, fed with stream entries in order, and what to commit of it.

This is the whole meaning of a stream: `feed` is a pure function of the entries, so any worker that feeds the same
entries to the same aggregate has the same bytes to commit.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from sanctum_bus.accounts import Changes, Counters, Entries, Entry, Parked, entry_of
from sanctum_bus.coverage import Coverage
from sanctum_bus.errors import StartOver, Unfit
from sanctum_bus.fold import DuplicateStart, Line, fold, note_event
from sanctum_bus.fold.batch import batch_line
from sanctum_bus.fold.line import loss, plain
from sanctum_bus.fold.run import edit_run
from sanctum_bus.fold.scope import Scope
from sanctum_bus.ids import ZERO
from sanctum_bus.lessons import Gap, Lessons, Spoiled
from sanctum_bus.sequence import GREATEST_SEQ, LAYOUT, PRODUCER_AT, Sequences
from sanctum_bus.state import Fields, State
from sanctum_bus.wire import fields as wire
from sanctum_bus.wire.decode import Event, decode, decode_plain
from sanctum_bus.wire.shape import Shape
from sanctum_bus.wire.values import Value

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
        lessons: of earlier attempts.
    """

    state: State = field(default_factory=State)
    counters: Counters = field(default_factory=Counters)
    coverage: Coverage = field(default_factory=Coverage)
    version: str = ZERO
    lessons: Lessons = field(default_factory=Lessons)
    _lines: list[tuple[str, Fields]] = field(default_factory=list)
    _batches: list[tuple[str, Fields]] = field(default_factory=list)
    _parked: dict[str, Parked] = field(default_factory=dict)
    _put_back: list[str] = field(default_factory=list)
    # Entries taken in since what they left for later was put where it belongs.
    _unsettled: int = 0
    _sequences: Sequences = field(init=False)

    def __post_init__(self) -> None:
        self._sequences = Sequences(self.counters, self.lessons)
        self.state.at_once = self.lessons.at_once

    def feed(self, entry_id: str, entry: Entry) -> None:
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
        except Unfit as error:
            self._park(entry_id, str(error), entry)
        if self._sequences.missing:
            self._note_loss(entry_id, int(entry_id.partition("-")[0]) / 1000)
        self.counters.entries += 1
        self._settle_some(1)

    def feed_all(self, entries: Entries) -> None:
        """Take entries in as `feed` does one by one; quicker where they are what nearly all are.

        That is: the next ones of a known producer, laid out as its publisher does, and not suspicious.

        Raises:
            Spoiled, GapSuspected, Unsettled: as `feed` does.
        """
        place = 0
        while place < len(entries):
            taken = self._feed_usual(entries, place)
            if taken == place:
                raw_id, flat = entries[place]
                self.feed(raw_id.decode(), entry_of(flat))
                taken += 1
            place = taken
        self._settle_some(len(entries))

    def holes_behind(self, entries: Entries) -> list[Gap]:
        """Return the holes in those of the entries that come after the version; the aggregate is of no more use."""
        ids = [raw_id for raw_id, _ in entries]
        return self._sequences.holes(entries[ids.index(self.version.encode()) + 1 :])

    def _feed_usual(self, entries: Entries, first: int) -> int:
        """Take usual entries of one producer in, from a place on; return the place of the first that is not one."""
        flat = entries[first][1]
        producer = self._sequences.known(flat[PRODUCER_AT]) if flat[::2] == LAYOUT else None
        if producer is None or self.lessons.poison or self._sequences.missing:
            return first
        state, raw_producer, seq = self.state, flat[PRODUCER_AT], self.counters.producers[producer]
        place, due, last, shapes = first, repr(seq + 1).encode(), None, list[Shape]()
        most = min(len(entries), first + GREATEST_SEQ - seq)
        try:
            for raw_id, flat in islice(entries, first, most):
                if flat[::2] != LAYOUT:
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
                except Unfit as error:
                    self._park(entry_id, str(error), entry_of(flat))
                except Spoiled as error:
                    error.blame(entry_of(flat))
                    raise
                place += 1
        finally:
            self._took_usual(producer, seq, place - first, shapes)
            if last is not None:
                state.at = last[0]
                note_event(state, last[1])
        return place

    def _took_usual(self, producer: str, seq: int, entries: int, shapes: list[Shape]) -> None:
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

    def note_trimmed(self, until: str, entries: int) -> None:
        """Keep that the stream lost entries between the version and an id before they could be read.

        How many events that were is known by their producers' numbers; `entries` counts those that bore none too, and is
        the least that it can have been. The next entry's line in the log says it.
        """
        self._sequences.note_trimmed(self.version, until, entries)

    def take_changes(self) -> Changes:
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
            self.coverage.take_changes(),
            self._put_back,
        )
        state.changed.clear()
        self._lines, self._batches, self._parked, self._put_back = [], [], {}, []
        return changes

    def _take(self, entry_id: str, entry: Entry) -> None:
        poison = self.lessons.poison.get(entry_id)
        if poison is not None and poison.entry == entry:
            if poison.can_be_read:
                self.coverage.see(decode(entry_id, entry).shape, kept=False)
            raise Unfit(poison.why)
        if entry.get(b"type") == _CLOSED:
            self._close(entry_id, entry)
            return
        try:
            event = decode(entry_id, entry)
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise Unfit(f"not decodable: {error!r:.200}") from error
        try:
            if self._fold(entry_id, event):
                self.coverage.see(event.shape)
                self.counters.events += 1
        except Spoiled as error:
            error.blame(entry)
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
        except Unfit as error:
            if self.state.touched:
                raise Spoiled(entry_id, str(error)) from error
            self.coverage.see(event.shape, kept=False)
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise Spoiled(entry_id, self._failure(error)) from error
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
        self._add_line(entry_id, plain(wire.CLOSED, at, "run ended"))

    def _write_down(self, entry_id: str, event: Event, line: Line) -> None:
        self._add_line(entry_id, line)
        if event.shape.type == "BATCH_EPOCH_COMPLETED":
            self._batches.append((entry_id, batch_line(event)))

    def _note_loss(self, entry_id: str, at: float) -> None:
        self._add_line(entry_id, loss(at, self._sequences.missing))

    def _add_line(self, entry_id: str, line: Line) -> None:
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


def fold_entries(entries: Iterable[tuple[str, Entry]]) -> Aggregate:
    """Fold entries from the first to the last without a server.

    A spoiled fold starts over with the entry that spoiled it parked, as a worker does. Nothing is skipped, so each hole
    is believed.
    """
    held, lessons = list(entries), Lessons(believes_all=True)
    while True:
        aggregate = Aggregate(lessons=lessons)
        try:
            for entry_id, entry in held:
                aggregate.feed(entry_id, entry)
            aggregate.state.settle()
        except StartOver as error:
            if not lessons.learn(error):
                raise
        else:
            return aggregate
