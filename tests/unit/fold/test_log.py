"""The seed event log: which entries have a line, and the fields of the line."""

from typing import Any

import pytest

from sanctum_bus.fold.aggregate import Aggregate
from tests.support.fold_run import FIRST_SECOND, Run, entry


def test_a_line() -> None:
    """A line has the ID of its entry, and type, time, place, blueprint, episode, message and all fields."""
    run = Run()
    data = {"env_id": 3, "blueprint_id": "conv_light", "params": 7, "odd": None}

    entry_id = run.event("SEED_GERMINATED", data, slot_id="r0c0", message="not this")

    assert run.lines() == [
        (
            entry_id,
            {
                "type": "SEED_GERMINATED",
                "at": FIRST_SECOND,
                "env_id": 3,
                "slot_id": "r0c0",
                "blueprint_id": "conv_light",
                "episode": 3,
                "message": "r0c0 germinated (conv_light)",
                "data": data,
            },
        )
    ]


@pytest.mark.parametrize(
    "event_type",
    [
        "TRAINING_STARTED",
        "BATCH_EPOCH_COMPLETED",
        "BATCH_COMPLETED",
        "GOVERNOR_ROLLBACK",
        "GOVERNOR_PANIC",
        "CHECKPOINT_SAVED",
        "CHECKPOINT_LOADED",
        "PLATEAU_DETECTED",
        "NUMERICAL_INSTABILITY_DETECTED",
        "SEED_OF_A_NEW_KIND",
    ],
)
def test_milestones_have_a_line(event_type: str) -> None:
    """Starts, batches, GOVERNOR_*, CHECKPOINT_*, *_DETECTED and any SEED_* event have one line each."""
    run = Run()

    run.event(event_type, {})

    assert len(run.lines()) == 1


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("EPOCH_COMPLETED", {"env_id": 0}),
        ("EPOCH_COMPLETED", {}),
        ("REWARD_COMPUTED", {"env_id": 0}),
        ("REWARD_COMPUTED", {"env_id": 0, "action_name": "PUNISHMENT"}),
        ("ANALYTICS_SNAPSHOT", {"kind": "last_action"}),
        ("PPO_UPDATE_COMPLETED", {"entropy": 1.0, "early_stop_epoch": None}),
        ("MEMORY_WARNING", {}),
        ("NEVER_HEARD_OF", {}),
    ],
)
def test_high_rate_types_have_none(event_type: str, data: dict[str, Any]) -> None:
    """Epochs, rewards, snapshots, updates and other types have no line."""
    run = Run()

    run.event(event_type, data, message="hello", slot_id="r0c0")

    assert run.lines() == []


def test_a_parked_entry_has_no_line() -> None:
    """A parked entry has no line."""
    run = Run()

    run.event("SEED_GERMINATED", {"env_id": None}, slot_id="r0c0")

    assert run.lines() == []


def test_the_type_is_canonical() -> None:
    """The log uses the canonical names, of the type and of the fields."""
    run = Run()

    run.seed("PRUNED", auto_pruned=False)
    run.seed("STAGE_CHANGED", from_stage="A", to_stage="B")

    assert [line["type"] for _, line in run.lines()] == ["SEED_CULLED", "SEED_STAGE_CHANGED"]
    assert run.lines()[0][1]["data"] == {"env_id": 0, "auto_culled": False}
    assert run.lines()[1][1]["data"] == {"env_id": 0, "from": "A", "to": "B"}


def test_the_blueprint_is_the_seeds() -> None:
    """If the event does not name the blueprint, the line has the blueprint of the seed in the slot."""
    run = Run()

    run.germinate(blueprint_id="norm")
    run.stage("TRAINING")

    assert run.lines()[1][1]["blueprint_id"] == "norm"


@pytest.mark.parametrize(
    ("start", "completed", "episode"),
    [({}, None, 3), ({"start_episode": 48}, None, 51), ({}, 16, 19), ({"start_episode": 48}, 64, 67)],
)
def test_the_episode(start: dict[str, Any], completed: int | None, episode: int) -> None:
    """`episode` is the last `episodes_completed`, or else the resume offset, plus `env_id`."""
    run = Run()

    run.start(start)
    if completed is not None:
        run.batch(completed)
    run.germinate(3)

    assert run.lines()[-1][1]["episode"] == episode


def test_every_line_comes_once() -> None:
    """Each call of `drain_changes` returns the lines since the last call."""
    run = Run()

    run.germinate()
    first = run.aggregate.drain_changes().lines
    run.stage("TRAINING")

    assert [entry_id for entry_id, _ in first] == ["1-0"]
    assert [entry_id for entry_id, _ in run.aggregate.drain_changes().lines] == ["2-0"]
    assert run.aggregate.drain_changes().lines == []


def test_the_end_of_a_run() -> None:
    """The end-of-stream marker of the last open producer adds one line about the end of the run."""
    run = Run()

    run.event("OTHER", {}, producer="a", seq=1)
    run.event("OTHER", {}, producer="b", seq=1)
    run.event("_closed", {"sent": 2, "dropped": 0}, producer="a", seq=2)
    before = list(run.lines())
    entry_id = run.event("_closed", {"sent": 2, "dropped": 0}, producer="b", seq=2)

    assert before == []
    assert [line_id for line_id, _ in run.lines()] == [entry_id]


def test_a_loss_is_a_field_of_the_line() -> None:
    """A loss that an entry reveals is a field of the entry's line."""
    run = Run()

    run.event("SEED_GERMINATED", {"env_id": 0}, slot_id="r0c0", producer="p", seq=5)

    assert len(run.lines()) == 1
    assert run.lines()[0][1]["type"] == "SEED_GERMINATED"
    assert run.lines()[0][1]["lost"] == 4


def test_what_the_publisher_dropped_is_told_apart() -> None:
    """If the entry has no line, a `_lost` line reports the lost events, and how many of them the publisher dropped."""
    run = Run()

    run.event("OTHER", {}, producer="p", seq=8, dropped=3)

    (_, line), *more = run.lines()
    assert more == []
    assert (line["type"], line["lost"], line["dropped"]) == ("_lost", 7, 3)
    assert line["message"] == (
        "7 events of this producer before this one were lost; 3 of them its publisher dropped"
    )


def test_a_loss_before_an_entry_that_parks() -> None:
    """A parked entry can reveal a loss too. The line has its ID and the time of the ID."""
    run = Run()

    entry_id = run.raw({b"type": b"OTHER", b"event": b"\xc1", b"producer": b"p", b"seq": b"3"})

    assert [(line_id, line["lost"], line["at"]) for line_id, line in run.lines()] == [(entry_id, 2, 0.001)]


@pytest.mark.parametrize(
    ("event_type", "shown"), [("OTHER", "_lost"), ("SEED_GERMINATED", "SEED_GERMINATED")]
)
def test_a_trim_is_told_with_the_next_entry(event_type: str, shown: str) -> None:
    """Only the line of the next entry reports trimmed entries."""
    run = Run()
    run.aggregate.record_trim("1-5", 4)

    run.event(event_type, {"env_id": 0}, slot_id="r0c0")
    run.event("SEED_GERMINATED", {"env_id": 0}, slot_id="r0c1")

    first, second = (line for _, line in run.lines())
    assert (first["type"], first["trimmed"]) == (shown, 4)
    assert "trimmed" not in second


def test_a_trim_is_told_until_it_is_committed() -> None:
    """A trim that is found again at the same version is reported once, by the next entry."""
    run = Run()
    run.aggregate.record_trim("3-0", 1)
    again = Aggregate(counters=run.aggregate.counters)
    again.record_trim("3-0", 1)
    again.apply("1-0", entry("OTHER", {}))
    later = Aggregate(counters=again.counters, version="1-0")
    later.record_trim("3-0", 1)
    later.apply("2-0", entry("OTHER", {}))

    assert [line["trimmed"] for _, line in again.drain_changes().lines] == [1]
    assert later.drain_changes().lines == []
    assert len(later.counters.lost_ranges) == 1
