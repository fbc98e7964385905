"""A stream entry, decoded once: after this an event is a small typed envelope and its `data`, names canonical."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from sanctum_bus._version import WIRE_VERSION
from sanctum_bus.catalog.names import canonical_type
from sanctum_bus.errors import Unfit
from sanctum_bus.keys import MAX_NAME_BYTES
from sanctum_bus.wire import fields as wire
from sanctum_bus.wire.values import Value, all_plain, normalise, without_surrogates

_unpack = msgspec.msgpack.Decoder(dict[str, Any]).decode

_MAX_TYPE_BYTES = MAX_NAME_BYTES

_TEXT = frozenset({str})

#: Beyond this, in seconds or epochs, a number is none that was meant.
_FAR = 1 << 63


@dataclass(slots=True)
class Event:
    """One telemetry event.

    Args:
        type: the canonical type.
        emitted_type: the type as the emitter spells it.
        timestamp: Unix seconds, UTC.
        data: the fields, under the names that were emitted.
        extra: envelope keys that nobody has declared.
        again: a TRAINING_STARTED that is sent again after the server was emptied.
    """

    type: str
    emitted_type: str
    timestamp: float
    data: dict[str, Value]
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


def decode(entry_id: str, entry: Mapping[bytes, bytes]) -> Event:
    """Decode one stream entry.

    Args:
        entry_id: the id in the stream; its milliseconds serve where the event has no timestamp.
        entry: the entry's fields.

    Raises:
        Unfit: the entry is no event; the message says why.
    """
    size = sum(map(len, entry.values())) + sum(map(len, entry))
    if size > wire.MAX_ENTRY_BYTES:
        raise Unfit(f"an entry of {size:,} bytes is over the limit of {wire.MAX_ENTRY_BYTES:,}")
    emitted = _type_of(entry)
    body = _body_of(entry)
    if body.pop("v", WIRE_VERSION) != WIRE_VERSION:
        raise Unfit(f"unknown wire version; this worker reads version {WIRE_VERSION}")
    return _event(emitted, body, entry_id)


def _type_of(entry: Mapping[bytes, bytes]) -> str:
    raw = entry.get(b"type")
    if not raw:
        raise Unfit("no type")
    if len(raw) > _MAX_TYPE_BYTES:
        raise Unfit(f"a type of {len(raw)} bytes is over the limit of {_MAX_TYPE_BYTES}")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Unfit("the type is not UTF-8") from None


def _body_of(entry: Mapping[bytes, bytes]) -> dict[str, Any]:
    packed = entry.get(b"event")
    try:
        if packed is not None:
            return _unpack(packed)
        text = entry.get(b"json")
        if text is None:
            raise Unfit("neither `event` nor `json`")
        body = without_surrogates(json.loads(text))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Unfit(f"not decodable: {str(error)[:200]}") from None
    if not isinstance(body, dict):
        raise Unfit(f"an event is a map, not a {type(body).__name__}")
    return body


def _event(emitted: str, body: dict[str, Any], entry_id: str) -> Event:
    event = Event(
        canonical_type(emitted),
        emitted,
        _timestamp(body.pop("timestamp", None), entry_id),
        _data(body.pop("data", None)),
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
        event.event_id, event.message = normalise(event.event_id), normalise(event.message)
        event.severity = normalise(event.severity)
    return event


def _extras(event: Event, body: dict[str, Any]) -> None:
    event.again = body.pop(wire.AGAIN, False) is True
    labels = body.pop(wire.LABELS, None)
    if labels is not None:
        labels = normalise(labels)
        if not isinstance(labels, dict):
            raise Unfit("`labels` is not a map")
        check_names(labels)
        event.labels = labels
    if body:
        event.extra = normalise(body)
        check_names(body)


def _data(data: Any) -> dict[str, Value]:
    if data is None:
        return {}
    if type(data) is not dict:
        raise Unfit(f"`data` is a {type(data).__name__}, not a map")
    if len(data) > wire.MAX_FIELDS:
        raise Unfit(f"{len(data):,} fields are over the limit of {wire.MAX_FIELDS:,}")
    if not (all_plain(data) and _TEXT.issuperset(map(type, data))):
        return normalise(data)  # type: ignore[no-any-return]  # a map stays a map
    return data


def check_names(names: Mapping[str, object]) -> None:
    """Refuse names that are too long for a field.

    Raises:
        Unfit: one is.
    """
    for name in names:
        if len(name) > MAX_NAME_BYTES or len(name.encode()) > MAX_NAME_BYTES:
            raise Unfit(f"a name of more than {MAX_NAME_BYTES} bytes: {name[:40]}...")


def _timestamp(value: Any, entry_id: str) -> float:
    if value is None:
        return int(entry_id.partition("-")[0]) / 1000
    if isinstance(value, str):
        return _timestamp_of_text(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Unfit(f"`timestamp` is a {type(value).__name__}, not a number")
    if not -_FAR <= value <= _FAR:
        raise Unfit("`timestamp` is not finite, or beyond any time")
    return float(value)


def _timestamp_of_text(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unfit("`timestamp` is neither a number nor an ISO 8601 time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.pop(name, None)
    if value is not None and type(value) is not str:
        raise Unfit(f"`{name}` is a {type(value).__name__}, not text")
    return value


def _epoch(value: Any) -> float | None:
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise Unfit(f"`epoch` is a {type(value).__name__}, not a number")
    if isinstance(value, int) and not -_FAR <= value <= _FAR:
        raise Unfit("`epoch` is beyond 64 bits")
    return value
