"""A producer's numbers: which entry is the next, which was here before, and what is missing in between."""

from sanctum_bus.accounts import Entry, Gap
from sanctum_bus.errors import StartOver, Unfit
from sanctum_bus.keys import MAX_NAME_BYTES
from sanctum_bus.wire import fields as wire

#: Digits of the greatest `seq`.
_SEQ_DIGITS = 18
GREATEST_SEQ = 10**_SEQ_DIGITS - 1

#: How a publisher of ours lays an entry out, and where in it the producer stands.
LAYOUT = [name.encode() for name in wire.LAYOUT]
PRODUCER_AT = 2 * wire.LAYOUT.index(wire.PRODUCER) + 1

_DROPPED, _REQUEUED_FROM = wire.DROPPED.encode(), wire.REQUEUED_FROM.encode()


class GapSuspected(StartOver):
    """A producer's numbers have a hole. The caller starts over; a hole that is still there is believed."""

    def __init__(self, gap: Gap) -> None:
        super().__init__("gap", f"producer {gap.producer}: {gap.seq} after {gap.last}")
        self.gap = gap


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
