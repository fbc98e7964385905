"""Conversion of any Python value into plain values: None, bool, int, float, str, bytes, lists, maps with text keys.

Training code puts everything into its events: enums, NumPy scalars, tensors, paths, objects whose attributes
raise. All of it becomes plain here. A value without a plain form becomes its `repr` and is counted. Nothing
raises.

Most payloads are plain already; `fast_check.is_plain` finds this out faster than a conversion.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from typing import Any
from uuid import UUID

from sanctum_bus.events.bounded_repr import bounded_repr, clean, json_name
from sanctum_bus.events.fast_check import MAX_ELEMENTS, SCALARS
from sanctum_bus.protocol.entry import MAX_DEPTH

#: Elements of the largest array that is sent as a list; a larger one is an image or weights, not telemetry.
MAX_ARRAY_ELEMENTS = 4096

_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1


class Converter:
    """Converts the values of one event, and counts conversions that lose information.

    Args:
        careful: check every single text and integer too. Without it, a lone surrogate or an integer beyond 64
            bits stays, and packing refuses it; this is rare, and the check is not free.

    Attributes:
        unconvertible: number of values that became their `repr`, were renamed, or could not be read.
    """

    __slots__ = ("_left", "_path", "careful", "unconvertible")

    def __init__(self, *, careful: bool = False) -> None:
        self.unconvertible = 0
        self.careful = careful
        self._left = MAX_ELEMENTS
        # IDs of the containers around the current value: a container inside itself would never end.
        self._path: set[int] = set()

    def value(self, value: Any, depth: int = 0) -> Any:
        """Return a value in plain form.

        Args:
            value: any value.
            depth: number of containers around it.
        """
        try:
            kind: Any = type(value)
            if kind in SCALARS:
                return self._scalar(value) if self.careful else value
            return _handler_of(kind)(self, value, depth)
        except Exception:  # noqa: BLE001  # a foreign object may raise anything: send the text of what it is
            return self.text(value)

    def fields(self, data: Any) -> dict[str, Any]:
        """Return the fields of an event's payload: a map, a dataclass, a NamedTuple, or an object with attributes.

        A payload without fields becomes the single field `value`, and is counted.
        """
        if data is None:
            return {}
        before = self.unconvertible
        result = self._attributes(data) or self.value(data)
        if type(result) is dict:
            return result
        self.unconvertible = max(self.unconvertible, before + 1)
        return {"value": result}

    def name(self, key: Any) -> str:
        """Return a map's key as text, spelled as in JSON if JSON has it."""
        plain = self.value(key, MAX_DEPTH)
        return plain if type(plain) is str else json_name(plain)

    def text(self, value: object) -> str:
        """Return the bounded `repr` of a value without a plain form, and count it."""
        self.unconvertible += 1
        return bounded_repr(value)

    def pairs(self, pairs: Iterable[tuple[Any, Any]], owner: object, depth: int) -> Any:
        """Return a map of these pairs in plain form; `owner` is the object that they come from."""
        # A real map is copied in one step, because another thread may be writing to it.
        entries = list(islice(pairs, MAX_ELEMENTS + 1))
        if self._refuses(owner, len(entries), depth):
            return self.text(owner)
        self._path.add(id(owner))
        result: dict[str, Any] = {}
        numbers: dict[str, int] = {}
        try:
            for key, item in entries:
                name = key if type(key) is str and not self.careful else self.name(key)
                if name in result:
                    name = self.another_name(name, result, numbers)
                result[name] = self.value(item, depth + 1)
        finally:
            self._path.discard(id(owner))
        return result

    def sequence(self, items: Iterable[Any], owner: object, depth: int) -> Any:
        """Return a list of these items in plain form; `owner` is the object that they come from."""
        values = list(islice(items, MAX_ELEMENTS + 1))
        if self._refuses(owner, len(values), depth):
            return self.text(owner)
        if not self.careful and SCALARS.issuperset(map(type, values)):
            return values
        self._path.add(id(owner))
        try:
            return [self.value(item, depth + 1) for item in values]
        finally:
            self._path.discard(id(owner))

    def another_name(self, name: str, taken: Mapping[str, object], numbers: dict[str, int]) -> str:
        """Return `name#2`, or the next free number, for a key whose name is in use, and count it.

        Args:
            name: the name that two keys share.
            taken: the names in use.
            numbers: the last number of each name; the caller keeps it, so that many such keys stay cheap.
        """
        self.unconvertible += 1
        number = numbers.get(name, 1) + 1
        while f"{name}#{number}" in taken:
            number += 1
        numbers[name] = number
        return f"{name}#{number}"

    def read(self, owner: object, names: Iterable[str]) -> list[tuple[str, Any]]:
        """Return attributes by name. A missing attribute is left out; one that raises is left out and counted."""
        found: list[tuple[str, Any]] = []
        for name in names:
            try:
                found.append((name, getattr(owner, name)))
            except AttributeError:
                pass
            except Exception:  # noqa: BLE001  # a property may raise anything
                self.unconvertible += 1
        return found

    def _refuses(self, owner: object, size: int, depth: int) -> bool:
        self._left -= size
        return depth >= MAX_DEPTH or self._left < 0 or id(owner) in self._path

    def _scalar(self, value: Any) -> Any:
        if type(value) is str:
            return clean(value)
        if type(value) is int and not _MIN_INT <= value <= _MAX_INT:
            return self.text(value)
        return value

    def _attributes(self, data: Any) -> Any:
        """Return the public attributes of an object of unknown kind as a map, or None."""
        try:
            kind: Any = type(data)
            if kind in SCALARS or _handler_of(kind) is not _array_or_text:
                return None
            names = [name for name in attribute_names(data) if not name.startswith("_")]
            return self.pairs(self.read(data, names), data, 0) if names else None
        except Exception:  # noqa: BLE001  # an object that raises here has no fields; send its text
            return None


def attribute_names(owner: object) -> list[str]:
    """Return the names of an object's attributes: a dataclass's fields, else its slots and its instance attributes."""
    kind: Any = type(owner)
    names = _class_names(kind)
    return list(names) if is_dataclass(owner) else [*names, *getattr(owner, "__dict__", ())]


@lru_cache(maxsize=1024)
def _class_names(kind: type) -> tuple[str, ...]:
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    slots = [base.__dict__.get("__slots__", ()) for base in kind.__mro__]
    return tuple(name for names in slots for name in ((names,) if isinstance(names, str) else names))


Handler = Callable[[Converter, Any, int], Any]


def _enum(converter: Converter, value: Enum, depth: int) -> Any:
    # A flag that is not a single member has no name.
    return converter.value(value.name if isinstance(value.name, str) else value.value, depth)


def _bytes(converter: Converter, value: Any, depth: int) -> Any:
    # The worker turns bytes into a map, so they count as a container here.
    return converter.text(value) if depth >= MAX_DEPTH else bytes(value)


def _record(converter: Converter, value: Any, depth: int) -> Any:
    return converter.pairs(converter.read(value, attribute_names(value)), value, depth)


def _tuple(converter: Converter, value: Any, depth: int) -> Any:
    names = getattr(type(value), "_fields", None)
    if names is None:
        return converter.sequence(value, value, depth)
    return converter.pairs(zip(names, value, strict=True), value, depth)


def _sorted(converter: Converter, value: Any, depth: int) -> Any:
    # Sets have no order. Without sorting, the same event would have other bytes in another process.
    return converter.sequence(sorted(islice(value, MAX_ELEMENTS + 1), key=bounded_repr), value, depth)


def _array_or_text(converter: Converter, value: Any, depth: int) -> Any:
    """NumPy, PyTorch, JAX and similar arrays, recognized by their attributes: none of these packages is imported."""
    rank = getattr(value, "ndim", None)
    if rank is None:
        rank = value.dim()
    if type(rank) is not int or (rank and math.prod(value.shape) > MAX_ARRAY_ELEMENTS):
        return converter.text(value)
    unit = getattr(getattr(value, "dtype", None), "kind", "")
    if unit == "M":
        # Their items are integers without a unit if they are finer than Python's.
        value = value.astype(str)
    elif unit == "m":
        value = value / value.dtype.type(1, "s")
    plain = value.tolist() if rank else value.item()
    # The item of a long double is a long double again.
    return converter.value(float(plain) if type(plain) is type(value) else plain, depth)


# The first match wins.
_HANDLERS: tuple[tuple[tuple[type, ...], Handler], ...] = (
    ((Enum,), _enum),
    ((list,), lambda converter, value, depth: converter.sequence(value, value, depth)),
    ((str,), lambda converter, value, depth: converter.value(str.__str__(value), depth)),
    ((int,), lambda converter, value, depth: converter.value(int.__int__(value), depth)),
    ((float,), lambda converter, value, depth: converter.value(float.__float__(value), depth)),
    ((bytes, bytearray, memoryview), _bytes),
    ((Mapping,), lambda converter, value, depth: converter.pairs(value.items(), value, depth)),
    ((tuple,), _tuple),
    ((AbstractSet,), _sorted),
    ((datetime, date, time), lambda converter, value, depth: converter.value(value.isoformat(), depth)),
    ((timedelta,), lambda converter, value, depth: converter.value(value.total_seconds(), depth)),
    ((Decimal, Fraction), lambda converter, value, depth: converter.value(float(value), depth)),
    ((UUID,), lambda converter, value, depth: converter.value(str(value), depth)),
    ((os.PathLike,), lambda converter, value, depth: converter.value(os.fspath(value), depth)),
    ((Sequence,), lambda converter, value, depth: converter.sequence(value, value, depth)),
)


@lru_cache(maxsize=1024)
def _handler_of(kind: type) -> Handler:
    for bases, handler in _HANDLERS:
        if issubclass(kind, bases):
            return handler
    return _record if is_dataclass(kind) else _array_or_text
