"""Recordings: nothing is parked or dropped, and every value is in its place.

The table of places below was written from the specification, not from the fold, so that the two check each other.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import msgpack
import pytest

from sanctum_bus.events import names
from sanctum_bus.events import recordings as package_recordings
from sanctum_bus.fold import offline
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.changes import Changes
from sanctum_bus.protocol import coverage
from tests.support.recordings import Raw, Recording, entry_of, recordings, timestamp_of

#: Maximum size, in compressed bytes, of a recording that a test folds as a whole.
_SMALL_BYTES = 500_000

each_recording = pytest.mark.parametrize("recording", recordings(), ids=lambda one: one.id)
each_small_recording = pytest.mark.parametrize(
    "recording",
    [one for one in recordings() if one.path.stat().st_size < _SMALL_BYTES],
    ids=lambda one: one.id,
)

Fields = dict[str, Any]

_ABSENT = "(absent)"

#: Action names of REWARD_COMPUTED that are penalties.
_PENALTIES = {"PUNISHMENT", "AUTO_CULL_PENALTY"}

#: Emitted type -> the section that captures its fields, if the type has a handler.
_SECTIONS = {
    "TRAINING_STARTED": "run",
    "PPO_UPDATE_COMPLETED": "policy",
    "BATCH_COMPLETED": "batch",
    "BATCH_EPOCH_COMPLETED": "batch",
}

_SEED_TYPES = {
    "SEED_GERMINATED",
    "SEED_STAGE_CHANGED",
    "SEED_GATE_EVALUATED",
    "SEED_FOSSILIZED",
    "SEED_CULLED",
    "SEED_PRUNED",
}

_GRAD_RATIO = {"seed_gradient_norm_ratio": "grad_ratio"}
_LEFT = _GRAD_RATIO | {"epochs_in_stage": "epochs_in_previous_stage"}
_STAGE = {
    "from_stage": "from",
    "to_stage": "to",
    "accuracy_delta": "accuracy_delta_at_stage_change",
}

#: Emitted type -> emitted field -> the name under which it is kept.
_RENAMED: dict[str, dict[str, str]] = {
    "PPO_UPDATE_COMPLETED": {
        f"{head}_entropy": f"head_{head}_entropy" for head in ("slot", "blueprint", "op", "blend", "tempo")
    },
    "SEED_GERMINATED": _GRAD_RATIO,
    "SEED_GATE_EVALUATED": _GRAD_RATIO,
    "SEED_STAGE_CHANGED": _LEFT | _STAGE,
    "SEED_FOSSILIZED": _LEFT,
    "SEED_CULLED": _LEFT,
    "SEED_PRUNED": _LEFT | {"auto_pruned": "auto_culled"},
}

#: Emitted field -> stored name, inside `seeds` of EPOCH_COMPLETED.
_RENAMED_IN_SEEDS = {"grad_ratio": "gradient_health"}

#: Key of a raw line -> name in a section, for the envelope values that are kept.
_ENVELOPE = {
    "event_type": "event.type",
    "event_id": "event.id",
    "epoch": "event.epoch",
    "seed_id": "event.seed_id",
    "slot_id": "event.slot_id",
    "message": "event.message",
    "severity": "event.severity",
    "group_id": "event.group_id",
}


class Place(NamedTuple):
    """The place of a map of fields after its event."""

    section: str
    prefix: str
    renamed: dict[str, str]
    fields: Fields


def places_of(line: Raw) -> Iterator[Place]:
    """Yield every place of the fields of an event."""
    group = line.get("group_id")
    prefix = "" if group in (None, "", "default") else f"{group}/"
    for place in _plain_places(line):
        yield place._replace(section=prefix + place.section)


def _plain_places(line: Raw) -> Iterator[Place]:
    emitted, data = line["event_type"], line["data"]
    env_id, renamed = data.get("env_id"), _RENAMED.get(emitted, {})
    if emitted == "EPOCH_COMPLETED":
        yield from _epoch_places(data)
    elif emitted == "REWARD_COMPUTED":
        prefix = "penalty." if data["action_name"] in _PENALTIES else "reward."
        yield Place(f"env:{env_id}", prefix, renamed, data)
    elif emitted == "PPO_UPDATE_COMPLETED" and (data.get("skipped") is True or data.get("reason")):
        yield Place("policy", "rollback.", renamed, data)
    elif emitted in _SECTIONS:
        yield Place(_SECTIONS[emitted], "", renamed, data)
    elif emitted in _SEED_TYPES:
        slot = line["slot_id"] or data["slot_id"]
        yield Place(f"seed:{env_id}:{slot}", "gate." if "GATE" in emitted else "", renamed, data)
    else:
        yield Place(_event_section(emitted, data), "", {}, data)


def _epoch_places(data: Fields) -> Iterator[Place]:
    env_id = data.get("env_id")
    if env_id is None:
        yield Place("epoch", "", {}, data)
        return
    yield Place(f"env:{env_id}", "", {}, {name: value for name, value in data.items() if name != "seeds"})
    for slot, report in (data["seeds"] or {}).items():
        if slot.startswith("__"):
            yield Place(f"env:{env_id}", "aggregate.", _RENAMED_IN_SEEDS, report)
        else:
            yield Place(f"seed:{env_id}:{slot}", "", _RENAMED_IN_SEEDS, report)


def _event_section(emitted: str, data: Fields) -> str:
    kind = data.get("kind")
    if emitted == "ANALYTICS_SNAPSHOT" and kind is None:
        # The recordings hold two of the fields that imply a kind.
        known = {"value_variance": "batch_stats", "summary_table": "summary_table"}
        kind = next((known[name] for name in known if name in data), "other")
    where = "" if data.get("env_id") is None else f":{data['env_id']}"
    return f"event:{emitted}{f'.{kind}' if kind else ''}{where}"


def misplaced(sections: dict[str, Fields], line: Raw) -> Iterator[str]:
    """Yield the fields that do not have their exact value, including type, sign of zero and NaN."""
    envelope = {kept: line[key] for key, kept in _ENVELOPE.items() if line.get(key) not in (None, "")}
    envelope["event.timestamp"] = timestamp_of(line)
    for place in places_of(line):
        section = sections.get(place.section, {})
        for name, value in place.fields.items():
            kept = section.get(place.prefix + place.renamed.get(name, name), _ABSENT)
            # `repr` distinguishes 1, 1.0 and True, and 0.0 and -0.0, and gives the same text for NaN.
            if repr(kept) != repr(value):
                yield f"{place.section} {place.prefix}{name}: {kept!r:.60}, not {value!r:.60}"
        kept_envelope = {name: value for name, value in section.items() if name.startswith("event.")}
        if kept_envelope != envelope:
            yield f"{place.section}: envelope {kept_envelope}, not {envelope}"


class Walked(NamedTuple):
    """The result of folding a recording, with a check of the sections after every event.

    Args:
        types: emitted type -> events.
        fields: emitted type and field -> number of events with the field.
    """

    aggregate: Aggregate
    changes: Changes
    misplaced: list[str]
    types: Counter[str]
    fields: Counter[tuple[str, str]]


@cache
def walked(recording: Recording) -> Walked:
    """Fold a recording event by event."""
    aggregate, wrong = Aggregate(), []
    types: Counter[str] = Counter()
    fields: Counter[tuple[str, str]] = Counter()
    for number, line in enumerate(recording.lines(), 1):
        aggregate.apply(f"0-{number}", entry_of(line))
        found = misplaced(aggregate.state.sections, line)
        wrong += [f"0-{number} {line['event_type']} {what}" for what in found]
        types[line["event_type"]] += 1
        fields.update((line["event_type"], name) for name in line["data"])
    return Walked(aggregate, aggregate.drain_changes(), wrong, types, fields)


@each_recording
def test_every_event_is_folded(recording: Recording) -> None:
    """Each event of real training counts as one entry and one event: none is parked, skipped or missing."""
    aggregate, changes, _, types, _ = walked(recording)

    counters, sent = aggregate.counters, types.total()
    assert sent > 400
    assert changes.parked == []
    assert (counters.entries, counters.events) == (sent, sent)
    assert (counters.parked, counters.duplicates, counters.lost) == (0, 0, {})
    assert aggregate.version == changes.version == f"0-{sent}"


@each_recording
def test_every_value_is_where_the_semantics_say(recording: Recording) -> None:
    """After each event, its section has each of its fields and its envelope with their exact values."""
    wrong = walked(recording).misplaced

    assert wrong[:20] == []
    assert len(wrong) == 0


@each_recording
def test_coverage_counts_what_was_emitted(recording: Recording) -> None:
    """Events and fields are counted as often as the raw lines hold them, under canonical names, without a gap."""
    _, changes, _, types, fields = walked(recording)
    events: Counter[str] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    for emitted, times in types.items():
        events[names.canonical_type(emitted)] += times
    for (emitted, name), times in fields.items():
        seen[_canonical(emitted, name)] += times

    found = coverage.report(changes.coverage)

    assert {one.type: one.events for one in found} == events
    assert {(one.type, field.name): field.seen for one in found for field in one.fields.values()} == seen
    assert [(one.type, one.gap) for one in found if one.gap or one.captured != one.emitted] == []


@each_recording
def test_coverage_keeps_the_emitted_spellings(recording: Recording) -> None:
    """Each other spelling of a type or field has its count, besides the canonical name."""
    _, changes, _, _, fields = walked(recording)
    spelled = {key: times for key, times in fields.items() if _canonical(*key) != key}

    found = coverage.report(changes.coverage)

    counted = {
        spelling: times
        for one in found
        for field in one.fields.values()
        for spelling, times in field.spellings.items()
    }
    assert counted == spelled


def _canonical(emitted: str, name: str) -> tuple[str, str]:
    event_type = names.canonical_type(emitted)
    return event_type, names.FIELD_ALIASES.get(event_type, {}).get(name, name)


@each_recording
def test_the_packages_entries_are_those_of_the_wire(recording: Recording) -> None:
    """The package encodes each event of a recording as the wire format specifies, and appends an end-of-stream marker."""
    mine = recording.entries()

    *theirs, (last_id, last) = offline.encode_records(package_recordings.read(recording.path))

    assert last_id == f"0-{len(mine) + 1}"
    assert last[b"type"] == b"_closed"
    assert [entry_id for entry_id, _ in theirs] == [entry_id for entry_id, _ in mine]
    # All of a small recording and a part of a large one: decoding both sides costs more than all other tests here.
    pairs = zip(mine, theirs, strict=True)
    looked_at = itertools.islice(pairs, None, None, 1 + len(mine) // 5_000)
    assert [a for (a, own), (_, its) in looked_at if _said(own) != _said(its)] == []


def _said(entry: Mapping[bytes, bytes]) -> tuple[bytes, list[bytes], list[tuple[str, str]]]:
    """Return type, fields and event map of an entry, without nulls, in a form that distinguishes all values."""
    event = msgpack.unpackb(entry[b"event"])
    present = ((key, repr(value)) for key, value in event.items() if value is not None)
    return entry[b"type"], sorted(entry), sorted(present)


@each_small_recording
def test_the_packages_fold_is_the_same(recording: Recording) -> None:
    """`fold_records` gives the sections of applying the entries; only the run's status differs."""
    theirs = offline.fold_records(package_recordings.read(recording.path)).state.sections
    mine = walked(recording).aggregate.state.sections

    run = mine["run"] | {"status": "ended"}
    # The order of a section's fields has no meaning, because a hash has none.
    assert _in_order(theirs) == _in_order(mine | {"run": run})


def _in_order(sections: Mapping[str, Mapping[str, object]]) -> str:
    return repr({name: sorted(fields.items()) for name, fields in sections.items()})
