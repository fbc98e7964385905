"""Every event type that has no fold of its own: counted, and its last payload kept as a whole."""

from functools import lru_cache

from sanctum_bus.events.decode import Event
from sanctum_bus.events.names import inferred_kind
from sanctum_bus.fold import require
from sanctum_bus.fold.capture import FieldMap, capture, field_map, put_envelope, stored_names
from sanctum_bus.fold.derived_fields import reserved
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.log_line import LogFields, milestone
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.section_names import name_part, type_part

#: The type whose kinds are events of their own; without a kind it bears today's, by its fields.
_KINDS_BY_FIELD = "ANALYTICS_SNAPSHOT"


def other(scope: Scope, event: Event) -> LogFields | None:
    """Any event: `count`, `last_at`, and the last payload, replaced as a whole."""
    stored_names(_way(event.shape.type), event.shape)
    scope.state.leave(scope.prefix + section_of(event), _put_others, None, event)
    return milestone(scope, event)


def _put_others(fields: Fields, lasts: list[Event], items: list[None]) -> None:
    count, last = fields.get("count", 0), lasts[-1]
    fields.clear()
    capture(fields, last.data, last.shape, _way(last.shape.type))
    put_envelope(fields, last)
    fields["count"], fields["last_at"] = count + len(items), last.timestamp


@lru_cache(maxsize=4096)
def _way(event_type: str) -> FieldMap:
    return field_map(event_type, reserved=reserved("event"))


def section_of(event: Event) -> str:
    """Return the section of an event: `event:<TYPE>[.<kind>][:<env_id>]`."""
    event_type, kind, env_id = event.shape.type, event.data.get("kind"), event.data.get("env_id")
    if not (isinstance(kind, str) and kind):
        kind = inferred_kind(event.data) if event_type == _KINDS_BY_FIELD else ""
    return _section(event_type, kind, env_id if require.is_env_id(env_id) else None)


@lru_cache(maxsize=4096)
def _section(event_type: str, kind: str, env_id: int | None) -> str:
    name = f"event:{type_part(event_type)}" + (f".{name_part(kind)}" if kind else "")
    return name if env_id is None else f"{name}:{env_id}"
