"""Fold recorded telemetry without a server."""

from collections.abc import Iterable, Iterator

from sanctum_bus.errors import RestartRun
from sanctum_bus.events.encode import encode_event
from sanctum_bus.events.recordings import Record
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.protocol import entry as wire
from sanctum_bus.protocol.entry import Entry


def fold_entries(entries: Iterable[tuple[str, Entry]]) -> Aggregate:
    """Fold entries from first to last.

    If a fold fails, the next attempt parks the failing entry, as a worker does. All entries are given, so each sequence
    gap is confirmed.

    Raises:
        RestartRun: an attempt failed in a way that another attempt cannot change.
    """
    kept, memo = list(entries), RecoveryMemo(trusts_gaps=True)
    while True:
        aggregate = Aggregate(memo=memo)
        try:
            for entry_id, entry in kept:
                aggregate.apply(entry_id, entry)
            aggregate.state.flush()
        except RestartRun as error:
            if not memo.record(error):
                raise
        else:
            return aggregate


def encode_records(records: Iterator[Record]) -> Iterator[tuple[str, Entry]]:
    """Yield the stream entries that a publisher would send for the records, with IDs counted from `0-1`."""
    number = 0
    for record in records:
        if record.event is not None:
            number += 1
            encoded = encode_event(record.event)
            yield f"0-{number}", {b"type": encoded.type.encode(), b"event": encoded.event}
    yield f"0-{number + 1}", {b"type": wire.CLOSED.encode()}


def fold_records(records: Iterator[Record]) -> Aggregate:
    """Fold a recording, including its end. The sections are those of publishing and draining it."""
    return fold_entries(encode_records(records))
