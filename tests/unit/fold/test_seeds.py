"""The life of a seed: SEED_* events."""

from typing import Any

import pytest

from sanctum_bus.worker.commit_arguments import WrittenSection, sections
from tests.support.fold_run import FIRST_SECOND, Run

SEED = "seed:0:r0c0"


def test_germinated() -> None:
    """A new seed has stage, start time, environment and slot."""
    run = Run()

    run.germinate(blueprint_id="norm", seed_id="s1", params=152)

    seed = run.section(SEED)
    assert (seed["stage"], seed["blueprint_id"], seed["params"]) == ("GERMINATED", "norm", 152)
    assert (seed["germinated_at"], seed["stage_entered_at"]) == (FIRST_SECOND, FIRST_SECOND)
    assert (seed["env_id"], seed["slot_id"], seed["seed_id"]) == (0, "r0c0", "s1")
    assert (seed["gates_passed"], seed["gates_failed"]) == (0, 0)
    assert seed.get("ended_at") is None


@pytest.mark.parametrize("last", ["CULLED", "FOSSILIZED", "STAGE_CHANGED"])
def test_a_new_seed_inherits_nothing(last: str) -> None:
    """No field of the slot's previous seed remains."""
    run, fresh = Run(), Run()

    run.germinate(blueprint_id="norm", seed_id="s1", alpha=0.5)
    run.seed("GATE_EVALUATED", gate="G1", passed=True)
    run.seed(last, to="CULLED", reason="stagnation", improvement=2.0, counterfactual=1.0, epochs_total=4)
    run.event(
        "SEED_GERMINATED", {"env_id": 0, "blueprint_id": "mlp"}, slot_id="r0c0", timestamp=5.0, event_id="x"
    )
    fresh.event(
        "SEED_GERMINATED", {"env_id": 0, "blueprint_id": "mlp"}, slot_id="r0c0", timestamp=5.0, event_id="x"
    )

    assert run.section(SEED) == fresh.section(SEED)


def test_a_null_identity_in_the_envelope() -> None:
    """`seed_id` comes from the data, or else from the envelope."""
    run = Run()

    run.event("SEED_GERMINATED", {"env_id": 0, "seed_id": "by data"}, slot_id="a")
    run.event("SEED_GERMINATED", {"env_id": 0}, slot_id="b", seed_id="by envelope")

    assert run.section("seed:0:a")["seed_id"] == "by data"
    assert run.section("seed:0:b")["seed_id"] == "by envelope"


def test_the_slot_may_be_in_the_data() -> None:
    """The slot comes from the envelope, or else from the data."""
    run = Run()

    run.event("SEED_GERMINATED", {"env_id": 0, "slot_id": "r0c0", "blueprint_id": "norm"})

    assert run.section(SEED)["blueprint_id"] == "norm"
    assert run.section(SEED)["slot_id"] == "r0c0"


@pytest.mark.parametrize(
    "stage", ["TRAINING", "BLENDING", "EMBARGOED", "RESETTING", "DORMANT", "PRUNED", "CULLED", "NEW_WORD"]
)
def test_stage_changed(stage: str) -> None:
    """The stage is `to`, whatever the word, entered at the event's time."""
    run = Run()

    run.germinate(blueprint_id="norm")
    run.stage(stage)

    seed = run.section(SEED)
    assert (seed["stage"], seed["to"], seed["stage_entered_at"]) == (stage, stage, FIRST_SECOND + 1)
    assert (seed["blueprint_id"], seed["germinated_at"]) == ("norm", FIRST_SECOND)


def test_a_stage_change_of_a_seed_nobody_germinated() -> None:
    """An event that contradicts the state is folded as far as possible."""
    run = Run()

    run.stage("BLENDING")

    seed = run.section(SEED)
    assert (seed["stage"], seed["env_id"], seed["slot_id"]) == ("BLENDING", 0, "r0c0")
    assert seed.get("germinated_at") is None
    assert run.section("env:0")["germinated"] == 0


@pytest.mark.parametrize("data", [{}, {"to": None}])
def test_a_stage_change_to_nowhere(data: dict[str, Any]) -> None:
    """A stage change without the new stage keeps the stage."""
    run = Run()

    run.stage("TRAINING")
    run.seed("STAGE_CHANGED", alpha=0.5, **data)

    assert run.parked() == []
    assert (run.section(SEED)["stage"], run.section(SEED)["alpha"]) == ("TRAINING", 0.5)


def test_a_null_stage_is_no_stage() -> None:
    """An epoch without a seed's stage keeps the stage."""
    run = Run()

    run.stage("TRAINING")
    run.epoch(0, 1, 50.0, seeds={"r0c0": {"stage": None, "alpha": 0.5}})

    assert (run.section(SEED)["stage"], run.section(SEED)["alpha"]) == ("TRAINING", 0.5)


@pytest.mark.parametrize(
    ("verdicts", "passed", "failed"),
    [([True], 1, 0), ([False], 0, 1), ([True, False, True, None], 2, 1), ([], 0, 0)],
)
def test_gates_are_counted(verdicts: list[bool | None], passed: int, failed: int) -> None:
    """`gates_passed` and `gates_failed` count the verdicts; a null verdict does not count."""
    run = Run()

    run.germinate()
    for verdict in verdicts:
        run.seed("GATE_EVALUATED", gate="G1", passed=verdict)

    assert (run.section(SEED)["gates_passed"], run.section(SEED)["gates_failed"]) == (passed, failed)


def test_a_gate_changes_no_stage() -> None:
    """The fields of a gate have a prefix, and change no other field of the seed."""
    run = Run()

    run.germinate(blueprint_id="norm")
    run.seed("GATE_EVALUATED", gate="G2", passed=True, target_stage="BLENDING", message="fine", stage="X")

    seed = run.section(SEED)
    assert (seed["stage"], seed["stage_entered_at"]) == ("GERMINATED", FIRST_SECOND)
    names = ("gate", "passed", "target_stage", "message", "stage")
    assert [seed[f"gate.{name}"] for name in names] == ["G2", True, "BLENDING", "fine", "X"]


def test_fossilized() -> None:
    """A fossilized seed has ended in stage FOSSILIZED, and its parameters count in the environment."""
    run = Run()

    run.germinate(blueprint_id="norm")
    run.seed("FOSSILIZED", params_added=100, improvement=4.9)
    run.seed("FOSSILIZED", slot_id="r0c1", params_added=20)

    seed = run.section(SEED)
    assert (seed["stage"], seed["ended_at"], seed["improvement"]) == ("FOSSILIZED", FIRST_SECOND + 1, 4.9)
    assert run.section("env:0")["fossilized_params"] == 120


@pytest.mark.parametrize("data", [{}, {"params_added": None}])
def test_fossilized_without_parameters(data: dict[str, Any]) -> None:
    """Unknown parameters add nothing."""
    run = Run()

    run.seed("FOSSILIZED", **data)

    assert run.section("env:0")["fossilized_params"] == 0
    assert run.section("env:0")["fossilized"] == 1


def test_a_culled_record_stays() -> None:
    """A culled seed keeps blueprint, reason, auto flag, improvement, age and counterfactual."""
    run = Run()
    end: dict[str, Any] = {
        "reason": "stagnation",
        "auto_culled": True,
        "improvement": -1.2,
        "epochs_total": 5,
        "counterfactual": 0.3,
    }

    run.germinate(blueprint_id="norm")
    run.stage("CULLED")
    run.seed("CULLED", **end)
    run.epoch(0, 2, 50.0, seeds={})

    seed = run.section(SEED)
    assert {name: seed[name] for name in end} == end
    assert (seed["blueprint_id"], seed["stage"], seed["ended_at"]) == ("norm", "CULLED", FIRST_SECOND + 2)


def test_an_end_without_a_blueprint_takes_none_away() -> None:
    """A null blueprint in SEED_PRUNED keeps the blueprint of the record."""
    run = Run()

    run.germinate(blueprint_id="norm")
    run.seed("PRUNED", blueprint_id=None)

    assert run.section(SEED)["blueprint_id"] == "norm"


@pytest.mark.parametrize(
    ("what", "change", "stage"),
    [
        ("CULLED", "CULLED", "CULLED"),
        ("PRUNED", "PRUNED", "PRUNED"),
        ("CULLED", "PRUNED", "PRUNED"),
        ("PRUNED", "CULLED", "CULLED"),
        ("CULLED", "TRAINING", "CULLED"),
        ("PRUNED", "TRAINING", "PRUNED"),
        ("CULLED", None, "CULLED"),
        ("PRUNED", None, "PRUNED"),
    ],
)
def test_the_stage_of_a_culled_seed(what: str, change: str | None, stage: str) -> None:
    """The stage is the word of the stage change before it (CULLED, PRUNED), or else of the event."""
    run = Run()

    run.germinate()
    if change:
        run.stage(change)
    run.seed(what)

    assert run.section(SEED)["stage"] == stage


def test_a_cull_does_not_enter_its_stage_again() -> None:
    """If the stage change came first, the stage started with it."""
    run = Run()

    run.stage("CULLED")
    run.seed("CULLED")

    assert run.section(SEED)["stage_entered_at"] == FIRST_SECOND


def test_tallies_of_the_environment() -> None:
    """`germinated`, `fossilized` and `culled` count the events of the episode."""
    run = Run()

    for slot in ("a", "b", "c"):
        run.germinate(slot_id=slot)
    run.seed("CULLED", slot_id="a")
    run.seed("PRUNED", slot_id="b")
    run.seed("FOSSILIZED", slot_id="c")
    run.germinate(1, slot_id="a")

    tallies = [
        [run.section(f"env:{env}")[name] for name in ("germinated", "fossilized", "culled")] for env in (0, 1)
    ]
    assert tallies == [[3, 1, 2], [1, 0, 0]]


def test_epochs_do_not_count_in_tallies() -> None:
    """The counts of seeds count events, not reports of epochs."""
    run = Run()

    run.epoch(
        0, 1, 50.0, seeds={"a": {"stage": "FOSSILIZED"}, "b": {"stage": "TRAINING"}, "c": {"stage": "CULLED"}}
    )
    run.stage("FOSSILIZED", slot_id="b")

    env = run.section("env:0")
    assert [env[name] for name in ("germinated", "fossilized", "culled")] == [0, 0, 0]


def test_seeds_of_other_slots_are_apart() -> None:
    """One slot's events change no other slot."""
    run = Run()

    run.germinate(slot_id="r0c1")
    before = dict(run.section("seed:0:r0c1"))
    run.germinate(1, "r0c1")
    run.germinate()
    run.seed("CULLED", reason="x")

    assert run.section("seed:0:r0c1") == before


def test_words_are_one_object() -> None:
    """A stage or blueprint of many seeds is one object, and a repeated value is not written again."""
    run, written = Run(), dict[str, WrittenSection]()
    seeds = {
        f"r0c{column}": {"stage": "TRAINING", "blueprint_id": "conv_light", "alpha": 0.5} for column in (0, 1)
    }
    run.epoch(0, 1, 50.0, seeds=seeds)
    sections(run.aggregate.drain_changes(), written)
    run.epoch(0, 2, 50.0, seeds=seeds)

    again = sections(run.aggregate.drain_changes(), written)

    one, other = run.section("seed:0:r0c0"), run.section("seed:0:r0c1")
    assert all(one[name] is other[name] for name in ("stage", "blueprint_id"))
    assert "alpha" in again
    assert "stage" not in again
    assert "blueprint_id" not in again
