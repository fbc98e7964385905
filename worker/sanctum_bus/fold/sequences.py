"""The producers' sequence numbers: which entry is expected next, which is a duplicate, and what is missing between."""

from dataclasses import dataclass, field
from itertools import islice

from sanctum_bus.errors import Gap, InvalidEntry, UnconfirmedGap
from sanctum_bus.fold.counters import MAX_PRODUCERS, Counters
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.protocol import entry as wire
from sanctum_bus.protocol.entry import PRODUCER_AT, RAW_LAYOUT, Entries, Entry, Flat, entry_of
from sanctum_bus.protocol.keys import MAX_NAME_BYTES

#: Digits of the greatest `seq`.
_SEQ_DIGITS = 18
_MAX_SEQ = 10**_SEQ_DIGITS - 1

_CLOSED, _DROPPED, _REQUEUED_FROM = wire.CLOSED.encode(), wire.DROPPED.encode(), wire.REQUEUED_FROM.encode()


@dataclass(slots=True)
class Sequences:
    """The sequence numbers of all producers of a run.

    Args:
        counters: hold the last number of each producer, and what is missing.
        memo: holds the confirmed gaps.

    Attributes:
        missing: what is missing before the current entry, by reason. The caller reports it in a log line and resets it.
    """

    counters: Counters
    memo: RecoveryMemo
    missing: dict[str, int] = field(default_factory=dict)
    # Producers by their names in bytes, as entries hold them.
    _names: dict[bytes, str] = field(default_factory=dict)

    def expected_until(self, entries: Entries, first: int) -> int:
        """Return the index after the run of entries from an index on that are the next ones of one known producer.

        An entry of another layout or producer, another number, and an end-of-stream marker end the run. Nothing is
        recorded: the caller passes what it applied to `advance`.
        """
        flat = entries[first][1]
        producer = self._names.get(flat[PRODUCER_AT]) if flat[::2] == RAW_LAYOUT else None
        if producer is None:
            return first
        raw_producer, last = producer.encode(), self.counters.producers[producer]
        end = first
        for _, flat in islice(entries, first, first + _MAX_SEQ - last):
            if flat[::2] != RAW_LAYOUT:
                break
            _, raw_type, _, sender, _, seq, _, _ = flat
            last += 1
            if seq != repr(last).encode() or sender != raw_producer or raw_type == _CLOSED:
                break
            end += 1
        return end

    def advance(self, flat: Flat, entries: int) -> None:
        """Record that a number of expected entries was applied, from this entry on."""
        producer, known = self._names[flat[PRODUCER_AT]], self.counters.producers
        known[producer] = known.pop(producer) + entries

    def take(self, entry_id: str, entry: Entry) -> bool:
        """Record an entry's number, and what is missing before it. Return False for a duplicate.

        Raises:
            InvalidEntry: the number or the producer's name is invalid.
            UnconfirmedGap: numbers are missing, and the gap is not confirmed.
        """
        numbered = number_of(entry)
        if numbered is None:
            return True
        producer, seq = numbered
        last = self._record(producer, seq, entry)
        if last is not None and seq <= last:
            self.counters.duplicates += 1
            return False
        self._record_missing(entry_id, entry, Gap(producer, last or 0, seq))
        return True

    def gaps(self, entries: Entries) -> list[Gap]:
        """Return the gaps in entries that are only looked through, because the aggregate is invalid."""
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
        """Record that the stream lost entries between two IDs before they were read."""
        trimmed = {"reason": "trimmed", "after": after, "until": until, "entries": entries}
        *before, last = self.counters.lost_ranges or [{}]
        if last.get("reason") == "trimmed" and last["after"] == after:
            self.counters.lost_ranges = before
        elif self.counters.knows_range(trimmed):
            # Each acquisition finds the same trimmed entries, until the version is past them.
            return
        self.missing["trimmed"] = max(entries, 1)
        self.counters.keep_range(trimmed)

    def _record(self, producer: str, seq: int, entry: Entry) -> int | None:
        """Record a number, and return the greatest before it."""
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

    def _record_missing(self, entry_id: str, entry: Entry, gap: Gap) -> None:
        """Count what is missing before a number: events that the publisher dropped, and unexplained ones."""
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
    """Return an entry's producer and `seq`, or None if it has none or replaces a dead letter.

    Raises:
        InvalidEntry: the number or the producer's name is invalid.
    """
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
    """Return how many numbers directly before an entry its publisher dropped. An invalid count means 0.

    An invalid count does not park the entry: the event is valid, and the next entry needs its number.
    """
    dropped = entry.get(_DROPPED, b"")
    return int(dropped) if dropped.isdigit() and len(dropped) <= _SEQ_DIGITS else 0
