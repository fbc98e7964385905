"""Invalid input parks: the entry becomes a dead letter with a reason, and the state does not change."""

import copy
from typing import Any

import pytest

from tests.support.fold_run import Run, entry

NEED_AN_ENV = [
    "REWARD_COMPUTED",
    "SEED_GERMINATED",
    "SEED_STAGE_CHANGED",
    "SEED_GATE_EVALUATED",
    "SEED_FOSSILIZED",
    "SEED_CULLED",
    "SEED_PRUNED",
]
NOT_AN_ENV = [True, False, -1, 1.5, "0", "x", [0], {"a": 0}]


def _populated() -> Run:
    run = Run()
    run.start({"n_envs": 1, "max_epochs": 5, "host_params": 10})
    run.germinate(blueprint_id="norm")
    run.epoch(0, 1, 50.0)
    run.reward(0, 1.0)
    run.event("PPO_UPDATE_COMPLETED", {"entropy": 1.0})
    run.batch(1, [50.0])
    return run


def _assert_parks(event_type: str, data: Any, **envelope: Any) -> None:
    run = _populated()
    before = copy.deepcopy(run.sections)
    run.event(event_type, data, **({"slot_id": "r0c0"} | envelope))
    assert [parked.entry_id for parked in run.parked()] == ["7-0"]
    assert run.sections == before
    assert (run.counters.entries, run.counters.events, run.counters.parked) == (7, 6, 1)


@pytest.mark.parametrize("data", [{}, {"env_id": None}])
@pytest.mark.parametrize("event_type", NEED_AN_ENV)
def test_a_missing_env_never_means_0(event_type: str, data: dict[str, Any]) -> None:
    """A missing or null `env_id` on an event that needs one parks it."""
    _assert_parks(event_type, {"to": "TRAINING", "total_reward": 1.0, **data})


@pytest.mark.parametrize("env_id", NOT_AN_ENV)
@pytest.mark.parametrize("event_type", ["EPOCH_COMPLETED", *NEED_AN_ENV])
def test_an_env_is_an_integer(event_type: str, env_id: Any) -> None:
    """`env_id` is an integer of at least 0; a bool is not one."""
    _assert_parks(event_type, {"env_id": env_id, "to": "TRAINING"})


@pytest.mark.parametrize("slot_id", [None, ""])
@pytest.mark.parametrize("event_type", NEED_AN_ENV[1:])
def test_a_missing_slot(event_type: str, slot_id: str | None) -> None:
    """A missing slot on an event that needs one parks it."""
    _assert_parks(event_type, {"env_id": 0, "to": "TRAINING"}, slot_id=slot_id)


def test_a_slot_that_is_no_text() -> None:
    """A slot in the data must be text."""
    _assert_parks("SEED_GERMINATED", {"env_id": 0, "slot_id": 3}, slot_id=None)


@pytest.mark.parametrize("wrong", ["high", True, [1.0], {"a": 1.0}])
@pytest.mark.parametrize(
    ("event_type", "field", "needs"),
    [
        ("EPOCH_COMPLETED", "val_accuracy", {"env_id": 0}),
        ("EPOCH_COMPLETED", "inner_epoch", {"env_id": 0, "val_accuracy": 1.0}),
        ("REWARD_COMPUTED", "total_reward", {"env_id": 0}),
        ("PPO_UPDATE_COMPLETED", "entropy", {}),
        ("PPO_UPDATE_COMPLETED", "kl_divergence", {}),
        ("PPO_UPDATE_COMPLETED", "clip_fraction", {}),
        ("PPO_UPDATE_COMPLETED", "grad_norm", {}),
        ("PPO_UPDATE_COMPLETED", "explained_variance", {}),
        ("PPO_UPDATE_COMPLETED", "policy_loss", {}),
        ("PPO_UPDATE_COMPLETED", "value_loss", {}),
        ("PPO_UPDATE_COMPLETED", "update_time_ms", {}),
        ("BATCH_EPOCH_COMPLETED", "episodes_completed", {}),
        ("BATCH_EPOCH_COMPLETED", "avg_accuracy", {}),
        ("BATCH_EPOCH_COMPLETED", "rolling_accuracy", {}),
        ("BATCH_EPOCH_COMPLETED", "avg_reward", {}),
        ("BATCH_EPOCH_COMPLETED", "start_episode", {}),
        ("SEED_FOSSILIZED", "params_added", {"env_id": 0}),
        ("SEED_FOSSILIZED", "improvement", {"env_id": 0}),
        ("SEED_CULLED", "improvement", {"env_id": 0}),
        ("SEED_CULLED", "epochs_total", {"env_id": 0}),
        ("TRAINING_STARTED", "n_envs", {}),
        ("TRAINING_STARTED", "rank", {}),
    ],
)
def test_a_number_that_is_none(event_type: str, field: str, needs: dict[str, Any], wrong: Any) -> None:
    """A value of another type in a number field parks the entry."""
    _assert_parks(event_type, {**needs, field: wrong})


@pytest.mark.parametrize("wrong", [3, 1.5, True, ["x"], {"a": "x"}])
@pytest.mark.parametrize(
    ("event_type", "field"),
    [
        ("REWARD_COMPUTED", "action_name"),
        ("SEED_STAGE_CHANGED", "to"),
        ("SEED_GERMINATED", "blueprint_id"),
        ("SEED_CULLED", "blueprint_id"),
        ("SEED_CULLED", "reason"),
        ("SEED_FOSSILIZED", "blueprint_id"),
    ],
)
def test_a_text_that_is_none(event_type: str, field: str, wrong: Any) -> None:
    """A value of another type in a text field parks the entry."""
    _assert_parks(event_type, {"env_id": 0, field: wrong})


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("EPOCH_COMPLETED", {"env_id": 0, "seeds": [1]}),
        ("EPOCH_COMPLETED", {"env_id": 0, "seeds": "x"}),
        ("EPOCH_COMPLETED", {"env_id": 0, "seeds": {"r0c0": "TRAINING"}}),
        ("EPOCH_COMPLETED", {"env_id": 0, "seeds": {"r0c0": {"stage": 3}}}),
        ("EPOCH_COMPLETED", {"env_id": 0, "seeds": {"r0c0": {"stage": "A"}, "r0c1": {"stage": 3}}}),
        ("BATCH_EPOCH_COMPLETED", {"env_accuracies": 50.0}),
        ("BATCH_EPOCH_COMPLETED", {"env_accuracies": {"0": 50.0}}),
        ("BATCH_EPOCH_COMPLETED", {"env_accuracies": [50.0, "x"]}),
        ("TRAINING_STARTED", {"policy_device": 3}),
    ],
)
def test_other_wrong_types(event_type: str, data: dict[str, Any]) -> None:
    """A list or map of the wrong type parks the whole event."""
    _assert_parks(event_type, data)


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("EPOCH_COMPLETED", dict.fromkeys(("val_accuracy", "inner_epoch", "seeds"))),
        ("REWARD_COMPUTED", dict.fromkeys(("total_reward", "action_name", "ab_group", "action_confidence"))),
        ("SEED_GERMINATED", {"blueprint_id": None, "seed_id": None}),
        ("SEED_STAGE_CHANGED", {"to": None, "from": None}),
        ("SEED_GATE_EVALUATED", {"passed": None, "gate": None, "checks_failed": None}),
        ("SEED_FOSSILIZED", dict.fromkeys(("improvement", "params_added", "epochs_total", "blueprint_id"))),
        (
            "SEED_CULLED",
            dict.fromkeys(("improvement", "reason", "auto_culled", "epochs_total", "blueprint_id")),
        ),
        ("PPO_UPDATE_COMPLETED", dict.fromkeys(("entropy", "early_stop_epoch", "skipped", "reason"))),
        (
            "BATCH_EPOCH_COMPLETED",
            dict.fromkeys(
                ("episodes_completed", "env_accuracies", "avg_accuracy", "start_episode", "batch_idx")
            ),
        ),
        (
            "TRAINING_STARTED",
            dict.fromkeys(("n_envs", "rank", "host_params", "max_epochs", "env_devices", "start_episode")),
        ),
    ],
)
def test_null_is_no_value(event_type: str, data: dict[str, Any]) -> None:
    """A null in a required field means "no value", never a wrong type."""
    run = _populated()
    needed = {"env_id": 0} if event_type.startswith(("EPOCH", "REWARD", "SEED")) else {}

    run.event(event_type, needed | data, slot_id="r0c0")

    assert run.parked() == []


def test_a_null_among_the_accuracies() -> None:
    """A null in the list of accuracies concerns only its environment."""
    run = Run()

    run.start({"n_envs": 2})
    run.batch(2, [None, 60.0])

    assert run.parked() == []
    assert run.section("env:0").get("batch_accuracy") is None
    assert run.section("env:1")["batch_accuracy"] == 60.0


def test_the_dead_letter() -> None:
    """A dead letter has the ID, the unchanged entry, and a reason that names the field."""
    run = Run()
    fields = entry("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": "high"}, producer="p", seq=1)

    run.raw(fields)

    ((entry_id, reason, raw),) = run.parked()
    assert (entry_id, raw) == ("1-0", fields)
    assert "val_accuracy" in reason


def test_the_run_goes_on() -> None:
    """A parked entry does not affect the next one."""
    run, other = Run(), Run()

    run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": "high"}, event_id="bad", timestamp=50.0)
    for each in (run, other):
        each.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": 1.0}, event_id="good", timestamp=60.0)

    assert run.sections == other.sections


@pytest.mark.parametrize("field", ["host_params", "max_epochs", "start_episode"])
def test_what_only_later_folds_need(field: str) -> None:
    """An invalid number in the configuration parks neither the start nor a batch."""
    run = Run()

    run.start({"n_envs": 1, field: "high"})
    run.epoch(0, 1, 50.0)
    run.batch(1, [50.0])

    assert run.parked() == []
    assert run.section("run")[field] == "high"
    assert run.section("best")["1"]["growth_ratio"] is None
    assert run.section("batch").get("epochs_per_second") is None
