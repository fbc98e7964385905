"""Values as training code has them, well-behaved and hostile."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, Flag, IntEnum, StrEnum
from typing import Any, NamedTuple

import msgpack

from sanctum_bus.events.encode import Encoded, encode_event


class Stage(Enum):
    """A stage."""

    BLENDING = 3


class Level(IntEnum):
    """An enum that is also an integer."""

    HIGH = 7


class Color(StrEnum):
    """An enum that is also text."""

    RED = "#f00"


class Mode(Flag):
    """A flag: its combinations have unusual names, and zero has none."""

    A = 1
    B = 2


class Name(Enum):
    """A member that is named like a field."""

    b = 0


class Point(NamedTuple):
    """A tuple with named fields."""

    x: int
    y: int


@dataclass
class Payload:
    """A typed payload, as in today's emitter."""

    env_id: int
    stage: Stage = Stage.BLENDING
    shape: tuple[int, ...] = (1, 2)


class Hostile:
    """An object that raises on every access."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


class Attributes:
    """A plain object with public and private attributes."""

    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)


class Slotted:
    """A plain object with slots, one of them never set."""

    __slots__ = ("_hidden", "missing", "x")

    def __init__(self) -> None:
        self.x, self._hidden = 1, 2


class Odd(Mapping[str, object]):
    """A mapping whose contents cannot be read."""

    def __getitem__(self, key: str) -> object:
        raise RuntimeError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


class Meta(type):
    """A type that raises on access."""

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)

    def __hash__(cls) -> int:
        raise RuntimeError("no hash")


class Nameless(metaclass=Meta):
    """An instance of that type."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def encoded(data: object, **envelope: object) -> Encoded:
    """Encode an event with this payload."""
    return encode_event({"event_type": "T", "event_id": "i", "timestamp": 1.0, "data": data, **envelope})


def on_wire(event: object) -> dict[str, Any]:
    """Return the event map as a reader decodes it."""
    body = msgpack.unpackb(encode_event(event).event)
    assert isinstance(body, dict)
    return body


def sent(value: object) -> tuple[object, int]:
    """Return the converted value of a single field, and the count of failed conversions."""
    result = encoded({"value": value})
    return msgpack.unpackb(result.event)["data"]["value"], result.unconvertible


def same(left: object, right: object) -> bool:
    """Return whether two values are equal in type and value; NaN equals NaN, and the sign of zero counts."""
    if isinstance(left, float) and isinstance(right, float):
        return repr(left) == repr(right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right
