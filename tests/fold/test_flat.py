"""The quick way into an aggregate, for entries as publishers lay them out, is no other way than the long one."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.accounts import Poison, Spoiled, entry_of
from sanctum_bus.aggregate import Aggregate
from sanctum_bus.publisher.batch import Route, commands
from sanctum_bus.publisher.buffer import Counts
from sanctum_bus.publisher.buffer import Entry as Sent
from sanctum_bus.sequence import Expected, GapSuspected
from sanctum_bus.wire.fields import LAYOUT
from tests.fold.events import Made, made_events
from tests.fold.feeding import entry
from tests.fold.test_properties import thorough

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

odd_bytes = st.sampled_from([*map(msgpack.packb, PACKED.values()), b"", b"\xc1"])

types = st.sampled_from([b"_closed", b"", b"\xff", b"x" * 129, b"OTHER"])


@st.composite
def published(draw: st.DrawFn) -> list[tuple[str, list[bytes]]]:
    """Entries of two producers, nearly all as they are published: now and then one is laid out otherwise."""
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
    names = [name.encode() for name in LAYOUT]
    if rarely == 3:
        names = draw(st.permutations(names))
    names += [name for name in fields if name not in names]
    return [part for name in names for part in (name, fields[name])]


def _fed(stream: list[tuple[str, list[bytes]]], *, flat: bool, poison: dict[str, Poison]) -> tuple[Any, ...]:
    aggregate = Aggregate(poison=dict(poison))
    ended: tuple[Any, ...] = ()
    for entry_id, parts in stream:
        try:
            if flat:
                aggregate.feed_flat(entry_id, parts)
            else:
                aggregate.feed(entry_id, entry_of(parts))
        except GapSuspected as error:
            aggregate.believed.add(error.gap)
            ended += (entry_id, error.gap)
        except Spoiled as error:
            ended += (entry_id, error.poison)
    return repr(aggregate.take_changes()), repr(aggregate.counters), aggregate.version, ended


@thorough
@given(published(), st.sampled_from([(), (2,)]))
def test_both_ways_are_one(stream: list[tuple[str, list[bytes]]], suspects: tuple[int, ...]) -> None:
    """What an entry does, parks, counts or raises does not depend on how it is laid out."""
    poison = {
        entry_id: Poison("known", entry_of(parts))
        for place, (entry_id, parts) in enumerate(stream)
        if place in suspects
    }

    assert _fed(stream, flat=True, poison=poison) == _fed(stream, flat=False, poison=poison)


def test_what_is_spoiled_on_the_quick_way_is_named() -> None:
    """The entry that a fold fails on is held against that entry, by its own fields."""
    first, second = (
        [part for name in LAYOUT for part in (name.encode(), fields[name.encode()])]
        for fields in (entry("OTHER", {"env_id": 0}, producer="p", seq=seq, timestamp=1.0) for seq in (1, 2))
    )
    aggregate = Aggregate()
    aggregate.feed_flat("1-0", first)
    aggregate.state.sections["event:OTHER:0"]["count"] = "no number"

    with pytest.raises(Spoiled) as caught:
        aggregate.feed_flat("2-0", second)

    assert caught.value.poison.entry == entry_of(second)


def test_a_publisher_lays_entries_out_for_the_quick_way() -> None:
    """What a publisher of ours sends is what an aggregate knows at a glance."""
    first, *_ = commands(Route("stream", "producers", "p"), [Sent(2, "A", b"a")], 1, Counts(*[0] * 7), 1.0)
    flat = [part if isinstance(part, bytes) else str(part).encode() for part in first[3:]]

    assert Expected(b"p", "p", 1).comes(flat)
