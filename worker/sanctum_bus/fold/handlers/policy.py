"""PPO_UPDATE_COMPLETED: an update of the policy, or the notice that one was rolled back or skipped."""

from sanctum_bus.events.decode import Event
from sanctum_bus.fold import require
from sanctum_bus.fold.capture import capture, capture_event, field_map, put_envelope, stored_names
from sanctum_bus.fold.derived_fields import history_metrics, new_record, reserved
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.log_line import LogFields, line
from sanctum_bus.fold.state import append_history
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.section_names import POLICY

#: Metrics that have a history in the section.
HISTORIES = history_metrics("policy")

_UPDATE = field_map("PPO_UPDATE_COMPLETED", reserved=reserved("policy"))
_ROLLBACK = field_map("PPO_UPDATE_COMPLETED", prefix="rollback.")


def policy_updated(scope: Scope, event: Event) -> LogFields | None:
    """Write an update's metrics and histories. A rollback leaves the metrics of the last real update unchanged."""
    data = event.data
    stored_names(_ROLLBACK, event.shape)
    if data.get("skipped") is True or data.get("reason") is not None:
        _put_rollback(_edit_policy(scope), event)
        return None
    values = {name: require.number(data, name) for name in HISTORIES}
    stop = require.number(data, "early_stop_epoch")
    policy = _edit_policy(scope)
    capture_event(scope.state, scope.prefix + POLICY, event, _UPDATE)
    policy["updates"] += 1
    for name, value in values.items():
        if value is not None:
            policy[f"{name}_history"] = append_history(policy[f"{name}_history"], value)
    if stop is None:
        return None
    policy["early_stops"] += 1
    return line(scope, event, f"KL early stop at epoch {stop:g}")


def _put_rollback(policy: Fields, event: Event) -> None:
    for name in [name for name in policy if name.startswith("rollback.")]:
        del policy[name]
    capture(policy, event.data, event.shape, _ROLLBACK)
    put_envelope(policy, event)
    policy["rollbacks"] += 1


def _edit_policy(scope: Scope) -> Fields:
    policy = scope.edit(POLICY)
    if "updates" not in policy:
        policy.update(new_record("policy"))
    return policy
