"""SEED_* events: a seed's life in a slot, from germination to its end. The record that they write is `slot`'s."""

import math

from sanctum_bus.events.decode import Event
from sanctum_bus.events.stages import CULLED_STAGES
from sanctum_bus.fold import require
from sanctum_bus.fold.capture import FieldMap, capture, field_map, put_envelope, stored_names
from sanctum_bus.fold.derived_fields import reserved
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.handlers.blueprint import blueprint, count, ended
from sanctum_bus.fold.handlers.env import active_env
from sanctum_bus.fold.handlers.slot import Slot
from sanctum_bus.fold.log_line import LogFields, first_line, line, signed
from sanctum_bus.protocol.entry import Fields, Value
from sanctum_bus.protocol.section_names import blueprint_section, env_section, name_part, seed_section

#: What a stage begins with, until an epoch reports it.
_BEGUN: Fields = {"epochs_in_stage": 0}

_GERMINATED = field_map("SEED_GERMINATED", reserved=reserved("seed"))
_STAGE_CHANGED = field_map("SEED_STAGE_CHANGED", reserved=reserved("seed"))
_GATE = field_map("SEED_GATE_EVALUATED", prefix="gate.")
_FOSSILIZED = field_map("SEED_FOSSILIZED", reserved=reserved("seed"))
_CULLED = field_map("SEED_CULLED", reserved=reserved("seed"))


def _slot_of(scope: Scope, event: Event, way: FieldMap) -> Slot:
    """Return the slot of a SEED_* event, with all that may be wrong with the event found before anything changes."""
    data, env_id, slot = event.data, require.env_id(event), require.slot_id(event)
    seed_id = require.text(data, "seed_id") or event.seed_id
    section = seed_section(env_id, slot)
    planted = require.text(data, "blueprint_id")
    if planted:
        name_part(planted)
    stored_names(way, event.shape)
    if not scope.state.has_room_for(3):
        _find_room(scope, env_id, section, planted)
    return Slot(scope, env_id, slot, seed_id, event.timestamp, scope.prefix + section)


def _find_room(scope: Scope, env_id: int, section: str, planted: str | None) -> None:
    """Refuse an event of a slot for which a section is missing, in a run that is nearly full."""
    tallied = planted or (scope.state.peek(scope.prefix + section) or {}).get("blueprint_id")
    names = [blueprint_section(tallied)] if tallied else []
    scope.make_sure_of(env_section(env_id), section, *names)


def germinated(scope: Scope, event: Event) -> LogFields:
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


def stage_changed(scope: Scope, event: Event) -> LogFields:
    """The stage is what the event says; all words are kept."""
    slot = _slot_of(scope, event, _STAGE_CHANGED)
    data = event.data
    left = require.text(data, "from") or require.text(data, "from_stage")
    entered = require.text(data, "to") or require.text(data, "to_stage")
    active_env(scope, slot.env_id)
    seed = slot.occupant()
    if entered is not None:
        slot.enter(seed, entered)
    planted = seed.get("blueprint_id")
    slot.capture(seed, (event, data, event.shape, _STAGE_CHANGED, _BEGUN))
    message = f"{slot.slot} {left or '?'}->{entered or '?'}"
    return line(scope, event, message, blueprint=seed.get("blueprint_id") or planted)


def gate_evaluated(scope: Scope, event: Event) -> LogFields:
    """A gate's verdict, counted."""
    slot = _slot_of(scope, event, _GATE)
    passed = require.boolean(event.data, "passed")
    active_env(scope, slot.env_id)
    slot.occupant()
    seed = scope.state.edit(slot.name)
    capture(seed, event.data, event.shape, _GATE)
    put_envelope(seed, event)
    if passed is not None:
        seed["gates_passed" if passed else "gates_failed"] += 1
    return line(scope, event, _gate_message(slot.slot, event), blueprint=seed.get("blueprint_id"))


def fossilized(scope: Scope, event: Event) -> LogFields:
    """A seed became part of its host."""
    slot = _slot_of(scope, event, _FOSSILIZED)
    improvement, epochs = (
        require.number(event.data, "improvement"),
        require.number(event.data, "epochs_total"),
    )
    added = require.number(event.data, "params_added")
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


def culled(scope: Scope, event: Event) -> LogFields:
    """A seed was taken out; its record stays until the slot germinates again or the next episode begins."""
    slot = _slot_of(scope, event, _CULLED)
    data = event.data
    improvement, epochs = require.number(data, "improvement"), require.number(data, "epochs_total")
    reason = require.text(data, "reason")
    automatic = bool(require.boolean(data, "auto_culled") or require.boolean(data, "auto_pruned"))
    word = "PRUNED" if event.emitted_type == "SEED_PRUNED" else "CULLED"
    env = active_env(scope, slot.env_id)
    seed = slot.occupant()
    if seed["stage"] not in CULLED_STAGES:
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


def _end(slot: Slot, seed: Fields, event: Event, way: FieldMap) -> None:
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
