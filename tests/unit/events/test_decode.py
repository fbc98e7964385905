"""Decoding of entries that no publisher of this project sends."""

import datetime as dt
from typing import Any

import msgpack
import pytest

from sanctum_bus.errors import InvalidEntry
from sanctum_bus.events.decode import Event, decode
from sanctum_bus.protocol import entry as wire


def _decode(event: dict[Any, Any], kind: bytes = b"T", **fields: bytes) -> Event:
    packed = msgpack.packb(event, datetime=True)
    entry = {b"type": kind, b"event": packed} | {name.encode(): value for name, value in fields.items()}
    return decode("5-0", entry)


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ({"data": {}}, b"", "missing field 'type'"),
        ({"data": {}}, b"T" * 200, "type of 200 bytes exceeds the limit"),
        ({"labels": [1], "x": b"\x00"}, b"T", "`labels` is not a map"),
        ({"message": "m", "epoch": "3"}, b"T", "`epoch` is a str, not a number"),
        ({"epoch": True}, b"T", "`epoch` is a bool, not a number"),
        ({"epoch": 1 << 63, "x": b"\x00"}, b"T", None),
        ({"epoch": (1 << 64) - 1}, b"T", "`epoch` exceeds 64 bits"),
        ({"seed_id": 3}, b"T", "`seed_id` is a int, not text"),
    ],
)
def test_an_invalid_entry(event: dict[Any, Any], kind: bytes, message: str | None) -> None:
    """An invalid entry is rejected with its reason; a number at the limit is accepted."""
    if message is None:
        assert _decode(event, kind).epoch == float(1 << 63)
        return
    with pytest.raises(InvalidEntry, match=message):
        _decode(event, kind)


def test_an_entry_over_the_limit() -> None:
    """An entry over the size limit is rejected with both sizes."""
    with pytest.raises(InvalidEntry, match="over the limit of 1,048,576"):
        _decode({"data": {"text": "x" * wire.MAX_ENTRY_BYTES}}, extra=b"1")


def test_undeclared_envelope_keys_and_labels() -> None:
    """The general path keeps labels, undeclared envelope keys, and values in the JSON model."""
    event = _decode(
        {
            "labels": {1: "a"},
            "again": True,
            "when": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
            "blob": b"\x01",
            "data": {"x": 1},
        }
    )

    assert (event.type, event.data, event.again, event.labels) == ("T", {"x": 1}, True, {"1": "a"})
    assert event.extra == {"when": "2026-01-02T00:00:00+00:00", "blob": {"$bytes": "AQ=="}}


def test_an_entry_without_extras() -> None:
    """An entry with an extra field and a plain event has neither labels nor undeclared keys."""
    event = _decode({"data": {1: 2}}, unknown=b"1")

    assert (event.data, event.labels, event.extra) == ({"1": 2}, None, None)


def test_labels_without_undeclared_keys() -> None:
    """An event with labels, and no other key beside its data, has no undeclared keys."""
    event = _decode({"labels": {1: "a"}, "data": {}}, unknown=b"1")

    assert (event.labels, event.extra) == ({"1": "a"}, None)


@pytest.mark.parametrize(
    ("timestamp", "message"),
    [
        (True, "`timestamp` is a bool, not a number"),
        ([1], "`timestamp` is a list, not a number"),
        (1e300, "not finite, or out of range"),
        ("yesterday", "neither a number nor an ISO 8601 time"),
    ],
)
def test_an_invalid_timestamp(timestamp: Any, message: str) -> None:
    """A timestamp that is not a time is rejected with its type or its range."""
    with pytest.raises(InvalidEntry, match=message):
        _decode({"timestamp": timestamp, "data": {}})


@pytest.mark.parametrize(
    ("event", "time"),
    [({}, 0.005), ({"timestamp": 7}, 7.0), ({"timestamp": "1970-01-01T00:00:08"}, 8.0)],
)
def test_the_time_of_an_event(event: dict[str, Any], time: float) -> None:
    """A missing timestamp is the time of the entry; a text without a zone is UTC."""
    assert _decode({**event, "data": {}}, unknown=b"1").timestamp == time
