"""Conversion of decoded values to the JSON model."""

import datetime as dt
from typing import Any

import pytest

from sanctum_bus.errors import InvalidEntry
from sanctum_bus.events.normalize import normalize, without_surrogates


@pytest.mark.parametrize(
    ("value", "converted"),
    [
        ((1, (2,)), [1, [2]]),
        ({"a": {1: 2}}, {"a": {"1": 2}}),
        ({"a": 1, "b": [(1,)]}, {"a": 1, "b": [[1]]}),
        (
            {None: 1, True: 2, False: 3, 1.5: 4, b"x": 5, "y": 6},
            {"null": 1, "true": 2, "false": 3, "1.5": 4, "x": 5, "y": 6},
        ),
        (b"\x00\xff", {"$bytes": "AP8="}),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
    ],
)
def test_a_value_is_converted(value: Any, converted: Any) -> None:
    """A decoded value becomes lists, maps with text keys, and plain values."""
    assert normalize(value) == converted


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1: 1, "1": 2}, "two keys of a map become equal"),
        ({(1, 2): 1}, "map key of type tuple"),
        ({"a": {1, 2}}, "value of type set"),
    ],
)
def test_a_value_without_a_place(value: Any, message: str) -> None:
    """A value that the model cannot represent is rejected with its type."""
    with pytest.raises(InvalidEntry, match=message):
        normalize(value)


def test_nesting_is_limited() -> None:
    """Nesting is accepted up to the limit and rejected above it."""

    def nested(depth: int) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = [value]
        return value

    assert normalize(nested(32)) == nested(32)
    with pytest.raises(InvalidEntry, match="deeper than 32"):
        normalize(nested(34))


def test_lone_surrogates_are_replaced() -> None:
    """Lone surrogates become U+FFFD in keys and values; keys that become equal are rejected."""
    assert without_surrogates({"a\ud800": ["\udfff", 1]}) == {"a\ufffd": ["\ufffd", 1]}
    with pytest.raises(InvalidEntry, match="two keys"):
        without_surrogates(dict.fromkeys(["\ud800", "\ud801"], 1))
