"""The check of a publisher: every event that the server accepted is in the stream, in order."""

from tests.system.simulation.oracle import Violation
from tests.system.simulation.publishers import SimPublisher
from tests.system.simulation.streams import Flat, Stream


def number_of(flat: Flat) -> tuple[bytes, int] | None:
    """Return an entry's producer and sequence number, or None if it has none."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    if b"producer" not in fields:
        return None
    return fields[b"producer"], int(fields[b"seq"])


def _judge_holes(one: SimPublisher, flats: list[Flat]) -> None:
    """Check that `dropped` of each entry is the count of the numbers before it that were never sent."""
    for flat in flats:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        number = number_of(flat)
        if number is None or number[0] != one.producer.encode():
            continue
        seq, told = number[1], int(fields.get(b"dropped", b"0"))
        sent = max((other for other in (*one.accepted, *one.refused) if other < seq), default=0)
        if told != seq - 1 - sent:
            raise Violation(
                f"{one.producer}: {seq} reports {told} dropped events, and the one before was {sent}"
            )


def judge_publisher(one: SimPublisher, stream: Stream, lost: set[tuple[bytes, int]]) -> None:
    """Check that each accepted event is in the stream after the events before it, unless the server lost it.

    Args:
        one: the publisher.
        stream: its stream; entries that were removed count.
        lost: events that the server has lost.

    Raises:
        Violation: an event is missing, uncounted or out of order.
    """
    producer = one.producer.encode()
    numbers = [number_of(flat) for _, flat in stream.full]
    own = [number[1] for number in numbers if number and number[0] == producer]
    vanished = {seq for name, seq in lost if name == producer}
    missing = set(one.accepted) - set(own) - vanished
    if missing:
        raise Violation(f"{one.producer}: accepted, and not in the stream: {sorted(missing)}")
    untold = set(own) - set(one.accepted)
    if untold:
        raise Violation(f"{one.producer}: counted as dropped, and in the stream: {sorted(untold)}")
    _judge_holes(one, [flat for _, flat in stream.full])
    top = 0
    for seq in dict.fromkeys(own):
        if seq < top and seq not in vanished:
            raise Violation(f"{one.producer}: {seq} came after {top}, and counts as a duplicate")
        top = max(top, seq)
