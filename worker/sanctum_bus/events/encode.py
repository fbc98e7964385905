"""Encoding of an event from training code: object -> event map -> MessagePack. It needs only msgpack.

The map has `v`, `event_id`, `timestamp`, the envelope's values that are not None, `data`, and every other
value of the event under its name. A value that cannot be sent is sent as text and counted: a worker must
never have to park an event that this module encoded.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import uuid4

import msgpack

from sanctum_bus.errors import InvalidArgument
from sanctum_bus.events.bounded_repr import bounded_repr, clean
from sanctum_bus.events.convert import Converter, attribute_names
from sanctum_bus.events.fast_check import is_plain
from sanctum_bus.protocol.entry import AGAIN, ENVELOPE_KEYS, FAR, LABELS, WIRE_VERSION

#: Names of an event's type; the first one that is present counts.
_TYPE_KEYS = ("event_type", "type")
_KNOWN = frozenset({*_TYPE_KEYS, *ENVELOPE_KEYS, "data"})

#: Names of the map that are reserved; a key of the caller's with such a name is renamed.
_RESERVED = frozenset({"v", "data", LABELS, AGAIN, *ENVELOPE_KEYS})

#: Optional parts of the envelope, each with its usual type.
_OPTIONAL = tuple(
    (name, int if name == "epoch" else str) for name in ENVELOPE_KEYS if name not in ("event_id", "timestamp")
)

#: The fold refuses these unless they are text.
_TEXTS = frozenset({"seed_id", "slot_id", "group_id"})

#: A packer keeps the memory of its largest event; after an event of more bytes it is replaced.
_KEEP_PACKER_BYTES = 1 << 20


class Encoded(NamedTuple):
    """One event, ready for the stream.

    Args:
        type: the entry's field `type`.
        event: the entry's field `event`.
        unconvertible: number of values that were sent as their `repr`, renamed, or could not be read.
    """

    type: str
    event: bytes
    unconvertible: int


class _Packers(threading.local):
    """One packer for each thread: creating one costs as much as packing a small event."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Replace this thread's packer."""
        self.pack = msgpack.Packer().pack


_packers = _Packers()


def encode_event(event: object, *, labels: Mapping[str, str] | None = None, again: bool = False) -> Encoded:
    """Encode one event.

    Args:
        event: a mapping, or an object with attributes: `event_type` (or `type`), and if known `event_id`,
            `timestamp` (a datetime, ISO 8601 text, or Unix seconds), `seed_id`, `slot_id`, `epoch`,
            `message`, `severity`, `group_id` and `data`. Other keys or attributes are kept.
        labels: labels of the run, sent with this event.
        again: the event was sent before, to a server that was emptied since.

    Raises:
        InvalidArgument: the event has no type.
    """
    try:
        return _encode(event, Converter(), labels, again=again)
    except InvalidArgument:
        raise
    except Exception:  # noqa: BLE001  # a lone surrogate, a huge integer, or an object that raises: check every value
        return _encode(event, Converter(careful=True), labels, again=again)


def with_keys(event: bytes, keys: Mapping[str, object]) -> bytes:
    """Return an encoded event with more keys in its map; their values must be plain."""
    return _pack({**msgpack.unpackb(event), **keys})


def group_of(event: bytes) -> str | None:
    """Return the group of an encoded event."""
    group: str | None = msgpack.unpackb(event).get("group_id")
    return group


def _encode(event: object, converter: Converter, labels: Mapping[str, str] | None, *, again: bool) -> Encoded:
    try:
        held = _held_by(event, converter)
    except Exception as error:
        raise InvalidArgument(f"this event cannot be read: {bounded_repr(error)}") from error
    type_key, name = _type_of(held, converter)
    body = _envelope(held, converter)
    if not _KNOWN.issuperset(held) or (type_key == "event_type" and "type" in held):
        _add_unknown(body, held, type_key, converter)
    data = held.get("data")
    body["data"] = data if not converter.careful and is_plain(data) else converter.fields(data)
    if labels:
        body[LABELS] = {clean(key): clean(text) for key, text in labels.items()}
    if again:
        body[AGAIN] = True
    return Encoded(name, _pack(body), converter.unconvertible)


def _pack(body: dict[str, Any]) -> bytes:
    packed: bytes = _packers.pack(body)
    if len(packed) > _KEEP_PACKER_BYTES:
        _packers.renew()
    return packed


def _held_by(event: Any, converter: Converter) -> Mapping[Any, Any]:
    if type(event) is dict:
        return event
    kind: Any = type(event)
    names = _own_names(kind)
    if names is not None and tuple(event.__dict__) == names:
        held: dict[str, Any] = event.__dict__
        return held
    return _read(event, kind, converter)


def _read(event: Any, kind: Any, converter: Converter) -> Mapping[Any, Any]:
    if issubclass(kind, Mapping):
        return dict(event.items())
    read = _reader_of(kind)
    if read is not None:
        try:
            return dict(zip(read[0], read[1](event), strict=True))
        except Exception:  # noqa: BLE001  # an attribute is missing or raises: read them one by one
            return dict(converter.read(event, read[0]))
    known = dict(converter.read(event, _KNOWN))
    try:
        own = [name for name in attribute_names(event) if not name.startswith("_") and name not in known]
        return known | dict(converter.read(event, own))
    except Exception:  # noqa: BLE001  # it does not list its other attributes
        return known


@lru_cache(maxsize=256)
def _own_names(kind: Any) -> tuple[str, ...] | None:
    """Return the names that every event of a class stores itself, if reading an attribute is a plain lookup."""
    is_record = not issubclass(kind, Mapping) and is_dataclass(kind)
    read = _reader_of(kind) if is_record else None
    if read is None or not kind.__dictoffset__ or kind.__getattribute__ is not object.__getattribute__:
        return None
    return None if any(hasattr(getattr(kind, name, None), "__get__") for name in read[0]) else read[0]


@lru_cache(maxsize=256)
def _reader_of(kind: type) -> tuple[tuple[str, ...], Callable[[object], tuple[Any, ...]]] | None:
    """Return the names that every event of a record class has, and one C call that reads them all."""
    own: tuple[str, ...]
    if is_dataclass(kind):
        own = tuple(field.name for field in fields(kind))
    elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
        own = kind._fields
    else:
        return None
    # A class may also compute an attribute that is known by name.
    names = tuple(dict.fromkeys([*own, *(name for name in _KNOWN if hasattr(kind, name))]))
    return (names, attrgetter(*names)) if len(names) > 1 else None


def _type_of(held: Mapping[Any, Any], converter: Converter) -> tuple[str, str]:
    for key in _TYPE_KEYS:
        kind = held.get(key)
        if kind is None:
            continue
        if type(kind) is str:
            name = kind
        elif converter.careful or not isinstance(kind, Enum) or type(name := kind.name) is not str:
            name = converter.name(kind)
        if name:
            return key, clean(name)
    raise InvalidArgument("an event requires a type: `event_type` or `type`")


def _envelope(held: Mapping[Any, Any], converter: Converter) -> dict[str, Any]:
    # Without `careful`, a value of the usual type stays unchanged: packing refuses a bad one, and then it is
    # checked.
    careful = converter.careful
    event_id = held.get("event_id")
    if careful or type(event_id) is not str:
        event_id = str(uuid4()) if event_id is None else converter.name(event_id)
    timestamp = held.get("timestamp")
    body = {"v": WIRE_VERSION, "event_id": event_id, "timestamp": timestamp}
    if type(timestamp) is not float or not -FAR <= timestamp <= FAR:
        _set_timestamp(body, timestamp, converter)
    for name, usual in _OPTIONAL:
        value = held.get(name)
        if value is not None:
            if type(value) is usual and not careful and (isinstance(value, str) or -FAR <= value <= FAR):
                body[name] = value
            else:
                _set_optional(body, name, value, converter)
    return body


def _set_optional(body: dict[str, Any], name: str, value: object, converter: Converter) -> None:
    """Set a part of the envelope; a value that a worker would refuse is sent under a name that accepts anything."""
    if name in _TEXTS:
        body[name] = converter.name(value)
        return
    plain = converter.value(value)
    if name == "epoch" and not (type(plain) is float or (type(plain) is int and -FAR <= plain <= FAR)):
        name = converter.another_name(name, body, {})
    body[name] = plain


def _set_timestamp(body: dict[str, Any], timestamp: Any, converter: Converter) -> None:
    """Set the time in Unix seconds; an unreadable time is kept beside the current time."""
    moment = timestamp if issubclass(type(timestamp), datetime) else converter.value(timestamp)
    seconds = _unix_seconds(moment)
    body["timestamp"] = time.time() if seconds is None else seconds
    if seconds is None and timestamp is not None:
        body[converter.another_name("timestamp", body, {})] = converter.value(moment)


def _unix_seconds(moment: Any) -> float | None:
    try:
        if isinstance(moment, datetime):
            moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if type(moment) is str:
            return _unix_seconds(datetime.fromisoformat(moment))
        if type(moment) in (int, float) and -FAR <= moment <= FAR:
            return float(moment)
    except Exception:  # noqa: BLE001  # a time zone is foreign code
        # Not a time, or a time beyond every clock.
        return None
    return None


def _add_unknown(body: dict[str, Any], held: Mapping[Any, Any], type_key: str, converter: Converter) -> None:
    """Keep undeclared values. A reserved name is changed, so that its value is not lost."""
    numbers: dict[str, int] = {}
    for key, value in list(held.items()):
        if key == type_key or (key in _KNOWN and key != "type"):
            continue
        name = converter.name(key)
        if name == "v" and type(value) is int and value == WIRE_VERSION:
            continue
        if name in _RESERVED or name in body:
            name = converter.another_name(name, body, numbers)
        body[name] = converter.value(value, 1)
