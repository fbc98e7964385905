"""Folding recorded telemetry without a server."""

from collections.abc import Iterable, Iterator

from sanctum_bus.errors import RestartRun
from sanctum_bus.events.encode import encode_event
from sanctum_bus.events.recordings import Record
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.protocol import entry as wire
from sanctum_bus.protocol.entry import Entry


def fold_entries(entries: Iterable[tuple[str, Entry]]) -> Aggregate:
    """Fold entries from the first to the last without a server.

    A spoiled fold starts over with the entry that spoiled it parked, as a worker does. Nothing is skipped, so each hole
    is believed.
    """
    held, memo = list(entries), RecoveryMemo(trusts_gaps=True)
    while True:
        aggregate = Aggregate(memo=memo)
        try:
            for entry_id, entry in held:
                aggregate.apply(entry_id, entry)
            aggregate.state.flush()
        except RestartRun as error:
            if not memo.record(error):
                raise
        else:
            return aggregate


def entries(records: Iterator[Record]) -> Iterator[tuple[str, Entry]]:
    """Yield the stream entries that publishing the records would make, with ids counted from `0-1`."""
    number = 0
    for record in records:
        if record.event is not None:
            number += 1
            encoded = encode_event(record.event)
            yield f"0-{number}", {b"type": encoded.type.encode(), b"event": encoded.event}
    yield f"0-{number + 1}", {b"type": wire.CLOSED.encode()}


def fold_records(records: Iterator[Record]) -> Aggregate:
    """Fold a recording without a server, its end included: the same sections as publishing and draining it."""
    return fold_entries(entries(records))
