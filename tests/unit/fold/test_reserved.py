"""Reserved names and names in keys."""

from typing import Any

import pytest

from tests.support.fold_run import Run

RUN = (
    "status starts started_at last_event_at devices inner_epoch episodes_completed batches_completed mean_accuracy "
    "mean_accuracy_epoch mean_accuracy_history groups labels.team"
)
ENV = (
    "episode episode_over status accuracy_history best_accuracy best_accuracy_epoch best_accuracy_seeds "
    "epochs_since_improvement reward_history best_reward best_reward_epoch action_history action_counts total_actions "
    "cohort decision.action_name penalties germinated fossilized culled fossilized_params batch_accuracy"
)
SEED = "stage_entered_at germinated_at ended_at gates_passed gates_failed"
METRICS = (
    "entropy kl_divergence clip_fraction grad_norm explained_variance policy_loss value_loss update_time_ms"
)
POLICY = "updates early_stops rollbacks " + " ".join(f"{metric}_history" for metric in METRICS.split())
BATCH = "avg_accuracy_history rolling_accuracy_history avg_reward_history epochs_per_second batches_per_hour"


def _cases() -> list[Any]:
    rows = [
        ("TRAINING_STARTED", {}, "run", RUN),
        ("EPOCH_COMPLETED", {"env_id": 0}, "env:0", ENV),
        ("SEED_GERMINATED", {"env_id": 0}, "seed:0:r0c0", SEED),
        ("SEED_CULLED", {"env_id": 0}, "seed:0:r0c0", SEED),
        ("PPO_UPDATE_COMPLETED", {}, "policy", POLICY),
        ("BATCH_EPOCH_COMPLETED", {}, "batch", BATCH),
        ("OTHER", {}, "event:OTHER", "count last_at"),
    ]
    return [
        pytest.param(event_type, data, section, name, id=f"{section} {name}")
        for event_type, data, section, names in rows
        for name in names.split()
    ]


@pytest.mark.parametrize(("event_type", "data", "section", "name"), _cases())
def test_derived_names_are_reserved(event_type: str, data: dict[str, Any], section: str, name: str) -> None:
    """An emitted field with the name of a derived one is stored as `emitted.<name>`, and derives nothing."""
    run, plain = Run(), Run()

    run.event(event_type, data | {name: "sent"}, slot_id="r0c0")
    plain.event(event_type, data, slot_id="r0c0")

    fields = run.section(section)
    assert fields.pop(f"emitted.{name}") == "sent"
    assert fields == plain.section(section)


@pytest.mark.parametrize("stage_like", ["status", "stage_entered_at", "gates_passed"])
def test_reserved_names_in_the_seeds_of_an_epoch(stage_like: str) -> None:
    """An epoch's report does not overwrite a derived field of a seed."""
    run = Run()

    run.germinate()
    before = run.section("seed:0:r0c0").get(stage_like)
    run.epoch(0, 1, 50.0, seeds={"r0c0": {stage_like: "sent"}})

    fields = run.section("seed:0:r0c0")
    if stage_like == "status":
        assert fields["status"] == "sent"
    else:
        assert fields[f"emitted.{stage_like}"] == "sent"
        assert fields[stage_like] == before


def test_a_name_is_reserved_only_in_its_section() -> None:
    """A derived name of one section is an ordinary field in another."""
    run = Run()

    run.event("EPOCH_COMPLETED", {"env_id": 0, "updates": 4})
    run.event("PPO_UPDATE_COMPLETED", {"status": "fine"})

    assert run.section("env:0")["updates"] == 4
    assert run.section("policy")["status"] == "fine"


def test_a_prefixed_field_is_not_reserved() -> None:
    """A field under a prefix cannot have the name of a derived field."""
    run = Run()

    run.event("REWARD_COMPUTED", {"env_id": 0, "status": "sent"})

    assert run.section("env:0")["reward.status"] == "sent"
    assert "emitted.status" not in run.section("env:0")


@pytest.mark.parametrize(
    ("slot_id", "part"),
    [
        ("r0c1", "r0c1"),
        ("A.b_c-9", "A.b_c-9"),
        ("a b", "a%20b"),
        ("a:b", "a%3Ab"),
        ("a/b%", "a%2Fb%25"),
        ("{x}", "%7Bx%7D"),
        ("ü", "%C3%BC"),
    ],
)
def test_name_parts_are_percent_encoded(slot_id: str, part: str) -> None:
    """A part of a section name is percent-encoded outside `[A-Za-z0-9_.-]`; the field keeps the original text."""
    run = Run()

    run.germinate(slot_id=slot_id)

    assert run.section(f"seed:0:{part}")["slot_id"] == slot_id


def test_every_name_part_is_encoded() -> None:
    """Types, kinds, groups and blueprints are encoded in section names."""
    run = Run()

    run.event("A:B", {"kind": "k/1"}, group_id="g:1")
    run.germinate(blueprint_id="conv light")

    assert "g%3A1/event:A%3AB.k%2F1" in run.sections
    assert "blueprint:conv%20light" in run.sections


def test_two_names_never_share_a_section() -> None:
    """The encoding is unambiguous: a slot with an encoded-looking name is another slot."""
    run = Run()

    run.germinate(slot_id="a b", blueprint_id="one")
    run.germinate(slot_id="a%20b", blueprint_id="two")

    assert run.section("seed:0:a%20b")["blueprint_id"] == "one"
    assert run.section("seed:0:a%2520b")["blueprint_id"] == "two"


def test_names_of_up_to_128_bytes() -> None:
    """A part of a section name can have 128 bytes; a longer one parks its event."""
    run = Run()

    run.germinate(slot_id="s" * 128)
    run.germinate(slot_id="s" * 129)

    assert [name for name in run.sections if name.startswith("seed:")] == [f"seed:0:{'s' * 128}"]
    assert [parked.entry_id for parked in run.parked()] == ["2-0"]
