"""A producer's numbers: which entry is the next, which was here before, and what is missing in between."""

from sanctum_bus.accounts import Entry, Flat, Gap
from sanctum_bus.errors import StartOver, Unfit
from sanctum_bus.keys import MAX_NAME_BYTES
from sanctum_bus.wire import fields as wire

#: Digits of the greatest `seq`.
_SEQ_DIGITS = 18
_GREATEST_SEQ = 10**_SEQ_DIGITS - 1

#: How a publisher of ours lays an entry out, and where in it the values stand.
_LAYOUT = [name.encode() for name in wire.LAYOUT]
_LENGTH = 2 * len(_LAYOUT)
TYPE_AT, _PRODUCER_AT, _SEQ_AT, EVENT_AT = (
    2 * wire.LAYOUT.index(name) + 1 for name in (wire.TYPE, wire.PRODUCER, wire.SEQ, wire.EVENT)
)

_DROPPED, _REQUEUED_FROM = wire.DROPPED.encode(), wire.REQUEUED_FROM.encode()


class GapSuspected(StartOver):
    """A producer's numbers have a hole. The caller starts over; a hole that is still there is believed."""

    def __init__(self, gap: Gap) -> None:
        super().__init__("gap", f"producer {gap.producer}: {gap.seq} after {gap.last}")
        self.gap = gap


class Expected:
    """The entry that follows if the same producer goes on, as nearly all do.

    Args:
        raw_producer: the producer as in its entries.
        producer: the same as text.
        seq: its last number.
    """

    __slots__ = ("_raw_producer", "_raw_seq", "producer", "seq")

    def __init__(self, raw_producer: bytes, producer: str, seq: int) -> None:
        self._raw_producer = raw_producer
        self._raw_seq = b"%d" % (seq + 1)
        self.producer = producer
        self.seq = seq

    def takes(self, entry: Entry) -> bool:
        """Return whether this is the entry, and if so expect the one after it."""
        if (
            entry.get(b"seq") != self._raw_seq
            or entry.get(b"producer") != self._raw_producer
            or _REQUEUED_FROM in entry
            or self.seq >= _GREATEST_SEQ
        ):
            return False
        self.advance()
        return True

    def comes(self, flat: Flat) -> bool:
        """Return whether this is the entry, as a publisher of ours lays it out and with nothing besides."""
        return (
            len(flat) == _LENGTH
            and flat[_SEQ_AT] == self._raw_seq
            and flat[_PRODUCER_AT] == self._raw_producer
            and flat[::2] == _LAYOUT
            and self.seq < _GREATEST_SEQ
        )

    def advance(self) -> None:
        """Expect the entry after the next."""
        self.seq += 1
        self._raw_seq = b"%d" % (self.seq + 1)


def number_of(entry: Entry) -> tuple[str, int] | None:
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


def dropped_before(entry: Entry) -> int:
    """Return how many numbers right before an entry its publisher has dropped; what is no number explains nothing.

    It does not park: the event itself is whole, and its number has to be known for the next one.
    """
    told = entry.get(_DROPPED, b"")
    return int(told) if told.isdigit() and len(told) <= _SEQ_DIGITS else 0
