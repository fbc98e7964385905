"""BATCH_EPOCH_COMPLETED: the end of a batch of episodes."""

from typing import Any

import pytest

from tests.support.fold_run import FIRST_SECOND, Run

BATCH = "BATCH_EPOCH_COMPLETED"


def test_accuracies_go_to_the_environments() -> None:
    """`env_accuracies[i]` is `batch_accuracy` of environment i too; the list stays in the batch."""
    run = Run()

    run.start({"n_envs": 2})
    run.batch(2, [40.0, 60.0])

    assert [run.section(f"env:{env}")["batch_accuracy"] for env in (0, 1)] == [40.0, 60.0]
    assert run.section("batch")["env_accuracies"] == [40.0, 60.0]


def test_only_known_environments_get_one() -> None:
    """The list creates no environment that no event has named."""
    run = Run()

    run.epoch(1, 1, 50.0)
    run.batch(3, [40.0, 60.0, 70.0])

    assert sorted(name for name in run.sections if name.startswith("env:")) == ["env:1"]
    assert run.section("env:1")["batch_accuracy"] == 60.0


@pytest.mark.parametrize("data", [{}, {"env_accuracies": None}, {"env_accuracies": []}])
def test_a_batch_without_accuracies(data: dict[str, Any]) -> None:
    """If `env_accuracies` is null or missing, no environment has a batch accuracy, and the batch still counts."""
    run = Run()

    run.epoch(0, 1, 50.0)
    run.event(BATCH, {"episodes_completed": 1, **data})

    assert run.parked() == []
    assert run.section("run")["batches_completed"] == 1
    assert run.section("env:0")["episode_over"] is True
    assert run.section("env:0").get("batch_accuracy") is None


@pytest.mark.parametrize("metric", ["avg_accuracy", "rolling_accuracy", "avg_reward"])
def test_histories(metric: str) -> None:
    """Three metrics have a history of the last 50 values; a null adds nothing."""
    run = Run()

    for number in range(52):
        run.event(BATCH, {metric: float(number)})
        run.event(BATCH, {metric: None})

    assert run.section("batch")[f"{metric}_history"] == [float(number) for number in range(2, 52)]


def test_progress_of_the_run() -> None:
    """The run has the batches completed since its start, and the completed episodes of the last batch."""
    run = Run()

    run.start()
    run.batch(4)
    run.batch(8)
    run.batch(12)

    assert run.section("run")["batches_completed"] == 3
    assert run.section("run")["episodes_completed"] == 12


def test_unknown_episodes_leave_the_last_known() -> None:
    """A batch without `episodes_completed` leaves the value of an earlier batch."""
    run = Run()

    run.batch(4)
    run.event(BATCH, {"episodes_completed": None})
    run.event(BATCH, {})

    assert run.section("run")["episodes_completed"] == 4
    assert run.section("run")["batches_completed"] == 3


def test_throughput() -> None:
    """Epochs per second and batches per hour count from the start, in event time."""
    run = Run()

    run.event("TRAINING_STARTED", {"max_epochs": 25}, timestamp=1000.0)
    run.event(BATCH, {"episodes_completed": 4}, timestamp=1010.0)
    first = run.section("batch")["epochs_per_second"], run.section("batch")["batches_per_hour"]
    run.event(BATCH, {"episodes_completed": 8}, timestamp=1040.0)

    assert first == (4 * 25 / 10, 360.0)
    assert run.section("batch")["epochs_per_second"] == 8 * 25 / 40
    assert run.section("batch")["batches_per_hour"] == 2 * 3600 / 40


@pytest.mark.parametrize(
    ("start", "batch"),
    [({"start_episode": 40}, {}), ({}, {"start_episode": 40}), ({"start_episode": 40}, {"start_episode": 0})],
)
def test_throughput_after_a_resume(start: dict[str, Any], batch: dict[str, Any]) -> None:
    """Episodes before a resume do not count: the offset is `start_episode` of the start, or else of the batch."""
    run = Run()

    run.event("TRAINING_STARTED", {"max_epochs": 10, **start}, timestamp=1000.0)
    run.event(BATCH, {"episodes_completed": 44, **batch}, timestamp=1010.0)

    assert run.section("batch")["epochs_per_second"] == 4 * 10 / 10


def test_throughput_of_a_second_start() -> None:
    """A new start counts only its batches and its time."""
    run = Run()

    run.event("TRAINING_STARTED", {"max_epochs": 10}, timestamp=1000.0)
    run.event(BATCH, {"episodes_completed": 4}, timestamp=1010.0)
    run.event("TRAINING_STARTED", {"max_epochs": 10}, timestamp=2000.0)
    run.event(BATCH, {"episodes_completed": 4}, timestamp=2020.0)

    assert run.section("batch")["batches_per_hour"] == 3600 / 20
    assert run.section("batch")["epochs_per_second"] == 4 * 10 / 20


def test_no_throughput_before_a_start() -> None:
    """Without a start, or without elapsed time (clocks differ), there is no throughput."""
    unknown, at_once, backwards = Run(), Run(), Run()

    unknown.event(BATCH, {"episodes_completed": 4})
    at_once.event("TRAINING_STARTED", {"max_epochs": 10}, timestamp=FIRST_SECOND)
    at_once.event(BATCH, {"episodes_completed": 4}, timestamp=FIRST_SECOND)
    backwards.event("TRAINING_STARTED", {"max_epochs": 10}, timestamp=FIRST_SECOND)
    backwards.event(BATCH, {"episodes_completed": 4}, timestamp=FIRST_SECOND - 1)

    for run in (unknown, at_once, backwards):
        assert run.section("batch").get("epochs_per_second") is None
        assert run.section("batch").get("batches_per_hour") is None


def test_no_epochs_per_second_without_the_length_of_an_episode() -> None:
    """Without `max_epochs`, only batches per hour are known."""
    run = Run()

    run.event("TRAINING_STARTED", {}, timestamp=1000.0)
    run.event(BATCH, {"episodes_completed": 4}, timestamp=1036.0)

    assert run.section("batch").get("epochs_per_second") is None
    assert run.section("batch")["batches_per_hour"] == 100.0


def test_one_line_per_batch_for_the_curves() -> None:
    """Each batch is one entry of the stream of batches."""
    run = Run()

    run.batch(4, avg_accuracy=50.0)
    run.epoch(0, 1, 3.0)
    run.batch(8, avg_accuracy=51.0)

    assert [fields["avg_accuracy"] for _, fields in run.batches()] == [50.0, 51.0]
    assert [entry_id for entry_id, _ in run.batches()] == ["1-0", "3-0"]


def test_a_line_of_the_curves_keeps_every_field() -> None:
    """A field with a name of the line itself, or with an escaped name, gets a name that no other field has."""
    run = Run()

    run.event("BATCH_EPOCH_COMPLETED", {"at": 1, "emitted.at": 2})

    (_, line), *_ = run.batches()
    assert (line["emitted.at"], line["emitted.emitted.at"]) == (1, 2)
