"""The record of one slot: the seed in it, the seed's stages and its end. All events about seeds write it."""

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

#: Fields that the end of a seed writes, and that a revival of the seed removes.
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

#: Live fields that emitters send too. A deferred capture keeps their live values.
_KEPT_LIVE = ("stage", "seed_id", "slot_id", "blueprint_id")

#: Live fields that a capture writes at once if the event has them. `set_stage` writes the stage.
_CAPTURED_LIVE = ("seed_id", "slot_id", "blueprint_id")

#: Fields of a report that must be text, null or absent.
_TEXTS = ("stage", "seed_id", "blueprint_id")

#: Fields in which many seeds have the same few values.
_REPEATED = ("stage", "slot_id", "blueprint_id", "from", "to", "event.slot_id", "event.severity")

_REPORT = slot_field_map(reserved("seed") - {"stage"})

#: The capture of an event into a slot: the event, the fields and their shape, their map, and fields to set
#: besides.
Captured: TypeAlias = tuple[Event, Fields, Shape, FieldMap, Fields]

#: A valid report of an epoch about one slot: the slot, its section (`""` for a report about all slots together), the
#: fields and their shape.
Report: TypeAlias = tuple[str, str, Fields, Shape]


@dataclass(slots=True)
class Slot:
    """One slot of one environment, as one event describes it.

    Args:
        slot: ID of the slot.
        seed_id: the event's seed, or None.
        at: time of the event, in Unix seconds.
        name: name of the slot's section.
    """

    scope: Scope
    env_id: int
    slot: str
    seed_id: Value
    at: float
    name: str

    def germinate(self) -> Fields:
        """Start a new record, and return it for writing."""
        record: Fields = {
            "env_id": self.env_id,
            "slot_id": self.slot,
            "seed_id": self.seed_id,
            "stage": None,
            "stage_entered_at": self.at,
        }
        record.update(new_record("seed"))
        return self.scope.state.replace(self.name, record)

    def current(self) -> Fields:
        """Return the live fields of the record for writing.

        A slot without a record, or with another seed, gets a new record.
        """
        state = self.scope.state
        seed = state.live(self.name)
        if seed is None:
            return self.germinate()
        known = seed["seed_id"]
        if known != self.seed_id and known is not None and self.seed_id is not None:
            return self.germinate()
        return state.edit_live(self.name)

    def set_stage(self, seed: Fields, stage: str) -> Fields:
        """Set the stage, and return the record for further writing.

        A live stage removes the end of an ended seed: a rollback can revive a culled seed.
        """
        if "ended_at" in seed and stage not in NOT_LIVE:
            seed = self.scope.state.edit(self.name)
            for field in _END_FIELDS:
                seed.pop(field, None)
        if seed["stage"] != stage:
            seed["stage"] = stage
            seed["stage_entered_at"] = self.at
        return seed

    def capture(self, seed: Fields, captured: Captured) -> Fields:
        """Capture the fields of an event, and return the live fields for further writing.

        Live fields are written at once, the others are deferred. The section's `slot_id` never changes.
        """
        _, data, shape, _, _ = captured
        names = shape.memo.get(_CAPTURED_LIVE)
        for field in _captured_live(shape) if names is None else names:
            seed[field] = data[field]
        if seed["slot_id"] != self.slot:
            seed["emitted.slot_id"], seed["slot_id"] = seed["slot_id"], self.slot
        if seed["seed_id"] is None:
            seed["seed_id"] = self.seed_id
        return self.scope.state.defer(self.name, _put_captured, shape, captured)


def _captured_live(shape: Shape) -> tuple[str, ...]:
    return shape.remember(_CAPTURED_LIVE, tuple(field for field in _CAPTURED_LIVE if field in shape.names))


def _put_captured(seed: Fields, captured: list[Captured], _: list[None]) -> None:
    kept = {name: seed[name] for name in _KEPT_LIVE if name in seed}
    for _event, data, shape, field_map, begun in captured:
        capture(seed, data, shape, field_map)
        seed.update(begun)
    seed.update(kept)
    put_envelope(seed, captured[-1][0])
    # Hundreds of seeds repeat the same few words in every epoch. As one object each, they need little memory, and a
    # commit recognizes them as unchanged.
    for name in _REPEATED:
        text = seed.get(name)
        if type(text) is str and len(text) <= MAX_NAME_BYTES:
            seed[name] = _shared(text)


@lru_cache(maxsize=4096)
def _shared(text: str) -> str:
    return text


def validate_report(env_id: int, slot: str, report: Fields) -> Report:
    """Find everything that can be wrong with an epoch's report about one slot, and return it for `apply_report`.

    Raises:
        InvalidEntry: something is wrong.
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


def apply_report(scope: Scope, event: Event, env_id: int, report: Report) -> None:
    """Write an epoch's report about one slot."""
    slot_id, name, data, shape = report
    state, name, stage = scope.state, scope.prefix + name, data.get("stage")
    captured: Captured = event, data, shape, _REPORT, {}
    seed = state.live(name)
    if (
        seed is not None
        and "seed_id" not in data
        and "slot_id" not in data
        and stage in (None, seed["stage"])
    ):
        # Nearly every report: the same seed in the same stage.
        if "blueprint_id" in data:
            seed["blueprint_id"] = data["blueprint_id"]
        state.defer(name, _put_captured, shape, captured)
        return
    slot = Slot(scope, env_id, slot_id, data.get("seed_id"), event.timestamp, name)
    seed = slot.current()
    if stage is not None and stage != seed["stage"]:
        seed = slot.set_stage(seed, stage)
    slot.capture(seed, captured)
