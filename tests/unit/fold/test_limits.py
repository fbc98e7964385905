"""Limits: they are checked before anything is written, and caches are bounded."""

import itertools
from typing import Any

import pytest

from sanctum_bus.events import shape as shape_module
from sanctum_bus.events.shape import shape_of
from sanctum_bus.fold import aggregate as aggregate_module
from sanctum_bus.fold import state as state_module
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.handlers import reward, slot
from sanctum_bus.fold.offline import fold_entries
from tests.support.fold_run import Run, entry

TOO_MANY = {f"f{number}": 1 for number in range(1025)}


@pytest.mark.parametrize(
    ("data", "envelope"),
    [
        ({"env_id": 0, "seeds": {"r0c0": TOO_MANY}}, {}),
        ({"env_id": 0}, {"labels": TOO_MANY}),
        ({"env_id": 0}, TOO_MANY),
        ({"env_id": 0} | TOO_MANY, {}),
    ],
)
def test_fields_are_limited_wherever_they_stand(data: dict[str, Any], envelope: dict[str, Any]) -> None:
    """1,024 fields are the limit of `data`, of what an epoch reports of one slot, of labels and of the envelope."""
    run = Run()

    run.event("EPOCH_COMPLETED", data, **envelope)

    (parked,) = run.parked()
    assert "over the limit of 1,024" in parked.reason
    assert run.sections == {}


def test_many_devices_are_told_apart() -> None:
    """Distinct devices stay in order, of any type, and many of them take no longer than few."""
    many = [f"cuda:{number}" for number in range(30_000)]
    run = Run()
    run.start({"policy_device": "cuda:1", "env_devices": [*many, *many, None, ["a"], ["a"], {"b": 1}]})

    assert run.section("run")["devices"] == [
        "cuda:1",
        *(device for device in many if device != "cuda:1"),
        None,
        ["a"],
        {"b": 1},
    ]


@pytest.mark.parametrize(
    "report", [{"blueprint_id": "x" * 129}, {"blueprint_id": 7}, {"seed_id": [1]}, {"seed_id": 7}]
)
def test_what_an_epoch_says_of_a_slot_is_fit_for_the_slot(report: dict[str, Any]) -> None:
    """A value that would fail later events of the slot parks its own event."""
    run = Run()
    run.germinate(blueprint_id="norm")

    run.epoch(0, 1, 50.0, seeds={"r0c0": report})
    run.seed("CULLED", reason="old")

    assert len(run.parked()) == 1
    assert run.section("seed:0:r0c0")["stage"] == "CULLED"
    assert run.section("blueprint:norm")["culled"] == 1


@pytest.fixture(name="small")
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit runs to eight sections."""
    monkeypatch.setattr(state_module, "MAX_SECTIONS", 8)


@pytest.mark.parametrize(
    ("event_type", "data", "envelope"),
    [
        ("SEED_GERMINATED", {"env_id": 1, "blueprint_id": "norm"}, {"slot_id": "a"}),
        ("SEED_STAGE_CHANGED", {"env_id": 1, "to": "TRAINING"}, {"slot_id": "a"}),
        ("SEED_GATE_EVALUATED", {"env_id": 1, "passed": True}, {"slot_id": "a"}),
        ("SEED_FOSSILIZED", {"env_id": 1}, {"slot_id": "a"}),
        ("SEED_CULLED", {"env_id": 1}, {"slot_id": "a"}),
        ("EPOCH_COMPLETED", {"env_id": 1, "seeds": {"a": {}}}, {}),
        ("EPOCH_COMPLETED", {"env_id": 0, "seeds": {"a": {}, "b": {}}}, {}),
        ("BATCH_EPOCH_COMPLETED", {"episodes_completed": 1, "env_accuracies": [1.0]}, {}),
        ("TRAINING_STARTED", {"n_envs": 3}, {}),
    ],
)
@pytest.mark.usefixtures("small")
def test_one_section_too_many_is_found_before_anything_is_written(
    event_type: str, data: dict[str, Any], envelope: dict[str, Any]
) -> None:
    """An event that needs more sections than the limit allows parks before it writes anything."""
    run = Run()
    run.start({"n_envs": 1})
    run.epoch(0, 1, 50.0)
    for number in range(5):
        run.event("OTHER", {"kind": str(number)})
    assert len(run.sections) == 7
    before = {name: dict(fields) for name, fields in run.sections.items()}
    before["run"]["last_event_at"] = run.section("run")["last_event_at"]

    run.event(event_type, data, **envelope)

    assert "would exceed the limit of 8 sections" in run.parked()[0].reason
    assert run.sections == before
    assert run.coverage()[f"{event_type}.{next(iter(data))}!"] == 1


@pytest.mark.usefixtures("small")
def test_a_full_run_goes_on() -> None:
    """An event that needs no new section is folded at the limit."""
    run = Run()
    run.start({"n_envs": 1})
    run.germinate(blueprint_id="norm")
    run.epoch(0, 1, 50.0, seeds={"r0c0": {"alpha": 0.5}})
    for number in range(4):
        run.event("OTHER", {"kind": str(number)})
    assert len(run.sections) == 8

    run.epoch(0, 2, 60.0, seeds={"r0c0": {"alpha": 0.7}, "__aggregate__": {"x": 1}})
    run.seed("FOSSILIZED", blueprint_id="norm")

    assert run.parked() == []
    assert (run.section("seed:0:r0c0")["alpha"], run.section("blueprint:norm")["fossilized"]) == (0.7, 1)


def test_what_spoiled_a_fold_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage counts the fields of an event whose fold failed as not kept."""

    def failing(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(aggregate_module, "fold", failing)
    aggregate = fold_entries([("1-0", entry("SEED_GERMINATED", {"env_id": 0}, slot_id="a"))])

    assert aggregate.drain_changes().coverage["SEED_GERMINATED.env_id!"] == 1


def test_reasons_are_free_text() -> None:
    """100 reasons have their counts, all others one together, because a commit writes the map as a whole."""
    run = Run()
    for number in range(150):
        run.germinate(blueprint_id="norm")
        run.seed("CULLED", reason=f"improvement {number} is too small")
    run.germinate(blueprint_id="norm")
    run.seed("CULLED", reason="improvement 7 is too small")

    reasons = run.section("blueprint:norm")["cull_reasons"]
    assert len(reasons) == 101
    assert reasons["(other)"] == 50
    assert reasons["improvement 7 is too small"] == 2


def test_memories_of_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of invented names and slots leaves the caches small."""
    monkeypatch.setattr(shape_module, "_MAX_NAMES", 100)
    run = Run()
    for number in range(300):
        slots = {f"__{number % 70}__": {"alpha": 1.0}}
        run.epoch(0, number, 50.0, seeds=slots)
        run.event("OTHER", {f"made_up_{number}": number})

    assert run.parked() == []
    assert len(shape_of(b"", ("alpha",)).memo) <= 16
    assert sum(1 + len(names) for _, names in shape_module._known.shapes) <= 100 + 2
    assert [run.section("env:0")[f"aggregate.{number}.alpha"] for number in range(70)] == [1.0] * 70


def test_long_texts_are_in_no_memory_of_words() -> None:
    """Short repeated texts are one object each; long texts are not cached."""
    run = Run()
    words, families = slot._shared.cache_info().currsize, reward._family.cache_info().currsize
    for number in range(10):
        run.event(
            "SEED_STAGE_CHANGED", {"env_id": 0, "to": "TRAINING", "from": f"{number}" * 200}, slot_id="a"
        )
        run.reward(0, 1.0, action=f"{number}" * 200)

    assert slot._shared.cache_info().currsize <= words + 4
    assert reward._family.cache_info().currsize == families


@pytest.mark.parametrize(
    ("first", "second"), [*itertools.permutations(["x", "0", "1" * 19, "2"], 2)], ids=" then ".join
)
def test_a_number_that_is_none_changes_nothing_on_either_way(first: str, second: str) -> None:
    """The order of producers is the same whether entries are applied one by one or together."""
    seqs = [("p", "1"), ("q", "1"), ("p", first), ("p", second), ("q", "2")]
    stream = [
        (f"{place}-0".encode(), entry("OTHER", {}, producer=producer, seq=seq, timestamp=1.0))
        for place, (producer, seq) in enumerate(seqs, 1)
    ]
    together, one_by_one = Aggregate(), Aggregate()
    names = (b"type", b"producer", b"seq", b"event")
    together.apply_batch(
        [(raw_id, [part for name in names for part in (name, fields[name])]) for raw_id, fields in stream]
    )
    for raw_id, fields in stream:
        one_by_one.apply(raw_id.decode(), fields)

    assert [*together.counters.producers.items()] == [*one_by_one.counters.producers.items()]
