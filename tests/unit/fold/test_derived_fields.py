"""The table of derived fields: the rows, and what follows from them."""

import subprocess
import sys

import pytest

from sanctum_bus.events.names import FIELD_ALIASES, SEEDS_FIELD_ALIASES
from sanctum_bus.fold import derived_fields
from sanctum_bus.fold.derived_fields import ABSENT, ANY_SECTION, TABLE, lookup, new_record
from tests.support.fold_run import Fields, Run
from tests.support.recordings import Recording, recordings


def test_no_field_has_two_rows() -> None:
    """A section kind and a name identify one row."""
    assert len({(row.section, row.name) for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.section} {row.name}")
def test_every_row_has_a_unit_and_a_meaning(row: derived_fields.DerivedField) -> None:
    """A row explains the field in one line; a prefix has no default."""
    assert row.unit
    assert row.meaning
    assert "\n" not in row.meaning
    assert row.default is ABSENT or not row.is_prefix


@pytest.mark.parametrize(
    ("section", "field", "name"),
    [
        ("env", "best_accuracy", "best_accuracy"),
        ("env", "reward.total_reward", "reward."),
        ("env", "reward.a.b", "reward."),
        ("env", "event.id", "event.id"),
        ("env", "event.host", "event."),
        ("epoch", "emitted.status", "emitted."),
        ("run", "labels.team", "labels."),
        ("best", "10", "10"),
    ],
)
def test_lookup_finds_a_field(section: str, field: str, name: str) -> None:
    """A field has the row of its name, or else of its prefix; every section has the fields of the envelope."""
    row = lookup(section, field)

    assert row is not None
    assert (row.section, row.name) in {(section, name), (ANY_SECTION, name)}


@pytest.mark.parametrize(
    ("section", "field"), [("env", "train_loss"), ("epoch", "status"), ("policy", "reward.x"), ("x", "")]
)
def test_lookup_returns_none_for_a_captured_field(section: str, field: str) -> None:
    """The fold does not derive a field that has no row in its section."""
    assert lookup(section, field) is None


def test_records_do_not_share_defaults() -> None:
    """A caller can change the lists and maps of a new record."""
    new_record("env")["reward_history"].append(1.0)
    new_record("env")["action_counts"]["WAIT"] = 1

    assert new_record("env")["reward_history"] == []
    assert new_record("env")["action_counts"] == {}


def _every_kind() -> Run:
    run = Run()
    run.start({"n_envs": 1, "rank": 1, "max_epochs": 5}, labels={"team": "a"})
    run.germinate(blueprint_id="norm", seed_id="s")
    run.stage("TRAINING", blueprint_id="norm")
    run.seed("GATE_EVALUATED", gate="G1", passed=True)
    run.epoch(0, 1, 50.0, seeds={"r0c0": {"stage": "TRAINING"}, "__aggregate__": {"grad": 1.0}})
    run.reward(0, 1.0, action_confidence=0.5, ab_group="shaped")
    run.reward(0, -1.0, "PUNISHMENT")
    run.seed("CULLED", improvement=1.0, epochs_total=3, reason="x")
    run.event("PPO_UPDATE_COMPLETED", {"skipped": True})
    run.event("PPO_UPDATE_COMPLETED", {"entropy": 1.0})
    run.event("EPOCH_COMPLETED", {"env_id": 0}, message="m", epoch=1)
    run.batch(1, [50.0], avg_accuracy=50.0)
    run.event("OTHER", {"count": 1, "a": 1}, host="h")
    run.event(
        "EPOCH_COMPLETED", {"val_accuracy": 1.0}, group_id="A", seed_id="s", slot_id="r", severity="info"
    )
    return run


def test_every_row_occurs() -> None:
    """The fold derives each field of the table."""
    found = set()
    for name, fields in _every_kind().sections.items():
        kind = name.rpartition("/")[2].partition(":")[0]
        found |= {(row.section, row.name) for field in fields if (row := lookup(kind, field))}

    missing = {(row.section, row.name) for row in TABLE} - found
    assert missing == {("best", str(rank)) for rank in range(2, 11)}


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.id)
def test_what_no_event_sent_has_a_row(recording: Recording) -> None:
    """A field of a recording's state is either captured from an event or in the table."""
    run, sent = Run(), set[str]()
    for _, entry in recording.entries():
        run.raw(entry)
    for line in recording.lines():
        sent |= _names(line)

    for name, fields in run.sections.items():
        kind = name.rpartition("/")[2].partition(":")[0]
        unknown = [field for field in fields if not lookup(kind, field) and field not in sent]
        assert set(unknown) <= _canonical_names()


def _names(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for inner in value.values() for name in _names(inner)}
    return set()


def _canonical_names() -> set[str]:
    return {name for aliases in (*FIELD_ALIASES.values(), SEEDS_FIELD_ALIASES) for name in aliases.values()}


def _env(run: Run) -> Fields:
    return {name: value for name, value in run.section("env:0").items() if lookup("env", name)}


def test_the_next_episode_restores_the_defaults() -> None:
    """A field that resets with the episode has its default at the start of the next one, or is absent."""
    run = _every_kind()
    run.seed("STAGE_CHANGED")

    for name, value in _env(run).items():
        row = lookup("env", name)
        assert row is not None
        if row.reset == "episode" and name != "episode":
            assert row.default == value


def test_the_table_needs_no_decoder() -> None:
    """Views import the table without msgspec."""
    code = "import sys, sanctum_bus.fold.derived_fields; print('msgspec' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "False"
