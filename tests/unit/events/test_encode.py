"""Encoding of events: type, envelope, and the promise that a worker never parks an encoded event."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import ClassVar, NamedTuple
from uuid import UUID

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.errors import InvalidArgument
from sanctum_bus.events.decode import decode
from sanctum_bus.events.encode import encode_event, group_of, with_keys
from tests.support.objects import (
    Attributes,
    Hostile,
    Level,
    Mode,
    Nameless,
    Odd,
    Payload,
    Stage,
    encoded,
    on_wire,
)


@dataclass
class HubEvent:
    """An event of the hub with more fields than the envelope has."""

    event_type: Stage
    data: object = None
    timestamp: object = datetime(2026, 11, 23, 3, 42, 41, 934676, tzinfo=UTC)
    event_id: object = "id-1"
    seed_id: object = None
    slot_id: object = "r0c1"
    epoch: object = 4
    message: object = ""
    severity: object = "info"
    group_id: object = None
    shard: int = 9


def test_the_map_has_its_keys_in_order_and_leaves_out_what_is_absent() -> None:
    """The map holds version, ID and time, the envelope's values that are not None, then unknown keys, then the data."""
    event = {
        "event_type": "EPOCH_COMPLETED",
        "event_id": "i",
        "timestamp": 1.5,
        "seed_id": None,
        "slot_id": "",
        "epoch": 0,
        "message": "",
        "shard": 3,
        "severity": "info",
        "data": {"a": None, "b": -0.0},
    }

    result = encode_event(event)

    assert result.type == "EPOCH_COMPLETED"
    assert result.unconvertible == 0
    assert list(msgpack.unpackb(result.event).items()) == [
        ("v", 1),
        ("event_id", "i"),
        ("timestamp", 1.5),
        ("slot_id", ""),
        ("epoch", 0),
        ("message", ""),
        ("severity", "info"),
        ("shard", 3),
        ("data", {"a": None, "b": -0.0}),
    ]


def test_an_event_of_the_hub_with_a_typed_payload() -> None:
    """Dataclasses in dataclasses arrive by field name, enums by name, tuples as lists; unknown fields are kept."""
    result = encode_event(HubEvent(Stage.BLENDING, Payload(3)))

    body = msgpack.unpackb(result.event)
    assert (result.type, result.unconvertible) == ("BLENDING", 0)
    assert body.pop("data") == {"env_id": 3, "stage": "BLENDING", "shape": [1, 2]}
    assert body == {
        "v": 1,
        "event_id": "id-1",
        "timestamp": 1795405361.934676,
        "slot_id": "r0c1",
        "epoch": 4,
        "message": "",
        "severity": "info",
        "shard": 9,
    }


def test_a_plain_object_and_a_named_tuple_are_events_too() -> None:
    """Computed attributes are sent like stored ones; private attributes are not sent."""

    class Event:
        type = "A"

        def __init__(self) -> None:
            self.data, self.extra, self._cache = {"x": 1}, 2, 3

        @property
        def epoch(self) -> int:
            return 5

    class Row(NamedTuple):
        event_type: str
        data: object
        more: int

    assert encode_event(Event()).type == "A"
    body = on_wire(Event())
    assert (body["data"], body["extra"], body["epoch"], "_cache" in body) == ({"x": 1}, 2, 5, False)
    body = on_wire(Row("B", {"y": 1}, 7))
    assert (body["data"], body["more"]) == ({"y": 1}, 7)


def test_event_type_goes_before_type_and_type_is_then_kept() -> None:
    """If an event has two names for its type, the hub's name counts and the other is kept as data."""
    result = encode_event({"event_type": "A", "type": "B"})

    assert result.type == "A"
    assert msgpack.unpackb(result.event)["type"] == "B"
    assert encode_event({"event_type": None, "type": Level.HIGH}).type == "HIGH"
    assert encode_event({"type": "\ud800x"}).type == "\ufffdx"
    assert encode_event({"type": 5}).type == "5"


@pytest.mark.parametrize("event", [{}, {"event_type": ""}, {"data": {}}, None, 7, "text"])
def test_only_an_event_without_a_type_is_refused(event: object) -> None:
    """An event without a type is the only error."""
    with pytest.raises(InvalidArgument):
        encode_event(event)


def test_an_event_that_cannot_be_read_has_no_type() -> None:
    """An event that raises on access is refused with the one error that the publisher handles."""
    for event in (Hostile(), Odd(), Nameless()):
        with pytest.raises(InvalidArgument):
            encode_event(event)


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        (datetime(2026, 11, 23, 3, 42, 41, 934676, tzinfo=UTC), 1795405361.934676),
        (datetime(2026, 11, 23, 3, 42, 41, 934676), 1795405361.934676),  # noqa: DTZ001  # naive on purpose
        (datetime(2026, 11, 23, 5, 42, 41, tzinfo=timezone(timedelta(hours=2))), 1795405361.0),
        ("2026-11-23T03:42:41.934676+00:00", 1795405361.934676),
        ("2026-11-23T03:42:41Z", 1795405361.0),
        ("2026-11-23T03:42:41", 1795405361.0),
        (1795405361, 1795405361.0),
        (1.25, 1.25),
        (np.float32(0.5), 0.5),
        (Decimal("1.5"), 1.5),
    ],
)
def test_a_time_becomes_unix_seconds(timestamp: object, seconds: float) -> None:
    """Every spelling of a time in training code becomes the same number; a time without a zone is UTC."""
    result = encode_event({"type": "T", "timestamp": timestamp})

    assert msgpack.unpackb(result.event)["timestamp"] == seconds
    assert result.unconvertible == 0


class NotATime(datetime):
    """The missing time of table libraries: a datetime that is not a time."""

    def timestamp(self) -> float:
        """Return NaN."""
        return math.nan


class Nowhere(tzinfo):
    """A time zone that raises."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        """Raise an error."""
        raise LookupError

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        """Return no name."""
        return ""


@pytest.mark.parametrize(
    "timestamp",
    [
        math.nan,
        math.inf,
        "yesterday",
        True,
        2**70,
        2.0**64,
        [1],
        NotATime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=Nowhere()),
    ],
)
def test_a_time_that_is_none_is_kept_beside_the_time_of_now(timestamp: object) -> None:
    """A time that a worker would refuse is kept under another name, and the event gets the current time."""
    before = datetime.now(UTC).timestamp()

    result = encode_event({"type": "T", "timestamp": timestamp})

    body = msgpack.unpackb(result.event)
    assert before <= body["timestamp"] <= datetime.now(UTC).timestamp()
    assert "timestamp#2" in body
    assert result.unconvertible >= 1


def test_an_epoch_that_no_worker_takes_is_kept_beside() -> None:
    """An epoch beyond 64 bits, which a worker would refuse, is kept under another name."""
    body = on_wire({"type": "T", "epoch": 2**64 - 1})

    assert "epoch" not in body
    assert body["epoch#2"] == 2**64 - 1


def test_what_is_absent_is_made() -> None:
    """An event without ID and time gets a random ID and the current time; without data it has no fields."""
    before = datetime.now(UTC).timestamp()

    first, second = on_wire({"type": "T"}), on_wire({"type": "T", "data": None})

    assert UUID(first["event_id"]).version == 4
    assert first["event_id"] != second["event_id"]
    assert before <= first["timestamp"] <= datetime.now(UTC).timestamp()
    assert first["data"] == second["data"] == {}


def test_the_envelope_holds_what_a_worker_takes() -> None:
    """IDs of seeds, slots and groups become text, and an epoch a number, so that a worker accepts them."""
    result = encoded({}, event_id=UUID(int=1), seed_id=3, slot_id=Stage.BLENDING, group_id=1.5, epoch="late")

    body = msgpack.unpackb(result.event)
    assert (body["event_id"], body["seed_id"]) == ("00000000-0000-0000-0000-000000000001", "3")
    assert (body["slot_id"], body["group_id"]) == ("BLENDING", "1.5")
    assert "epoch" not in body
    assert (body["epoch#2"], result.unconvertible) == ("late", 1)
    assert msgpack.unpackb(encoded({}, epoch=np.int64(3)).event)["epoch"] == 3


def test_names_that_the_wire_uses_are_not_the_callers() -> None:
    """A caller's `labels` and `again` are renamed and kept, because these names are the publisher's."""
    result = encode_event({"type": "T", "v": 1, "labels": [1], "again": True, "x": 0})
    body = msgpack.unpackb(result.event)

    assert body["v"] == 1
    assert (body["labels#2"], body["again#2"], body["x"]) == ([1], True, 0)
    assert not {"v#2", "labels", "again"} & body.keys()
    assert result.unconvertible == 2
    assert msgpack.unpackb(encode_event({"type": "T", "v": 2}).event)["v#2"] == 2


def test_labels_and_again_and_keys_that_come_later() -> None:
    """The publisher's keys are in the map, also if they are added to an encoded event."""
    result = encode_event({"type": "T", "group_id": "A"}, labels={"gpu": "h100"}, again=True)

    body = msgpack.unpackb(result.event)
    assert (body["labels"], body["again"]) == ({"gpu": "h100"}, True)
    later = with_keys(encoded({"x": 2**64 - 1}).event, {"again": True})
    assert msgpack.unpackb(later)["again"] is True
    assert msgpack.unpackb(later)["data"] == {"x": 2**64 - 1}
    assert group_of(result.event) == "A"
    assert group_of(later) is None


def test_hostile_values_do_not_raise() -> None:
    """If an object raises on access, the event is sent and the failure is counted."""
    for value in (Hostile(), Odd(), Nameless()):
        for data in (value, {"x": value}, [value]):
            assert encoded(data).unconvertible >= 1
        result = encode_event({"type": "T", "extra": value, "message": value, "timestamp": value})
        assert result.unconvertible >= 3


def test_an_object_that_hides_what_it_holds_is_sent_without_it() -> None:
    """Attributes that are known by name are read even if the object does not list them."""

    class Closed:
        event_type = "T"

        def __getattribute__(self, name: str) -> object:
            if name == "__dict__":
                raise RuntimeError(name)
            return object.__getattribute__(self, name)

    assert encode_event(Closed()).type == "T"


class Doubled:
    """A descriptor that returns twice the stored value."""

    def __set__(self, owner: object, value: int) -> None:
        vars(owner)["epoch"] = value

    def __get__(self, owner: object, kind: type | None = None) -> object:
        return self if owner is None else 2 * vars(owner)["epoch"]


@dataclass
class Plain:
    """An ordinary dataclass."""

    event_type: str = "T"
    epoch: int = 3
    event_id: str = "i"
    timestamp: float = 1.0


@dataclass(slots=True)
class Slotted(Plain):
    """A dataclass without a `__dict__` for its fields."""

    epoch: int = 5


class Watched(Plain):
    """A dataclass that overrides attribute access."""

    def __getattribute__(self, name: str) -> object:
        return 8 if name == "epoch" else object.__getattribute__(self, name)


class Described(Plain):
    """A dataclass with a field that is computed on access."""

    epoch: int = Doubled()  # type: ignore[assignment]  # readers see the type that it returns


class Computed(Plain):
    """A dataclass that computes an attribute of the envelope."""

    @property
    def message(self) -> str:
        """Return a text."""
        return "computed"


def _bare() -> Plain:
    event = Plain(epoch=6)
    del event.epoch
    return event


def _adorned() -> Plain:
    event = Plain()
    vars(event)["note"] = "not declared"
    return event


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (Plain(), {"epoch": 3}),
        (Slotted(), {"epoch": 5}),
        (Watched(), {"epoch": 8}),
        (Described(), {"epoch": 6}),
        (Computed(), {"epoch": 3, "message": "computed"}),
        (_bare(), {"epoch": 3}),
        (_adorned(), {"epoch": 3}),
    ],
)
def test_a_field_is_what_reading_it_gives(event: object, found: dict[str, object]) -> None:
    """The map holds the values of the attributes, however a dataclass stores its fields."""
    assert on_wire(event) == {"v": 1, "event_id": "i", "timestamp": 1.0, "data": {}} | found


def test_a_dataclass_that_is_a_mapping_is_sent_as_one() -> None:
    """An event that is a mapping is encoded from its items."""

    @dataclass
    class Both(Mapping[str, object]):
        event_type: str = "FIELD"
        epoch: int = 1

        def __getitem__(self, key: str) -> object:
            return {"event_type": "ITEM"}[key]

        def __iter__(self) -> Iterator[str]:
            return iter(["event_type"])

        def __len__(self) -> int:
            return 1

    assert encode_event(Both()).type == "ITEM"


def test_what_belongs_to_the_class_is_no_part_of_the_event() -> None:
    """The constants of a dataclass class are not sent."""

    @dataclass
    class Event:
        version: ClassVar[int] = 3
        event_type: str = "T"
        x: int = 1

    body = on_wire(Event())
    assert (body["x"], "version" in body) == (1, False)


def test_attributes_that_raise_are_left_out_and_counted() -> None:
    """A property that raises costs only that property, not the event."""

    @dataclass
    class Event:
        event_type: str = "T"
        data: dict[str, int] = field(default_factory=lambda: {"x": 1})

        @property
        def epoch(self) -> int:
            raise ValueError("not yet")

    result = encode_event(Event())

    assert (result.type, result.unconvertible) == ("T", 1)
    assert msgpack.unpackb(result.event)["data"] == {"x": 1}


anything: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers()
    | st.decimals()
    | st.datetimes()
    | st.timedeltas()
    | st.sampled_from([*Stage, *Level, Mode(0), Mode.A | Mode.B, Payload(1), int])
    # By number, because Hypothesis inspects the objects that it draws from.
    | st.integers(0, 2).map(lambda number: (Hostile(), Odd(), Nameless())[number])
    | st.builds(Attributes, a=st.integers()),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.builds(Payload, inner)
        | st.dictionaries(
            st.none() | st.integers() | st.floats() | st.text(st.characters(), max_size=20), inner
        )
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(
        st.sampled_from(["event_id", "timestamp", "slot_id", "epoch", "message", "data", "x"]), anything
    )
)
def test_no_value_makes_encoding_raise_or_the_worker_park(event: dict[str, object]) -> None:
    """The bytes of any event are MessagePack that a worker accepts."""
    result = encode_event({**event, "type": "T"})

    assert isinstance(msgpack.unpackb(result.event), dict)
    decode("1-0", {b"type": b"T", b"event": result.event})
