"""The record of one blueprint: totals over all its seeds. Nothing resets them during a run."""

import math

from sanctum_bus.fold.derived_fields import new_record
from sanctum_bus.fold.groups import Scope
from sanctum_bus.protocol.entry import Fields, Value
from sanctum_bus.protocol.section_names import blueprint_section

#: Distinct keys of a map of counts, and the key that counts all others. Reasons are free text, and a commit writes the
#: whole map.
_MAX_KEYS, _OTHER = 100, "(other)"


def edit_blueprint(scope: Scope, blueprint_id: Value) -> Fields | None:
    """Return a blueprint's section for writing, or None if the event names no blueprint."""
    if not isinstance(blueprint_id, str) or not blueprint_id:
        return None
    fields = scope.edit(blueprint_section(blueprint_id))
    if not fields:
        fields.update(new_record("blueprint"))
    return fields


def add_ended_seed(fields: Fields, improvement: float | None, epochs_total: float | None) -> None:
    """Add the results of an ended seed to its blueprint. A result that was not measured adds nothing.

    Args:
        fields: the blueprint's section.
        improvement: in percentage points.
        epochs_total: age of the seed, in epochs.
    """
    if improvement is not None and math.isfinite(improvement):
        best, worst = fields["improvement_best"], fields["improvement_worst"]
        fields["improvement_sum"] += improvement
        fields["improvement_best"] = improvement if best is None else max(best, improvement)
        fields["improvement_worst"] = improvement if worst is None else min(worst, improvement)
    if epochs_total is not None and math.isfinite(epochs_total):
        fields["epochs_total_sum"] += epochs_total


def increment(counts: Value, key: str) -> dict[str, Value]:
    """Return a map of counts with one more for a key. After 100 distinct keys, new ones count as `(other)`."""
    known = counts if isinstance(counts, dict) else {}
    if key not in known and len(known) >= _MAX_KEYS:
        key = _OTHER
    return {**known, key: known.get(key, 0) + 1}
