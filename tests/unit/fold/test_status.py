"""The status of an environment: the first rule that fits."""

import pytest

from tests.support.fold_run import Run


def _status(*accuracies: float) -> str:
    run = Run()
    for inner_epoch, accuracy in enumerate(accuracies, 1):
        run.epoch(0, inner_epoch, accuracy)
    status: str = run.section("env:0")["status"]
    return status


def test_initializing() -> None:
    """Before the first epoch an environment is initializing."""
    run = Run()

    run.reward(0, 1.0)

    assert run.section("env:0")["status"] == "initializing"


def test_healthy() -> None:
    """After one epoch an environment is healthy, whatever the number of the epoch."""
    run = Run()

    run.epoch(0, 0, 10.0)

    assert run.section("env:0")["status"] == "healthy"


@pytest.mark.parametrize(
    ("accuracies", "status"),
    [
        ((80.0,), "healthy"),
        ((80.01,), "excellent"),
        ((50.0, 49.0), "healthy"),
        ((50.0, 48.99), "degraded"),
        ((90.0, 88.9), "degraded"),
        ((90.0, 89.0), "excellent"),
        ((50.0, 40.0, 40.0), "healthy"),
        ((50.0, *[49.5] * 10), "healthy"),
        ((50.0, *[49.5] * 11), "stalled"),
        ((50.0, *[50.0] * 11), "stalled"),
        ((95.0, *[94.5] * 11), "stalled"),
        ((50.0, *[49.5] * 10, 40.0), "stalled"),
        ((50.0, *[49.5] * 11, 50.5), "healthy"),
        ((50.0, *[49.5] * 11, 90.5), "excellent"),
    ],
)
def test_rules_in_order(accuracies: tuple[float, ...], status: str) -> None:
    """More than 10 epochs since improvement, more than 1.0 point below the epoch before, above 80, one epoch."""
    assert _status(*accuracies) == status


def test_the_first_epoch_of_an_episode_is_not_degraded() -> None:
    """The rule for degraded compares only epochs of the same episode."""
    run = Run()

    run.epoch(0, 1, 50.0)
    run.batch(1, [50.0])
    run.epoch(0, 1, 10.0)

    assert run.section("env:0")["status"] == "healthy"


def test_an_episode_does_not_start_stalled() -> None:
    """The epochs since improvement count within the episode."""
    run = Run()

    for inner_epoch in range(1, 13):
        run.epoch(0, inner_epoch, 50.0)
    stalled = run.section("env:0")["status"]
    run.batch(1, [50.0])
    run.epoch(0, 1, 10.0)

    assert stalled == "stalled"
    assert run.section("env:0")["status"] == "healthy"
    assert run.section("env:0")["epochs_since_improvement"] == 0


def test_an_epoch_without_accuracy_is_no_epoch_before() -> None:
    """The rule for degraded compares with the last known accuracy of the episode."""
    run = Run()

    run.epoch(0, 1, 50.0)
    run.epoch(0, 2, None)
    run.epoch(0, 3, 48.0)

    assert run.section("env:0")["status"] == "degraded"


def test_not_a_number_is_no_improvement() -> None:
    """A NaN accuracy is in the history, but never the best; a later number can be."""
    run = Run()

    run.epoch(0, 1, float("nan"))
    run.epoch(0, 2, 20.0)
    run.epoch(0, 3, float("nan"))

    env = run.section("env:0")
    assert (env["best_accuracy"], env["best_accuracy_epoch"], env["epochs_since_improvement"]) == (20.0, 2, 1)
    assert env["accuracy_history"][1] == 20.0
    assert run.parked() == []
