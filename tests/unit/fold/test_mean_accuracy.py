"""The mean accuracy of the run: over the environments that reported an inner epoch, when it closes."""

from typing import Any

import pytest

from tests.support.fold_run import Run


def _mean(run: Run, section: str = "run") -> tuple[Any, Any, Any]:
    fields = run.section(section)
    return (fields["mean_accuracy"], fields["mean_accuracy_epoch"], fields["mean_accuracy_history"])


def test_closed_by_the_next_inner_epoch() -> None:
    """The first value of the next inner epoch closes the open one."""
    run = Run()

    run.epoch(0, 1, 40.0)
    run.epoch(1, 1, 60.0)
    open_history = list(run.section("run")["mean_accuracy_history"])
    run.epoch(0, 2, 90.0)

    assert open_history == []
    assert _mean(run) == (50.0, 1, [50.0])


def test_closed_by_the_batch_end() -> None:
    """The batch end closes the last inner epoch of the episode."""
    run = Run()

    run.epoch(0, 25, 40.0)
    run.epoch(1, 25, 60.0)
    run.batch(2, [40.0, 60.0])

    assert _mean(run) == (50.0, 25, [50.0])


def test_closed_by_a_start() -> None:
    """TRAINING_STARTED discards the open inner epoch: its values are not in the first epoch of the new start."""
    run = Run()

    run.start({"n_envs": 2})
    run.epoch(0, 1, 10.0)
    run.start({"n_envs": 2})
    run.epoch(1, 1, 30.0)
    run.batch(2, [0.0, 30.0])

    assert _mean(run) == (30.0, 1, [30.0])


def test_a_batch_end_closes_it_once() -> None:
    """A second batch end adds no mean, because no inner epoch is open."""
    run = Run()

    run.epoch(0, 1, 40.0)
    run.batch(1)
    run.batch(2)

    assert _mean(run) == (40.0, 1, [40.0])


def test_the_same_inner_epoch_of_the_next_episode() -> None:
    """After a batch end, the same inner epoch is a new one, also in episodes of one epoch."""
    run = Run()

    run.epoch(0, 1, 40.0)
    run.batch(1)
    run.epoch(0, 1, 60.0)
    run.batch(2)

    assert _mean(run) == (60.0, 1, [40.0, 60.0])


def test_only_those_that_reported() -> None:
    """Only environments that reported the inner epoch are in its mean, also one at 0."""
    run = Run()

    run.start({"n_envs": 4})
    run.epoch(0, 1, 40.0)
    run.epoch(2, 1, 0.0)
    run.epoch(3, 1, None)
    run.epoch(0, 2, 1.0)

    assert _mean(run) == (20.0, 1, [20.0])


def test_a_late_value() -> None:
    """A late value does not change a closed mean."""
    run = Run()

    run.epoch(0, 1, 10.0)
    run.epoch(0, 2, 20.0)
    run.epoch(1, 1, 30.0)

    assert run.section("run")["mean_accuracy_history"][0] == 10.0


def test_the_history_holds_50() -> None:
    """The history holds the last 50 closed inner epochs."""
    run = Run()

    for inner_epoch in range(1, 53):
        run.epoch(0, inner_epoch, float(inner_epoch))

    assert run.section("run")["mean_accuracy_history"] == [float(value) for value in range(2, 52)]


def test_the_inner_epoch_of_the_run() -> None:
    """`inner_epoch` of the run is the inner epoch of the last environment event."""
    run = Run()

    run.epoch(0, 1, 40.0)
    run.epoch(0, 2, 40.0)

    assert run.section("run")["inner_epoch"] == 2


def test_heuristic_runs_have_a_mean_too() -> None:
    """If only the envelope has the inner epoch, the mean closes by it."""
    run = Run()

    run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": 10.0}, epoch=1)
    run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": 20.0}, epoch=2)

    assert _mean(run) == (10.0, 1, [10.0])


@pytest.mark.parametrize("data", [{"val_accuracy": 99.0}, {"val_accuracy": 99.0, "inner_epoch": 2}])
def test_the_aggregate_epoch_closes_nothing(data: dict[str, Any]) -> None:
    """The aggregate epoch does not close an inner epoch, and is not in its mean."""
    run = Run()

    run.epoch(0, 1, 40.0)
    run.event("EPOCH_COMPLETED", data)
    run.epoch(1, 1, 60.0)
    run.batch(2)

    assert _mean(run) == (50.0, 1, [50.0])
