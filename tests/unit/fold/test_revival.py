"""Revival: a governor rollback can make an ended seed live again."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fold_run import Run

SEED = "seed:0:r0c0"
END: dict[str, Any] = {
    "reason": "stagnation",
    "auto_culled": True,
    "improvement": -1.2,
    "counterfactual": 0.3,
    "epochs_total": 5,
    "blending_delta": 0.1,
    "initiator": "auto",
}

Report = Callable[..., str]


def _by_epoch(run: Run, stage: str, **fields: Any) -> str:
    return run.epoch(0, 9, 50.0, seeds={"r0c0": {"stage": stage, **fields}})


def _by_change(run: Run, stage: str, **fields: Any) -> str:
    return run.stage(stage, **fields)


both_reports = pytest.mark.parametrize("report", [_by_epoch, _by_change], ids=["epoch", "stage change"])


def _ended(what: str = "CULLED", **germination: Any) -> Run:
    run = Run()
    run.germinate(blueprint_id="norm", params=7, **germination)
    run.stage("TRAINING")
    run.seed(what, **END)
    return run


@both_reports
@pytest.mark.parametrize(
    "stage",
    ["GERMINATED", "TRAINING", "BLENDING", "SHADOWING", "PROBATIONARY", "HOLDING", "NEW_WORD"],
)
def test_a_live_stage_makes_it_live_again(report: Report, stage: str) -> None:
    """A live stage (also an unknown one) of an ended slot removes the fields of the end."""
    run = _ended()

    report(run, stage)

    seed = run.section(SEED)
    assert seed["stage"] == stage
    assert seed.get("ended_at") is None
    assert [name for name in ("reason", "auto_culled", "improvement", "counterfactual") if name in seed] == []


@both_reports
def test_what_it_was_stays(report: Report) -> None:
    """A revived seed keeps blueprint, parameters and germination time."""
    run = _ended(seed_id="s1")

    report(run, "TRAINING")

    seed = run.section(SEED)
    assert (seed["blueprint_id"], seed["params"], seed["seed_id"]) == ("norm", 7, "s1")
    assert seed["germinated_at"] == 1_700_000_000.0


@both_reports
def test_tallies_stay(report: Report) -> None:
    """A revival does not change the counts of culled seeds."""
    run = _ended()

    report(run, "TRAINING")

    assert run.section("env:0")["culled"] == 1
    assert run.section("blueprint:norm")["culled"] == 1


@both_reports
@pytest.mark.parametrize("stage", ["CULLED", "PRUNED", "EMBARGOED", "RESETTING", "DORMANT", "FOSSILIZED"])
def test_another_stage_revives_nothing(report: Report, stage: str) -> None:
    """A stage that is not live keeps the fields of the end."""
    run = _ended()

    report(run, stage)

    seed = run.section(SEED)
    assert seed["stage"] == stage
    assert {name: seed[name] for name in END} == END
    assert seed["ended_at"] == 1_700_000_002.0


@both_reports
@pytest.mark.parametrize("what", ["PRUNED", "FOSSILIZED"])
def test_whatever_ended_it(report: Report, what: str) -> None:
    """A pruned or fossilized seed can be revived too."""
    run = _ended(what)

    report(run, "TRAINING")

    assert run.section(SEED)["stage"] == "TRAINING"
    assert "reason" not in run.section(SEED)
    assert run.section(SEED).get("ended_at") is None


def test_the_same_seed_by_its_id() -> None:
    """A report that names the same `seed_id` revives it."""
    run = _ended(seed_id="s1")

    run.event("SEED_STAGE_CHANGED", {"env_id": 0, "to": "TRAINING"}, slot_id="r0c0", seed_id="s1")

    assert run.section(SEED)["stage"] == "TRAINING"
    assert "reason" not in run.section(SEED)


def test_another_seed_is_no_revival() -> None:
    """A report with another `seed_id` starts a new record."""
    run = _ended(seed_id="s1")

    run.event("SEED_STAGE_CHANGED", {"env_id": 0, "to": "TRAINING"}, slot_id="r0c0", seed_id="s2")

    seed = run.section(SEED)
    assert (seed["seed_id"], seed["stage"]) == ("s2", "TRAINING")
    assert not {"reason", "blueprint_id", "params", "improvement"} & set(seed)


def test_a_live_seed_keeps_its_fields() -> None:
    """A live stage removes no field of a seed that has not ended."""
    run = Run()

    run.germinate(improvement=0.5, reason="planned", counterfactual=1.0)
    run.stage("TRAINING", improvement=0.6)

    seed = run.section(SEED)
    assert (seed["improvement"], seed["reason"], seed["counterfactual"]) == (0.6, "planned", 1.0)


def test_fields_of_the_reviving_event_count() -> None:
    """The fields of the reviving report are captured, also under the name of an end field."""
    run = _ended()

    run.stage("TRAINING", counterfactual=2.5)

    assert run.section(SEED)["counterfactual"] == 2.5
    assert "improvement" not in run.section(SEED)


def test_it_can_end_again() -> None:
    """A revived seed can be culled again, with another reason."""
    run = _ended()

    run.stage("TRAINING")
    run.seed("CULLED", reason="again")

    seed = run.section(SEED)
    assert (seed["stage"], seed["reason"], seed["ended_at"]) == ("CULLED", "again", 1_700_000_004.0)
    assert run.section("env:0")["culled"] == 2


def test_a_gate_revives_nothing() -> None:
    """A gate reports no stage."""
    run = _ended()

    run.seed("GATE_EVALUATED", gate="G1", passed=True)

    assert run.section(SEED)["stage"] == "CULLED"
    assert run.section(SEED)["reason"] == "stagnation"
