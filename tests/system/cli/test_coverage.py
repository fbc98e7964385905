"""`coverage`: what was emitted, what of it was captured, and where it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from sanctum_bus.cli.coverage import RawCount, compared
from sanctum_bus.events.recordings import Record
from sanctum_bus.protocol.coverage import FieldCoverage, TypeCoverage
from tests.support.commands import SMALL, Run, lines_of, sanctum
from tests.support.recordings import Recording

EVENTS: list[dict[str, Any]] = [
    {
        "event_type": "SEED_PRUNED",
        "slot_id": "r0c0",
        "data": {"env_id": 0, "auto_pruned": True, "new_thing": 1},
    },
    {"event_type": "NOVELTY", "data": {"shine": 1.0}},
]


def by_type(said: Any) -> dict[str, Any]:
    """The types of a report by name."""
    return {one["type"]: one for one in said["types"]}


def fields_of(one: Any) -> dict[str, Any]:
    """The fields of a type by name."""
    return {field["name"]: field for field in one["fields"]}


def test_the_table(run: Run) -> None:
    """One row a type, and a total: fields emitted, captured, missing, and events."""
    run.publish(*EVENTS)

    rows = [line.split() for line in run.good("coverage", run.id).out.splitlines()]

    assert ["NOVELTY", "1", "1", "0", "1"] in rows
    assert ["SEED_CULLED", "3", "3", "0", "1"] in rows
    assert rows[-1] == ["total", "4", "4", "0", "2"]


def test_every_field(run: Run) -> None:
    """`--fields` names each field with its emitted spelling and its place, and marks undeclared fields."""
    run.publish(*EVENTS)

    out = run.good("coverage", run.id, "--fields").out
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}

    assert "SEED_PRUNED.auto_pruned x1" in rows["auto_culled"]
    assert "seed:<env_id>:<slot_id> auto_culled" in rows["auto_culled"]
    assert "seed:<env_id>:<slot_id> new_thing" in rows["new_thing*"]
    assert "event:NOVELTY shine" in rows["shine*"]
    assert "* captured, undeclared" in out


def test_json(run: Run) -> None:
    """`--json` has all of it in one object."""
    run.publish(*EVENTS)

    said = run.good("coverage", run.id, "--json").json
    auto = fields_of(by_type(said)["SEED_CULLED"])["auto_culled"]

    assert said["total"] == {"events": 2, "emitted": 4, "captured": 4, "gap": 0}
    assert auto["spellings"] == [{"type": "SEED_PRUNED", "field": "auto_pruned", "seen": 1}]
    assert (auto["declared"], auto["seen"], auto["unit"]) == (True, 1, "flag")
    assert fields_of(by_type(said)["NOVELTY"])["shine"]["declared"] is False


@pytest.mark.parametrize("recording", SMALL, ids=lambda one: one.id)
def test_no_recording_has_a_gap(recording: Recording) -> None:
    """Every field that stands in the raw lines of a recording is captured."""
    said = sanctum("coverage", "--file", recording.path, "--json").json

    assert said["total"]["gap"] == 0
    assert said["total"]["events"] == len(recording.lines())


def test_a_file_and_a_run_agree(run: Run, tmp_path: Path) -> None:
    """The report on a file is the report on the run that was published from it."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines_of(EVENTS))
    run.publish(*EVENTS)

    assert (
        sanctum("coverage", "--file", path, "--json").json["types"]
        == run.good("coverage", run.id, "--json").json["types"]
    )


def test_what_was_parked_is_a_gap(run: Run, tmp_path: Path) -> None:
    """Fields of an event that could not be folded are a gap, in a run and in a file."""
    events = [{"event_type": "REWARD_COMPUTED", "data": {"total_reward": 1.0}}]
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines_of(events))
    run.publish(*events)

    for ran in (run.good("coverage", run.id, "--json"), sanctum("coverage", "--file", path, "--json")):
        assert ran.json["total"]["gap"] == 1


def counted(*events: dict[str, Any]) -> RawCount:
    """The raw count of events."""
    raw = RawCount()
    list(raw.watch(Record(number, event) for number, event in enumerate(events, 1)))
    return raw


def test_a_field_that_the_capture_never_saw() -> None:
    """Anything in the raw lines that the report lacks is a gap: of the field, or of the type."""
    reported = [TypeCoverage("T", 1, {"a": FieldCoverage("a", 1)})]
    event = {"event_type": "T", "data": {"a": 1, "b": 2}}

    types = compared(reported, counted(event, event, {"event_type": "U", "data": {"c": 1}}))

    assert [(one.type, one.events, one.emitted, one.gap) for one in types] == [("T", 2, 2, 2), ("U", 1, 1, 1)]


def test_an_alias_is_no_gap() -> None:
    """A field that was captured under its canonical name is not missing under the emitted one."""
    field = FieldCoverage("auto_culled", 1, 0, {("SEED_PRUNED", "auto_pruned"): 1})
    reported = [TypeCoverage("SEED_CULLED", 1, {"auto_culled": field})]

    types = compared(reported, counted({"event_type": "SEED_PRUNED", "data": {"auto_pruned": True}}))

    assert [one.gap for one in types] == [0]


def test_a_start_that_was_sent_again_counts_once() -> None:
    """A TRAINING_STARTED that occurs twice is folded once, and is not a gap."""
    start = {"event_type": "TRAINING_STARTED", "event_id": "x", "data": {"n_envs": 1}}

    assert counted(start, start).events == {"TRAINING_STARTED": 1}
    assert json.dumps(start)
