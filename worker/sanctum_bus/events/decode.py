"""Decoding of a stream entry into an event: a small typed envelope, and `data` with its names.

There are two ways. Nearly every event comes from Sanctum's publisher: plain values under text keys. The fast
way decodes these in one step that also checks every type. An event that it refuses is decoded the slow way,
which accepts everything that can be understood and states what cannot.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from sanctum_bus.errors import InvalidEntry
from sanctum_bus.events.normalize import all_plain, normalize, without_surrogates
from sanctum_bus.events.shape import Shape, known_shape, shape_of
from sanctum_bus.protocol import entry as wire
from sanctum_bus.protocol.entry import WIRE_VERSION, Value
from sanctum_bus.protocol.keys import MAX_NAME_BYTES

_MAX_TYPE_BYTES = MAX_NAME_BYTES

_TEXT = frozenset({str})
_FAR = wire.FAR

#: Attributes computed here. If a key of the event has such a name, the fast way refuses its value and the
#: slow way reads it.
_NOT_ON_THE_WIRE = {"shape": "(shape)", "extra": "(extra)"}


class Event(msgspec.Struct, forbid_unknown_fields=True, gc=False, rename=_NOT_ON_THE_WIRE):
    """One telemetry event.

    Args:
        timestamp: Unix seconds, UTC.
        shape: the type, and the names of the fields.
        data: the fields, under their emitted names.
        labels: labels of the run.
        again: a TRAINING_STARTED that is sent again after the server was emptied.
        extra: undeclared envelope keys.
    """

    timestamp: float
    shape: Shape = shape_of(b"", ())
    data: dict[str, Value] = {}
    event_id: Value = None
    seed_id: str | None = None
    slot_id: str | None = None
    epoch: float | None = None
    message: Value = None
    severity: Value = None
    group_id: str | None = None
    labels: dict[str, Value] | None = None
    again: bool = False
    extra: dict[str, Value] | None = None

    @property
    def type(self) -> str:
        """Return the canonical type."""
        return self.shape.type

    @property
    def emitted_type(self) -> str:
        """Return the type as the emitter spells it."""
        return self.shape.emitted_type


_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1

_Moment: TypeAlias = Annotated[float, Meta(ge=-_FAR, le=_FAR)]
_Whole: TypeAlias = Annotated[int, Meta(ge=_LEAST, le=_GREATEST)]
_Scalar: TypeAlias = bool | int | float | str | None
_Plain1: TypeAlias = _Scalar | list[_Scalar] | dict[str, _Scalar]
_Plain2: TypeAlias = _Scalar | list[_Plain1] | dict[str, _Plain1]
_Plain3: TypeAlias = _Scalar | list[_Plain2] | dict[str, _Plain2]
_Plain: TypeAlias = _Scalar | list[_Plain3] | dict[str, _Plain3]


class _PlainEvent(Event, forbid_unknown_fields=True, gc=False, rename=_NOT_ON_THE_WIRE):
    """Events that need no conversion: no value has to change, and nesting is at most four levels."""

    timestamp: _Moment
    data: dict[str, _Plain] = {}
    event_id: _Scalar = None
    epoch: _Whole | _Moment | None = None
    message: _Scalar = None
    severity: _Scalar = None
    labels: dict[str, _Plain] | None = None
    # The only value that the decoder can put here is null, which carries no information.
    extra: None = None
    v: Literal[1] = WIRE_VERSION


_unpack_plain = msgspec.msgpack.Decoder(_PlainEvent).decode
_unpack = msgspec.msgpack.Decoder(dict[str, Any]).decode

#: The fields of nearly every entry.
_FIELDS = frozenset(name.encode() for name in wire.LAYOUT)

#: Maximum bytes of an event whose entry is below the limit for any other fields: names may be this long.
_SURELY_FITS = wire.MAX_ENTRY_BYTES - 4 * MAX_NAME_BYTES


def decode(entry_id: str, entry: Mapping[bytes, bytes]) -> Event:
    """Decode one stream entry.

    Args:
        entry_id: its stream ID; its milliseconds are the time of an event without a timestamp.
        entry: its fields.

    Raises:
        InvalidEntry: the entry is not an event; the message has the reason.
    """
    packed, raw_type = entry.get(b"event"), entry.get(b"type")
    if packed is None or not raw_type or not _FIELDS.issuperset(entry):
        return _at_length(entry_id, entry)
    return decode_plain(raw_type, packed) or _at_length(entry_id, entry)


def decode_plain(raw_type: bytes, packed: bytes) -> Event | None:
    """Decode the event of an entry that has a publisher's fields only; return None if it needs the slow way."""
    if not raw_type or len(packed) > _SURELY_FITS:
        return None
    try:
        event = _unpack_plain(packed)
        names = tuple(event.data)
        shape = known_shape((raw_type, names)) or _new_shape(raw_type, names)
    except (
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
        InvalidEntry,
    ):
        return None
    event.shape = shape
    labels = event.labels
    return event if labels is None or _are_short(labels) else None


def _new_shape(raw_type: bytes, names: tuple[str, ...]) -> Shape:
    if len(raw_type) > MAX_NAME_BYTES or len(names) > wire.MAX_FIELDS:
        raise InvalidEntry("the slow way reports a long name")
    return shape_of(raw_type, names)


def _at_length(entry_id: str, entry: Mapping[bytes, bytes]) -> Event:
    size = sum(map(len, entry.values())) + sum(map(len, entry))
    if size > wire.MAX_ENTRY_BYTES:
        raise InvalidEntry(f"an entry of {size:,} bytes is over the limit of {wire.MAX_ENTRY_BYTES:,}")
    emitted = _type_of(entry)
    body = _body_of(entry)
    if body.pop("v", WIRE_VERSION) != WIRE_VERSION:
        raise InvalidEntry(f"unknown wire version; this worker reads version {WIRE_VERSION}")
    return _event(emitted, body, entry_id)


def _type_of(entry: Mapping[bytes, bytes]) -> str:
    raw = entry.get(b"type")
    if not raw:
        raise InvalidEntry("missing field 'type'")
    if len(raw) > _MAX_TYPE_BYTES:
        raise InvalidEntry(f"type of {len(raw)} bytes exceeds the limit of {_MAX_TYPE_BYTES}")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidEntry("the type is not UTF-8") from None


def _body_of(entry: Mapping[bytes, bytes]) -> dict[str, Any]:
    packed = entry.get(b"event")
    try:
        if packed is not None:
            return _unpack(packed)
        text = entry.get(b"json")
        if text is None:
            raise InvalidEntry("neither `event` nor `json`")
        body = without_surrogates(json.loads(text))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidEntry(f"not decodable: {str(error)[:200]}") from None
    if not isinstance(body, dict):
        raise InvalidEntry(f"an event must be a map, not a {type(body).__name__}")
    return body


def _event(emitted: str, body: dict[str, Any], entry_id: str) -> Event:
    timestamp, data = _timestamp(body.pop("timestamp", None), entry_id), _data(body.pop("data", None))
    event = Event(
        timestamp,
        shape_of(emitted.encode(), tuple(data)),
        data,
        body.pop("event_id", None),
        _text(body, "seed_id"),
        _text(body, "slot_id"),
        _epoch(body.pop("epoch", None)),
        body.pop("message", None),
        body.pop("severity", None),
        _text(body, "group_id"),
    )
    if body:
        _extras(event, body)
    if not all_plain({"event_id": event.event_id, "message": event.message, "severity": event.severity}):
        event.event_id, event.message = normalize(event.event_id), normalize(event.message)
        event.severity = normalize(event.severity)
    return event


def _extras(event: Event, body: dict[str, Any]) -> None:
    event.again = body.pop(wire.AGAIN, False) is True
    labels = body.pop(wire.LABELS, None)
    if labels is not None:
        labels = normalize(labels)
        if not isinstance(labels, dict):
            raise InvalidEntry("`labels` is not a map")
        _check_number(labels, "labels")
        check_names(labels)
        event.labels = labels
    if body:
        _check_number(body, "keys beside `data`")
        event.extra = normalize(body)
        check_names(body)


def _data(data: Any) -> dict[str, Value]:
    if data is None:
        return {}
    if type(data) is not dict:
        raise InvalidEntry(f"`data` is a {type(data).__name__}, not a map")
    _check_number(data, "fields")
    if not (all_plain(data) and _TEXT.issuperset(map(type, data))):
        return normalize(data)  # type: ignore[no-any-return]  # a map stays a map
    return data


def _check_number(given: Mapping[str, object], what: str) -> None:
    if len(given) > wire.MAX_FIELDS:
        raise InvalidEntry(f"{len(given):,} {what} are over the limit of {wire.MAX_FIELDS:,}")


def check_names(names: Mapping[str, object]) -> None:
    """Check the length of field names.

    Raises:
        InvalidEntry: a name is too long.
    """
    for name in names:
        if _is_long(name):
            raise InvalidEntry(f"a name exceeds the limit of {MAX_NAME_BYTES} bytes: {name[:40]}...")


def _are_short(names: Mapping[str, object]) -> bool:
    return len(names) <= wire.MAX_FIELDS and not any(map(_is_long, names))


def _is_long(name: str) -> bool:
    return len(name) > MAX_NAME_BYTES or len(name.encode()) > MAX_NAME_BYTES


def _timestamp(value: Any, entry_id: str) -> float:
    if value is None:
        return int(entry_id.partition("-")[0]) / 1000
    if isinstance(value, str):
        return _timestamp_of_text(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidEntry(f"`timestamp` is a {type(value).__name__}, not a number")
    if not -wire.FAR <= value <= wire.FAR:
        raise InvalidEntry("`timestamp` is not finite, or out of range")
    return float(value)


def _timestamp_of_text(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidEntry("`timestamp` is neither a number nor an ISO 8601 time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.pop(name, None)
    if value is not None and type(value) is not str:
        raise InvalidEntry(f"`{name}` is a {type(value).__name__}, not text")
    return value


def _epoch(value: Any) -> float | None:
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise InvalidEntry(f"`epoch` is a {type(value).__name__}, not a number")
    if isinstance(value, int) and not -wire.FAR <= value <= wire.FAR:
        raise InvalidEntry("`epoch` exceeds 64 bits")
    return value
