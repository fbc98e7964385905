"""REWARD_COMPUTED: a step's reward, decision and action."""

from typing import Any

import pytest

from tests.support.fold_run import Run

DECISION = {
    "action_name": "GERMINATE",
    "action_slot": "r0c1",
    "action_confidence": 0.49,
    "value_estimate": 1.21,
    "slot_states": {"r0c0": "Empty"},
    "alternatives": [["WAIT", 0.41]],
    "host_accuracy": 62.4,
    "total_reward": 1.5,
}


def test_reward_history() -> None:
    """The total rewards of the episode's steps in order."""
    run = Run()

    for total in (0.5, -1.0, 2):
        run.reward(0, total)

    assert run.section("env:0")["reward_history"] == [0.5, -1.0, 2]


def test_a_null_reward_enters_no_history() -> None:
    """A null `total_reward` is in neither history nor best, but the action of the step counts."""
    run = Run()

    run.reward(0, None, "WAIT")

    env = run.section("env:0")
    assert (env["reward_history"], env["best_reward"], env["action_history"]) == ([], None, ["WAIT"])
    assert env["reward.total_reward"] is None


def test_best_reward() -> None:
    """The environment has the best reward with the envelope's epoch, also if all rewards are negative."""
    run = Run()

    run.reward(0, -3.0, epoch=1)
    run.reward(0, -1.0, epoch=2)
    run.reward(0, -2.0, epoch=3)

    assert (run.section("env:0")["best_reward"], run.section("env:0")["best_reward_epoch"]) == (-1.0, 2)


def test_an_equal_reward_is_no_better() -> None:
    """The epoch of the best reward is the first that had it."""
    run = Run()

    run.reward(0, 2.0, epoch=4)
    run.reward(0, 2.0, epoch=9)

    assert run.section("env:0")["best_reward_epoch"] == 4


def test_the_best_rewards_epoch_is_the_envelopes() -> None:
    """The epoch of a reward is that of the envelope, not a field of the step."""
    run = Run()

    run.event("REWARD_COMPUTED", {"env_id": 0, "total_reward": 1.0, "epoch": 77}, epoch=5)

    assert run.section("env:0")["best_reward_epoch"] == 5


@pytest.mark.parametrize(
    ("emitted", "normalized"),
    [
        ("GERMINATE_CONV_LIGHT", "GERMINATE"),
        ("GERMINATE_ANYTHING", "GERMINATE"),
        ("FOSSILIZE_G0", "FOSSILIZE"),
        ("CULL_PROBATION", "CULL"),
        ("PRUNE_NOW", "PRUNE"),
        ("GERMINATE", "GERMINATE"),
        ("WAIT", "WAIT"),
        ("ADVANCE", "ADVANCE"),
        ("SET_ALPHA_TARGET", "SET_ALPHA_TARGET"),
        ("WAIT_CULL_X", "WAIT_CULL_X"),
        ("GERMINATED", "GERMINATED"),
        ("cull_probation", "cull_probation"),
    ],
)
def test_actions_are_normalized_by_prefix(emitted: str, normalized: str) -> None:
    """GERMINATE_*, FOSSILIZE_*, CULL_* and PRUNE_* each count as one action; `reward.` has the raw name."""
    run = Run()

    run.reward(0, 1.0, emitted)

    env = run.section("env:0")
    assert (env["action_history"], env["action_counts"]) == ([normalized], {normalized: 1})
    assert env["reward.action_name"] == emitted


def test_actions_are_counted() -> None:
    """Action history in order, counts by action, and their total."""
    run = Run()

    for action in ("WAIT", "GERMINATE_MLP", "WAIT", "GERMINATE_CONV_LIGHT"):
        run.reward(0, 1.0, action)

    env = run.section("env:0")
    assert env["action_history"] == ["WAIT", "GERMINATE", "WAIT", "GERMINATE"]
    assert env["action_counts"] == {"WAIT": 2, "GERMINATE": 2}
    assert env["total_actions"] == 4


def test_counts_outlast_the_history() -> None:
    """The histories hold the last 50, the counts all of the episode."""
    run = Run()

    for number in range(60):
        run.reward(0, float(number), "WAIT" if number else "CULL")

    env = run.section("env:0")
    assert env["action_history"] == ["WAIT"] * 50
    assert env["action_counts"] == {"CULL": 1, "WAIT": 59}
    assert env["total_actions"] == 60
    assert env["reward_history"] == [float(number) for number in range(10, 60)]


@pytest.mark.parametrize("data", [{}, {"action_name": None}])
def test_a_step_without_an_action(data: dict[str, Any]) -> None:
    """A step without an action counts no action."""
    run = Run()

    run.event("REWARD_COMPUTED", {"env_id": 0, "total_reward": 1.0, **data})

    env = run.section("env:0")
    assert (env["action_history"], env["action_counts"], env["total_actions"]) == ([], {}, 0)
    assert env["reward_history"] == [1.0]


def test_cohort() -> None:
    """`cohort` is `ab_group` of the last step that has one."""
    run = Run()

    run.reward(0, 1.0, ab_group="shaped")
    run.reward(0, 1.0)
    run.reward(0, 1.0, ab_group=None)

    assert run.section("env:0")["cohort"] == "shaped"
    assert run.section("env:0")["reward.ab_group"] is None


def test_a_decision() -> None:
    """With `action_confidence`, the decision fields are in `decision.*` and in `reward.*`."""
    run = Run()

    run.event("REWARD_COMPUTED", {"env_id": 0, "pbrs_bonus": 0.1, **DECISION})

    env = run.section("env:0")
    kept = {name: value for name, value in env.items() if name.startswith("decision.")}
    assert kept == {f"decision.{name}": value for name, value in DECISION.items()}
    assert {name: env[f"reward.{name}"] for name in DECISION} == DECISION


@pytest.mark.parametrize("data", [{}, {"action_confidence": None}])
def test_no_decision(data: dict[str, Any]) -> None:
    """A step without `action_confidence` keeps the last decision."""
    run = Run()

    run.event("REWARD_COMPUTED", {"env_id": 0, "action_name": "WAIT", "action_confidence": 0.5})
    run.event("REWARD_COMPUTED", {"env_id": 0, "action_name": "CULL", "value_estimate": 1.0, **data})

    env = run.section("env:0")
    assert (env["decision.action_name"], env["decision.action_confidence"]) == ("WAIT", 0.5)
    assert "decision.value_estimate" not in env


def test_a_decision_holds_nothing_of_the_one_before() -> None:
    """A decision replaces the last one as a whole."""
    run = Run()

    run.event("REWARD_COMPUTED", {"env_id": 0, "action_confidence": 0.5, "value_estimate": 1.0})
    run.event("REWARD_COMPUTED", {"env_id": 0, "action_confidence": 0.6})

    assert "decision.value_estimate" not in run.section("env:0")


@pytest.mark.parametrize("kind", ["PUNISHMENT", "AUTO_CULL_PENALTY"])
def test_a_penalty(kind: str) -> None:
    """A penalty is counted by kind and captured under its prefix; it is not an action, reward or decision."""
    run = Run()

    run.reward(0, 1.0, "WAIT", epoch=3)
    before = dict(run.section("env:0"))
    data = {"env_id": 0, "action_name": kind, "total_reward": 9.0, "reason": "x", "action_confidence": 1.0}
    run.event("REWARD_COMPUTED", data)
    run.event("REWARD_COMPUTED", data)

    env = run.section("env:0")
    assert env["penalties"] == {kind: 2}
    assert {name: env[f"penalty.{name}"] for name in data} == data
    names = [name for name in before if not name.startswith("event.") and name != "penalties"]
    assert {name: env[name] for name in names} == {name: before[name] for name in names}
    assert "decision.action_name" not in env


def test_kinds_of_penalties_count_apart() -> None:
    """`penalties` maps each kind to its count; `penalty.` holds the last of any kind as a whole."""
    run = Run()

    run.event("REWARD_COMPUTED", {"env_id": 0, "action_name": "PUNISHMENT", "punishment": -5.0})
    run.event("REWARD_COMPUTED", {"env_id": 0, "action_name": "AUTO_CULL_PENALTY", "penalty": -0.2})

    env = run.section("env:0")
    assert env["penalties"] == {"PUNISHMENT": 1, "AUTO_CULL_PENALTY": 1}
    assert env["penalty.penalty"] == -0.2
    assert "penalty.punishment" not in env


def test_a_step_touches_no_accuracy() -> None:
    """Accuracy, status and epochs since improvement come from epochs, not from a step's `val_acc`."""
    run = Run()

    run.epoch(0, 1, 50.0)
    names = ("accuracy_history", "best_accuracy", "epochs_since_improvement", "status")
    before = [run.section("env:0")[name] for name in names]
    run.reward(0, 1.0, val_acc=99.0, epoch=2)

    assert [run.section("env:0")[name] for name in names] == before


def test_not_a_number_is_no_best_reward() -> None:
    """A NaN reward is in the history, but never the best; a later number can be."""
    run = Run()

    run.reward(0, float("nan"), epoch=1)
    run.reward(0, -2.0, epoch=2)
    run.reward(0, float("nan"), epoch=3)

    assert (run.section("env:0")["best_reward"], run.section("env:0")["best_reward_epoch"]) == (-2.0, 2)
    assert run.parked() == []
