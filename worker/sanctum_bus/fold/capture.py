"""Capture by default: every field of an event goes into its section, under its canonical name.

Only exceptions are written down: a prefix (of the field map), a rename (the catalog's aliases), and reserved names. A
field map describes where the fields of an event type go. The stored names depend only on the shape of the map, so they
are computed once per shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sanctum_bus.events.decode import Event, check_names
from sanctum_bus.events.names import FIELD_ALIASES, SEEDS_FIELD_ALIASES
from sanctum_bus.events.shape import Shape
from sanctum_bus.fold.derived_fields import ANY_SECTION, reserved
from sanctum_bus.fold.state import State
from sanctum_bus.protocol.entry import Fields

#: Prefixes that the fold uses in every section.
_RESERVED_PREFIXES = tuple(name for name in sorted(reserved(ANY_SECTION)) if name.endswith("."))


# Compared by identity: field maps are constants, and hashing one by value would cost more than the lookup itself.
@dataclass(frozen=True, slots=True, eq=False)
class FieldMap:
    """The names of an event type's fields in the section that captures them.

    Args:
        prefix: is put before every name.
        aliases: pairs of emitted and canonical name.
        reserved: names, and prefixes that end in a dot, that the fold derives in this kind of section. An emitted field
            with such a name is stored as `emitted.<name>`.
    """

    prefix: str = ""
    aliases: tuple[tuple[str, str], ...] = ()
    reserved: frozenset[str] = frozenset()


@lru_cache(maxsize=4096)
def field_map(event_type: str, *, prefix: str = "", reserved: frozenset[str] = frozenset()) -> FieldMap:
    """Return the field map of an event type, with the catalog's aliases."""
    return FieldMap(prefix, tuple(FIELD_ALIASES.get(event_type, {}).items()), reserved)


def slot_field_map(reserved: frozenset[str]) -> FieldMap:
    """Return the field map of one slot's report inside `seeds`."""
    return FieldMap("", tuple(SEEDS_FIELD_ALIASES.items()), reserved)


def stored_names(mapping: FieldMap, shape: Shape) -> tuple[str, ...]:
    """Return the distinct stored names of a map's fields, in order. Handlers call this before they write.

    Raises:
        InvalidEntry: a name is too long.
    """
    names = shape.memo.get(mapping)
    return shape.remember(mapping, _stored_names(mapping, shape.names)) if names is None else names


def _stored_names(mapping: FieldMap, emitted: tuple[str, ...]) -> tuple[str, ...]:
    check_names(dict.fromkeys(emitted))
    aliases = dict(mapping.aliases)
    own = {name for name in emitted if name not in aliases}
    names: dict[str, None] = {}
    for name in emitted:
        canonical = aliases.get(name, name)
        stored = (
            _stored(mapping, name, taken=True)
            if canonical in own and canonical != name
            else _stored(mapping, canonical)
        )
        names[stored if stored not in names else _stored(mapping, name, taken=True)] = None
    return tuple(names)


def _stored(mapping: FieldMap, name: str, *, taken: bool = False) -> str:
    if mapping.prefix:
        escaped = taken or name.startswith("emitted.")
        return f"{mapping.prefix}emitted.{name}" if escaped else mapping.prefix + name
    if taken or name in mapping.reserved or name.startswith(_RESERVED_PREFIXES):
        return f"emitted.{name}"
    prefix, dot, _ = name.partition(".")
    return f"emitted.{name}" if dot and prefix + dot in mapping.reserved else name


def capture(fields: Fields, data: Fields, shape: Shape, mapping: FieldMap) -> None:
    """Copy every field of a map of this shape into a section.

    Raises:
        InvalidEntry: a name is too long. Nothing was copied.
    """
    fields.update(zip(stored_names(mapping, shape), data.values(), strict=True))


def capture_event(state: State, name: str, event: Event, mapping: FieldMap) -> Fields:
    """Copy an event's fields and envelope into a section, and return the section.

    Raises:
        InvalidEntry: a name is too long, or the section would exceed the limit. Nothing was copied.
    """
    stored_names(mapping, event.shape)
    fields = state.edit(name)
    capture(fields, event.data, event.shape, mapping)
    put_envelope(fields, event)
    return fields


def capture_last(fields: Fields, events: Sequence[Event], mapping: FieldMap) -> None:
    """Copy the fields of events into a section, in order, and the envelope of the last event."""
    for event in events:
        capture(fields, event.data, event.shape, mapping)
    put_envelope(fields, events[-1])


#: Fields of a section that hold the envelope, besides type and time.
_ENVELOPE = (
    "event.id",
    "event.epoch",
    "event.seed_id",
    "event.slot_id",
    "event.message",
    "event.severity",
    "event.group_id",
)

#: Names of envelope fields in a section that are not envelope keys of the wire.
_NOT_WIRE_KEYS = frozenset({"type", "id", "extra"})


def put_envelope(fields: Fields, event: Event) -> None:
    """Replace the envelope of a section by this event's, as a whole. A null or empty value is left out."""
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
    """Write undeclared envelope keys, and list them in `event.extra`, so that the next envelope can remove them."""
    present = {
        f"emitted.{name}" if name in _NOT_WIRE_KEYS else name: value
        for name, value in extra.items()
        if value is not None and value != ""
    }
    fields.update({f"event.{name}": value for name, value in present.items()})
    if present:
        fields["event.extra"] = sorted(present)
