"""Canonical names: the emitted spellings of types and fields that mean the same.

The fold, coverage, the log and the catalog use these tables, so each spelling is declared once. The emitted
word is not lost: `event.type` and the coverage report keep it.
"""

from collections.abc import Mapping

#: Emitted event type -> canonical event type.
TYPE_ALIASES: dict[str, str] = {
    "BATCH_COMPLETED": "BATCH_EPOCH_COMPLETED",
    "SEED_PRUNED": "SEED_CULLED",
}

_SEED = {"seed_gradient_norm_ratio": "grad_ratio"}

# The stage that ended, not the one that began: a separate name, so that the seed's `epochs_in_stage` can
# restart.
_SEED_LEAVES_STAGE = _SEED | {"epochs_in_stage": "epochs_in_previous_stage"}

#: Canonical event type -> {emitted field -> canonical field}, for the top level of `data`.
FIELD_ALIASES: dict[str, dict[str, str]] = {
    "PPO_UPDATE_COMPLETED": {
        "slot_entropy": "head_slot_entropy",
        "blueprint_entropy": "head_blueprint_entropy",
        "op_entropy": "head_op_entropy",
        "blend_entropy": "head_blend_entropy",
        "tempo_entropy": "head_tempo_entropy",
    },
    "SEED_GERMINATED": _SEED,
    "SEED_GATE_EVALUATED": _SEED,
    "SEED_STAGE_CHANGED": _SEED_LEAVES_STAGE
    | {
        "from_stage": "from",
        "to_stage": "to",
        "accuracy_delta": "accuracy_delta_at_stage_change",
    },
    "SEED_FOSSILIZED": _SEED_LEAVES_STAGE,
    "SEED_CULLED": _SEED_LEAVES_STAGE | {"auto_pruned": "auto_culled"},
}

#: The same for the map of one slot inside `seeds` of EPOCH_COMPLETED, whose word means a health score.
SEEDS_FIELD_ALIASES: dict[str, str] = {"grad_ratio": "gradient_health"}

# The first match wins; otherwise `other`.
_KIND_BY_FIELD = (
    ("value_variance", "batch_stats"),
    ("summary_table", "summary_table"),
    ("scoreboard_tables", "summary_table"),
    ("final_accuracy", "heuristic_episode"),
    ("min_fossilize_improvement", "heuristic_config"),
    ("telemetry_level", "heuristic_warning"),
)


def canonical_type(emitted: str) -> str:
    """Return the canonical name of an emitted event type; an undeclared name is canonical."""
    return TYPE_ALIASES.get(emitted, emitted)


def inferred_kind(data: Mapping[str, object]) -> str:
    """Return the kind of an ANALYTICS_SNAPSHOT without a kind, by its fields."""
    for field, kind in _KIND_BY_FIELD:
        if field in data:
            return kind
    return "other"
