"""The 142 fields of the plan, generated from the catalog: each is in the snapshot after an event with it alone."""

from typing import Any, NamedTuple

import pytest

from sanctum_bus.events import catalog
from sanctum_bus.events.catalog import Declared, Variant
from sanctum_bus.fold.aggregate import Aggregate
from tests.support.fold_run import Run

Fields = dict[str, Any]

#: Declared type -> a value of it that nothing else in a section has.
_VALUES: dict[str, Any] = {
    "int": 37,
    "float": -37.0625,
    "bool": True,
    "str": "thirty-seven",
    "list[str]": ["thirty", "seven"],
    "list[float]": [37.5, -0.0, 1e21],
    "list[[str,float]]": [["thirty", 0.375], ["seven", 0.0]],
    "dict[str, float]": {"thirty": 30.5, "seven": -7.25},
    "object": {"thirty": {"seven": [37, None, "x"]}},
    "object{str:int}": {"thirty": 30, "seven": 7},
    "object{slot_id:str}": {"r3c7": "Blending 37ep"},
}

#: Event type and shape -> the section that captures it, the prefix there, and the fields that it needs.
_ROUTES: dict[tuple[str, str], tuple[str, str, Fields]] = {
    ("TRAINING_STARTED", "ppo"): ("run", "", {}),
    ("EPOCH_COMPLETED", "per_env"): ("env:37", "", {"env_id": 37}),
    ("EPOCH_COMPLETED", "aggregate"): ("epoch", "", {}),
    ("REWARD_COMPUTED", "step"): ("env:37", "reward.", {"env_id": 37}),
    ("PPO_UPDATE_COMPLETED", "update"): ("policy", "", {}),
    ("BATCH_EPOCH_COMPLETED", "batch"): ("batch", "", {}),
    **{
        (event_type, ""): ("seed:37:r3c7", "", {"env_id": 37, "slot_id": "r3c7"})
        for event_type in ("SEED_GERMINATED", "SEED_STAGE_CHANGED", "SEED_FOSSILIZED", "SEED_CULLED")
    },
}

#: Fields that name the section in which they are found, so that their value is the section's.
_ROUTING: Fields = {"env_id": 37, "slot_id": "r3c7"}

#: Fields of the plan that no emitter of its time sent, or only under another name.
_PHANTOMS = (
    ("REWARD_COMPUTED", "host_accuracy"),
    ("REWARD_COMPUTED", "action_slot"),
    ("SEED_GERMINATED", "grad_ratio"),
    ("SEED_GERMINATED", "has_vanishing"),
    ("SEED_GERMINATED", "has_exploding"),
    ("SEED_GERMINATED", "epochs_in_stage"),
    ("SEED_STAGE_CHANGED", "grad_ratio"),
    ("PPO_UPDATE_COMPLETED", "head_slot_entropy"),
    ("PPO_UPDATE_COMPLETED", "head_blueprint_entropy"),
)

_DECISION = (
    "action_name",
    "action_slot",
    "action_confidence",
    "value_estimate",
    "slot_states",
    "alternatives",
    "host_accuracy",
    "total_reward",
)


class Case(NamedTuple):
    """One field in one shape, under one spelling, with one value."""

    row: Declared
    variant: Variant
    spelling: str
    value: Any

    def __str__(self) -> str:
        """The test's id."""
        shape = f"[{self.variant.name}]" if self.variant.name else ""
        return f"{self.row.event_type}{shape}.{self.spelling}={type(self.value).__name__}"


def planned() -> list[tuple[Declared, Variant]]:
    """Return the plan's fields, as the catalog marks them."""
    return [
        (row, variant) for row in catalog.declared().values() for variant in row.variants if variant.in_plan
    ]


def cases() -> list[Case]:
    """Return each field under each spelling with a value of each declared type, and null if declared."""
    return [
        Case(row, variant, spelling, value)
        for row, variant in planned()
        if row.field != "seeds"
        for spelling in (row.field, *row.aliases)
        for value in values_of(row)
    ]


def values_of(row: Declared) -> list[Any]:
    """Return distinctive values of a field, one of each declared type."""
    if row.field in _ROUTING:
        return [_ROUTING[row.field]]
    return [_VALUES[name] for name in row.types] + [None] * row.nullable


def fed(case: Case) -> Aggregate:
    """Apply an event with the field alone, and the fields that select its section."""
    _, _, routing = _ROUTES[case.row.event_type, case.variant.name]
    run = Run()
    run.event(case.row.event_type, routing | {case.spelling: case.value})
    return run.aggregate


def test_the_plan_counts_142_fields() -> None:
    """Each of the plan's 142 fields in ten types is a test case."""
    assert len(planned()) == 142
    assert {(row.event_type, variant.name) for row, variant in planned()} == set(_ROUTES)
    assert {(case.row.event_type, case.variant.name, case.row.field) for case in cases()} | {
        ("EPOCH_COMPLETED", "per_env", "seeds")
    } == {(row.event_type, variant.name, row.field) for row, variant in planned()}


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_field_is_found_under_its_name(case: Case) -> None:
    """A field sent alone is in the snapshot under its canonical name with its exact value, and nothing is parked."""
    section, prefix, _ = _ROUTES[case.row.event_type, case.variant.name]

    aggregate = fed(case)

    assert aggregate.drain_changes().parked == []
    found = aggregate.state.sections[section]
    assert repr(found[prefix + case.row.field]) == repr(case.value)


@pytest.mark.parametrize(("row", "variant"), planned(), ids=lambda part: getattr(part, "field", ""))
def test_the_catalog_says_where(row: Declared, variant: Variant) -> None:
    """A planned field is in the first place that the catalog names."""
    section, prefix, _ = _ROUTES[row.event_type, variant.name]
    general = section.replace("env:37", "env:<env_id>").replace("seed:37:r3c7", "seed:<env_id>:<slot_id>")
    in_slots = row.field == "seeds"
    place = "seed:<env_id>:<slot_id> <field>" if in_slots else f"{general} {prefix}{row.field}"

    assert variant.kept.split("; ")[0] == place


@pytest.mark.parametrize(("event_type", "field"), _PHANTOMS, ids=".".join)
def test_a_phantom_is_kept_when_somebody_sends_it(event_type: str, field: str) -> None:
    """A planned field that no emitter sent under its name is captured like any other field."""
    (shape,) = (shape for kind, shape in _ROUTES if kind == event_type)
    row = catalog.declared()[event_type, field]
    (variant,) = (one for one in row.variants if one.in_plan)
    section, prefix, _ = _ROUTES[event_type, shape]
    case = Case(row, variant, field, values_of(row)[0])

    found = fed(case).state.sections[section]

    assert repr(found[prefix + field]) == repr(case.value)


@pytest.mark.parametrize(
    "event_type", ["SEED_GERMINATED", "SEED_STAGE_CHANGED", "SEED_FOSSILIZED", "SEED_CULLED"]
)
def test_a_slot_of_the_envelope_names_the_seed(event_type: str) -> None:
    """The plan's lifecycle events have the slot only in the envelope: it is the seed's `slot_id`."""
    run = Run()
    run.event(event_type, {"env_id": 37}, slot_id="r3c7")

    assert run.sections["seed:37:r3c7"]["slot_id"] == "r3c7"
    assert run.sections["seed:37:r3c7"]["env_id"] == 37


def test_the_fields_of_seeds_are_found_in_their_slots() -> None:
    """Each declared field of a slot inside `seeds` is in the slot's section, and the map is not in the environment."""
    nested = catalog.declared()["EPOCH_COMPLETED", "seeds"].nested
    report = {name: f"value of {name}" for name in nested}
    run = Run()
    run.event("EPOCH_COMPLETED", {"env_id": 37, "seeds": {"r3c7": report}})

    found = run.sections["seed:37:r3c7"]
    assert {"stage", "blueprint_id", "accuracy_delta", "alpha", "gradient_health"} <= set(nested)
    assert {name: found[name] for name in nested} == report
    assert "seeds" not in run.sections["env:37"]


def test_a_null_for_seeds_is_no_seed() -> None:
    """A null `seeds` reports nothing, and nothing is parked."""
    run = Run()
    run.event("EPOCH_COMPLETED", {"env_id": 37, "val_accuracy": 3.7, "seeds": None})

    assert run.aggregate.drain_changes().parked == []
    assert [name for name in run.sections if name.startswith("seed:")] == []
    assert run.sections["env:37"]["val_accuracy"] == 3.7


@pytest.mark.parametrize("field", _DECISION)
def test_a_decision_field_is_found_twice(field: str) -> None:
    """With a confidence, the fields of the decision are in `decision.` and in `reward.`."""
    row = catalog.declared()["REWARD_COMPUTED", field]
    value = values_of(row)[0]
    run = Run()
    run.event("REWARD_COMPUTED", {"env_id": 37, "action_confidence": 0.25} | {field: value})

    found = run.sections["env:37"]
    assert repr(found[f"decision.{field}"]) == repr(found[f"reward.{field}"]) == repr(value)


def test_a_cohort_is_kept_beside_the_reward() -> None:
    """The A/B group of a step is the cohort of the environment."""
    run = Run()
    run.event("REWARD_COMPUTED", {"env_id": 37, "ab_group": "thirty-seven"})

    assert run.sections["env:37"]["cohort"] == "thirty-seven"


def test_accuracies_of_a_batch_reach_the_known_environments() -> None:
    """`env_accuracies[i]` is also `batch_accuracy` of environment i, of known environments only."""
    run = Run()
    run.event("TRAINING_STARTED", {"n_envs": 2})
    run.event("BATCH_EPOCH_COMPLETED", {"env_accuracies": [30.0, 7.0, 37.0]})

    assert [run.sections[f"env:{env_id}"]["batch_accuracy"] for env_id in (0, 1)] == [30.0, 7.0]
    assert "env:2" not in run.sections
