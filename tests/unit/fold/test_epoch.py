"""EPOCH_COMPLETED: one environment's epoch, or the aggregate epoch of a batch."""

from typing import Any

import pytest

from tests.support.fold_run import Run


def test_accuracy_history() -> None:
    """The accuracies of the episode in order."""
    run = Run()

    for inner_epoch, accuracy in enumerate([10.0, 30.0, 20.0], 1):
        run.epoch(0, inner_epoch, accuracy)

    assert run.section("env:0")["accuracy_history"] == [10.0, 30.0, 20.0]


def test_histories_hold_the_last_50() -> None:
    """A history keeps the last 50 values."""
    run = Run()

    for inner_epoch in range(60):
        run.epoch(0, inner_epoch, float(inner_epoch))

    assert run.section("env:0")["accuracy_history"] == [float(value) for value in range(10, 60)]


def test_best_accuracy() -> None:
    """The environment has the best accuracy of the episode and its inner epoch; a later equal one is not an improvement."""
    run = Run()

    for inner_epoch, accuracy in enumerate([10.0, 30.0, 20.0, 30.0], 1):
        run.epoch(0, inner_epoch, accuracy)

    env = run.section("env:0")
    assert (env["best_accuracy"], env["best_accuracy_epoch"]) == (30.0, 2)
    assert env["epochs_since_improvement"] == 2


def test_an_accuracy_of_zero_is_a_value() -> None:
    """A first accuracy of 0 is the best accuracy."""
    run = Run()

    run.epoch(0, 1, 0.0)

    env = run.section("env:0")
    assert (env["best_accuracy"], env["best_accuracy_epoch"], env["epochs_since_improvement"]) == (0.0, 1, 0)


def test_contributing_seeds_at_the_best() -> None:
    """`best_accuracy_seeds` has blueprint and stage of the contributing seeds, as the same epoch reports them."""
    run = Run()
    stages = {
        "a": "FOSSILIZED",
        "b": "PROBATIONARY",
        "c": "HOLDING",
        "d": "BLENDING",
        "e": "TRAINING",
        "f": "GERMINATED",
        "g": "CULLED",
        "h": "SHADOWING",
    }

    run.stage("TRAINING", slot_id="d")
    run.epoch(
        0,
        1,
        50.0,
        seeds={slot: {"stage": stage, "blueprint_id": f"b_{slot}"} for slot, stage in stages.items()},
    )

    assert run.section("env:0")["best_accuracy_seeds"] == {
        slot: {"blueprint": f"b_{slot}", "stage": stages[slot]} for slot in "abcd"
    }


def test_seeds_at_the_best_are_those_of_the_best_epoch() -> None:
    """Only an improvement replaces the seeds of the best accuracy."""
    run = Run()

    run.epoch(0, 1, 50.0, seeds={"a": {"stage": "BLENDING", "blueprint_id": "x"}})
    run.epoch(0, 2, 40.0, seeds={"b": {"stage": "BLENDING", "blueprint_id": "y"}})
    kept = run.section("env:0")["best_accuracy_seeds"]
    run.event("SEED_CULLED", {"env_id": 0}, slot_id="a")
    run.epoch(0, 3, 60.0, seeds={})

    assert kept == {"a": {"blueprint": "x", "stage": "BLENDING"}}
    assert run.section("env:0")["best_accuracy_seeds"] == {"b": {"blueprint": "y", "stage": "BLENDING"}}


def test_seeds_go_into_seed_sections() -> None:
    """Each slot of `seeds` is captured into its seed section, also a slot without a germination."""
    run = Run()

    run.epoch(2, 1, 50.0, seeds={"r0c1": {"stage": "BLENDING", "alpha": 0.6, "has_vanishing": False}})

    seed = run.section("seed:2:r0c1")
    assert (seed["stage"], seed["alpha"], seed["has_vanishing"]) == ("BLENDING", 0.6, False)
    assert (seed["env_id"], seed["slot_id"]) == (2, "r0c1")


def test_seeds_is_not_stored_in_the_env() -> None:
    """`seeds` is not a field of the environment."""
    run = Run()

    run.epoch(0, 1, 50.0, seeds={"r0c1": {"stage": "BLENDING"}})

    assert "seeds" not in run.section("env:0")


def test_pseudo_slots() -> None:
    """A slot named `__…__` is not a slot: its fields are `aggregate.<field>` of the environment."""
    run = Run()

    run.epoch(0, 1, 50.0, seeds={"__aggregate__": {"seeds_active": 2, "stage": "TRAINING"}})

    env = run.section("env:0")
    assert (env["aggregate.seeds_active"], env["aggregate.stage"]) == (2, "TRAINING")
    assert not [name for name in run.sections if name.startswith("seed:")]


@pytest.mark.parametrize("seeds", [{}, {"seeds": None}, {"seeds": {}}, {"seeds": {"r0c0": None}}])
def test_an_epoch_without_seeds(seeds: dict[str, Any]) -> None:
    """Null or missing `seeds` change no seed."""
    run = Run()

    run.germinate(blueprint_id="norm")
    run.epoch(0, 1, 50.0, **seeds)

    assert run.parked() == []
    assert run.section("seed:0:r0c0")["stage"] == "GERMINATED"
    assert run.section("env:0")["best_accuracy"] == 50.0


def test_a_stage_entered_is_dated_by_the_epoch() -> None:
    """`stage_entered_at` is the time of the first event with the stage."""
    run = Run()

    run.event("EPOCH_COMPLETED", {"env_id": 0, "seeds": {"a": {"stage": "TRAINING"}}}, timestamp=100.0)
    run.event("EPOCH_COMPLETED", {"env_id": 0, "seeds": {"a": {"stage": "TRAINING"}}}, timestamp=200.0)
    same = run.section("seed:0:a")["stage_entered_at"]
    run.event("EPOCH_COMPLETED", {"env_id": 0, "seeds": {"a": {"stage": "BLENDING"}}}, timestamp=300.0)

    assert same == 100.0
    assert run.section("seed:0:a")["stage_entered_at"] == 300.0


def test_the_inner_epoch_of_heuristic_runs() -> None:
    """The inner epoch is `inner_epoch`, or else `epoch` of the envelope."""
    run = Run()

    run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": 50.0}, epoch=7)
    by_envelope = run.section("env:0")["best_accuracy_epoch"]
    run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": 51.0, "inner_epoch": 8}, epoch=99)

    assert by_envelope == 7
    assert run.section("env:0")["best_accuracy_epoch"] == 8
    assert run.section("run")["inner_epoch"] == 8


@pytest.mark.parametrize("data", [{}, {"val_accuracy": None}])
def test_without_accuracy_nothing_is_derived(data: dict[str, Any]) -> None:
    """Without `val_accuracy`, history, best, epochs since improvement and status do not change."""
    run = Run()

    run.epoch(0, 1, 50.0)
    run.epoch(0, 2, 48.0)
    names = ("accuracy_history", "best_accuracy", "best_accuracy_epoch", "epochs_since_improvement", "status")
    before = [run.section("env:0")[name] for name in names]
    run.event("EPOCH_COMPLETED", {"env_id": 0, "inner_epoch": 3, "val_loss": 2.0, **data}, epoch=3)

    assert [run.section("env:0")[name] for name in names] == before
    assert run.section("env:0")["val_loss"] == 2.0


@pytest.mark.parametrize("data", [{}, {"env_id": None}])
def test_the_aggregate_epoch_touches_no_environment(data: dict[str, Any]) -> None:
    """EPOCH_COMPLETED without `env_id` changes the section `epoch`, and neither an environment nor the run's progress."""
    run = Run()

    run.start({"n_envs": 1})
    run.epoch(0, 1, 50.0)
    env, mean = dict(run.section("env:0")), run.section("run")["mean_accuracy_history"]
    run.event("EPOCH_COMPLETED", {"inner_epoch": 25, "val_accuracy": 99.0, "val_loss": 1.0, **data})

    assert run.section("epoch")["val_accuracy"] == 99.0
    assert run.section("env:0") == env
    assert run.section("run")["mean_accuracy_history"] == mean
    assert run.section("run")["inner_epoch"] == 1


def test_environments_are_apart() -> None:
    """One environment's epoch changes no other environment."""
    run = Run()

    run.start({"n_envs": 2})
    other = dict(run.section("env:1"))
    run.epoch(0, 1, 50.0, seeds={"r0c0": {"stage": "TRAINING"}})

    assert run.section("env:1") == other
    assert "seed:1:r0c0" not in run.sections
