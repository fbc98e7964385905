"""Shapes: the names of a map in order, with the event type that the map belongs to.

Telemetry repeats itself: millions of events have a few hundred shapes. Everything that follows from the names
alone (the stored name of a field, its counts) is computed once per shape and kept with it.
"""

from sanctum_bus.events.names import canonical_type

#: Total names of the remembered shapes, and total names kept with one shape: made-up names must not exhaust
#: the memory.
_MAX_NAMES = 1 << 16
_MAX_MEMO = 16


class Shape:
    """One shape. Compared by identity, because the same names of the same type give the same object while it is remembered.

    Args:
        emitted_type: the type as the emitter spells it; `""` for a map inside a payload.
        names: the names in their order.

    Attributes:
        type: the canonical type.
        memo: results of later rooms, each under its key.
    """

    __slots__ = ("emitted_type", "memo", "names", "type")

    def __init__(self, emitted_type: str, names: tuple[str, ...]) -> None:
        self.type = canonical_type(emitted_type)
        self.emitted_type = emitted_type
        self.names = names
        self.memo: dict[object, tuple[str, ...]] = {}

    def remember(self, key: object, names: tuple[str, ...]) -> tuple[str, ...]:
        """Keep a result, and return it. If there are too many, the others are dropped."""
        if len(self.memo) >= _MAX_MEMO:
            self.memo.clear()
        self.memo[key] = names
        return names


class _Known:
    """The remembered shapes."""

    def __init__(self) -> None:
        self.shapes: dict[tuple[bytes, tuple[str, ...]], Shape] = {}
        self._names = 0

    def learn(self, raw_type: bytes, names: tuple[str, ...]) -> Shape:
        """Remember a shape. If there are too many, the others are dropped."""
        new = Shape(raw_type.decode(), names)
        self._names += 1 + len(names)
        if self._names > _MAX_NAMES:
            self.shapes.clear()
            self._names = 0
        self.shapes[raw_type, names] = new
        return new


_known = _Known()

#: Returns the remembered shape for a type (as in the entry) and names; None if there is none.
known_shape = _known.shapes.get


def shape_of(raw_type: bytes, names: tuple[str, ...]) -> Shape:
    """Return the shape of a map with these names in an event of this type (as in the entry).

    Raises:
        UnicodeDecodeError: the type is not UTF-8.
    """
    return known_shape((raw_type, names)) or _known.learn(raw_type, names)
