"""The declared catalog is complete against its two sources and the recordings, and consistent in itself."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sanctum_bus.events import catalog
from sanctum_bus.events.names import FIELD_ALIASES, SEEDS_FIELD_ALIASES, canonical_type
from tests.support.paths import ROOT

SHARED = ROOT.parent / "shared"
PLAN = SHARED / "catalog_plan.json"
CURRENT = SHARED / "catalog_current.json"

needs_shared = pytest.mark.skipif(not PLAN.exists(), reason="no recordings beside the repository")

#: Fields that the real emitter sends and neither catalog declares: captured and counted, without unit and
#: meaning.
UNDECLARED = {
    "ANALYTICS_SNAPSHOT": "blend_masked epoch op seeds success_counts value_variance",
    "BATCH_EPOCH_COMPLETED": "inner_epoch plateau_detected skipped_update train_accuracy train_loss val_accuracy "
    "val_loss",
    "CHECKPOINT_SAVED": "avg_accuracy path",
    "COUNTERFACTUAL_COMPUTED": "available baseline_accuracy contribution device env_id real_accuracy slot_id",
    "IMPROVEMENT_DETECTED": "batch",
    "PLATEAU_DETECTED": "batch",
    "SEED_GATE_EVALUATED": "alpha device global_epoch grad_ratio gradient_health has_exploding has_vanishing "
    "inner_epoch",
    "VALUE_COLLAPSE_DETECTED": "episodes_completed",
}

#: The types of the plan, by shape, with the number of fields that the plan counts in each.
PLANNED = {
    ("TRAINING_STARTED", "ppo"): 27,
    ("EPOCH_COMPLETED", "per_env"): 7,
    ("EPOCH_COMPLETED", "aggregate"): 9,
    ("REWARD_COMPUTED", "step"): 21,
    ("PPO_UPDATE_COMPLETED", "update"): 27,
    ("BATCH_EPOCH_COMPLETED", "batch"): 9,
    ("SEED_GERMINATED", ""): 9,
    ("SEED_STAGE_CHANGED", ""): 12,
    ("SEED_FOSSILIZED", ""): 10,
    ("SEED_CULLED", ""): 11,
}

_NAME = r"[a-z][A-Za-z0-9_]*(\.[a-z0-9_]+)?"
_SECTION = r"run|policy|batch|epoch|env:<env_id>|seed:<env_id>:<slot_id>|event:[A-Z_]+(\.<kind>)?(:<env_id>|\[:<env_id>\])?"
_PLACE = re.compile(rf"({_SECTION}) ({_NAME}|<field>|aggregate\.<field>)")


def records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a catalog file."""
    return list(json.loads(path.read_text(encoding="utf-8")).values())


def canonical_field(event_type: str, field: str) -> str:
    """Return the canonical name of an emitted field."""
    return FIELD_ALIASES.get(event_type, {}).get(field, field)


def recorded_shapes() -> set[tuple[str, tuple[str, ...]]]:
    """Return every combination of type and top-level fields in the recordings."""
    shapes = set()
    for path in sorted(SHARED.glob("recordings/*/*.jsonl.gz")):
        if "snapshots" not in path.name:
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                events = map(json.loads, lines)
                shapes |= {(event["event_type"], tuple(event["data"])) for event in events}
    return shapes


@needs_shared
@pytest.mark.parametrize("path", [PLAN, CURRENT], ids=["plan", "current"])
def test_every_field_of_both_sources_is_declared(path: Path) -> None:
    """The catalog holds every field that a source describes, and names the source of each."""
    dialect = "plan" if path == PLAN else "current"
    missing = [
        (record["event_type"], field["name"])
        for record in records(path)
        if record["variant"] != "nested"
        for field in record["fields"]
        if (found := catalog.lookup(record["event_type"], field["name"])) is None
        or dialect not in found.dialects
    ]

    assert missing == []


@needs_shared
def test_every_nested_field_is_named_where_it_is_held() -> None:
    """The nested records of a source are attached to every field that holds one."""
    holders = {
        ("ANALYTICS_SNAPSHOT", "head_telemetry"): "HeadTelemetry",
        ("ANALYTICS_SNAPSHOT", "reward_components"): "RewardComponentsTelemetry",
        ("ANALYTICS_SNAPSHOT", "observation_stats"): "ObservationStatsTelemetry",
        ("EPOCH_COMPLETED", "observation_stats"): "ObservationStatsTelemetry",
        ("PHASE_PROFILE_COMPLETED", "phases"): "PhaseTiming",
    }
    nested = {record["payload"]: record for record in records(CURRENT) if record["variant"] == "nested"}

    assert set(nested) == set(holders.values())
    for key, payload in holders.items():
        assert list(catalog.declared()[key].nested) == [field["name"] for field in nested[payload]["fields"]]


def test_the_plans_fields_are_all_there() -> None:
    """The catalog holds the plan's 142 fields of ten types, by type, shape and field."""
    counted = dict.fromkeys(PLANNED, 0)
    for row in catalog.declared().values():
        for variant in row.variants:
            if variant.in_plan:
                counted[row.event_type, variant.name] += 1

    assert counted == PLANNED
    assert (sum(counted.values()), len(counted)) == (142, 10)


@needs_shared
def test_the_plans_marks_are_those_of_the_plans_catalogue() -> None:
    """A field is marked as the plan's exactly if the plan's catalog counts it."""
    counted = {
        (record["event_type"], record["variant"] or "", canonical_field(record["event_type"], field["name"]))
        for record in records(PLAN)
        for field in record["fields"]
        if field["in_doc_count"]
    }
    marked = {
        (row.event_type, variant.name, row.field)
        for row in catalog.declared().values()
        for variant in row.variants
        if variant.in_plan
    }

    assert marked == counted


def test_no_alias_is_canonical_in_its_type() -> None:
    """A renamed spelling is not also the name of a field; otherwise one of the two would be lost."""
    clashes = [
        (event_type, alias)
        for event_type, aliases in FIELD_ALIASES.items()
        for alias in aliases
        if (event_type, alias) in catalog.declared()
    ]

    assert clashes == []


def test_every_alias_is_visible_on_its_canonical_field() -> None:
    """Each field lists its other spellings; only undeclared fields have no row."""
    hidden = [
        (event_type, alias)
        for event_type, aliases in FIELD_ALIASES.items()
        for alias, canonical in aliases.items()
        if alias not in getattr(catalog.declared().get((event_type, canonical)), "aliases", ())
    ]

    assert hidden == [("SEED_GATE_EVALUATED", "seed_gradient_norm_ratio")]
    for alias, canonical in SEEDS_FIELD_ALIASES.items():
        nested = catalog.declared()["EPOCH_COMPLETED", "seeds"].nested
        assert alias not in nested
        assert nested[canonical].endswith(f"(emitted as {alias})")


def test_types_are_canonical() -> None:
    """The declared types have canonical names: today's 31, and one that only the plan has."""
    types = catalog.declared_types()

    assert [canonical_type(event_type) for event_type in types] == list(types)
    assert len(types) == len(set(types)) == 32


def test_every_row_is_complete() -> None:
    """Each declared field has a type, and in each shape a unit, a meaning, a time and a place."""
    incomplete = [
        key
        for key, row in catalog.declared().items()
        if not (row.types and row.dialects and row.variants)
        or not all(v.unit and v.meaning and v.when and v.kept for v in row.variants)
        or len({v.name for v in row.variants}) != len(row.variants)
    ]

    assert incomplete == []


def test_every_place_is_a_section_and_a_field() -> None:
    """The place of a field follows one grammar: section, space, field."""
    odd = [
        (key, place)
        for key, row in catalog.declared().items()
        for place in row.kept.split("; ")
        if not _PLACE.fullmatch(place)
    ]

    assert odd == []


@pytest.mark.parametrize(
    ("event_type", "field", "kept"),
    [
        ("TRAINING_STARTED", "n_envs", "run n_envs"),
        ("EPOCH_COMPLETED", "val_loss", "env:<env_id> val_loss; epoch val_loss"),
        ("EPOCH_COMPLETED", "n_envs", "epoch n_envs"),
        ("EPOCH_COMPLETED", "seeds", "seed:<env_id>:<slot_id> <field>; env:<env_id> aggregate.<field>"),
        ("REWARD_COMPUTED", "punishment", "env:<env_id> penalty.punishment"),
        ("REWARD_COMPUTED", "ab_group", "env:<env_id> reward.ab_group; env:<env_id> cohort"),
        ("REWARD_COMPUTED", "epoch", "env:<env_id> reward.epoch"),
        ("PPO_UPDATE_COMPLETED", "slot_entropy", "policy head_slot_entropy"),
        ("PPO_UPDATE_COMPLETED", "batch", "policy batch; policy rollback.batch"),
        ("BATCH_COMPLETED", "env_accuracies", "batch env_accuracies; env:<env_id> batch_accuracy"),
        ("SEED_GERMINATED", "slot_id", "seed:<env_id>:<slot_id> slot_id"),
        ("SEED_STAGE_CHANGED", "to_stage", "seed:<env_id>:<slot_id> to; seed:<env_id>:<slot_id> stage"),
        ("SEED_GATE_EVALUATED", "passed", "seed:<env_id>:<slot_id> gate.passed"),
        ("SEED_PRUNED", "auto_pruned", "seed:<env_id>:<slot_id> auto_culled"),
        ("TAMIYO_INITIATED", "stable_count", "event:TAMIYO_INITIATED:<env_id> stable_count"),
        ("ANALYTICS_SNAPSHOT", "fps", "event:ANALYTICS_SNAPSHOT.<kind>[:<env_id>] fps"),
        ("ALLOCATOR_STATS", "num_ooms", "event:ALLOCATOR_STATS num_ooms"),
    ],
)
def test_where_a_field_is_kept(event_type: str, field: str, kept: str) -> None:
    """Each emitted spelling leads to the row, and the row names every place in which the fold keeps the field."""
    row = catalog.lookup(event_type, field)

    assert row is not None
    assert row.kept == kept


def test_a_slot_is_declared_as_a_part_of_the_envelope() -> None:
    """The lifecycle events name their slot in the envelope; no other field is declared there."""
    in_envelope = {(row.event_type, row.field) for row in catalog.declared().values() if row.in_envelope}

    lifecycle = ("SEED_GERMINATED", "SEED_STAGE_CHANGED", "SEED_FOSSILIZED", "SEED_CULLED")
    assert in_envelope == {(event_type, "slot_id") for event_type in lifecycle}


def test_meanings_that_changed_are_both_kept() -> None:
    """If today's emitter means something else by a name, the row holds both meanings."""
    entropy = catalog.lookup("PPO_UPDATE_COMPLETED", "entropy")

    assert entropy is not None
    assert entropy.variants[0].today == "Entropy summed over eight heads"
    assert "four heads" in entropy.meaning
    assert (entropy.unit, entropy.in_plan) == ("0..4", True)


def test_the_unknown_is_nobodys() -> None:
    """An undeclared field has no row: the catalog adds meaning, not permission."""
    assert catalog.lookup("NEVER_HEARD_OF", "x") is None
    assert catalog.lookup("SEED_CULLED", "never_heard_of") is None


@needs_shared
def test_the_undeclared_fields_of_the_recordings_are_known() -> None:
    """The fields that the emitter sends and no source declares are a known list; the test fails for a new one."""
    undeclared: dict[str, set[str]] = {}
    for emitted_type, fields in recorded_shapes():
        event_type = canonical_type(emitted_type)
        for field in fields:
            if catalog.lookup(emitted_type, field) is None:
                undeclared.setdefault(event_type, set()).add(canonical_field(event_type, field))

    assert {key: " ".join(sorted(fields)) for key, fields in sorted(undeclared.items())} == UNDECLARED
    assert sum(map(len, undeclared.values())) == 33


@needs_shared
def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    """The script reproduces the data of the package from the two sources byte for byte, with the bare interpreter."""
    package = Path("worker", "sanctum_bus", "events")
    (tmp_path / "scripts").mkdir()
    (tmp_path / package).mkdir(parents=True)
    script = shutil.copy2(ROOT / "scripts" / "build-catalog", tmp_path / "scripts")
    for name in ("__init__.py", "names.py"):
        shutil.copy2(ROOT / package / name, tmp_path / package)

    # Isolated from the project and from installed packages.
    subprocess.run([sys.executable, "-I", "-S", script, PLAN, CURRENT], check=True)

    built = (tmp_path / package / "declared.json").read_bytes()
    assert built == (ROOT / package / "declared.json").read_bytes()
    assert os.access(ROOT / "scripts" / "build-catalog", os.X_OK)


def test_importing_reads_no_data() -> None:
    """Importing the names reads no data; the first lookup reads it once."""
    code = "from sanctum_bus.events import catalog; print(catalog.declared.cache_info().currsize)"
    env = os.environ | {"PYTHONPATH": str(ROOT / "worker")}

    done = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "0"
    assert catalog.declared() is catalog.declared()
