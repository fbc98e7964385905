"""Capture: the fold keeps every field of every event under its own name, with the envelope."""

from typing import Any

import pytest

from tests.support.fold_run import Run, entry

# Event type, what it needs to be folded, its slot, the section its fields go to, and their prefix there.
SECTIONS = [
    pytest.param("TRAINING_STARTED", {}, None, "run", "", id="run"),
    pytest.param("EPOCH_COMPLETED", {"env_id": 3}, None, "env:3", "", id="env"),
    pytest.param("EPOCH_COMPLETED", {}, None, "epoch", "", id="aggregate epoch"),
    pytest.param("REWARD_COMPUTED", {"env_id": 3}, None, "env:3", "reward.", id="reward"),
    pytest.param(
        "REWARD_COMPUTED", {"env_id": 3, "action_name": "PUNISHMENT"}, None, "env:3", "penalty.", id="penalty"
    ),
    pytest.param("PPO_UPDATE_COMPLETED", {}, None, "policy", "", id="policy"),
    pytest.param("PPO_UPDATE_COMPLETED", {"skipped": True}, None, "policy", "rollback.", id="rollback"),
    pytest.param("BATCH_EPOCH_COMPLETED", {}, None, "batch", "", id="batch"),
    pytest.param("SEED_GERMINATED", {"env_id": 3}, "r0c1", "seed:3:r0c1", "", id="germinated"),
    pytest.param("SEED_STAGE_CHANGED", {"env_id": 3, "to": "T"}, "r0c1", "seed:3:r0c1", "", id="stage"),
    pytest.param("SEED_GATE_EVALUATED", {"env_id": 3}, "r0c1", "seed:3:r0c1", "gate.", id="gate"),
    pytest.param("SEED_FOSSILIZED", {"env_id": 3}, "r0c1", "seed:3:r0c1", "", id="fossilized"),
    pytest.param("SEED_CULLED", {"env_id": 3}, "r0c1", "seed:3:r0c1", "", id="culled"),
    pytest.param("NEVER_HEARD_OF", {}, None, "event:NEVER_HEARD_OF", "", id="unknown"),
    pytest.param("NEVER_HEARD_OF", {"env_id": 3}, None, "event:NEVER_HEARD_OF:3", "", id="unknown of an env"),
]

VALUES = {
    "undeclared_text": "later",
    "undeclared_int": 2**64 - 1,
    "undeclared_float": -0.0,
    "undeclared_bool": False,
    "undeclared_list": [1, [2.5, None], "x"],
    "undeclared_map": {"a": {"b": [True]}},
    "undeclared_empty": "",
}


@pytest.mark.parametrize(("event_type", "needs", "slot_id", "section", "prefix"), SECTIONS)
def test_every_field_is_captured(
    event_type: str, needs: dict[str, Any], slot_id: str | None, section: str, prefix: str
) -> None:
    """Every field of `data`, declared or not, is in the event's section under its name, with the section's prefix."""
    run = Run()

    run.event(event_type, needs | VALUES, slot_id=slot_id)

    fields = run.section(section)
    assert {name: fields.get(prefix + name) for name in VALUES} == VALUES


@pytest.mark.parametrize(("event_type", "needs", "slot_id", "section", "prefix"), SECTIONS)
def test_null_is_captured(
    event_type: str, needs: dict[str, Any], slot_id: str | None, section: str, prefix: str
) -> None:
    """A null field is stored as null; a field that was never sent is absent."""
    run = Run()

    run.event(event_type, needs | {"sent": None}, slot_id=slot_id)

    fields = run.section(section)
    assert f"{prefix}sent" in fields
    assert fields[f"{prefix}sent"] is None
    assert f"{prefix}never_sent" not in fields


@pytest.mark.parametrize(
    ("event_type", "needs", "slot_id", "section", "prefix"),
    [
        case
        for case in SECTIONS
        if case.id not in {"penalty", "rollback", "unknown", "unknown of an env", "run", "germinated"}
    ],
)
def test_entity_sections_merge(
    event_type: str, needs: dict[str, Any], slot_id: str | None, section: str, prefix: str
) -> None:
    """The section of an entity keeps the last value of each field, also of fields that the last event lacks."""
    run = Run()

    run.event(event_type, needs | {"old": 1, "both": 1}, slot_id=slot_id)
    run.event(event_type, needs | {"both": 2, "new": 2}, slot_id=slot_id)

    fields = run.section(section)
    assert {name: fields[prefix + name] for name in ("old", "both", "new")} == {"old": 1, "both": 2, "new": 2}


@pytest.mark.parametrize(
    ("event_type", "needs", "slot_id", "section", "prefix"),
    [case for case in SECTIONS if case.id in {"penalty", "rollback", "unknown", "unknown of an env"}],
)
def test_payloads_are_replaced_as_a_whole(
    event_type: str, needs: dict[str, Any], slot_id: str | None, section: str, prefix: str
) -> None:
    """`event:` sections, `penalty.` and `rollback.` hold only the last payload."""
    run = Run()

    run.event(event_type, needs | {"old": 1, "both": 1}, slot_id=slot_id)
    run.event(event_type, needs | {"both": 2}, slot_id=slot_id)

    fields = run.section(section)
    assert fields[f"{prefix}both"] == 2
    assert f"{prefix}old" not in fields


def test_a_null_overwrites_a_value() -> None:
    """A field whose last value is null is null: the capture treats null like any other value."""
    run = Run()

    run.epoch(0, 1, 50.0, train_loss=1.5)
    run.epoch(0, 2, 51.0, train_loss=None)

    assert run.section("env:0")["train_loss"] is None


def test_nothing_depends_on_a_stream_id() -> None:
    """A file and a stream give the same sections: no value comes from an entry ID."""
    one, other = Run(), Run()
    events = [
        ("TRAINING_STARTED", {"n_envs": 1, "max_epochs": 5}),
        ("EPOCH_COMPLETED", {"env_id": 0, "inner_epoch": 1, "val_accuracy": 50.0}),
        ("BATCH_EPOCH_COMPLETED", {"episodes_completed": 1, "env_accuracies": [50.0]}),
        ("OTHER", {"a": 1}),
    ]

    for number, (event_type, data) in enumerate(events):
        fields = entry(event_type, data, event_id=f"e{number}", timestamp=100.0 + number)
        one.aggregate.apply(f"{number}-1", fields)
        other.aggregate.apply(f"{17_000_000_000_000 + number * 7}-{number}", fields)

    assert one.sections == other.sections


def test_a_missing_timestamp_is_the_ids() -> None:
    """An entry without `timestamp`, as typed by hand, has the time at which the stream received it."""
    run = Run()

    run.aggregate.apply("1500-0", entry("OTHER", {"a": 1}))

    assert run.section("event:OTHER")["last_at"] == 1.5


def test_the_json_form_is_the_same_event() -> None:
    """An entry typed by hand can hold `json` instead of `event`, without event ID, time, producer and seq."""
    run = Run()

    run.raw(
        {b"type": b"SEED_CULLED", b"json": b'{"slot_id":"r0c1","data":{"env_id":3,"reason":"stagnation"}}'}
    )

    assert run.section("seed:3:r0c1")["reason"] == "stagnation"
    assert run.messages() == ["r0c1 culled (stagnation)"]
