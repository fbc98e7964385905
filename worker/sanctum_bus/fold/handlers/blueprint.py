"""Blueprints: what became of the seeds of each, for ever."""

import math

from sanctum_bus.fold.derived_fields import new_record
from sanctum_bus.fold.groups import Scope
from sanctum_bus.protocol.entry import Fields, Value
from sanctum_bus.protocol.section_names import blueprint_section

#: Keys that are counted apart: reasons are free text, and a map of counts is written as a whole.
_MOST_COUNTED, _OTHER = 100, "(other)"


def blueprint(scope: Scope, blueprint_id: Value) -> Fields | None:
    """Return a blueprint's section for writing, or None where the blueprint is not known."""
    if not isinstance(blueprint_id, str) or not blueprint_id:
        return None
    fields = scope.edit(blueprint_section(blueprint_id))
    if not fields:
        fields.update(new_record("blueprint"))
    return fields


def ended(fields: Fields, improvement: float | None, epochs_total: float | None) -> None:
    """Add what an ended seed achieved; what was not measured adds nothing."""
    if improvement is not None and math.isfinite(improvement):
        best, worst = fields["improvement_best"], fields["improvement_worst"]
        fields["improvement_sum"] += improvement
        fields["improvement_best"] = improvement if best is None else max(best, improvement)
        fields["improvement_worst"] = improvement if worst is None else min(worst, improvement)
    if epochs_total is not None and math.isfinite(epochs_total):
        fields["epochs_total_sum"] += epochs_total


def count(counts: Value, key: str) -> dict[str, Value]:
    """Return a map of counts with one more for a key; of keys beyond the first 100, for `(other)`."""
    known = counts if isinstance(counts, dict) else {}
    if key not in known and len(known) >= _MOST_COUNTED:
        key = _OTHER
    return {**known, key: known.get(key, 0) + 1}
