"""Properties of every stream."""

import copy
from typing import Any

import msgpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanctum_bus.errors import FoldFailed, UnconfirmedGap
from sanctum_bus.events import names
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.offline import fold_entries
from tests.support.fold_run import Entry, Fields
from tests.support.generated_events import Made, apply_batch, made_events, values

thorough = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))

streams = st.lists(made_events(), max_size=14)

PREFIXES = ("", "reward.", "penalty.", "rollback.", "gate.", "rank.1.")


@thorough
@given(streams)
def test_no_event_spoils_the_state(made: list[Made]) -> None:
    """Events of any type with any fields are folded or parked: no fold fails half-way."""
    apply_batch(Aggregate(), made)


@thorough
@given(st.lists(made_events(oversize=True), max_size=10))
def test_no_integer_is_too_large(made: list[Made]) -> None:
    """Integers beyond 64 bits, which JSON can hold, are folded or parked like anything else."""
    apply_batch(Aggregate(), made)


raw_entries = st.dictionaries(
    st.sampled_from([b"type", b"event", b"json", b"producer", b"seq", b"requeued_from", b"x"]),
    st.one_of(
        st.binary(max_size=9),
        st.sampled_from([b"EPOCH_COMPLETED", b"SEED_CULLED", b"_closed", b"p", b"q", b"1", b"2", b"5"]),
        values.map(msgpack.packb),
        values.map(lambda value: msgpack.packb({"data": value, "slot_id": "a"})),
    ),
    max_size=5,
)


@thorough
@given(st.lists(raw_entries, max_size=10))
def test_whatever_the_bytes(entries: list[Entry]) -> None:
    """Arbitrary bytes raise only `UnconfirmedGap` or `FoldFailed`."""
    aggregate = Aggregate()
    for place, fields in enumerate(entries, 1):
        try:
            aggregate.apply(f"{place}-0", fields)
        except (UnconfirmedGap, FoldFailed):
            return
    counters = aggregate.counters
    closed = sum(entry.get(b"type") == b"_closed" for entry in entries)
    counted = counters.events + counters.parked + counters.duplicates
    assert counted <= counters.entries <= counted + closed


@thorough
@given(streams)
def test_counts_add_up(made: list[Made]) -> None:
    """Every entry is folded, parked or a duplicate, and the counters add up."""
    aggregate = Aggregate()
    apply_batch(aggregate, made)

    counters, changes = aggregate.counters, aggregate.drain_changes()
    assert counters.entries == len(made)
    assert counters.entries == counters.events + counters.parked + counters.duplicates
    assert len(changes.parked) == counters.parked
    assert len(changes.lines) <= counters.events


producers = st.lists(st.tuples(st.sampled_from("pq"), st.integers(1, 6), st.booleans()), max_size=12)


@thorough
@given(producers)
def test_counts_add_up_with_producers(sent: list[tuple[str, int, bool]]) -> None:
    """With producers, entries = events + parked + duplicates + markers, and received plus lost give the last numbers."""
    entries = [
        (
            f"{place}-0",
            {
                b"type": b"_closed" if marker else b"OTHER",
                b"event": msgpack.packb({"data": {}}),
                b"producer": producer.encode(),
                b"seq": str(seq).encode(),
            },
        )
        for place, (producer, seq, marker) in enumerate(sent, 1)
    ]

    counters = fold_entries(entries).counters

    markers = counters.entries - counters.events - counters.parked - counters.duplicates
    assert counters.entries == len(sent)
    assert len(counters.closed) <= markers <= sum(marker for _, _, marker in sent)
    received = counters.entries - counters.duplicates
    assert sum(counters.producers.values()) == received + sum(counters.lost.values())


@thorough
@given(streams)
def test_folding_twice_gives_the_same(made: list[Made]) -> None:
    """The fold is a function of the entries: state, order of fields, lines and counters are the same each time."""
    one, other = Aggregate(), Aggregate()
    apply_batch(one, made)
    apply_batch(other, made)

    assert repr(one.state.sections) == repr(other.state.sections)
    assert repr(one.drain_changes().lines) == repr(other.drain_changes().lines)
    assert one.counters == other.counters


@thorough
@given(streams)
def test_what_is_parked_changes_nothing(made: list[Made]) -> None:
    """A parked or duplicate entry changes no section."""
    aggregate = Aggregate()
    for place, event in enumerate(made, 1):
        before = repr(aggregate.state.sections)
        events = aggregate.counters.events
        aggregate.apply(f"{place}-0", event.entry())
        if aggregate.counters.events == events:
            assert repr(aggregate.state.sections) == before


@thorough
@given(streams)
def test_changes_make_up_the_state(made: list[Made]) -> None:
    """The changes of all commits, applied in order, give the state."""
    aggregate = Aggregate()
    seen: dict[str, Fields] = {}
    for place, event in enumerate(made, 1):
        aggregate.apply(f"{place}-0", event.entry())
        for name, fields in copy.deepcopy(aggregate.drain_changes().sections).items():
            seen.pop(name, None)
            if fields is not None:
                seen[name] = fields

        assert repr(sorted(seen.items())) == repr(sorted(aggregate.state.sections.items()))


def _spellings(event: Made, name: str) -> list[str]:
    aliases = names.FIELD_ALIASES.get(names.canonical_type(event.type), {})
    own = [name, f"emitted.{name}", f"emitted.{aliases.get(name, name)}", aliases.get(name, name)]
    return [prefix + spelling for prefix in PREFIXES for spelling in own]


def _is_kept(event: Made, name: str, value: Any, sections: dict[str, Fields]) -> bool:
    places = [
        fields[spelling]
        for fields in sections.values()
        for spelling in _spellings(event, name)
        if spelling in fields
    ]
    return repr(value) in [repr(place) for place in places]


@thorough
@given(streams)
def test_no_field_is_lost(made: list[Made]) -> None:
    """Every field of a folded event is in a section that it changed, under its name, alias, prefix or `emitted.`."""
    aggregate = Aggregate()
    for place, event in enumerate(made, 1):
        events = aggregate.counters.events
        aggregate.apply(f"{place}-0", event.entry())
        changed = aggregate.drain_changes().sections
        sections = {name: fields for name, fields in changed.items() if fields is not None}
        if aggregate.counters.events == events:
            continue
        missing = {
            name: value
            for name, value in event.data.items()
            if not _is_kept(event, name, value, sections)
            and not (
                name == "seeds" and event.type == "EPOCH_COMPLETED" and event.data.get("env_id") is not None
            )
        }
        assert missing == {}, sections


@thorough
@given(streams)
def test_no_field_of_a_seed_is_lost(made: list[Made]) -> None:
    """Every field of a slot in an epoch's `seeds` is in the seed's section, or in `aggregate.` of the environment."""
    aggregate = Aggregate()
    for place, event in enumerate(made, 1):
        events = aggregate.counters.events
        aggregate.apply(f"{place}-0", event.entry())
        env_id = event.data.get("env_id")
        if aggregate.counters.events == events or event.type != "EPOCH_COMPLETED" or env_id is None:
            continue
        group = "A/" if event.envelope["group_id"] == "A" else ""
        for slot, fields in (event.data.get("seeds") or {}).items():
            pseudo = slot.startswith("__")
            section = f"{group}env:{env_id}" if pseudo else f"{group}seed:{env_id}:{slot}"
            kept = aggregate.state.sections.get(section, {})
            for name, value in (fields or {}).items():
                own = names.SEEDS_FIELD_ALIASES.get(name, name)
                spelled = (
                    [f"aggregate.{name}"] if pseudo else [name, own, f"emitted.{name}", f"emitted.{own}"]
                )
                found = [repr(kept[spelling]) for spelling in spelled if spelling in kept]
                assert repr(value) in found, (slot, name, kept)
