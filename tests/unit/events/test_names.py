"""Canonical names of emitted types and fields."""

import pytest

from sanctum_bus.events import names


def test_type_aliases_are_those_of_the_semantics() -> None:
    """Two event types were renamed; both spellings mean the same event."""
    assert names.TYPE_ALIASES == {"BATCH_COMPLETED": "BATCH_EPOCH_COMPLETED", "SEED_PRUNED": "SEED_CULLED"}


@pytest.mark.parametrize(
    ("emitted", "canonical"),
    [
        ("BATCH_COMPLETED", "BATCH_EPOCH_COMPLETED"),
        ("SEED_PRUNED", "SEED_CULLED"),
        ("SEED_CULLED", "SEED_CULLED"),
        ("NEVER_HEARD_OF", "NEVER_HEARD_OF"),
    ],
)
def test_canonical_type(emitted: str, canonical: str) -> None:
    """An alias becomes its canonical type; every other name is canonical already."""
    assert names.canonical_type(emitted) == canonical


def test_field_aliases_are_those_of_the_semantics() -> None:
    """Each rename of the table "Names" applies to its event types only."""
    ratio = {"seed_gradient_norm_ratio": "grad_ratio"}
    left = {"epochs_in_stage": "epochs_in_previous_stage"}

    expected = {
        "PPO_UPDATE_COMPLETED": {
            f"{head}_entropy": f"head_{head}_entropy"
            for head in ("slot", "blueprint", "op", "blend", "tempo")
        },
        "SEED_GERMINATED": ratio,
        "SEED_GATE_EVALUATED": ratio,
        "SEED_STAGE_CHANGED": ratio
        | left
        | {
            "from_stage": "from",
            "to_stage": "to",
            "accuracy_delta": "accuracy_delta_at_stage_change",
        },
        "SEED_FOSSILIZED": ratio | left,
        "SEED_CULLED": ratio | left | {"auto_pruned": "auto_culled"},
    }

    assert expected == names.FIELD_ALIASES
    assert names.SEEDS_FIELD_ALIASES == {"grad_ratio": "gradient_health"}


@pytest.mark.parametrize("event_type", sorted(names.FIELD_ALIASES))
def test_a_canonical_field_is_no_alias(event_type: str) -> None:
    """Renaming takes one step: no canonical name is renamed again."""
    aliases = names.FIELD_ALIASES[event_type]

    assert not set(aliases) & set(aliases.values())


def test_keys_of_the_field_aliases_are_canonical_types() -> None:
    """The table of fields uses canonical types as keys."""
    assert [names.canonical_type(event_type) for event_type in names.FIELD_ALIASES] == list(
        names.FIELD_ALIASES
    )


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("value_variance", "batch_stats"),
        ("summary_table", "summary_table"),
        ("scoreboard_tables", "summary_table"),
        ("final_accuracy", "heuristic_episode"),
        ("min_fossilize_improvement", "heuristic_config"),
        ("telemetry_level", "heuristic_warning"),
        ("batch", "other"),
    ],
)
def test_a_snapshot_without_kind_gets_todays_kind_by_its_fields(field: str, kind: str) -> None:
    """A field that only one kind has determines the kind; without one it is `other`."""
    assert names.inferred_kind({"batch": 1, field: None}) == kind


def test_the_first_telling_field_decides_the_kind() -> None:
    """If several fields determine the kind, the first one of the table wins, in any order of the map."""
    assert (
        names.inferred_kind({"telemetry_level": "OFF", "final_accuracy": 1.0, "value_variance": 0.1})
        == "batch_stats"
    )
