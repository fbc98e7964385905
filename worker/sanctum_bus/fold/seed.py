"""SEED_* events: a seed's life in a slot, from germination to its end."""

import math
from dataclasses import dataclass

from sanctum_bus.fold import needs
from sanctum_bus.fold.capture import (
    Route,
    capture,
    capture_event,
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

#: What a report says that folds look at; the rest of it is put in later.
_READ_AT_ONCE = ("seed_id", "slot_id", "blueprint_id")

_GERMINATED = route("SEED_GERMINATED", reserved=DERIVED)
_STAGE_CHANGED = route("SEED_STAGE_CHANGED", reserved=DERIVED)
_GATE = route("SEED_GATE_EVALUATED", prefix="gate.")
_FOSSILIZED = route("SEED_FOSSILIZED", reserved=DERIVED)
_CULLED = route("SEED_CULLED", reserved=DERIVED)
_REPORT = slot_route(DERIVED - {"stage"})


@dataclass(slots=True)
class Slot:
    """One slot of one environment, as one event speaks of it.

    Args:
        slot: the slot's id.
        seed_id: the seed that the event names, or None.
        at: the event's time.
    """

    scope: Scope
    env_id: int
    slot: str
    seed_id: Value
    at: float
    section: str = ""

    def __post_init__(self) -> None:
        self.section = f"seed:{self.env_id}:{name_part(self.slot)}"

    def plant(self) -> Fields:
        """Begin a new record."""
        return self.scope.replace(
            self.section,
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
        """Return the record for writing; a slot that nobody germinated appears, and so does another seed in it."""
        name = self.scope.prefix + self.section
        seed = self.scope.state.get(name)
        return self.plant() if seed is None or self._is_another(seed) else self.scope.state.open(name)

    def enter(self, stage: str) -> Fields:
        """Set the stage. A live one makes an ended slot live again: a rollback can bring a culled seed back."""
        seed = self.occupant()
        self._enter(seed, stage)
        return seed

    def report(self, event: Event, report: Fields, shape: Shape) -> None:
        """Take in what an epoch reports of the slot."""
        name, state = self.scope.prefix + self.section, self.scope.state
        seed = state.peek(name)
        seed = self.plant() if seed is None or self._is_another(seed) else state.open(name)
        stage = report.get("stage")
        if stage is not None:
            self._enter(seed, stage)
        for field in _READ_AT_ONCE:
            if field in report:
                seed[field] = report[field]
        state.leave(name, shape, _put_report, (event, report, shape))

    def _is_another(self, seed: Fields) -> bool:
        known = seed["seed_id"]
        return known != self.seed_id and known is not None and self.seed_id is not None

    def _enter(self, seed: Fields, stage: str) -> None:
        if "ended_at" in seed and stage not in _NOT_LIVE:
            for field in _END_FIELDS:
                seed.pop(field, None)
        if seed.get("stage") != stage:
            seed["stage"] = stage
            seed["stage_entered_at"] = self.at

    def capture(self, event: Event, way: Route) -> Fields:
        """Take in an event's fields; the section stays the slot's own whatever they say."""
        seed = capture_event(self.scope.state, self.scope.prefix + self.section, event, way)
        if seed["slot_id"] != self.slot:
            seed["emitted.slot_id"], seed["slot_id"] = seed["slot_id"], self.slot
        if seed.get("seed_id") is None:
            seed["seed_id"] = self.seed_id
        return seed


def _slot_of(scope: Scope, event: Event, way: Route) -> Slot:
    """Return the slot of a SEED_* event, with all that may be wrong with the event found before anything changes."""
    slot = Slot(
        scope,
        needs.env_id(event),
        needs.slot_id(event),
        needs.text(event.data, "seed_id") or event.seed_id,
        event.timestamp,
    )
    planted = needs.text(event.data, "blueprint_id")
    if planted:
        name_part(planted)
    stored_names(way, event.shape)
    return slot


def germinated(scope: Scope, event: Event) -> Line:
    """A new seed: nothing of the slot's former occupant remains."""
    slot = _slot_of(scope, event, _GERMINATED)
    env = active_env(scope, slot.env_id)
    slot.plant()
    slot.enter("GERMINATED")["germinated_at"] = event.timestamp
    seed = slot.capture(event, _GERMINATED)
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
    seed = slot.enter(entered) if entered is not None else slot.occupant()
    planted = seed.get("blueprint_id")
    seed = slot.capture(event, _STAGE_CHANGED)
    seed["epochs_in_stage"] = 0
    message = f"{slot.slot} {left or '?'}->{entered or '?'}"
    return line(scope, event, message, blueprint=seed.get("blueprint_id") or planted)


def gate_evaluated(scope: Scope, event: Event) -> Line:
    """A gate's verdict, counted."""
    slot = _slot_of(scope, event, _GATE)
    passed = needs.flag(event.data, "passed")
    active_env(scope, slot.env_id)
    seed = slot.occupant()
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
    slot.enter("FOSSILIZED")
    seed = _end(slot, event, _FOSSILIZED)
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
    if slot.occupant()["stage"] not in _CULLED_STAGES:
        slot.enter(word)
    seed = _end(slot, event, _CULLED)
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


def check_report(slot: str, report: Fields) -> Shape:
    """Find all that may be wrong with what an epoch reports of one slot, and return the shape of it.

    Raises:
        Unfit: something is.
    """
    name_part(slot)
    needs.text(report, "stage")
    shape = shape_of(b"", tuple(report))
    stored_names(_REPORT, shape)
    return shape


def _put_report(seed: Fields, given: tuple[Event, Fields, Shape]) -> None:
    event, report, shape = given
    stage = seed["stage"]
    capture(seed, report, shape, _REPORT)
    seed["stage"] = stage
    put_envelope(seed, event)


def _end(slot: Slot, event: Event, way: Route) -> Fields:
    planted = slot.occupant().get("blueprint_id")
    seed = slot.capture(event, way)
    if seed.get("blueprint_id") is None:
        seed["blueprint_id"] = planted
    if "epochs_in_stage" in event.data:
        seed["epochs_in_stage"] = 0
    seed["ended_at"] = event.timestamp
    return seed


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
