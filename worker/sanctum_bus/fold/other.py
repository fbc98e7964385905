"""Every event type that has no fold of its own: counted, and its last payload kept as a whole."""

from sanctum_bus.catalog.names import inferred_kind
from sanctum_bus.fold import needs
from sanctum_bus.fold.capture import capture, put_envelope, route, stored_names
from sanctum_bus.fold.line import Line, milestone
from sanctum_bus.fold.names import name_part, type_part
from sanctum_bus.fold.scope import Scope
from sanctum_bus.state import Fields
from sanctum_bus.wire.decode import Event

#: Names in an `event:` section that the fold derives.
DERIVED = frozenset({"count", "last_at"})

#: The type whose kinds are events of their own; without a kind it bears today's, by its fields.
_KINDS_BY_FIELD = "ANALYTICS_SNAPSHOT"


def other(scope: Scope, event: Event) -> Line | None:
    """Any event: `count`, `last_at`, and the last payload, replaced as a whole."""
    way = route(event.type, reserved=DERIVED)
    stored_names(way, tuple(event.data))
    name = section_of(event)
    counted = (scope.get(name) or {}).get("count", 0)
    fields: Fields = {}
    capture(fields, event.data, way)
    put_envelope(fields, event)
    fields["count"], fields["last_at"] = counted + 1, event.timestamp
    scope.replace(name, fields)
    return milestone(scope, event)


def section_of(event: Event) -> str:
    """Return the section of an event: `event:<TYPE>[.<kind>][:<env_id>]`."""
    kind, env_id = event.data.get("kind"), event.data.get("env_id")
    if not (isinstance(kind, str) and kind):
        kind = inferred_kind(event.data) if event.type == _KINDS_BY_FIELD else None
    name = f"event:{type_part(event.type)}" + (f".{name_part(kind)}" if kind else "")
    return f"{name}:{env_id}" if needs.is_env_id(env_id) else name
