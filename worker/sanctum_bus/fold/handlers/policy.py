"""PPO_UPDATE_COMPLETED: an update of the policy, or the notice that one was rolled back or skipped."""

from sanctum_bus.events.decode import Event
from sanctum_bus.fold import require
from sanctum_bus.fold.capture import capture, capture_event, field_map, put_envelope, stored_names
from sanctum_bus.fold.derived_fields import history_metrics, new_record, reserved
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.log_line import LogFields, line
from sanctum_bus.fold.state import append_history
from sanctum_bus.protocol.entry import Fields

#: Metrics whose last values the section keeps as `<metric>_history`.
HISTORIES = history_metrics("policy")

_UPDATE = field_map("PPO_UPDATE_COMPLETED", reserved=reserved("policy"))
_ROLLBACK = field_map("PPO_UPDATE_COMPLETED", prefix="rollback.")


def policy_updated(scope: Scope, event: Event) -> LogFields | None:
    """An update's metrics and histories. A rollback leaves the metrics of the last real update as they are."""
    data = event.data
    stored_names(_ROLLBACK, event.shape)
    if data.get("skipped") is True or data.get("reason") is not None:
        policy = _policy(scope)
        for name in [name for name in policy if name.startswith("rollback.")]:
            del policy[name]
        capture(policy, data, event.shape, _ROLLBACK)
        put_envelope(policy, event)
        policy["rollbacks"] += 1
        return None
    values = {name: require.number(data, name) for name in HISTORIES}
    stop = require.number(data, "early_stop_epoch")
    policy = _policy(scope)
    capture_event(scope.state, scope.prefix + "policy", event, _UPDATE)
    policy["updates"] += 1
    for name, value in values.items():
        if value is not None:
            policy[f"{name}_history"] = append_history(policy[f"{name}_history"], value)
    if stop is None:
        return None
    policy["early_stops"] += 1
    return line(scope, event, f"KL early stop at epoch {stop:g}")


def _policy(scope: Scope) -> Fields:
    policy = scope.edit("policy")
    if "updates" not in policy:
        policy.update(new_record("policy"))
    return policy
