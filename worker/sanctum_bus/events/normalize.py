"""Values inside Sanctum: the JSON model with NaN, infinities and integers of any size.

Values are normalized once, when an entry is decoded: text keys, lists for tuples, U+FFFD for lone surrogates,
and `{"$bytes": base64}` for bytes. Later code does not check a value's type again, except a fold that needs
one.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime

from sanctum_bus.errors import InvalidEntry
from sanctum_bus.events.bounded_repr import clean
from sanctum_bus.protocol.entry import MAX_DEPTH, Value

_PLAIN = frozenset({type(None), bool, int, float, str})
_TEXT = frozenset({str})


def all_plain(values: Mapping[str, object]) -> bool:
    """Return whether no value is a container or anything else that needs `normalize`."""
    return _PLAIN.issuperset(map(type, values.values()))


def normalize(value: object, depth: int = 0) -> Value:
    """Return a decoded value in the JSON model.

    Raises:
        InvalidEntry: nesting is deeper than 32, two keys become equal as text, or the model has no place for
            a value.
    """
    if type(value) in _PLAIN:
        return value
    if depth >= MAX_DEPTH:
        raise InvalidEntry(f"nested deeper than {MAX_DEPTH}")
    if type(value) is dict and _TEXT.issuperset(map(type, value)) and all_plain(value):
        return value
    if isinstance(value, list | tuple):
        return [item if type(item) in _PLAIN else normalize(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return _normalize_map(value, depth)
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": b64encode(value).decode("ascii")}
    if isinstance(value, datetime):
        return value.isoformat()
    raise InvalidEntry(f"an event cannot hold a value of type {type(value).__name__}")


def _normalize_map(value: Mapping[object, object], depth: int) -> dict[str, Value]:
    if _TEXT.issuperset(map(type, value)):
        return {
            key: item if type(item) in _PLAIN else normalize(item, depth + 1)
            for key, item in value.items()
            if type(key) is str
        }
    result = {_key(key): normalize(item, depth + 1) for key, item in value.items()}
    if len(result) != len(value):
        raise InvalidEntry("two keys of a map become equal as text")
    return result


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool) or key is None:
        return {None: "null", False: "false", True: "true"}[key]
    if isinstance(key, int | float):
        return str(key)
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    raise InvalidEntry(f"an event cannot hold a map key of type {type(key).__name__}")


def without_surrogates(value: Value) -> Value:
    """Return the value with each lone surrogate replaced by U+FFFD; JSON text can contain them."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        result = {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
        if len(result) != len(value):
            raise InvalidEntry("two keys of a map become equal as text")
        return result
    return value
