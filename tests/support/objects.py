"""Values as training code has them, friendly and hostile."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, Flag, IntEnum, StrEnum
from typing import Any, NamedTuple

import msgpack

from sanctum_bus.events.encode import Encoded, encode_event


class Stage(Enum):
    """A stage as training code has it."""

    BLENDING = 3


class Level(IntEnum):
    """An enum that is an integer too."""

    HIGH = 7


class Colour(StrEnum):
    """An enum that is text too."""

    RED = "#f00"


class Mode(Flag):
    """A flag: its combinations have odd names, and nothing has none."""

    A = 1
    B = 2


class Name(Enum):
    """A member that is called like a field."""

    b = 0


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


@dataclass
class Payload:
    """A typed payload, as today's emitter has them."""

    env_id: int
    stage: Stage = Stage.BLENDING
    shape: tuple[int, ...] = (1, 2)


class Hostile:
    """An object that raises whatever is asked of it."""

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
    """A type that raises when it is looked at."""

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)

    def __hash__(cls) -> int:
        raise RuntimeError("no hash")


class Nameless(metaclass=Meta):
    """An instance of such a type."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def encoded(data: object, **envelope: object) -> Encoded:
    """Encode an event with this payload."""
    return encode_event({"event_type": "T", "event_id": "i", "timestamp": 1.0, "data": data, **envelope})


def on_wire(event: object) -> dict[str, Any]:
    """The event map as a reader gets it."""
    body = msgpack.unpackb(encode_event(event).event)
    assert isinstance(body, dict)
    return body


def sent(value: object) -> tuple[object, int]:
    """What a single field becomes, and the count of what could not be converted."""
    result = encoded({"value": value})
    return msgpack.unpackb(result.event)["data"]["value"], result.unconvertible


def same(left: object, right: object) -> bool:
    """Equal in type and value, a NaN to a NaN, and the sign of zero counts."""
    if isinstance(left, float) and isinstance(right, float):
        return repr(left) == repr(right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right
