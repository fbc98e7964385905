"""The aggregate of one run: state, counters and coverage, fed with stream entries in order, and what to commit of it.

This is the whole meaning of a stream: `feed` is a pure function of the entries, so any worker that feeds the same
entries to the same aggregate has the same bytes to commit.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sanctum_bus.accounts import MAX_PRODUCERS, MAX_RANGES, Changes, Counters, Entry, Gap, Parked
from sanctum_bus.coverage import Coverage
from sanctum_bus.errors import StartOver, Unfit
from sanctum_bus.fold import DuplicateStart, Line, fold
from sanctum_bus.fold.run import edit_run
from sanctum_bus.fold.scope import Scope
from sanctum_bus.ids import ZERO
from sanctum_bus.keys import MAX_NAME_BYTES
from sanctum_bus.state import Fields, State
from sanctum_bus.wire import fields as wire
from sanctum_bus.wire.decode import Event, decode
from sanctum_bus.wire.values import Value

#: Digits of the greatest `seq`.
_SEQ_DIGITS = 18

#: The field that names the parked entry for which an entry stands, and the greatest length of an id.
_REQUEUED_FROM = wire.REQUEUED_FROM.encode()
_MAX_ID_BYTES = 41


class Spoiled(StartOver):
    """A fold failed half-way. The caller starts over, and parks the entry unread with this detail."""

    def __init__(self, entry_id: str, detail: str) -> None:
        super().__init__("spoiled", f"{entry_id}: {detail}")
        self.entry_id = entry_id
        self.why = detail


class GapSuspected(StartOver):
    """A producer's numbers have a hole. The caller starts over; a hole that is still there is believed."""

    def __init__(self, gap: Gap) -> None:
        super().__init__("gap", f"producer {gap.producer}: {gap.seq} after {gap.last}")
        self.gap = gap


@dataclass(slots=True)
class Aggregate:
    """One run's aggregate.

    Args:
        version: id of the last entry fed.
        poison: entries that spoiled a fold before, with the reason: they are parked unread.
        believed: holes that one start-over has shown again.
    """

    state: State = field(default_factory=State)
    counters: Counters = field(default_factory=Counters)
    coverage: Coverage = field(default_factory=Coverage)
    version: str = ZERO
    poison: dict[str, str] = field(default_factory=dict)
    believed: set[Gap] = field(default_factory=set)
    _lines: list[tuple[str, Fields]] = field(default_factory=list)
    _batches: list[tuple[str, Fields]] = field(default_factory=list)
    _parked: dict[str, Parked] = field(default_factory=dict)
    _put_back: list[str] = field(default_factory=list)

    def feed(self, entry_id: str, entry: Entry) -> None:
        """Take one entry in.

        Raises:
            Spoiled: the fold failed half-way; the aggregate is of no more use.
            GapSuspected: the producer's numbers have a hole; the aggregate is of no more use.
        """
        self.version = self.state.at = entry_id
        self._note_put_back(entry)
        lost = 0
        try:
            numbered = _number(entry)
            if numbered is not None:
                lost = self._follow(*numbered)
            if lost >= 0:
                self._take(entry_id, entry, lost)
        except Unfit as error:
            self._park(entry_id, str(error), entry)
        self.counters.entries += 1

    def note_trimmed(self, until: str, entries: int) -> None:
        """Keep that the stream lost entries between the version and an id before they could be read.

        How many events that were is known by their producers' numbers; `entries` counts those that bore none too.
        """
        hole = {"reason": "trimmed", "after": self.version, "until": until, "entries": entries}
        if hole not in self.counters.lost_ranges:
            self._keep_range(hole)

    def _keep_range(self, hole: Fields) -> None:
        self.counters.lost_ranges = [*self.counters.lost_ranges, hole][-MAX_RANGES:]

    def take_changes(self) -> Changes:
        """Return what changed since the last call."""
        state = self.state
        changes = Changes(
            self.version,
            {name: state.sections.get(name) for name in state.changed},
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

    def _follow(self, producer: str, seq: int) -> int:
        """Note a producer's number; return how many were lost before it, or -1 where it is here again."""
        known = self.counters.producers
        last = known.pop(producer, None)
        known[producer] = max(seq, last or 0)
        if len(known) > MAX_PRODUCERS:
            forgotten = next(iter(known))
            del known[forgotten]
            self.counters.closed = [one for one in self.counters.closed if one != forgotten]
        if last is not None and seq <= last:
            self.counters.duplicates += 1
            return -1
        missing = seq - 1 - (last or 0)
        if missing and last is not None:
            gap = Gap(producer, last, seq)
            if gap not in self.believed:
                raise GapSuspected(gap)
        if missing:
            reason = "before this history" if last is None else "gap"
            self.counters.lost[reason] = self.counters.lost.get(reason, 0) + missing
            self._keep_range(
                {
                    "reason": reason,
                    "producer": producer,
                    "after": last or 0,
                    "until": seq,
                    "seen_at": self.version,
                }
            )
        return missing

    def _take(self, entry_id: str, entry: Entry, lost: int) -> None:
        if entry_id in self.poison:
            raise Unfit(self.poison[entry_id])
        if entry.get(b"type") == wire.CLOSED.encode():
            self._close(entry_id, entry, lost)
            return
        event = _decoded(entry_id, entry)
        try:
            line = self._fold(entry_id, event)
        except DuplicateStart:
            self.counters.duplicates += 1
            return
        self.counters.events += 1
        self._write_down(entry_id, event, line, lost)

    def _fold(self, entry_id: str, event: Event) -> Line | None:
        writes = self.state.writes
        try:
            line = fold(self.state, event)
        except Unfit as error:
            if self.state.writes != writes:
                raise Spoiled(entry_id, str(error)) from error
            self.coverage.see(event, kept=False)
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise Spoiled(entry_id, f"the fold failed: {error!r:.200}") from error
        self.coverage.see(event)
        return line

    def _close(self, entry_id: str, entry: Entry, lost: int) -> None:
        producer = entry.get(b"producer", b"").decode("utf-8", "replace")
        closed, known = self.counters.closed, self.counters.producers
        if producer in known and producer not in closed:
            self.counters.closed = closed = sorted([*closed, producer])
        if len(closed) < len(known):
            return
        run = edit_run(Scope(self.state, ""))
        run["status"] = "ended"
        at: Value = run.get("last_event_at")
        line = Line(wire.CLOSED, at, None, None, None, None, "run ended", {})
        self._lines.append((entry_id, _line_fields(line, lost)))

    def _write_down(self, entry_id: str, event: Event, line: Line | None, lost: int) -> None:
        if line is None and lost:
            message = f"{lost:,} events of this producer before this one were lost"
            line = Line("_lost", event.timestamp, None, None, None, None, message, {})
        if line is not None:
            self._lines.append((entry_id, _line_fields(line, lost)))
        if event.type == "BATCH_EPOCH_COMPLETED":
            self._batches.append((entry_id, _batch_line(event)))

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


def _decoded(entry_id: str, entry: Entry) -> Event:
    try:
        return decode(entry_id, entry)
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Unfit(f"not decodable: {error!r:.200}") from error


def _number(entry: Entry) -> tuple[str, int] | None:
    """Return an entry's producer and `seq`, or None where it has none or was put back from the dead letters."""
    producer, seq = entry.get(b"producer"), entry.get(b"seq")
    if producer is None or seq is None or _REQUEUED_FROM in entry:
        return None
    if len(producer) > MAX_NAME_BYTES:
        raise Unfit(f"a producer of {len(producer):,} bytes is over the limit of {MAX_NAME_BYTES}")
    if not (seq.isdigit() and len(seq) <= _SEQ_DIGITS and int(seq)):
        raise Unfit("`seq` is no number of 1 or more")
    try:
        return producer.decode("utf-8"), int(seq)
    except UnicodeDecodeError:
        raise Unfit("`producer` is not UTF-8") from None


def _line_fields(line: Line, lost: int) -> Fields:
    fields = {name: value for name, value in line._asdict().items() if value is not None}
    return fields | {"lost": lost} if lost else fields


def _batch_line(event: Event) -> Fields:
    own = {"at": event.timestamp} | ({"group_id": event.group_id} if event.group_id else {})
    emitted = {f"emitted.{name}" if name in own else name: value for name, value in event.data.items()}
    return own | emitted


def fold_entries(entries: Iterable[tuple[str, Entry]]) -> Aggregate:
    """Fold entries from the first to the last without a server.

    A spoiled fold starts over with the entry that spoiled it parked, as a worker does.
    """
    held = list(entries)
    poison: dict[str, str] = {}
    believed: set[Gap] = set()
    while True:
        aggregate = Aggregate(poison=poison, believed=believed)
        try:
            for entry_id, entry in held:
                aggregate.feed(entry_id, entry)
        except Spoiled as error:
            poison[error.entry_id] = error.why
        except GapSuspected as error:
            believed.add(error.gap)
        else:
            return aggregate
