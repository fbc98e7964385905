"""Conversion of values: the form of each kind of value in an encoded event."""

import math
from collections import OrderedDict, deque
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.events.decode import decode
from sanctum_bus.events.fast_check import MAX_ELEMENTS
from sanctum_bus.protocol.entry import MAX_DEPTH
from tests.support.objects import (
    Attributes,
    Color,
    Hostile,
    Level,
    Mode,
    Name,
    Payload,
    Point,
    Slotted,
    Stage,
    encoded,
    same,
    sent,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Stage.BLENDING, "BLENDING"),
        (Level.HIGH, "HIGH"),
        (Color.RED, "RED"),
        (Mode.A, "A"),
        (Mode(0), 0),
        ((1, (2, 3)), [1, [2, 3]]),
        (Point(1, 2), {"x": 1, "y": 2}),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        (frozenset({2, 1}), [1, 2]),
        (deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (Payload(1), {"env_id": 1, "stage": "BLENDING", "shape": [1, 2]}),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (timedelta(minutes=1, milliseconds=500), 60.5),
        (Decimal("0.1"), 0.1),
        (Fraction(1, 4), 0.25),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Path("/a") / "b", "/a/b"),
        (PurePosixPath("\udce9"), "\ufffd"),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        ("\ud83d\ude00 \ud83d", "😀 \ufffd"),
        (np.float32(0.5), 0.5),
        (np.float64(0.25), 0.25),
        (np.int64(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.longdouble(0.5), 0.5),
        (np.array(7), 7),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.zeros(4096, dtype=np.int8), [0] * 4096),
        (np.datetime64("2026-01-02T03:04:05.123456789"), "2026-01-02T03:04:05.123456789"),
        (np.array(["2026-01-02"], dtype="M8[D]"), ["2026-01-02"]),
        (np.timedelta64(1500, "ms"), 1.5),
    ],
)
def test_what_training_code_holds_becomes_plain(value: object, expected: object) -> None:
    """Each of these values has a plain form with the same content."""
    result, unconvertible = sent(value)

    assert same(result, expected), result
    assert unconvertible == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        (1 + 2j, "(1+2j)"),
        (int, "<class 'int'>"),
        (ValueError("x"), "ValueError('x')"),
        (Decimal("sNaN"), "Decimal('sNaN')"),
        (np.zeros(4097, dtype=np.int8), repr(np.zeros(4097, dtype=np.int8))),
    ],
)
def test_what_has_no_plain_form_is_sent_as_its_repr_and_counted(value: object, expected: object) -> None:
    """A value without a plain form becomes text and is counted."""
    assert sent(value) == (expected, 1)


def test_an_object_that_raises_is_sent_by_the_name_of_its_type() -> None:
    """A value whose `repr` raises becomes a fixed text; its neighbors are unchanged."""
    assert sent(Hostile()) == ("<unprintable Hostile>", 1)
    assert sent([Hostile(), 1]) == (["<unprintable Hostile>", 1], 1)
    assert sent(10**5000) == ("<unprintable int>", 1)
    assert sent(range(10**12)) == ("range(0, 1000000000000)", 1)


def test_a_repr_is_bounded() -> None:
    """The text of one object is bounded, so that it does not fill the stream."""

    class Long:
        def __repr__(self) -> str:
            return "x" * 1_000_000

    assert sent(Long()) == ("x" * 1000, 1)


_NAMES = {"1": "a", "null": "b", "false": "c", "1.5": "d", "BLENDING": "e"}


class Tensor:
    """A framework's tensor as seen from outside: rank and shape."""

    def __init__(self, value: object, shape: tuple[int, ...]) -> None:
        self._value, self.shape = value, shape

    def dim(self) -> int:
        """Return the rank."""
        return len(self.shape)

    def item(self) -> object:
        """Return the only element."""
        return self._value

    def tolist(self) -> object:
        """Return all elements."""
        return self._value


def test_tensors_are_known_by_what_they_can_do() -> None:
    """A tensor of rank 0 becomes its item, a small one its list, a large one its repr; no framework is imported."""
    assert sent(Tensor(0.5, ())) == (0.5, 0)
    assert sent(Tensor([1, 2], (2,))) == ([1, 2], 0)
    large, unconvertible = sent(Tensor([], (65, 64)))
    assert "Tensor" in str(large)
    assert unconvertible == 1


@pytest.mark.parametrize(
    ("data", "expected", "unconvertible"),
    [
        (Point(1, 2), {"x": 1, "y": 2}, 0),
        (Attributes(a=1, _b=2), {"a": 1}, 0),
        (Slotted(), {"x": 1}, 0),
        ([1, 2], {"value": [1, 2]}, 1),
        (7, {"value": 7}, 1),
        (Level.HIGH, {"value": "HIGH"}, 1),
        ({1: "a", None: "b", False: "c", 1.5: "d", Stage.BLENDING: "e"}, _NAMES, 0),
    ],
)
def test_every_payload_becomes_a_map(data: object, expected: object, unconvertible: int) -> None:
    """A payload with named fields keeps them; any other becomes the field `value`."""
    result = encoded(data)

    assert msgpack.unpackb(result.event)["data"] == expected
    assert result.unconvertible == unconvertible


def test_keys_that_become_equal_are_both_kept() -> None:
    """If two keys become equal, the later one is renamed and counted, and both values are kept."""
    lone = "\ud800"
    result = encoded(
        {"a": {1: "int", "1": "text", "1#2": "x"}, lone: 1, "\ufffd": 2, "b#2": 0, "b": 1, Name.b: 2}
    )

    assert msgpack.unpackb(result.event)["data"] == {
        "a": {"1": "int", "1#2": "text", "1#2#2": "x"},
        "\ufffd": 1,
        "\ufffd#2": 2,
        "b#2": 0,
        "b": 1,
        "b#3": 2,
    }
    assert result.unconvertible == 4


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (-0.0, "-0.0"),
        (False, "false"),
        (2**70, str(2**70)),
    ],
)
def test_keys_that_are_numbers_are_spelled_as_in_json(key: object, name: str) -> None:
    """The key of a number is spelled as in JSON, so that readers find it by name."""
    assert msgpack.unpackb(encoded({key: 1}).event)["data"] == {name: 1}


def nested(levels: int) -> list[Any]:
    """Return a list nested so many levels deep."""
    result: list[Any] = []
    for _ in range(levels - 1):
        result = [result]
    return result


def test_nesting_stops_where_a_worker_stops() -> None:
    """Nesting up to the worker's limit arrives unchanged; one level more becomes text, and the event is not parked."""
    deepest, unconvertible = sent(nested(MAX_DEPTH - 1))
    assert (deepest, unconvertible) == (nested(MAX_DEPTH - 1), 0)

    result = encoded({"value": nested(MAX_DEPTH)})
    assert result.unconvertible == 1
    decode("1-0", {b"type": b"T", b"event": result.event})
    assert "'[]'" in repr(msgpack.unpackb(result.event))


def test_a_value_inside_itself_ends() -> None:
    """A cycle is cut at its end; an object that is shared without a cycle is written twice."""
    cycle: dict[str, Any] = {"x": 1}
    cycle["self"] = [cycle]
    shared = [1]

    result, unconvertible = sent(cycle)

    assert isinstance(result, dict)
    assert (result["x"], unconvertible) == (1, 1)
    assert sent([shared, shared]) == ([[1], [1]], 0)


def test_a_value_that_would_unfold_without_end_is_cut() -> None:
    """A list that holds the same list twice, thirty levels deep, is bounded: training does not wait for a billion elements."""
    bomb: list[Any] = [0]
    for _ in range(30):
        bomb = [bomb, bomb]

    result = encoded({"value": bomb, "endless": range(10**12)})

    assert result.unconvertible > 0
    assert len(result.event) < 64 << 20
    assert sent([0] * MAX_ELEMENTS)[1] == 1


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=30,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_like))
def test_nothing_is_lost_of_what_json_can_hold(data: dict[str, object]) -> None:
    """Every number, NaN, infinity, -0.0, unsigned 64 bits and every character arrives unchanged."""
    result = encoded(data)

    assert same(msgpack.unpackb(result.event)["data"], data)
    assert result.unconvertible == 0
