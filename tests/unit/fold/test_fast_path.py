"""`apply_batch`: the fast path for entries in the publisher's layout has the result of `apply`."""

import itertools
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.errors import DeferredWriteFailed, FoldFailed, UnconfirmedGap
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.changes import Changes
from sanctum_bus.fold.recovery import QuarantinedEntry, RecoveryMemo, quarantine
from sanctum_bus.protocol.entry import RAW_LAYOUT, entry_of
from sanctum_bus.protocol.stream_id import parse
from sanctum_bus.publisher.batch import Route, batch_commands
from sanctum_bus.publisher.entry import Counts
from sanctum_bus.publisher.entry import Entry as Sent
from tests.support.fold_run import Entry, entry
from tests.support.generated_events import Made, made_events
from tests.unit.fold.test_properties import thorough

PACKED = {
    "labels": {"data": {}, "timestamp": 1.0, "labels": {"host": "a"}},
    "long label": {"data": {}, "timestamp": 1.0, "labels": {"x" * 200: 1}},
    "long name": {"data": {"x" * 200: 1}, "timestamp": 1.0},
    "bytes": {"data": {"a": b"b"}, "timestamp": 1.0},
    "another version": {"v": 2, "data": {}},
    "another key": {"data": {}, "timestamp": 1.0, "host": "a"},
    "beyond any time": {"data": {}, "timestamp": 1e30},
    "beyond any epoch": {"data": {}, "timestamp": 1.0, "epoch": 1e30},
    "no map": [1],
    "many fields": {"data": {str(number): number for number in range(1025)}, "timestamp": 1.0},
}

Feed = Callable[[Aggregate, list[tuple[str, list[bytes]]]], None]

odd_bytes = st.sampled_from([*map(msgpack.packb, PACKED.values()), b"", b"\xc1"])

odd_numbers = st.sampled_from([b"x", b"0", b"", b"-1", b"01", b"1" * 19])

types = st.sampled_from([b"_closed", b"", b"\xff", b"x" * 129, b"OTHER"])


@st.composite
def published(draw: st.DrawFn) -> list[tuple[str, list[bytes]]]:
    """Generate entries of two producers. Most have the publisher's layout."""
    stream, seqs = [], {b"p": 0, b"q": 0}
    for place, made in enumerate(draw(st.lists(made_events(), max_size=12)), 1):
        producer = draw(st.sampled_from([b"p", b"p", b"p", b"q"]))
        seqs[producer] += draw(st.sampled_from([0, 1, 1, 1, 1, 1, 2]))
        stream.append((f"{place}-0", _laid_out(draw, made, producer, b"%d" % seqs[producer])))
    return stream


def _laid_out(draw: st.DrawFn, made: Made, producer: bytes, seq: bytes) -> list[bytes]:
    fields = {**made.entry(), b"producer": producer, b"seq": seq}
    rarely = draw(st.integers(0, 9))
    if rarely == 0:
        fields[b"event"] = draw(odd_bytes)
    elif rarely == 1:
        fields[b"type"] = draw(types)
    elif rarely == 2:
        fields[draw(st.sampled_from([b"requeued_from", b"dropped", b"x", b"json"]))] = b"1-0"
    if draw(st.integers(0, 19)) == 0:
        fields[b"seq"] = draw(odd_numbers)
    names = list(RAW_LAYOUT)
    if rarely == 3:
        names = draw(st.permutations(names))
    names += [name for name in fields if name not in names]
    return [part for name in names for part in (name, fields[name])]


def _fed(
    stream: list[tuple[str, list[bytes]]], feed: Feed, poison: dict[str, QuarantinedEntry]
) -> tuple[Any, ...]:
    aggregate = Aggregate(memo=RecoveryMemo(dict(poison)))
    ended: list[Any] = []
    while stream:
        try:
            feed(aggregate, stream)
        except UnconfirmedGap as error:
            aggregate.memo.record(error)
            ended.append((aggregate.version, error.gap))
        except FoldFailed as error:
            ended.append((error.entry_id, quarantine(error)))
        # Both paths continue after a failure, from the same entry.
        stream = [
            (entry_id, parts) for entry_id, parts in stream if parse(entry_id) > parse(aggregate.version)
        ]
    changes = aggregate.drain_changes()
    return changes, repr(aggregate.counters), aggregate.version, ended


def _sorted(value: Any) -> Any:
    """Return a value in a form that compares maps without order, and NaN equal to NaN."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, Changes):
        return [_sorted(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, list | tuple):
        return [_sorted(one) for one in value]
    return repr(value)


def _one_by_one(aggregate: Aggregate, stream: list[tuple[str, list[bytes]]]) -> None:
    aggregate.state.eager = True
    for entry_id, parts in stream:
        aggregate.apply(entry_id, entry_of(parts))


def _together(aggregate: Aggregate, stream: list[tuple[str, list[bytes]]]) -> None:
    aggregate.apply_batch([(entry_id.encode(), parts) for entry_id, parts in stream])


@thorough
@given(published(), st.sampled_from([(), (2,)]))
def test_both_ways_are_one(stream: list[tuple[str, list[bytes]]], suspects: tuple[int, ...]) -> None:
    """The result of an entry depends neither on its layout nor on the entries delivered with it."""
    poison = {
        entry_id: QuarantinedEntry("known", entry_of(parts))
        for place, (entry_id, parts) in enumerate(stream)
        if place in suspects
    }

    assert _sorted(_fed(stream, _together, poison)) == _sorted(_fed(stream, _one_by_one, poison))


def _laid_out_plainly(*entries: Entry) -> list[tuple[bytes, list[bytes]]]:
    """Return entries in the publisher's layout, with IDs counted from 1-0."""
    return [
        (b"%d-0" % place, [part for name in RAW_LAYOUT for part in (name, fields[name])])
        for place, fields in enumerate(entries, 1)
    ]


def _spoiled(aggregate: Aggregate) -> Aggregate:
    aggregate.state.sections["event:OTHER:0"]["count"] = "no number"
    return aggregate


def test_what_is_spoiled_on_the_quick_way_is_named() -> None:
    """A failed fold reports the fields of the entry that failed."""
    stream = _laid_out_plainly(
        *(entry("OTHER", {"env_id": 0}, producer="p", seq=seq, timestamp=1.0) for seq in (1, 2))
    )
    aggregate = Aggregate()
    aggregate.state.eager = True
    aggregate.apply_batch(stream[:1])

    with pytest.raises(FoldFailed) as caught:
        _spoiled(aggregate).apply_batch(stream[1:])

    assert quarantine(caught.value).entry == entry_of(stream[1][1])


def test_a_section_that_does_not_take_what_was_left_is_doubted() -> None:
    """A failed deferred write does not name its event: the caller restarts, and the next attempt defers nothing."""
    stream = _laid_out_plainly(
        *(entry("OTHER", {"env_id": 0}, producer="p", seq=seq, timestamp=1.0) for seq in (1, 2))
    )
    aggregate = Aggregate()
    aggregate.apply_batch(stream[:1])
    _spoiled(aggregate).apply_batch(stream[1:])

    with pytest.raises(DeferredWriteFailed, match="event:OTHER:0"):
        aggregate.drain_changes()


@pytest.mark.parametrize("producers", [["p"], ["p", "q"]])
def test_a_publisher_lays_entries_out_for_the_quick_way(
    producers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries of known producers take the fast path, also if the producers alternate."""
    stream: list[tuple[bytes, list[bytes]]] = []
    for seq, producer in itertools.product((1, 2, 3), producers):
        packed = msgpack.packb({"v": 1, "timestamp": 1.0, "data": {}})
        first, *_ = batch_commands(
            Route("stream", "producers", producer), [Sent(seq, "A", packed)], 1, Counts(*[0] * 7), 1.0
        )
        stream.append(
            (
                b"%d-0" % (len(stream) + 1),
                [part if isinstance(part, bytes) else str(part).encode() for part in first[3:]],
            )
        )
    aggregate, slowly = Aggregate(), []
    feed = Aggregate.apply

    def feeding(self: Aggregate, entry_id: str, fields: Any) -> None:
        slowly.append(entry_id)
        feed(self, entry_id, fields)

    monkeypatch.setattr(Aggregate, "apply", feeding)
    aggregate.apply_batch(stream)

    assert slowly == [f"{place}-0" for place in range(1, len(producers) + 1)]
    assert aggregate.counters.producers == dict.fromkeys(producers, 3)
