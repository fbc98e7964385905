"""Checks of the fields that a handler needs: a value of the right type, or none.

A null means "no value" and never a wrong type. A wrong type parks the entry. Handlers check before they write.
"""

from typing import Any

from sanctum_bus.errors import InvalidEntry
from sanctum_bus.events.decode import Event
from sanctum_bus.protocol.entry import Value

Data = dict[str, Value]

#: Integers outside this range are captured like any value, but the fold does not calculate with them: an operation could
#: fail.
_LEAST, _GREATEST = -(1 << 63), (1 << 64) - 1

#: Environment IDs are below this.
_ENV_IDS = 1 << 63

_MAPS = frozenset({dict})


def is_number(value: Value) -> bool:
    """Return whether the fold can calculate with a value: a float or an integer of 64 bits. A bool is not a number."""
    return type(value) is float or (type(value) is int and _LEAST <= value <= _GREATEST)


def is_integer(value: Value) -> bool:
    """Return whether a value is an integer of 64 bits. A bool is not."""
    return type(value) is int and _LEAST <= value <= _GREATEST


def number(data: Data, name: str) -> float | None:
    """Return a number, or None if the field is absent or null.

    Raises:
        InvalidEntry: the value has another type. A bool is not a number.
    """
    value = data.get(name)
    if value is None or type(value) is float or is_number(value):
        return value
    raise _wrong(name, value, "a number of 64 bits")


def integer(data: Data, name: str) -> int | None:
    """Return an integer, or None if the field is absent or null.

    Raises:
        InvalidEntry: the value has another type.
    """
    value = data.get(name)
    if value is None or is_integer(value):
        return value
    raise _wrong(name, value, "an integer of 64 bits")


def text(data: Data, name: str) -> str | None:
    """Return a text, or None if the field is absent or null.

    Raises:
        InvalidEntry: the value has another type.
    """
    value = data.get(name)
    if value is None or type(value) is str:
        return value
    raise _wrong(name, value, "text")


def boolean(data: Data, name: str) -> bool | None:
    """Return a bool, or None if the field is absent or null.

    Raises:
        InvalidEntry: the value has another type.
    """
    value = data.get(name)
    if value is None or type(value) is bool:
        return value
    raise _wrong(name, value, "true or false")


def numbers(data: Data, name: str) -> list[float | None]:
    """Return a list of numbers and nulls, empty if the field is absent or null.

    Raises:
        InvalidEntry: the value has another type.
    """
    values = data.get(name)
    if values is None:
        return []
    if type(values) is not list:
        raise _wrong(name, values, "a list of numbers")
    for value in values:
        if value is not None and not is_number(value):
            raise _wrong(name, value, "a number of 64 bits in its list")
    return values


def map_of_maps(data: Data, name: str) -> dict[str, Data]:
    """Return a map of maps, empty if the field is absent or null. A null inside counts as an empty map.

    Raises:
        InvalidEntry: the value has another type.
    """
    value = data.get(name)
    if value is None or value == {}:
        return {}
    if type(value) is not dict:
        raise _wrong(name, value, "a map of maps")
    if _MAPS.issuperset(map(type, value.values())):
        return value
    for inner in value.values():
        if inner is not None and type(inner) is not dict:
            raise _wrong(name, inner, "a map in its map")
    return {key: inner or {} for key, inner in value.items()}


def env_id(event: Event) -> int:
    """Return the environment of an event that needs one.

    Raises:
        InvalidEntry: the event has none. A missing ID never means environment 0.
    """
    value: Any = event.data.get("env_id")
    if type(value) is int and 0 <= value < _ENV_IDS:
        return value
    if value is None:
        raise InvalidEntry("missing field `env_id`")
    raise _wrong("env_id", value, "an integer from 0 to 2**63 - 1")


def is_env_id(value: Value) -> bool:
    """Return whether a value can be the ID of an environment. A bool cannot."""
    return type(value) is int and 0 <= value < _ENV_IDS


def slot_id(event: Event) -> str:
    """Return the slot of an event that needs one: from the envelope, or else from the data.

    Raises:
        InvalidEntry: the event has none.
    """
    slot = event.slot_id or text(event.data, "slot_id")
    if not slot:
        raise InvalidEntry("missing field `slot_id`")
    return slot


def _wrong(name: str, value: Any, wanted: str) -> InvalidEntry:
    return InvalidEntry(f"`{name}` is a {type(value).__name__}, not {wanted}")
