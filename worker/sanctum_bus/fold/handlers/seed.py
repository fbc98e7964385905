"""SEED_*: the life of a seed in a slot, from germination to its end. `slot` defines the record."""

import math

from sanctum_bus.events.decode import Event
from sanctum_bus.events.stages import CULLED_STAGES
from sanctum_bus.fold import require
from sanctum_bus.fold.capture import FieldMap, capture, field_map, put_envelope, stored_names
from sanctum_bus.fold.derived_fields import reserved
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.handlers.blueprint import add_ended_seed, edit_blueprint, increment
from sanctum_bus.fold.handlers.env import active_env
from sanctum_bus.fold.handlers.slot import Slot
from sanctum_bus.fold.log_line import LogFields, first_line, line, signed
from sanctum_bus.protocol.entry import Fields, Value
from sanctum_bus.protocol.section_names import blueprint_section, env_section, name_part, seed_section

#: Fields that a new stage sets, until an epoch reports them.
_NEW_STAGE: Fields = {"epochs_in_stage": 0}

_GERMINATED = field_map("SEED_GERMINATED", reserved=reserved("seed"))
_STAGE_CHANGED = field_map("SEED_STAGE_CHANGED", reserved=reserved("seed"))
_GATE = field_map("SEED_GATE_EVALUATED", prefix="gate.")
_FOSSILIZED = field_map("SEED_FOSSILIZED", reserved=reserved("seed"))
_CULLED = field_map("SEED_CULLED", reserved=reserved("seed"))


def _check(scope: Scope, event: Event, mapping: FieldMap) -> Slot:
    """Find what can be wrong with any SEED_* event before anything is written, and return the event's slot.

    Raises:
        InvalidEntry: something is wrong.
    """
    data, env_id, slot = event.data, require.env_id(event), require.slot_id(event)
    seed_id = require.text(data, "seed_id") or event.seed_id
    section = seed_section(env_id, slot)
    planted = require.text(data, "blueprint_id")
    if planted:
        name_part(planted)
    stored_names(mapping, event.shape)
    if not scope.state.can_add(3):
        _reserve(scope, env_id, section, planted)
    return Slot(scope, env_id, slot, seed_id, event.timestamp, scope.prefix + section)


def _reserve(scope: Scope, env_id: int, section: str, planted: str | None) -> None:
    """Check the sections of a SEED_* event, in a run that is nearly full."""
    counted = planted or (scope.state.live(scope.prefix + section) or {}).get("blueprint_id")
    names = [blueprint_section(counted)] if counted else []
    scope.reserve(env_section(env_id), section, *names)


def germinated(scope: Scope, event: Event) -> LogFields:
    """Start a new seed. No field of the slot's previous seed remains."""
    slot = _check(scope, event, _GERMINATED)
    env = active_env(scope, slot.env_id)
    seed = slot.set_stage(slot.germinate(), "GERMINATED")
    seed["germinated_at"] = event.timestamp
    seed = slot.capture(seed, (event, event.data, event.shape, _GERMINATED, {}))
    env["germinated"] += 1
    planted = seed.get("blueprint_id")
    blueprint = edit_blueprint(scope, planted)
    if blueprint is not None:
        blueprint["germinated"] += 1
    return line(scope, event, f"{slot.slot} germinated{_bracketed(planted)}")


def stage_changed(scope: Scope, event: Event) -> LogFields:
    """Set the stage that the event names, in the emitter's word."""
    slot = _check(scope, event, _STAGE_CHANGED)
    data = event.data
    left = require.text(data, "from") or require.text(data, "from_stage")
    entered = require.text(data, "to") or require.text(data, "to_stage")
    active_env(scope, slot.env_id)
    seed = slot.current()
    if entered is not None:
        seed = slot.set_stage(seed, entered)
    planted = seed.get("blueprint_id")
    seed = slot.capture(seed, (event, data, event.shape, _STAGE_CHANGED, _NEW_STAGE))
    message = f"{slot.slot} {left or '?'}->{entered or '?'}"
    return line(scope, event, message, blueprint=seed.get("blueprint_id") or planted)


def gate_evaluated(scope: Scope, event: Event) -> LogFields:
    """Write and count the verdict of a gate."""
    slot = _check(scope, event, _GATE)
    passed = require.boolean(event.data, "passed")
    active_env(scope, slot.env_id)
    slot.current()
    seed = scope.state.edit(slot.name)
    capture(seed, event.data, event.shape, _GATE)
    put_envelope(seed, event)
    if passed is not None:
        seed["gates_passed" if passed else "gates_failed"] += 1
    return line(scope, event, _gate_message(slot.slot, event), blueprint=seed.get("blueprint_id"))


def fossilized(scope: Scope, event: Event) -> LogFields:
    """End a seed that became a part of its host."""
    slot = _check(scope, event, _FOSSILIZED)
    data = event.data
    improvement, epochs = require.number(data, "improvement"), require.number(data, "epochs_total")
    added = require.number(data, "params_added")
    env = active_env(scope, slot.env_id)
    seed = slot.set_stage(slot.current(), "FOSSILIZED")
    planted = _end(slot, seed, event, _FOSSILIZED)
    env["fossilized"] += 1
    blueprint = edit_blueprint(scope, planted)
    if blueprint is not None:
        blueprint["fossilized"] += 1
        add_ended_seed(blueprint, improvement, epochs)
    for record in (env, blueprint):
        if record is not None and added is not None and math.isfinite(added):
            record["fossilized_params"] += added
    shown = None if improvement is None or math.isnan(improvement) else f"{signed(improvement, '+.1f')}%"
    return line(scope, event, f"{slot.slot} fossilized{_bracketed(shown, planted)}", blueprint=planted)


def culled(scope: Scope, event: Event) -> LogFields:
    """End a seed that was removed. Its record stays until the slot germinates again or the next episode starts."""
    slot = _check(scope, event, _CULLED)
    data = event.data
    improvement, epochs = require.number(data, "improvement"), require.number(data, "epochs_total")
    reason = require.text(data, "reason")
    automatic = bool(require.boolean(data, "auto_culled") or require.boolean(data, "auto_pruned"))
    word = "PRUNED" if event.emitted_type == "SEED_PRUNED" else "CULLED"
    env = active_env(scope, slot.env_id)
    seed = slot.current()
    if seed["stage"] not in CULLED_STAGES:
        seed = slot.set_stage(seed, word)
    planted = _end(slot, seed, event, _CULLED)
    env["culled"] += 1
    blueprint = edit_blueprint(scope, planted)
    if blueprint is not None:
        blueprint["culled"] += 1
        blueprint["auto_culled"] += int(automatic)
        if reason is not None:
            blueprint["cull_reasons"] = increment(blueprint["cull_reasons"], reason)
        add_ended_seed(blueprint, improvement, epochs)
    verb = ("auto-" if automatic else "") + word.lower()
    return line(scope, event, f"{slot.slot} {verb}{_bracketed(reason, planted)}", blueprint=planted)


def _end(slot: Slot, seed: Fields, event: Event, mapping: FieldMap) -> Value:
    """End a seed, and return its blueprint."""
    planted, data = seed.get("blueprint_id"), event.data
    new_stage = _NEW_STAGE if "epochs_in_stage" in data else {}
    seed = slot.capture(seed, (event, data, event.shape, mapping, new_stage))
    if seed.get("blueprint_id") is None:
        seed["blueprint_id"] = planted
    seed["ended_at"] = event.timestamp
    return seed["blueprint_id"]


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
