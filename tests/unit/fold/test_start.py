"""TRAINING_STARTED: a new start."""

from typing import Any

import pytest

from tests.support.fold_run import FIRST_SECOND, Run


def test_a_start_counts_and_dates_itself() -> None:
    """`starts` counts the starts, `started_at` is the event time of the last one, and the status is running."""
    run = Run()

    run.start()
    run.start()

    fields = run.section("run")
    assert (fields["starts"], fields["started_at"], fields["status"]) == (2, FIRST_SECOND + 1, "running")


def test_the_run_starts_anew() -> None:
    """A new start removes every field of `run` but the number of starts."""
    run = Run()

    run.start({"old": 1, "lr": 0.1})
    run.epoch(0, 3, 50.0)
    run.batch(4, [50.0])
    run.start({"lr": 0.2})

    fields = run.section("run")
    assert "old" not in fields
    assert fields["lr"] == 0.2
    names = ("inner_epoch", "episodes_completed", "mean_accuracy", "mean_accuracy_epoch")
    assert [fields.get(name) for name in names] == [None] * 4
    assert (fields["batches_completed"], fields["mean_accuracy_history"]) == (0, [])


def test_entity_sections_go() -> None:
    """A new start ends the env, seed, policy, batch and epoch sections."""
    run = Run()

    run.start({"n_envs": 2})
    run.germinate()
    run.event("PPO_UPDATE_COMPLETED", {"entropy": 1.0})
    run.batch(2, [1.0, 2.0])
    run.event("EPOCH_COMPLETED", {"val_loss": 1.0})
    run.start()

    kinds = ("env:", "seed:", "policy", "batch", "epoch")
    assert [name for name in run.sections if name.startswith(kinds)] == []


def test_what_a_start_leaves() -> None:
    """Leaderboard, blueprints, `event:` sections, coverage and counters stay."""
    run = Run()

    run.germinate(blueprint_id="norm")
    run.epoch(0, 1, 50.0)
    run.batch(1, [50.0])
    run.event("OTHER", {"a": 1})
    before = {name: dict(run.section(name)) for name in ("best", "blueprint:norm", "event:OTHER")}
    run.start()

    assert {name: run.section(name) for name in before} == before
    assert run.coverage()["OTHER"] == 1
    assert run.counters.events == 5


def test_environments_exist_from_the_start() -> None:
    """`n_envs` creates the sections `env:0` to `env:n-1`."""
    run = Run()

    run.start({"n_envs": 3})

    assert sorted(name for name in run.sections if name.startswith("env:")) == ["env:0", "env:1", "env:2"]
    assert [run.section(f"env:{env}")["env_id"] for env in range(3)] == [0, 1, 2]
    assert run.section("env:2")["status"] == "initializing"


@pytest.mark.parametrize("data", [{}, {"n_envs": None}, {"n_envs": 0}])
def test_no_environments_from_the_start(data: dict[str, Any]) -> None:
    """A missing or null `n_envs` creates no environment."""
    run = Run()

    run.start(data)

    assert list(run.sections) == ["run"]


def test_at_most_max_envs() -> None:
    """A start with more than 4,096 environments parks, and the next start is unaffected."""
    most, more = Run(), Run()

    most.start({"n_envs": 4096})
    more.start({"n_envs": 4097})

    assert "env:4095" in most.sections
    assert len(more.parked()) == 1
    assert more.sections == {}


@pytest.mark.parametrize("event_type", ["EPOCH_COMPLETED", "REWARD_COMPUTED", "SEED_GERMINATED"])
def test_one_environment_too_many(event_type: str) -> None:
    """An event that would make the 4,097th environment exceeds the limit and parks."""
    run = Run()

    run.start({"n_envs": 4096})
    run.event(event_type, {"env_id": 4096}, slot_id="r0c0")

    assert "env:4096" not in run.sections
    assert [parked.entry_id for parked in run.parked()] == ["2-0"]


@pytest.mark.parametrize(
    ("data", "devices"),
    [
        ({"policy_device": "cuda:0", "env_devices": ["cuda:1", "cuda:2"]}, ["cuda:0", "cuda:1", "cuda:2"]),
        ({"policy_device": "cuda:0", "env_devices": ["cuda:1", "cuda:0", "cuda:1"]}, ["cuda:0", "cuda:1"]),
        ({"policy_device": "cpu"}, ["cpu"]),
        ({"env_devices": ["b", "a"]}, ["b", "a"]),
        ({"policy_device": None, "env_devices": None}, []),
        ({}, []),
    ],
)
def test_devices(data: dict[str, Any], devices: list[str]) -> None:
    """`devices` has the policy's device and the devices of the environments, without repeats."""
    run = Run()

    run.start(data)

    assert run.section("run")["devices"] == devices


def test_another_rank_only_leaves_its_fields() -> None:
    """With a `rank` above 0, the fields are stored as `rank.<rank>.<field>`, and nothing is reset."""
    run = Run()

    run.start({"rank": 0, "lr": 0.1, "n_envs": 1})
    run.epoch(0, 1, 50.0)
    env = dict(run.section("env:0"))
    run.start({"rank": 2, "lr": 0.5, "n_envs": 7, "odd": None})

    fields = run.section("run")
    assert (fields["starts"], fields["started_at"], fields["lr"]) == (1, FIRST_SECOND, 0.1)
    assert (fields["rank.2.lr"], fields["rank.2.n_envs"], fields["rank.2.odd"]) == (0.5, 7, None)
    assert run.section("env:0") == env
    assert "env:1" not in run.sections


@pytest.mark.parametrize("rank", [0, None])
def test_rank_zero_is_the_run(rank: int | None) -> None:
    """A start of rank 0, or without rank, is a start of the run."""
    run = Run()

    run.start({"rank": rank, "lr": 0.1})

    assert run.section("run")["starts"] == 1
    assert run.section("run")["lr"] == 0.1


def test_a_resent_start_is_a_duplicate() -> None:
    """A start with the same `event_id` counts as a duplicate and changes nothing."""
    run = Run()

    run.start({"n_envs": 1}, event_id="start")
    run.epoch(0, 1, 50.0)
    before = {name: dict(fields) for name, fields in run.sections.items()}
    run.start({"n_envs": 9}, event_id="start")

    assert run.sections == before
    assert run.counters.duplicates == 1
    assert len(run.lines()) == 1


def test_starts_without_an_id_are_no_duplicates() -> None:
    """Without an `event_id`, each start counts."""
    run = Run()

    run.start(event_id=None)
    run.start(event_id=None)

    assert (run.section("run")["starts"], run.counters.duplicates) == (2, 0)


def test_a_start_sent_again_fills_what_is_missing() -> None:
    """A start with `again` (the server was emptied) adds missing fields and resets nothing."""
    run = Run()

    run.epoch(0, 1, 50.0)
    env = dict(run.section("env:0"))
    run.start({"n_envs": 2, "lr": 0.1}, again=True)

    assert run.section("env:0") == env
    assert run.section("env:1")["status"] == "initializing"
    assert run.section("run")["lr"] == 0.1
    assert run.section("run")["inner_epoch"] == 1


def test_a_start_sent_again_overwrites_nothing() -> None:
    """A start with `again` keeps existing fields, also of an earlier start, and the number of starts."""
    run = Run()

    run.start({"lr": 0.1}, event_id="one")
    run.start({"lr": 0.2, "more": 1}, event_id="two", again=True)

    fields = run.section("run")
    assert (fields["lr"], fields["more"], fields["starts"], fields["started_at"]) == (0.1, 1, 1, FIRST_SECOND)


def test_labels() -> None:
    """The publisher's labels are `labels.<name>` of the run, come with any event, and survive a start."""
    run = Run()

    run.event("OTHER", {}, labels={"team": "x", "node": 3})
    run.start({"n_envs": 1})
    run.event("OTHER", {}, labels={"team": "y"})

    assert (run.section("run")["labels.team"], run.section("run")["labels.node"]) == ("y", 3)
    assert not [name for name in run.section("event:OTHER") if "labels" in name]


def test_last_event_at() -> None:
    """`last_event_at` is the event time of the last event, whatever its type."""
    run = Run()

    run.start()
    run.event("OTHER", {}, timestamp=FIRST_SECOND + 50)

    assert run.section("run")["last_event_at"] == FIRST_SECOND + 50


def test_labels_have_names_that_fit() -> None:
    """Labels that are not a map, or a label with a long name, park their event."""
    run = Run()

    run.event("OTHER", {}, labels=["team"])
    run.event("OTHER", {}, labels={"x" * 129: 1})

    assert len(run.parked()) == 2
    assert run.sections == {}


def test_a_groups_start_sent_again() -> None:
    """A group's start that is sent again adds missing fields in that group."""
    run = Run()

    run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": 50.0}, group_id="A")
    run.start({"n_envs": 2, "lr": 0.1}, again=True, group_id="A")

    assert run.section("A/env:0")["accuracy_history"] == [50.0]
    assert run.section("A/run")["lr"] == 0.1
    assert "A/env:1" in run.sections
