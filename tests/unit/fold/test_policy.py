"""PPO_UPDATE_COMPLETED: an update of the policy, or the notice that there was none."""

from typing import Any

import pytest

from tests.support.fold_run import Run

METRICS = (
    "entropy",
    "kl_divergence",
    "clip_fraction",
    "grad_norm",
    "explained_variance",
    "policy_loss",
    "value_loss",
    "update_time_ms",
)


def _updates(*all_data: dict[str, Any]) -> Run:
    run = Run()
    for data in all_data:
        run.event("PPO_UPDATE_COMPLETED", data)
    return run


@pytest.mark.parametrize("metric", METRICS)
def test_histories(metric: str) -> None:
    """Each of the eight metrics has a history; a null or missing value adds nothing."""
    run = _updates({metric: 1.5}, {metric: None}, {}, {metric: -2})

    assert run.section("policy")[f"{metric}_history"] == [1.5, -2]


def test_other_fields_have_no_history() -> None:
    """No other metric has a history."""
    run = _updates(dict.fromkeys((*METRICS, "lr", "ratio_max", "avg_accuracy"), 1.0))

    kept = {name for name in run.section("policy") if name.endswith("_history")}
    assert kept == {f"{metric}_history" for metric in METRICS}


def test_a_history_holds_the_last_50() -> None:
    """A history keeps the last 50 values."""
    run = _updates(*({"entropy": number} for number in range(55)))

    assert run.section("policy")["entropy_history"] == list(range(5, 55))


def test_updates_are_counted() -> None:
    """`updates` counts real updates, from the first on."""
    run = _updates({"entropy": 1.0}, {}, {"entropy": 2.0})

    policy = run.section("policy")
    assert (policy["updates"], policy["early_stops"], policy["rollbacks"]) == (3, 0, 0)


@pytest.mark.parametrize(("epoch", "stops"), [(3, 1), (0.0, 1), (0, 1), (None, 0)])
def test_early_stops(epoch: float | None, stops: int) -> None:
    """`early_stops` counts updates whose `early_stop_epoch` is not null; 0.0 is epoch 0."""
    run = _updates({"early_stop_epoch": epoch}, {})

    assert run.section("policy")["early_stops"] == stops


@pytest.mark.parametrize(
    "notice",
    [
        {"skipped": True},
        {"skipped": True, "reason": None},
        {"reason": "governor_rollback"},
        {"reason": "x", "skipped": False},
        {"reason": ""},
    ],
)
def test_a_rollback(notice: dict[str, Any]) -> None:
    """An update with a true `skipped` or a reason is a rollback, and the metrics of the last real update stay."""
    real = {"entropy": 1.5, "grad_norm": 0.7, "lr": 0.1, "early_stop_epoch": 2}
    run = _updates(real, {"batch": 4, "entropy": 9.0, "early_stop_epoch": 1, **notice})

    policy = run.section("policy")
    assert (policy["updates"], policy["early_stops"], policy["rollbacks"]) == (1, 1, 1)
    assert {name: policy[name] for name in real} == real
    assert policy["entropy_history"] == [1.5]
    assert policy["rollback.batch"] == 4
    assert {name: policy[f"rollback.{name}"] for name in notice} == notice
    assert "batch" not in policy


@pytest.mark.parametrize("data", [{"skipped": False}, {"skipped": None}, {"reason": None}, {"skipped": 1}])
def test_no_rollback(data: dict[str, Any]) -> None:
    """Only a true `skipped`, or a reason, makes a rollback. Current emitters send `skipped: false`."""
    run = _updates({"entropy": 1.0, **data})

    assert (run.section("policy")["updates"], run.section("policy")["rollbacks"]) == (1, 0)
    assert run.section("policy")["entropy"] == 1.0


def test_a_rollback_first() -> None:
    """A rollback before any update leaves a policy without metrics."""
    run = _updates({"skipped": True, "reason": "all rolled back"})

    policy = run.section("policy")
    assert (policy["updates"], policy["rollbacks"], policy["entropy_history"]) == (0, 1, [])


def test_the_last_rollback_stays() -> None:
    """An update after a rollback keeps the fields of the rollback."""
    run = _updates({"reason": "x"}, {"entropy": 1.0})

    assert run.section("policy")["rollback.reason"] == "x"
    assert run.section("policy")["updates"] == 1


def test_not_a_number_is_folded() -> None:
    """A NaN metric, as an impaired run sends it, is a value and does not park the update."""
    run = _updates({"explained_variance": float("nan"), "value_loss": 1e21})

    policy = run.section("policy")
    assert run.parked() == []
    assert repr(policy["explained_variance"]) == "nan"
    assert policy["value_loss_history"] == [1e21]


def test_an_update_touches_nothing_else() -> None:
    """An update changes the policy, and only the last event time of the run."""
    run = Run()
    run.start({"n_envs": 1})
    run.epoch(0, 1, 50.0)
    before = {name: dict(fields) for name, fields in run.sections.items()}

    run.event("PPO_UPDATE_COMPLETED", {"episodes_completed": 9, "inner_epoch": 25, "avg_accuracy": 1.0})

    after = {name: fields for name, fields in run.sections.items() if name != "policy"}
    for sections in (before, after):
        sections["run"].pop("last_event_at")
    assert after == before
