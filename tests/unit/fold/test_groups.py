"""Groups: each arm of an A/B test has separate sections in the same run."""

import pytest

from tests.support.fold_run import Run


@pytest.mark.parametrize("group", [None, "", "default"])
def test_no_group(group: str | None) -> None:
    """An event whose `group_id` is absent, empty or `default` folds into the plain sections."""
    run = Run()

    run.event("PPO_UPDATE_COMPLETED", {"entropy": 1.0}, group_id=group)
    run.event("PPO_UPDATE_COMPLETED", {"entropy": 2.0})

    assert run.section("policy")["entropy_history"] == [1.0, 2.0]
    assert [name for name in run.sections if "/" in name] == []


def test_a_group_has_its_own_sections() -> None:
    """Any other group folds into `<group>/policy`, `<group>/env:3` and so on, and not into the plain sections."""
    run = Run()

    run.event("EPOCH_COMPLETED", {"env_id": 3, "val_accuracy": 50.0}, group_id="A")
    run.event("SEED_GERMINATED", {"env_id": 3, "blueprint_id": "norm"}, slot_id="r0c0", group_id="A")
    run.event("PPO_UPDATE_COMPLETED", {"entropy": 1.0}, group_id="A")
    run.event("EPOCH_COMPLETED", {"val_loss": 1.0}, group_id="A")
    run.event("BATCH_EPOCH_COMPLETED", {"episodes_completed": 1}, group_id="A")
    run.event("OTHER", {"a": 1}, group_id="A")

    assert {name for name in run.sections if not name.startswith("A/")} == {"run"}
    expected = {
        "policy",
        "batch",
        "epoch",
        "env:3",
        "seed:3:r0c0",
        "event:OTHER",
        "blueprint:norm",
        "best",
        "run",
    }
    assert {name.removeprefix("A/") for name in run.sections if name.startswith("A/")} == expected
    assert run.section("A/env:3")["best_accuracy"] == 50.0


def test_groups_do_not_meet() -> None:
    """The same environment of two groups is two environments."""
    run = Run()

    for group, accuracy in (("A", 10.0), ("B", 20.0), (None, 30.0)):
        run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": accuracy}, group_id=group)

    histories = [run.section(name)["accuracy_history"] for name in ("A/env:0", "B/env:0", "env:0")]
    assert histories == [[10.0], [20.0], [30.0]]


def test_the_run_lists_the_groups() -> None:
    """`groups` of the run names each group once, in the order of their first events."""
    run = Run()

    for group in ("B", "A", "default", "B"):
        run.event("OTHER", {}, group_id=group)

    assert run.section("run")["groups"] == ["B", "A"]


def test_a_run_without_groups_lists_none() -> None:
    """A run of one arm has no groups."""
    run = Run()

    run.event("OTHER", {}, group_id="default")

    assert not run.section("run").get("groups")


def test_a_groups_start() -> None:
    """A start of a group resets only the sections of that group."""
    run = Run()

    run.start({"n_envs": 1})
    for group in ("A", "B", None):
        run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": 50.0}, group_id=group)
        run.event("PPO_UPDATE_COMPLETED", {"entropy": 1.0}, group_id=group)
    plain, other = dict(run.section("env:0")), dict(run.section("B/env:0"))
    run.start({"n_envs": 2}, group_id="A")

    assert run.section("A/env:0")["accuracy_history"] == []
    assert "A/env:1" in run.sections
    assert "A/policy" not in run.sections
    assert run.section("env:0") == plain
    assert run.section("B/env:0") == other
    assert "env:1" not in run.sections
    assert run.section("run")["starts"] == 1


def test_a_groups_start_is_kept_in_its_own_run() -> None:
    """The fields of a group's start, and how often it started, are in `<group>/run`."""
    run = Run()

    run.start({"lr": 0.1}, event_id="plain")
    run.start({"lr": 0.2, "n_envs": 1}, group_id="A", event_id="arm")
    run.start({"lr": 0.3, "n_envs": 9}, group_id="A", event_id="arm")

    assert run.section("run")["lr"] == 0.1
    assert (run.section("A/run")["lr"], run.section("A/run")["starts"]) == (0.2, 1)
    assert run.counters.duplicates == 1


def test_a_groups_batch_ends_only_its_episodes() -> None:
    """The batch end of one arm leaves the other arms' episodes running."""
    run = Run()

    for group in ("A", None):
        run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": 50.0}, group_id=group)
    run.event("BATCH_EPOCH_COMPLETED", {"episodes_completed": 1, "env_accuracies": [50.0]}, group_id="A")

    assert run.section("A/env:0")["episode_over"] is True
    assert run.section("env:0")["episode_over"] is False
    assert run.section("run")["batches_completed"] == 0
    assert run.section("A/run")["batches_completed"] == 1


def test_a_groups_mean_accuracy() -> None:
    """Each arm has its mean accuracy in `<group>/run`."""
    run = Run()

    for group, accuracy in (("A", 10.0), (None, 30.0)):
        run.event(
            "EPOCH_COMPLETED", {"env_id": 0, "inner_epoch": 1, "val_accuracy": accuracy}, group_id=group
        )
    for group in ("A", None):
        run.event("BATCH_EPOCH_COMPLETED", {"episodes_completed": 1}, group_id=group)

    means = [run.section(name)["mean_accuracy_history"] for name in ("A/run", "run")]
    assert means == [[10.0], [30.0]]


def test_a_groups_leaderboard() -> None:
    """Each arm has its leaderboard."""
    run = Run()

    for group, accuracy in (("A", 10.0), (None, 30.0)):
        run.event(
            "EPOCH_COMPLETED", {"env_id": 0, "inner_epoch": 1, "val_accuracy": accuracy}, group_id=group
        )
        batch = {"episodes_completed": 1, "env_accuracies": [accuracy]}
        run.event("BATCH_EPOCH_COMPLETED", batch, group_id=group)

    assert run.section("A/best")["1"]["peak_accuracy"] == 10.0
    assert run.section("best")["1"]["peak_accuracy"] == 30.0
    assert len(run.section("best")) == 1


def test_groups_survive_a_start() -> None:
    """A new start of the run keeps the list of groups."""
    run = Run()

    run.event("OTHER", {}, group_id="A")
    run.start()

    assert run.section("run")["groups"] == ["A"]


def test_a_parked_event_makes_no_group() -> None:
    """A group without a folded event is not listed."""
    run = Run()

    run.event("REWARD_COMPUTED", {"total_reward": 1.0}, group_id="A")

    assert not run.sections.get("run", {}).get("groups")
    assert [name for name in run.sections if name.startswith("A/")] == []
