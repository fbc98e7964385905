"""The shape of a map: its names in order, and the type of the event that it belongs to.

Telemetry repeats itself: of millions of events a few hundred shapes are seen. What follows from the names alone (under
which name a field is kept, what is counted for it) is worked out once per shape and kept with it.
"""

from sanctum_bus.events.names import canonical_type

#: Names of all shapes that are remembered, and what is remembered of one: who makes up names must not fill the memory.
_MAX_NAMES = 1 << 16
_MAX_MEMO = 16


class Shape:
    """One shape. Compared by identity, for the same names of the same type give the same object while it is remembered.

    Args:
        emitted_type: as the emitter spells it; `""` for a map inside a payload.
        names: in their order.

    Attributes:
        type: the canonical type.
        memo: what later rooms worked out, under keys of their own.
    """

    __slots__ = ("emitted_type", "memo", "names", "type")

    def __init__(self, emitted_type: str, names: tuple[str, ...]) -> None:
        self.type = canonical_type(emitted_type)
        self.emitted_type = emitted_type
        self.names = names
        self.memo: dict[object, tuple[str, ...]] = {}

    def remember(self, key: object, names: tuple[str, ...]) -> tuple[str, ...]:
        """Keep something that was worked out, and return it; when there is too much, all else is forgotten."""
        if len(self.memo) >= _MAX_MEMO:
            self.memo.clear()
        self.memo[key] = names
        return names


class _Known:
    """The shapes that are remembered."""

    def __init__(self) -> None:
        self.shapes: dict[tuple[bytes, tuple[str, ...]], Shape] = {}
        self._names = 0

    def learn(self, raw_type: bytes, names: tuple[str, ...]) -> Shape:
        """Remember a shape; when there are too many, all others are forgotten."""
        new = Shape(raw_type.decode(), names)
        self._names += 1 + len(names)
        if self._names > _MAX_NAMES:
            self.shapes.clear()
            self._names = 0
        self.shapes[raw_type, names] = new
        return new


_known = _Known()

#: Returns the shape that is remembered for a type, as the entry has it, and names; None where there is none.
known_shape = _known.shapes.get


def shape_of(raw_type: bytes, names: tuple[str, ...]) -> Shape:
    """Return the shape of a map with these names in an event of this type, as the entry has it.

    Raises:
        UnicodeDecodeError: the type is not UTF-8.
    """
    return known_shape((raw_type, names)) or _known.learn(raw_type, names)
