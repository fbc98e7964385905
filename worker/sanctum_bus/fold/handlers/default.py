"""Every event type without a handler: the section counts the events and holds the last payload."""

from functools import lru_cache

from sanctum_bus.events.decode import Event
from sanctum_bus.events.names import inferred_kind
from sanctum_bus.fold import require
from sanctum_bus.fold.capture import FieldMap, capture, field_map, put_envelope, stored_names
from sanctum_bus.fold.derived_fields import reserved
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.log_line import LogFields, milestone
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.section_names import event_section

#: The type that older emitters send without a kind; its fields imply the kind.
_KINDS_BY_FIELD = "ANALYTICS_SNAPSHOT"


def other(scope: Scope, event: Event) -> LogFields | None:
    """Count any event, and replace the payload of its section as a whole."""
    stored_names(_field_map(event.shape.type), event.shape)
    scope.state.defer(scope.prefix + section_of(event), _put_others, None, event)
    return milestone(scope, event)


def _put_others(fields: Fields, lasts: list[Event], items: list[None]) -> None:
    count, last = fields.get("count", 0), lasts[-1]
    fields.clear()
    capture(fields, last.data, last.shape, _field_map(last.shape.type))
    put_envelope(fields, last)
    fields["count"], fields["last_at"] = count + len(items), last.timestamp


@lru_cache(maxsize=4096)
def _field_map(event_type: str) -> FieldMap:
    return field_map(event_type, reserved=reserved("event"))


def section_of(event: Event) -> str:
    """Return the section of an event: `event:<TYPE>[.<kind>][:<env_id>]`."""
    event_type, kind, env_id = event.shape.type, event.data.get("kind"), event.data.get("env_id")
    if not (isinstance(kind, str) and kind):
        kind = inferred_kind(event.data) if event_type == _KINDS_BY_FIELD else ""
    return event_section(event_type, kind, env_id if require.is_env_id(env_id) else None)
