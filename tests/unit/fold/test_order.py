"""Order: of the events of a batch end, and the fold as a function of the entries alone."""

import copy
import itertools
from typing import Any

import pytest

from sanctum_bus.fold.offline import fold_entries
from tests.support.fold_run import Entry, Run, entry

# The three events of a batch end. Their times are equal: the order is what the test is about.
END = {
    "batch": (
        "BATCH_EPOCH_COMPLETED",
        {"episodes_completed": 2, "env_accuracies": [50.0, 60.0], "avg_accuracy": 55.0, "batch_idx": 1},
    ),
    "policy": ("PPO_UPDATE_COMPLETED", {"entropy": 1.0, "early_stop_epoch": 0.0, "episodes_completed": 2}),
    "aggregate epoch": ("EPOCH_COMPLETED", {"inner_epoch": 2, "val_accuracy": 55.0, "n_envs": 2}),
    "summary": ("ANALYTICS_SNAPSHOT", {"kind": "throughput", "episodes_completed": 2}),
}

NEXT: list[tuple[str, dict[str, Any]]] = [
    ("EPOCH_COMPLETED", {"env_id": 0, "inner_epoch": 1, "val_accuracy": 10.0}),
    ("SEED_GERMINATED", {"env_id": 1, "slot_id": "r0c0", "blueprint_id": "mlp"}),
]


def _run(order: tuple[str, ...]) -> Run:
    run = Run()
    run.start({"n_envs": 2, "max_epochs": 2, "host_params": 10})
    run.germinate(blueprint_id="norm")
    for env_id, inner_epoch in itertools.product((0, 1), (1, 2)):
        run.epoch(env_id, inner_epoch, 50.0 + env_id + inner_epoch)
        run.reward(env_id, 1.0, epoch=inner_epoch)
    for name in order:
        event_type, data = END[name]
        run.event(event_type, data, event_id=name, timestamp=1_700_000_100.0)
    return run


@pytest.mark.parametrize("order", list(itertools.permutations(END)), ids=", ".join)
def test_all_orders_of_a_batch_end_give_the_same(order: tuple[str, ...]) -> None:
    """Batch, update, aggregate epoch and summary in any order give the same sections."""
    assert _run(order).sections == _run(tuple(END)).sections


@pytest.mark.parametrize("order", list(itertools.permutations(END)), ids=", ".join)
def test_all_orders_go_on_the_same(order: tuple[str, ...]) -> None:
    """The next episode starts the same from each of them."""
    one, other = _run(order), _run(tuple(END))

    for event_type, data in NEXT:
        one.event(event_type, data)
        other.event(event_type, data)

    assert one.sections == other.sections


def _stream() -> list[tuple[str, Entry]]:
    data: list[tuple[str, dict[str, Any]]] = [
        ("TRAINING_STARTED", {"n_envs": 2, "b": 1, "a": 2}),
        ("SEED_GERMINATED", {"env_id": 1, "slot_id": "r0c0", "blueprint_id": "mlp"}),
        ("EPOCH_COMPLETED", {"env_id": 1, "val_accuracy": 1.0, "seeds": {"b": {"stage": "X"}, "a": {}}}),
        ("REWARD_COMPUTED", {"env_id": 1, "action_name": "WAIT", "total_reward": 1.0}),
        ("SEED_CULLED", {"env_id": 1, "slot_id": "r0c0", "reason": "x"}),
        ("NEVER_HEARD_OF", {"z": 1, "y": {"d": 1, "c": 2}}),
        ("BATCH_EPOCH_COMPLETED", {"episodes_completed": 2, "env_accuracies": [1.0, 2.0]}),
    ]
    return [
        (f"{number}-0", entry(event_type, fields, event_id=f"e{number}", timestamp=float(number)))
        for number, (event_type, fields) in enumerate(data, 1)
    ]


def test_folding_twice_gives_the_same() -> None:
    """The same entries give the same sections, including the order of their fields."""
    one, other = fold_entries(_stream()), fold_entries(_stream())

    assert repr(one.state.sections) == repr(other.state.sections)
    assert repr(one.drain_changes().lines) == repr(other.drain_changes().lines)


def test_commits_leave_no_trace() -> None:
    """The state does not depend on when changes are drained."""
    one, other = fold_entries(_stream()), Run()

    for entry_id, fields in _stream():
        other.aggregate.apply(entry_id, fields)
        other.lines()

    assert one.state.sections == other.sections
    assert one.drain_changes().lines == other.lines()


def test_changes_are_the_sections_that_changed() -> None:
    """The changes of a commit are exactly the sections that differ from the last commit."""
    run = Run()
    written: dict[str, Any] = {}

    for entry_id, fields in _stream():
        before = copy.deepcopy(run.sections)
        run.aggregate.apply(entry_id, fields)
        changes = run.aggregate.drain_changes()
        differing = {name for name, now in run.sections.items() if before.get(name) != now}
        assert differing <= set(changes.sections)
        written |= copy.deepcopy(changes.sections)

    assert {name: fields for name, fields in written.items() if fields} == run.sections


def test_a_late_stage_change_is_folded() -> None:
    """An event out of order is folded as far as possible, and stops nothing."""
    run = Run()

    run.stage("FOSSILIZED")
    run.seed("GATE_EVALUATED", gate="G5", passed=True)
    run.germinate(blueprint_id="norm")
    run.epoch(0, 5, 50.0)
    run.epoch(0, 4, 40.0)

    assert run.parked() == []
    assert run.section("env:0")["accuracy_history"] == [50.0, 40.0]
    assert run.section("seed:0:r0c0")["stage"] == "GERMINATED"
