"""`event.*`: the envelope of the event that a section captured last."""

from typing import Any

import pytest

from tests.support.fold_run import Run

ENVELOPE = {
    "event_id": "abc",
    "timestamp": 1234.5,
    "epoch": 7,
    "seed_id": "s1",
    "slot_id": "r0c0",
    "message": "hello",
    "severity": "info",
    "group_id": "default",
}


def test_the_whole_envelope_is_kept() -> None:
    """A section keeps type, id, time, epoch, seed, slot, message, severity and group of its last event."""
    run = Run()

    run.event("OTHER", {"a": 1}, **ENVELOPE)

    fields = run.section("event:OTHER")
    assert {name: value for name, value in fields.items() if name.startswith("event.")} == {
        "event.type": "OTHER",
        "event.id": "abc",
        "event.timestamp": 1234.5,
        "event.epoch": 7,
        "event.seed_id": "s1",
        "event.slot_id": "r0c0",
        "event.message": "hello",
        "event.severity": "info",
        "event.group_id": "default",
    }


@pytest.mark.parametrize(
    ("event_type", "data", "section"),
    [
        ("TRAINING_STARTED", {}, "run"),
        ("EPOCH_COMPLETED", {"env_id": 0}, "env:0"),
        ("EPOCH_COMPLETED", {}, "epoch"),
        ("REWARD_COMPUTED", {"env_id": 0}, "env:0"),
        ("REWARD_COMPUTED", {"env_id": 0, "action_name": "PUNISHMENT"}, "env:0"),
        ("PPO_UPDATE_COMPLETED", {}, "policy"),
        ("PPO_UPDATE_COMPLETED", {"skipped": True}, "policy"),
        ("BATCH_EPOCH_COMPLETED", {}, "batch"),
        ("SEED_GERMINATED", {"env_id": 0}, "seed:0:r0c0"),
        ("SEED_STAGE_CHANGED", {"env_id": 0, "to": "TRAINING"}, "seed:0:r0c0"),
        ("SEED_GATE_EVALUATED", {"env_id": 0}, "seed:0:r0c0"),
        ("SEED_FOSSILIZED", {"env_id": 0}, "seed:0:r0c0"),
        ("SEED_CULLED", {"env_id": 0}, "seed:0:r0c0"),
    ],
)
def test_every_event_leaves_its_envelope(event_type: str, data: dict[str, Any], section: str) -> None:
    """The section that captured an event's fields has the envelope of that event."""
    run = Run()

    run.event(event_type, data, slot_id="r0c0", event_id="last")

    fields = run.section(section)
    assert fields["event.type"] == event_type
    assert fields["event.id"] == "last"
    assert fields["event.timestamp"] == 1_700_000_000.0


def test_the_envelope_is_replaced_as_a_whole() -> None:
    """An envelope replaces the one before: a key that the last event lacks is absent."""
    run = Run()

    run.event("EPOCH_COMPLETED", {"env_id": 0}, **ENVELOPE, trace="t1")
    run.event("EPOCH_COMPLETED", {"env_id": 0}, event_id="x", timestamp=2000.0)

    fields = run.section("env:0")
    assert {name: value for name, value in fields.items() if name.startswith("event.")} == {
        "event.type": "EPOCH_COMPLETED",
        "event.id": "x",
        "event.timestamp": 2000.0,
    }


@pytest.mark.parametrize("nothing", [None, ""])
def test_null_and_empty_ones_are_absent(nothing: str | None) -> None:
    """An envelope key that is null or empty is not in the section."""
    run = Run()

    names = ("event_id", "seed_id", "slot_id", "message", "severity", "group_id")
    run.event("OTHER", {}, epoch=None, **dict.fromkeys(names, nothing))

    kept = [name for name in run.section("event:OTHER") if name.startswith("event.")]
    assert sorted(kept) == ["event.timestamp", "event.type"]


def test_zero_is_not_empty() -> None:
    """Epoch 0 is an epoch."""
    run = Run()

    run.event("OTHER", {}, epoch=0)

    assert run.section("event:OTHER")["event.epoch"] == 0


def test_unknown_envelope_keys_are_kept() -> None:
    """An undeclared envelope key is kept like a declared one."""
    run = Run()

    run.event("EPOCH_COMPLETED", {"env_id": 0}, trace={"span": 5}, empty="")

    fields = run.section("env:0")
    assert fields["event.trace"] == {"span": 5}
    assert "event.empty" not in fields


def test_transport_is_never_captured() -> None:
    """`v`, `producer` and `seq` are transport: no section holds them."""
    run = Run()

    run.event("OTHER", {"a": 1}, producer="host-1", seq=1)

    fields = run.section("event:OTHER")
    assert not {"v", "producer", "seq", "event.v", "event.producer", "event.seq"} & set(fields)


def test_an_iso_timestamp_becomes_float_seconds() -> None:
    """`event.timestamp` is in float seconds, whatever the notation in the event."""
    run = Run()

    run.event("OTHER", {}, timestamp="1970-01-01T00:01:00+00:00")

    assert run.section("event:OTHER")["event.timestamp"] == 60.0


def test_a_derived_change_leaves_the_envelope() -> None:
    """A derived value does not change the envelope of its section."""
    run = Run()

    run.epoch(0, 1, 50.0)
    run.batch(1, [50.0])

    assert run.section("env:0")["batch_accuracy"] == 50.0
    assert run.section("env:0")["event.type"] == "EPOCH_COMPLETED"


def test_seeds_of_an_epoch_bear_its_envelope() -> None:
    """An epoch's `seeds` are captured into the seed sections, with the epoch's envelope."""
    run = Run()

    run.epoch(0, 4, 50.0, seeds={"r0c0": {"stage": "TRAINING"}})

    assert run.section("seed:0:r0c0")["event.type"] == "EPOCH_COMPLETED"
    assert run.section("seed:0:r0c0")["event.epoch"] == 4
