"""Failed folds: an entry that no check finds is parked, and the run continues."""

import importlib
import json
from typing import Any, Never

import pytest

from sanctum_bus.errors import FoldFailed
from sanctum_bus.events.decode import Event
from sanctum_bus.fold import dispatch
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.offline import fold_entries
from tests.support.fold_run import Entry, Run, entry

HUGE = 10**400  # valid JSON, and beyond the range of a float


def _typed(event_type: str, data: dict[str, Any], **envelope: Any) -> Entry:
    """Return an entry as typed by hand."""
    return {b"type": event_type.encode(), b"json": json.dumps({**envelope, "data": data}).encode()}


def _break(*_: object) -> Never:
    message = "a bug"
    raise ZeroDivisionError(message)


def test_a_fold_that_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold that fails half-way invalidates the state. The error names the entry and the cause."""
    monkeypatch.setitem(dispatch.FOLDS, "SEED_CULLED", _break)
    aggregate = Aggregate()

    with pytest.raises(FoldFailed, match="a bug") as caught:
        aggregate.apply("7-0", entry("SEED_CULLED", {"env_id": 0}, slot_id="r0c0"))

    assert caught.value.entry_id == "7-0"


def test_a_fold_that_raised_parks(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart, the entry is parked, and the entries around it are folded."""
    monkeypatch.setitem(dispatch.FOLDS, "SEED_CULLED", _break)
    culled = entry("SEED_CULLED", {"env_id": 0}, slot_id="r0c0")
    entries = [("1-0", entry("OTHER", {"a": 1})), ("2-0", culled), ("3-0", entry("OTHER", {"a": 2}))]

    aggregate = fold_entries(entries)

    ((entry_id, reason, raw),) = aggregate.drain_changes().parked
    assert (entry_id, raw) == ("2-0", culled)
    assert "a bug" in reason
    assert aggregate.state.sections["event:OTHER"]["count"] == 2
    assert (aggregate.counters.entries, aggregate.counters.events, aggregate.counters.parked) == (3, 2, 1)


def test_what_was_left_and_has_no_place_parks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event whose deferred write fails is found, and only its entry is parked."""
    other = importlib.import_module("sanctum_bus.fold.handlers.default")
    real = other._put_others

    def put(fields: Any, lasts: list[Event], items: list[None]) -> None:
        if lasts[-1].data["a"] == 2:
            _break()
        real(fields, lasts, items)

    monkeypatch.setattr(other, "_put_others", put)
    entries = [(f"{number}-0", entry("OTHER", {"a": number, "env_id": number % 2})) for number in range(1, 5)]
    entries[3], entries[1] = ("4-0", entries[1][1]), ("2-0", entries[3][1])

    aggregate = fold_entries(entries)

    assert [parked.entry_id for parked in aggregate.drain_changes().parked] == ["4-0"]
    assert aggregate.state.sections["event:OTHER:0"]["count"] == 1
    assert aggregate.state.sections["event:OTHER:1"]["count"] == 2


def test_poison_keeps_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarantined entry was received: its sequence number is not missing."""
    monkeypatch.setitem(dispatch.FOLDS, "SEED_CULLED", _break)
    culled = entry("SEED_CULLED", {"env_id": 0}, slot_id="r0c0", producer="p", seq=2)
    numbered = [
        ("1-0", entry("OTHER", {}, producer="p", seq=1)),
        ("2-0", culled),
        ("3-0", entry("OTHER", {}, producer="p", seq=3)),
    ]

    counters = fold_entries(numbered).counters

    assert (counters.lost, counters.parked, counters.producers) == ({}, 1, {"p": 3})


@pytest.mark.parametrize(
    "timestamp",
    [
        HUGE,
        -HUGE,
        2**70,
        float("nan"),
        float("inf"),
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "x",
    ],
    ids=range(8),
)
def test_times_out_of_range(timestamp: Any) -> None:
    """A timestamp outside the range of a float parks its entry, and raises nothing."""
    run = Run()

    run.raw(_typed("OTHER", {"a": 1}, timestamp=timestamp))
    run.event("OTHER", {"a": 2})

    assert run.section("event:OTHER")["a"] == 2


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": HUGE}),
        ("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": 50.0, "inner_epoch": HUGE}),
        ("EPOCH_COMPLETED", {"env_id": HUGE}),
        ("REWARD_COMPUTED", {"env_id": 0, "total_reward": HUGE}),
        ("SEED_FOSSILIZED", {"env_id": 0, "improvement": HUGE}),
        ("SEED_FOSSILIZED", {"env_id": 0, "params_added": HUGE, "blueprint_id": "norm"}),
        ("SEED_CULLED", {"env_id": 0, "improvement": HUGE, "blueprint_id": "norm"}),
        ("SEED_CULLED", {"env_id": 0, "epochs_total": HUGE, "blueprint_id": "norm"}),
        ("PPO_UPDATE_COMPLETED", {"entropy": HUGE}),
        ("PPO_UPDATE_COMPLETED", {"early_stop_epoch": HUGE}),
        ("BATCH_EPOCH_COMPLETED", {"episodes_completed": HUGE}),
        ("BATCH_EPOCH_COMPLETED", {"avg_accuracy": HUGE}),
        ("BATCH_EPOCH_COMPLETED", {"avg_reward": -HUGE}),
        ("BATCH_EPOCH_COMPLETED", {"batch_idx": HUGE}),
        ("BATCH_EPOCH_COMPLETED", {"env_accuracies": [HUGE]}),
        ("BATCH_EPOCH_COMPLETED", {"start_episode": -HUGE}),
        ("TRAINING_STARTED", {"max_epochs": HUGE}),
        ("TRAINING_STARTED", {"host_params": HUGE}),
        ("TRAINING_STARTED", {"start_episode": HUGE}),
        ("TRAINING_STARTED", {"n_envs": HUGE}),
        ("OTHER", {"a": HUGE}),
    ],
    ids=range(21),
)
def test_numbers_that_no_float_holds(event_type: str, data: dict[str, Any]) -> None:
    """An integer beyond the range of a float fails no fold, neither its own nor a later one."""
    run = Run()
    run.start({"n_envs": 2, "max_epochs": 5, "host_params": 10})

    run.raw(_typed(event_type, data, slot_id="r0c0", timestamp=1_700_000_001.0))
    run.epoch(1, 1, 40.0)
    run.epoch(0, 2, 41.5)
    run.epoch(0, 3, 40.0)
    run.batch(2, [1.0, 2.0])

    assert [parked.entry_id for parked in run.parked()] in ([], ["2-0"])
    assert run.section("run")["batches_completed"] >= 1
