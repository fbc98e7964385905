"""The record of a slot: the seed that is in it, its stages and its end, whichever event says so."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from sanctum_bus.errors import InvalidEntry
from sanctum_bus.events.decode import Event
from sanctum_bus.events.shape import Shape, shape_of
from sanctum_bus.events.stages import NOT_LIVE
from sanctum_bus.fold import require
from sanctum_bus.fold.capture import FieldMap, capture, put_envelope, slot_field_map, stored_names
from sanctum_bus.fold.derived_fields import new_record, reserved
from sanctum_bus.fold.groups import Scope
from sanctum_bus.protocol.entry import MAX_FIELDS, Fields, Value
from sanctum_bus.protocol.keys import MAX_NAME_BYTES
from sanctum_bus.protocol.section_names import name_part, seed_section

#: What the end of a seed leaves in its record, and a revival takes away.
_END_FIELDS = (
    "ended_at",
    "reason",
    "auto_culled",
    "initiator",
    "improvement",
    "blending_delta",
    "counterfactual",
    "params_added",
)

#: What folds look at, besides what is derived: kept as it is when the rest of what was captured is put in.
_KEPT_AT_ONCE = ("stage", "seed_id", "slot_id", "blueprint_id")

#: The same, as far as an event may say it.
_SAID = ("seed_id", "slot_id", "blueprint_id")

#: Fields of a report that are text, or not there.
_TEXTS = ("stage", "seed_id", "blueprint_id")

#: Fields of which many seeds have the same few values.
_WORDS = ("stage", "slot_id", "blueprint_id", "from", "to", "event.slot_id", "event.severity")

_REPORT = slot_field_map(reserved("seed") - {"stage"})

#: What an event says of a seed: the fields, their shape, where they go, and fields that it sets besides.
Captured: TypeAlias = tuple[Event, Fields, Shape, FieldMap, Fields]

#: What an epoch reports of a slot: the slot, its section, or "" where it is none but all together, the fields and their
#: shape.
Report: TypeAlias = tuple[str, str, Fields, Shape]


@dataclass(slots=True)
class Slot:
    """One slot of one environment, as one event speaks of it.

    Args:
        slot: the slot's id.
        seed_id: the seed that the event names, or None.
        at: the event's time.
        name: of its section.
    """

    scope: Scope
    env_id: int
    slot: str
    seed_id: Value
    at: float
    name: str

    def plant(self) -> Fields:
        """Begin a new record."""
        return self.scope.state.replace(
            self.name,
            {
                "env_id": self.env_id,
                "slot_id": self.slot,
                "seed_id": self.seed_id,
                "stage": None,
                "stage_entered_at": self.at,
            }
            | new_record("seed"),
        )

    def occupant(self) -> Fields:
        """Return the record for writing what is read at once.

        A slot that nobody germinated appears, and so does another seed in it.
        """
        state = self.scope.state
        seed = state.peek(self.name)
        if seed is None:
            return self.plant()
        known = seed["seed_id"]
        if known != self.seed_id and known is not None and self.seed_id is not None:
            return self.plant()
        return state.open(self.name)

    def enter(self, seed: Fields, stage: str) -> None:
        """Set the stage. A live one makes an ended slot live again: a rollback can bring a culled seed back."""
        if "ended_at" in seed and stage not in NOT_LIVE:
            self.scope.state.edit(self.name)
            for field in _END_FIELDS:
                seed.pop(field, None)
        if seed["stage"] != stage:
            seed["stage"] = stage
            seed["stage_entered_at"] = self.at

    def capture(self, seed: Fields, captured: Captured) -> None:
        """Take in what an event says; the section stays the slot's own whatever that is."""
        _, data, shape, _, _ = captured
        said = shape.memo.get(_SAID)
        for field in _said(shape) if said is None else said:
            seed[field] = data[field]
        if seed["slot_id"] != self.slot:
            seed["emitted.slot_id"], seed["slot_id"] = seed["slot_id"], self.slot
        if seed["seed_id"] is None:
            seed["seed_id"] = self.seed_id
        self.scope.state.leave(self.name, _put_captured, shape, captured)


def _said(shape: Shape) -> tuple[str, ...]:
    return shape.remember(_SAID, tuple(field for field in _SAID if field in shape.names))


def _put_captured(seed: Fields, given: list[Captured], _: list[None]) -> None:
    kept = {name: seed[name] for name in _KEPT_AT_ONCE if name in seed}
    for _event, data, shape, way, begun in given:
        capture(seed, data, shape, way)
        seed.update(begun)
    seed.update(kept)
    put_envelope(seed, given[-1][0])
    # The same few words in hundreds of seeds, said again in every epoch: as one object each they take little memory, and
    # are not written again.
    for name in _WORDS:
        text = seed.get(name)
        if type(text) is str and len(text) <= MAX_NAME_BYTES:
            seed[name] = _word(text)


@lru_cache(maxsize=4096)
def _word(text: str) -> str:
    return text


def check_report(env_id: int, slot: str, report: Fields) -> Report:
    """Find all that may be wrong with what an epoch reports of one slot, and return it as `take_report` takes it.

    Raises:
        Unfit: something is.
    """
    name = seed_section(env_id, slot)
    for field in _TEXTS:
        value = report.get(field)
        if value is not None and type(value) is not str:
            require.text(report, field)
    planted = report.get("blueprint_id")
    if planted:
        name_part(planted)
    if len(report) > MAX_FIELDS:
        raise InvalidEntry(f"{len(report):,} fields of one slot are over the limit of {MAX_FIELDS:,}")
    shape = shape_of(b"", tuple(report))
    stored_names(_REPORT, shape)
    return slot, "" if slot.startswith("__") and slot.endswith("__") else name, report, shape


def take_report(scope: Scope, event: Event, env_id: int, report: Report) -> None:
    """Take in what an epoch reports of one slot."""
    slot_id, name, data, shape = report
    state, name, stage = scope.state, scope.prefix + name, data.get("stage")
    captured: Captured = event, data, shape, _REPORT, {}
    seed = state.peek(name)
    if (
        seed is not None
        and "seed_id" not in data
        and "slot_id" not in data
        and stage in (None, seed["stage"])
    ):
        # What nearly all report: the seed that was there is as it was.
        if "blueprint_id" in data:
            seed["blueprint_id"] = data["blueprint_id"]
        state.leave(name, _put_captured, shape, captured)
        return
    slot = Slot(scope, env_id, slot_id, data.get("seed_id"), event.timestamp, name)
    seed = slot.occupant()
    if stage is not None and stage != seed["stage"]:
        slot.enter(seed, stage)
    slot.capture(seed, captured)
