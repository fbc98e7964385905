"""Capture by default: every field of an event into its section, under its canonical name.

Only exceptions are written down: a prefix (the route's), a rename (the catalogue's aliases), and names that are taken.
A route says into what kind of place an event type's fields go; the names that result depend on the shape of the map
alone, so they are worked out once per shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sanctum_bus.events.decode import Event, check_names
from sanctum_bus.events.names import FIELD_ALIASES, SEEDS_FIELD_ALIASES
from sanctum_bus.events.shape import Shape
from sanctum_bus.fold.state import State
from sanctum_bus.protocol.entry import Fields

#: What begins with one of these is laid out by the fold, in every section.
_RESERVED_PREFIXES = ("event.", "emitted.")


# Compared by identity: routes are constants, and hashing one by value would cost more than what is looked up with it.
@dataclass(frozen=True, slots=True, eq=False)
class FieldMap:
    """How the fields of an event type are named in the section that takes them.

    Args:
        prefix: put before every name.
        aliases: emitted to canonical.
        reserved: names and prefixes (ending in a dot) that the fold derives in this kind of section; an emitted field
            that bears one is kept as `emitted.<name>`.
    """

    prefix: str = ""
    aliases: tuple[tuple[str, str], ...] = ()
    reserved: frozenset[str] = frozenset()


@lru_cache(maxsize=4096)
def field_map(event_type: str, *, prefix: str = "", reserved: frozenset[str] = frozenset()) -> FieldMap:
    """Return the route of an event type, with the catalogue's aliases."""
    return FieldMap(prefix, tuple(FIELD_ALIASES.get(event_type, {}).items()), reserved)


def slot_field_map(reserved: frozenset[str]) -> FieldMap:
    """Return the route of one slot's map inside `seeds`."""
    return FieldMap("", tuple(SEEDS_FIELD_ALIASES.items()), reserved)


def stored_names(way: FieldMap, shape: Shape) -> tuple[str, ...]:
    """Return the name under which each field of a map is kept; no two are the same.

    Raises:
        Unfit: a name is too long.
    """
    names = shape.memo.get(way)
    return shape.remember(way, _stored_names(way, shape.names)) if names is None else names


def _stored_names(way: FieldMap, emitted: tuple[str, ...]) -> tuple[str, ...]:
    check_names(dict.fromkeys(emitted))
    aliases = dict(way.aliases)
    own = {name for name in emitted if name not in aliases}
    names: dict[str, None] = {}
    for name in emitted:
        canonical = aliases.get(name, name)
        stored = (
            _stored(way, name, taken=True)
            if canonical in own and canonical != name
            else _stored(way, canonical)
        )
        names[stored if stored not in names else _stored(way, name, taken=True)] = None
    return tuple(names)


def _stored(way: FieldMap, name: str, *, taken: bool = False) -> str:
    if way.prefix:
        return f"{way.prefix}emitted.{name}" if taken or name.startswith("emitted.") else way.prefix + name
    if taken or name in way.reserved or name.startswith(_RESERVED_PREFIXES):
        return f"emitted.{name}"
    prefix, dot, _ = name.partition(".")
    return f"emitted.{name}" if dot and prefix + dot in way.reserved else name


def capture(fields: Fields, data: Fields, shape: Shape, way: FieldMap) -> None:
    """Copy every field of a map of this shape into a section.

    Raises:
        Unfit: a name is too long; nothing was copied.
    """
    fields.update(zip(stored_names(way, shape), data.values(), strict=True))


def capture_event(state: State, name: str, event: Event, way: FieldMap) -> Fields:
    """Copy an event's fields and envelope into a section, and return the section.

    Raises:
        Unfit: a name is too long or there is one section too many; nothing was copied.
    """
    stored_names(way, event.shape)
    fields = state.edit(name)
    capture(fields, event.data, event.shape, way)
    put_envelope(fields, event)
    return fields


def capture_last(fields: Fields, events: Sequence[Event], way: FieldMap) -> None:
    """Copy the fields of events into a section, in order, and the envelope of the last."""
    for event in events:
        capture(fields, event.data, event.shape, way)
    put_envelope(fields, events[-1])


#: The envelope's fields in a section, besides type and time.
_ENVELOPE = (
    "event.id",
    "event.epoch",
    "event.seed_id",
    "event.slot_id",
    "event.message",
    "event.severity",
    "event.group_id",
)


def put_envelope(fields: Fields, event: Event) -> None:
    """Replace the envelope that a section keeps by this event's, as a whole; what is null or empty is absent."""
    if "event.extra" in fields:
        for name in fields.pop("event.extra"):
            fields.pop(f"event.{name}", None)
    fields["event.type"], fields["event.timestamp"] = event.shape.emitted_type, event.timestamp
    envelope = (
        event.event_id,
        event.epoch,
        event.seed_id,
        event.slot_id,
        event.message,
        event.severity,
        event.group_id,
    )
    for name, value in zip(_ENVELOPE, envelope, strict=True):
        if value is not None and value != "":
            fields[name] = value
        elif name in fields:
            del fields[name]
    if event.extra:
        _put_extra(fields, event.extra)


def _put_extra(fields: Fields, extra: Fields) -> None:
    """Keep undeclared envelope keys, and in `event.extra` which they are: the next envelope replaces them all."""
    present = {
        f"emitted.{name}" if name in _ENVELOPE_NAMES else name: value
        for name, value in extra.items()
        if value is not None and value != ""
    }
    fields.update({f"event.{name}": value for name, value in present.items()})
    if present:
        fields["event.extra"] = sorted(present)


#: Names of the envelope's fields in a section that are no keys of the envelope on the wire.
_ENVELOPE_NAMES = frozenset({"type", "id", "extra"})
