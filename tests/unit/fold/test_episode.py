"""The end of an episode, and the start of the next one."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fold_run import Run

# The values at the start of an episode.
FRESH: dict[str, Any] = {
    "status": "initializing",
    "accuracy_history": [],
    "best_accuracy": None,
    "best_accuracy_epoch": None,
    "best_accuracy_seeds": {},
    "epochs_since_improvement": 0,
    "reward_history": [],
    "best_reward": None,
    "best_reward_epoch": None,
    "action_history": [],
    "action_counts": {},
    "total_actions": 0,
    "penalties": {},
    "germinated": 0,
    "fossilized": 0,
    "culled": 0,
    "fossilized_params": 0,
}


def _episode() -> Run:
    """Return a run at a batch end, in which environment 0 has a value in every field of an episode."""
    run = Run()
    run.start({"n_envs": 2})
    run.germinate(blueprint_id="norm")
    run.germinate(slot_id="r0c1", blueprint_id="mlp")
    run.seed("FOSSILIZED", params_added=100)
    run.seed("CULLED", slot_id="r0c1")
    run.epoch(0, 1, 90.0, train_loss=1.5)
    run.epoch(0, 2, 85.0)
    run.reward(0, 2.0, "GERMINATE", ab_group="shaped", action_confidence=0.5)
    run.event("REWARD_COMPUTED", {"env_id": 0, "action_name": "PUNISHMENT"})
    run.batch(2, [85.0, 10.0])
    return run


def test_a_finished_episode_still_shows_how_it_ended() -> None:
    """The batch end sets `episode_over`, and every field of the episode stays."""
    run = _episode()

    env = run.section("env:0")
    assert env["episode_over"] is True
    assert (env["best_accuracy"], env["status"], env["total_actions"]) == (90.0, "degraded", 1)
    assert (env["germinated"], env["fossilized"], env["culled"], env["fossilized_params"]) == (2, 1, 1, 100)
    assert env["penalties"] == {"PUNISHMENT": 1}
    assert run.section("seed:0:r0c0")["stage"] == "FOSSILIZED"


def test_every_environment_is_over() -> None:
    """The batch end sets `episode_over` in each environment, also in one without events."""
    run = _episode()

    assert run.section("env:1")["episode_over"] is True


def test_an_episode_is_not_over_before_its_batch() -> None:
    """`episode_over` is false from the start of the run and of each episode."""
    run = Run()

    run.start({"n_envs": 1})
    at_start = run.section("env:0")["episode_over"]
    run.batch(1)
    run.epoch(0, 1, 10.0)

    assert at_start is False
    assert run.section("env:0")["episode_over"] is False


@pytest.mark.parametrize(
    ("first", "changed"),
    [
        (lambda run: run.event("EPOCH_COMPLETED", {"env_id": 0}), {}),
        (
            lambda run: run.event("REWARD_COMPUTED", {"env_id": 0, "action_name": "WAIT"}),
            {"action_history": ["WAIT"], "action_counts": {"WAIT": 1}, "total_actions": 1},
        ),
        (lambda run: run.stage("TRAINING", slot_id="r9c9"), {}),
        (lambda run: run.germinate(slot_id="r9c9"), {"germinated": 1}),
        (lambda run: run.seed("CULLED", slot_id="r9c9"), {"culled": 1}),
        (lambda run: run.seed("FOSSILIZED", slot_id="r9c9"), {"fossilized": 1}),
        (lambda run: run.seed("GATE_EVALUATED", slot_id="r9c9"), {}),
    ],
    ids=["epoch", "reward", "stage", "germinated", "culled", "fossilized", "gate"],
)
def test_the_next_episode_starts_anew(first: Callable[[Run], str], changed: dict[str, Any]) -> None:
    """The first EPOCH_COMPLETED, REWARD_COMPUTED or SEED_* event resets the values of an episode."""
    run = _episode()

    first(run)

    env = run.section("env:0")
    assert {name: env.get(name) for name in FRESH} == FRESH | changed
    assert env["episode_over"] is False
    prefixes = ("decision.", "penalty.")
    assert [name for name in env if name.startswith(prefixes)] == []


def test_the_seeds_go_with_the_episode() -> None:
    """The next episode drops the seed sections of its environment, and no others."""
    run = Run()
    run.germinate(0, "r0c0")
    run.germinate(1, "r0c0")
    run.batch(2, [1.0, 2.0])
    at_end = sorted(name for name in run.sections if name.startswith("seed:"))

    run.epoch(0, 1, 50.0)

    assert at_end == ["seed:0:r0c0", "seed:1:r0c0"]
    assert sorted(name for name in run.sections if name.startswith("seed:")) == ["seed:1:r0c0"]


def test_rewards_of_the_last_episode_are_gone() -> None:
    """The next episode removes every `reward.*` field."""
    run = _episode()

    run.epoch(0, 1, 50.0)

    assert [name for name in run.section("env:0") if name.startswith("reward.")] == []


def test_everything_else_in_the_env_stays() -> None:
    """The next episode keeps the captured fields of epochs, the cohort and `batch_accuracy`."""
    run = _episode()

    run.germinate()

    env = run.section("env:0")
    assert (env["train_loss"], env["val_accuracy"], env["inner_epoch"]) == (1.5, 85.0, 2)
    assert (env["cohort"], env["batch_accuracy"], env["env_id"]) == ("shaped", 85.0, 0)


def test_other_environments_stay_over() -> None:
    """An environment starts its next episode with its first event, not with that of another."""
    run = _episode()

    run.epoch(1, 1, 10.0)

    assert run.section("env:0")["episode_over"] is True
    assert run.section("env:0")["best_accuracy"] == 90.0
    assert run.section("env:1")["episode_over"] is False


def test_only_the_first_event_starts_anew() -> None:
    """Only the first event of an episode resets values."""
    run = _episode()

    run.epoch(0, 1, 10.0)
    run.reward(0, 1.0)
    run.epoch(0, 2, 20.0)

    assert run.section("env:0")["accuracy_history"] == [10.0, 20.0]
    assert run.section("env:0")["reward_history"] == [1.0]


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("EPOCH_COMPLETED", {"val_accuracy": 1.0}),
        ("PPO_UPDATE_COMPLETED", {"entropy": 1.0}),
        ("ANALYTICS_SNAPSHOT", {"kind": "throughput", "env_id": 0}),
        ("EPISODE_OUTCOME_OF_SOME_KIND", {"env_id": 0}),
        ("BATCH_EPOCH_COMPLETED", {"episodes_completed": 4}),
    ],
)
def test_what_does_not_start_an_episode(event_type: str, data: dict[str, Any]) -> None:
    """The aggregate epoch, updates, summaries and another batch end do not change a finished episode."""
    run = _episode()
    before = dict(run.section("env:0"))

    run.event(event_type, data)

    assert run.section("env:0") == before


def test_a_parked_event_does_not_start_an_episode() -> None:
    """A parked event does not start the next episode."""
    run = _episode()
    before = dict(run.section("env:0"))

    run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": "high"})
    run.event("REWARD_COMPUTED", {"env_id": 0, "total_reward": [1]})

    assert run.section("env:0") == before
    assert "seed:0:r0c0" in run.sections


def test_the_number_of_the_episode() -> None:
    """`episode` is the 0-based number of the environment's episode: episodes completed before it, plus `env_id`."""
    run = Run()

    run.start({"n_envs": 2})
    first = [run.section(f"env:{env}")["episode"] for env in (0, 1)]
    run.epoch(0, 1, 50.0)
    run.epoch(1, 1, 50.0)
    run.batch(2, [50.0, 50.0])
    over = [run.section(f"env:{env}")["episode"] for env in (0, 1)]
    run.epoch(0, 1, 50.0)
    run.epoch(1, 1, 50.0)

    assert (first, over) == ([0, 1], [0, 1])
    assert [run.section(f"env:{env}")["episode"] for env in (0, 1)] == [2, 3]


def test_the_number_of_the_episode_after_a_resume() -> None:
    """A resumed run counts its episodes from the resume offset."""
    run = Run()

    run.start({"n_envs": 2, "start_episode": 48})

    assert [run.section(f"env:{env}")["episode"] for env in (0, 1)] == [48, 49]
