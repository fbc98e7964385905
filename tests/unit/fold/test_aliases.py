"""Emitters' other spellings: the fold maps them to canonical names and keeps the emitted spelling too."""

from typing import Any

import pytest

from tests.support.fold_run import Run


def test_batch_completed() -> None:
    """BATCH_COMPLETED is BATCH_EPOCH_COMPLETED in section, coverage and log; `event.type` is the emitted type."""
    run = Run()

    run.event("BATCH_COMPLETED", {"episodes_completed": 4, "batch_idx": 1})

    assert run.section("run")["episodes_completed"] == 4
    assert run.section("batch")["event.type"] == "BATCH_COMPLETED"
    assert run.lines()[0][1]["type"] == "BATCH_EPOCH_COMPLETED"
    assert run.coverage()["BATCH_EPOCH_COMPLETED"] == 1
    assert "BATCH_COMPLETED" not in run.coverage()


def test_coverage_names_the_emitted_field() -> None:
    """The coverage report keeps the emitted spelling beside the canonical field."""
    run = Run()

    run.event("BATCH_COMPLETED", {"batch_idx": 1})
    run.seed("PRUNED", auto_pruned=True)

    coverage = run.coverage()
    assert coverage["BATCH_EPOCH_COMPLETED.batch_idx=BATCH_COMPLETED.batch_idx"] == 1
    assert coverage["SEED_CULLED.auto_culled=SEED_PRUNED.auto_pruned"] == 1


def test_epoch_without_env_is_the_aggregate_epoch() -> None:
    """EPOCH_COMPLETED without `env_id` is the aggregate epoch: section `epoch`, and no environment."""
    run = Run()

    run.event("EPOCH_COMPLETED", {"val_accuracy": 61.8, "inner_epoch": 25})

    assert run.section("epoch")["val_accuracy"] == 61.8
    assert not [name for name in run.sections if name.startswith("env:")]


def test_seed_pruned() -> None:
    """SEED_PRUNED is SEED_CULLED, but the stage stays the emitted word."""
    run = Run()

    run.germinate(blueprint_id="norm")
    run.seed("PRUNED", reason="policy")

    seed = run.section("seed:0:r0c0")
    assert seed["stage"] == "PRUNED"
    assert seed["event.type"] == "SEED_PRUNED"
    assert run.section("blueprint:norm")["culled"] == 1
    assert run.lines()[-1][1]["type"] == "SEED_CULLED"


@pytest.mark.parametrize("head", ["slot", "blueprint", "op", "blend", "tempo"])
def test_head_entropies(head: str) -> None:
    """`<head>_entropy` of PPO_UPDATE_COMPLETED is `head_<head>_entropy`."""
    run = Run()

    run.event("PPO_UPDATE_COMPLETED", {f"{head}_entropy": 0.7})

    assert run.section("policy")[f"head_{head}_entropy"] == 0.7
    assert f"{head}_entropy" not in run.section("policy")


def test_the_entropy_itself_has_no_alias() -> None:
    """`entropy` and the canonical head entropies keep their names."""
    run = Run()

    run.event("PPO_UPDATE_COMPLETED", {"entropy": 1.5, "head_slot_entropy": 0.2, "other_entropy": 0.3})

    policy = run.section("policy")
    assert (policy["entropy"], policy["head_slot_entropy"], policy["other_entropy"]) == (1.5, 0.2, 0.3)


@pytest.mark.parametrize(
    ("what", "prefix"),
    [
        ("GERMINATED", ""),
        ("STAGE_CHANGED", ""),
        ("GATE_EVALUATED", "gate."),
        ("FOSSILIZED", ""),
        ("CULLED", ""),
        ("PRUNED", ""),
    ],
)
def test_gradient_norm_ratio(what: str, prefix: str) -> None:
    """`seed_gradient_norm_ratio` of SEED_* is `grad_ratio`."""
    run = Run()

    run.seed(what, seed_gradient_norm_ratio=0.31, to="TRAINING")

    assert run.section("seed:0:r0c0")[f"{prefix}grad_ratio"] == 0.31
    assert f"{prefix}seed_gradient_norm_ratio" not in run.section("seed:0:r0c0")


def test_grad_ratio_of_an_epochs_seeds_is_a_health() -> None:
    """`grad_ratio` inside `seeds` of EPOCH_COMPLETED is `gradient_health`; the seed's own ratio stays."""
    run = Run()

    run.stage("TRAINING", grad_ratio=0.31)
    run.epoch(0, 1, 50.0, seeds={"r0c0": {"stage": "TRAINING", "grad_ratio": 1.0}})

    seed = run.section("seed:0:r0c0")
    assert (seed["gradient_health"], seed["grad_ratio"]) == (1.0, 0.31)


def test_from_stage_and_to_stage() -> None:
    """`from_stage` and `to_stage` are `from` and `to`."""
    run = Run()

    run.seed("STAGE_CHANGED", from_stage="TRAINING", to_stage="BLENDING")

    seed = run.section("seed:0:r0c0")
    assert (seed["stage"], seed["from"], seed["to"]) == ("BLENDING", "TRAINING", "BLENDING")
    assert not {"from_stage", "to_stage"} & set(seed)


def test_auto_pruned() -> None:
    """`auto_pruned` is `auto_culled`."""
    run = Run()

    run.germinate(blueprint_id="norm")
    run.seed("PRUNED", auto_pruned=True)

    assert run.section("seed:0:r0c0")["auto_culled"] is True
    assert run.section("blueprint:norm")["auto_culled"] == 1


@pytest.mark.parametrize(
    ("what", "data"),
    [("STAGE_CHANGED", {"to": "BLENDING"}), ("FOSSILIZED", {}), ("CULLED", {}), ("PRUNED", {})],
)
def test_epochs_in_stage_of_the_stage_that_was_left(what: str, data: dict[str, Any]) -> None:
    """In a stage change, `epochs_in_stage` counts the old stage. The new stage has 0 until an epoch reports it."""
    run = Run()

    run.epoch(0, 5, 50.0, seeds={"r0c0": {"stage": "TRAINING", "epochs_in_stage": 4}})
    run.seed(what, epochs_in_stage=5, **data)

    seed = run.section("seed:0:r0c0")
    assert (seed["epochs_in_previous_stage"], seed["epochs_in_stage"]) == (5, 0)


def test_an_epoch_reports_epochs_in_stage() -> None:
    """The next epoch reports `epochs_in_stage` of the new stage; the value of the previous stage stays."""
    run = Run()

    run.stage("BLENDING", epochs_in_stage=5)
    run.epoch(0, 6, 50.0, seeds={"r0c0": {"stage": "BLENDING", "epochs_in_stage": 1}})

    seed = run.section("seed:0:r0c0")
    assert (seed["epochs_in_previous_stage"], seed["epochs_in_stage"]) == (5, 1)


def test_epochs_in_stage_at_germination() -> None:
    """At germination `epochs_in_stage` is the seed's own."""
    run = Run()

    run.germinate(epochs_in_stage=0)

    assert run.section("seed:0:r0c0")["epochs_in_stage"] == 0
    assert run.section("seed:0:r0c0").get("epochs_in_previous_stage") is None


def test_accuracy_delta_of_a_stage_change() -> None:
    """`accuracy_delta` counts since germination in a stage change, and since the stage began in an epoch."""
    run = Run()

    run.epoch(0, 1, 50.0, seeds={"r0c0": {"stage": "TRAINING", "accuracy_delta": 0.5}})
    run.stage("BLENDING", accuracy_delta=1.9)

    seed = run.section("seed:0:r0c0")
    assert (seed["accuracy_delta_at_stage_change"], seed["accuracy_delta"]) == (1.9, 0.5)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"value_variance": 1.0}, "batch_stats"),
        ({"summary_table": "x"}, "summary_table"),
        ({"scoreboard_tables": {}}, "summary_table"),
        ({"final_accuracy": 1.0}, "heuristic_episode"),
        ({"min_fossilize_improvement": 1.0}, "heuristic_config"),
        ({"telemetry_level": "OFF"}, "heuristic_warning"),
        ({}, "other"),
        ({"kind": None, "telemetry_level": "OFF"}, "heuristic_warning"),
        ({"kind": "throughput", "value_variance": 1.0}, "throughput"),
    ],
)
def test_kind_of_an_analytics_snapshot(data: dict[str, Any], kind: str) -> None:
    """The fields of an ANALYTICS_SNAPSHOT without `kind` imply its kind."""
    run = Run()

    run.event("ANALYTICS_SNAPSHOT", data)

    assert [name for name in run.sections if name.startswith("event:")] == [
        f"event:ANALYTICS_SNAPSHOT.{kind}"
    ]


def test_warnings_are_kept_apart() -> None:
    """`probation_warning` and `holding_warning` are two fields."""
    run = Run()

    run.reward(0, 1.0, probation_warning=-0.1, holding_warning=-0.2)

    env = run.section("env:0")
    assert (env["reward.probation_warning"], env["reward.holding_warning"]) == (-0.1, -0.2)


def test_episode_id_is_an_ordinary_field() -> None:
    """`episode_id` identifies nothing: the run ID is the one in the key."""
    run = Run()

    run.start({"episode_id": "ppo_7_4ep"})

    assert run.section("run")["episode_id"] == "ppo_7_4ep"
    assert "run_id" not in run.section("run")


def test_an_alias_holds_only_for_its_types() -> None:
    """A spelling that is an alias in one event type is an ordinary name in another."""
    run = Run()

    run.epoch(0, 1, 50.0, grad_ratio=0.5, epochs_in_stage=3, accuracy_delta=0.1, from_stage="x")

    env = run.section("env:0")
    names = ("grad_ratio", "epochs_in_stage", "accuracy_delta", "from_stage")
    assert [env[name] for name in names] == [0.5, 3, 0.1, "x"]
