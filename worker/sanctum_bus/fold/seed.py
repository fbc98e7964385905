"""SEED_* events: a seed's life in a slot, from germination to its end."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from sanctum_bus.fold import needs
from sanctum_bus.fold.capture import (
    Route,
    capture,
    put_envelope,
    route,
    slot_route,
    stored_names,
)
from sanctum_bus.fold.env import active_env
from sanctum_bus.fold.line import Line, first_line, line, signed
from sanctum_bus.fold.names import name_part
from sanctum_bus.fold.scope import Scope
from sanctum_bus.fold.tally import blueprint, count, ended
from sanctum_bus.state import Fields
from sanctum_bus.wire.decode import Event
from sanctum_bus.wire.shape import Shape, shape_of
from sanctum_bus.wire.values import Value

#: Names in a `seed` section that the fold derives; `env_id`, `slot_id` and `seed_id` are emitted under the same names.
DERIVED = frozenset(
    {"stage", "stage_entered_at", "germinated_at", "ended_at", "gates_passed", "gates_failed", "gate."}
)

#: Stages in which a slot holds no growing seed; every other word is a live one.
_NOT_LIVE = frozenset({"FOSSILIZED", "CULLED", "PRUNED", "EMBARGOED", "RESETTING", "DORMANT"})

#: Stages that say that the seed was culled, in the emitter's own word.
_CULLED_STAGES = frozenset({"CULLED", "PRUNED"})

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

#: Fields of which many seeds have the same few values.
_WORDS = ("stage", "slot_id", "blueprint_id", "from", "to", "event.slot_id", "event.severity")

#: What a stage begins with, until an epoch reports it.
_BEGUN: Fields = {"epochs_in_stage": 0}

_GERMINATED = route("SEED_GERMINATED", reserved=DERIVED)
_STAGE_CHANGED = route("SEED_STAGE_CHANGED", reserved=DERIVED)
_GATE = route("SEED_GATE_EVALUATED", prefix="gate.")
_FOSSILIZED = route("SEED_FOSSILIZED", reserved=DERIVED)
_CULLED = route("SEED_CULLED", reserved=DERIVED)
_REPORT = slot_route(DERIVED - {"stage"})


#: What an event says of a seed: the fields, their shape, where they go, and fields that it sets besides.
Captured: TypeAlias = tuple[Event, Fields, Shape, Route, Fields]

#: What an epoch reports of a slot: the slot, its section, the fields and their shape.
Report: TypeAlias = tuple[str, str, Fields, Shape]


@lru_cache(maxsize=4096)
def seed_section(env_id: int, slot: str) -> str:
    """Return the name of a slot's section, in its group.

    Raises:
        Unfit: it would be too long.
    """
    return f"seed:{env_id}:{name_part(slot)}"


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
                "gates_passed": 0,
                "gates_failed": 0,
            },
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
        if "ended_at" in seed and stage not in _NOT_LIVE:
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
    said = shape.memo[_SAID] = tuple(field for field in _SAID if field in shape.names)
    return said


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
        if type(text) is str:
            seed[name] = _word(text)


@lru_cache(maxsize=4096)
def _word(text: str) -> str:
    return text


def _slot_of(scope: Scope, event: Event, way: Route) -> Slot:
    """Return the slot of a SEED_* event, with all that may be wrong with the event found before anything changes."""
    data, env_id, slot = event.data, needs.env_id(event), needs.slot_id(event)
    seed_id = needs.text(data, "seed_id") or event.seed_id
    name = scope.prefix + seed_section(env_id, slot)
    planted = needs.text(data, "blueprint_id")
    if planted:
        name_part(planted)
    stored_names(way, event.shape)
    return Slot(scope, env_id, slot, seed_id, event.timestamp, name)


def germinated(scope: Scope, event: Event) -> Line:
    """A new seed: nothing of the slot's former occupant remains."""
    slot = _slot_of(scope, event, _GERMINATED)
    env = active_env(scope, slot.env_id)
    seed = slot.plant()
    slot.enter(seed, "GERMINATED")
    seed["germinated_at"] = event.timestamp
    slot.capture(seed, (event, event.data, event.shape, _GERMINATED, {}))
    env["germinated"] += 1
    tally = blueprint(scope, seed.get("blueprint_id"))
    if tally is not None:
        tally["germinated"] += 1
    return line(scope, event, f"{slot.slot} germinated{_bracketed(seed.get('blueprint_id'))}")


def stage_changed(scope: Scope, event: Event) -> Line:
    """The stage is what the event says; all words are kept."""
    slot = _slot_of(scope, event, _STAGE_CHANGED)
    data = event.data
    left = needs.text(data, "from") or needs.text(data, "from_stage")
    entered = needs.text(data, "to") or needs.text(data, "to_stage")
    active_env(scope, slot.env_id)
    seed = slot.occupant()
    if entered is not None:
        slot.enter(seed, entered)
    planted = seed.get("blueprint_id")
    slot.capture(seed, (event, data, event.shape, _STAGE_CHANGED, _BEGUN))
    message = f"{slot.slot} {left or '?'}->{entered or '?'}"
    return line(scope, event, message, blueprint=seed.get("blueprint_id") or planted)


def gate_evaluated(scope: Scope, event: Event) -> Line:
    """A gate's verdict, counted."""
    slot = _slot_of(scope, event, _GATE)
    passed = needs.flag(event.data, "passed")
    active_env(scope, slot.env_id)
    slot.occupant()
    seed = scope.state.edit(slot.name)
    capture(seed, event.data, event.shape, _GATE)
    put_envelope(seed, event)
    if passed is not None:
        seed["gates_passed" if passed else "gates_failed"] += 1
    return line(scope, event, _gate_message(slot.slot, event), blueprint=seed.get("blueprint_id"))


def fossilized(scope: Scope, event: Event) -> Line:
    """A seed became part of its host."""
    slot = _slot_of(scope, event, _FOSSILIZED)
    improvement, epochs = needs.number(event.data, "improvement"), needs.number(event.data, "epochs_total")
    added = needs.number(event.data, "params_added")
    env = active_env(scope, slot.env_id)
    seed = slot.occupant()
    slot.enter(seed, "FOSSILIZED")
    _end(slot, seed, event, _FOSSILIZED)
    env["fossilized"] += 1
    tally = blueprint(scope, seed.get("blueprint_id"))
    if tally is not None:
        tally["fossilized"] += 1
        ended(tally, improvement, epochs)
    for record in (env, tally):
        if record is not None and added is not None and math.isfinite(added):
            record["fossilized_params"] += added
    shown = None if improvement is None or math.isnan(improvement) else f"{signed(improvement, '+.1f')}%"
    message = f"{slot.slot} fossilized{_bracketed(shown, seed.get('blueprint_id'))}"
    return line(scope, event, message, blueprint=seed.get("blueprint_id"))


def culled(scope: Scope, event: Event) -> Line:
    """A seed was taken out; its record stays until the slot germinates again or the next episode begins."""
    slot = _slot_of(scope, event, _CULLED)
    data = event.data
    improvement, epochs = needs.number(data, "improvement"), needs.number(data, "epochs_total")
    reason = needs.text(data, "reason")
    automatic = bool(needs.flag(data, "auto_culled") or needs.flag(data, "auto_pruned"))
    word = "PRUNED" if event.emitted_type == "SEED_PRUNED" else "CULLED"
    env = active_env(scope, slot.env_id)
    seed = slot.occupant()
    if seed["stage"] not in _CULLED_STAGES:
        slot.enter(seed, word)
    _end(slot, seed, event, _CULLED)
    env["culled"] += 1
    tally = blueprint(scope, seed.get("blueprint_id"))
    if tally is not None:
        tally["culled"] += 1
        tally["auto_culled"] += int(automatic)
        if reason is not None:
            tally["cull_reasons"] = count(tally["cull_reasons"], reason)
        ended(tally, improvement, epochs)
    verb = ("auto-" if automatic else "") + word.lower()
    message = f"{slot.slot} {verb}{_bracketed(reason, seed.get('blueprint_id'))}"
    return line(scope, event, message, blueprint=seed.get("blueprint_id"))


def check_report(env_id: int, slot: str, report: Fields) -> Report:
    """Find all that may be wrong with what an epoch reports of one slot, and return it as `take_report` takes it.

    Raises:
        Unfit: something is.
    """
    name = seed_section(env_id, slot)
    needs.text(report, "stage")
    shape = shape_of(b"", tuple(report))
    stored_names(_REPORT, shape)
    return slot, name, report, shape


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


def _end(slot: Slot, seed: Fields, event: Event, way: Route) -> None:
    planted, data = seed.get("blueprint_id"), event.data
    begun = _BEGUN if "epochs_in_stage" in data else {}
    slot.capture(seed, (event, data, event.shape, way, begun))
    if seed.get("blueprint_id") is None:
        seed["blueprint_id"] = planted
    seed["ended_at"] = event.timestamp


def _bracketed(*parts: Value) -> str:
    known = [part for part in parts if isinstance(part, str) and part]
    return f" ({', '.join(known)})" if known else ""


def _gate_message(slot: str, event: Event) -> str:
    gate, passed = event.data.get("gate") or "?", event.data.get("passed")
    if passed is None:
        return f"{slot} gate {gate}"
    if passed:
        return f"{slot} gate {gate} passed"
    failed = event.data.get("checks_failed")
    why = (
        str(failed[0]) if isinstance(failed, list) and failed else event.data.get("message") or event.message
    )
    return f"{slot} gate {gate} failed{_bracketed(first_line(why))}"
