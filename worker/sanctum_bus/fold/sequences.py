"""Producers' numbers: which entry is the next, which was here before, and what is missing in between."""

from dataclasses import dataclass, field

from sanctum_bus.errors import Gap, InvalidEntry, UnconfirmedGap
from sanctum_bus.fold.counters import MAX_PRODUCERS, Counters
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.protocol import entry as wire
from sanctum_bus.protocol.entry import Entries, Entry, entry_of
from sanctum_bus.protocol.keys import MAX_NAME_BYTES

#: Digits of the greatest `seq`.
_SEQ_DIGITS = 18
GREATEST_SEQ = 10**_SEQ_DIGITS - 1


_DROPPED, _REQUEUED_FROM = wire.DROPPED.encode(), wire.REQUEUED_FROM.encode()


@dataclass(slots=True)
class Sequences:
    """The numbers of all producers of a run.

    Args:
        counters: where the last number of each is kept, and what is missing.
        memo: which holes are believed.

    Attributes:
        missing: what is missing before the next entry, by reason, until somebody says so and takes it away.
    """

    counters: Counters
    memo: RecoveryMemo
    missing: dict[str, int] = field(default_factory=dict)
    # Producers by their names as in the entries: those whose next number is expected.
    _names: dict[bytes, str] = field(default_factory=dict)

    def known(self, raw_producer: bytes) -> str | None:
        """Return the name of a producer whose next number is expected, or None."""
        return self._names.get(raw_producer)

    def advance(self, producer: str, seq: int) -> None:
        """Note the last number of a known producer: all up to it were there."""
        known = self.counters.producers
        del known[producer]
        known[producer] = seq

    def take(self, entry_id: str, entry: Entry) -> bool:
        """Note an entry's number and what is missing before it; return whether it was not here before.

        Raises:
            Unfit: its number or its producer is none.
            GapSuspected: numbers are missing, and that is not believed yet.
        """
        numbered = number_of(entry)
        if numbered is None:
            return True
        producer, seq = numbered
        last = self._note(producer, seq, entry)
        if last is not None and seq <= last:
            self.counters.duplicates += 1
            return False
        self._look_before(entry_id, entry, Gap(producer, last or 0, seq))
        return True

    def holes(self, entries: Entries) -> list[Gap]:
        """Return the holes in entries, which are not taken in otherwise: those of no more use are looked through."""
        found = []
        for raw_id, flat in entries:
            try:
                self.take(raw_id.decode(), entry_of(flat))
            except UnconfirmedGap as error:
                found.append(error.gap)
            except InvalidEntry:
                continue
        return found

    def record_trim(self, after: str, until: str, entries: int) -> None:
        """Keep that the stream lost entries between two ids before they could be read."""
        hole = {"reason": "trimmed", "after": after, "until": until, "entries": entries}
        *before, last = self.counters.lost_ranges or [{}]
        if last.get("reason") == "trimmed" and last["after"] == after:
            self.counters.lost_ranges = before
        elif self.counters.tells_of(hole):
            # Deleted entries are found again until the version is past them.
            return
        self.missing["trimmed"] = max(entries, 1)
        self.counters.keep_range(hole)

    def _note(self, producer: str, seq: int, entry: Entry) -> int | None:
        """Note a number, and return the greatest before it."""
        counters = self.counters
        known = counters.producers
        last = known.pop(producer, None)
        known[producer] = max(seq, last or 0)
        self._names[entry[b"producer"]] = producer
        if len(known) > MAX_PRODUCERS:
            forgotten = next(iter(known))
            del known[forgotten]
            self._names.pop(forgotten.encode(), None)
            counters.closed = [one for one in counters.closed if one != forgotten]
        return last

    def _look_before(self, entry_id: str, entry: Entry, gap: Gap) -> None:
        """Count what is missing before a number: what its publisher says that it dropped, and what nobody explains."""
        producer, last, seq = gap
        missing = seq - 1 - last
        if not missing:
            return
        sent = max(seq - dropped_before(entry), last + 1)
        if sent - 1 != last:
            if last and not self.memo.is_confirmed(gap):
                raise UnconfirmedGap(gap)
            self._count("gap" if last else "before this history", entry_id, producer, last, sent)
        if sent != seq:
            self._count("dropped", entry_id, producer, sent - 1, seq)
            self.missing["dropped"] = seq - sent
        self.missing["lost"] = missing

    def _count(self, reason: str, entry_id: str, producer: str, after: int, until: int) -> None:
        lost = self.counters.lost
        lost[reason] = lost.get(reason, 0) + until - 1 - after
        where = {"producer": producer, "after": after, "until": until, "seen_at": entry_id}
        self.counters.keep_range({"reason": reason, **where})


def number_of(entry: Entry) -> tuple[str, int] | None:
    """Return an entry's producer and `seq`, or None where it has none or was put back from the dead letters."""
    producer, seq = entry.get(b"producer"), entry.get(b"seq")
    if producer is None or seq is None or _REQUEUED_FROM in entry:
        return None
    if len(producer) > MAX_NAME_BYTES:
        raise InvalidEntry(f"a producer of {len(producer):,} bytes is over the limit of {MAX_NAME_BYTES}")
    if not (seq.isdigit() and len(seq) <= _SEQ_DIGITS and int(seq)):
        raise InvalidEntry("`seq` must be an integer of at least 1")
    try:
        return producer.decode("utf-8"), int(seq)
    except UnicodeDecodeError:
        raise InvalidEntry("`producer` is not UTF-8") from None


def dropped_before(entry: Entry) -> int:
    """Return how many numbers right before an entry its publisher has dropped; what is no number explains nothing.

    It does not park: the event itself is whole, and its number has to be known for the next one.
    """
    told = entry.get(_DROPPED, b"")
    return int(told) if told.isdigit() and len(told) <= _SEQ_DIGITS else 0
