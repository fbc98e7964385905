"""The shape of a map: its names in order, and the type of the event that it belongs to.

Telemetry repeats itself: of millions of events a few hundred shapes are seen. What follows from the names alone (under
which name a field is kept, what is counted for it) is worked out once per shape and kept with it.
"""

from sanctum_bus.catalog.names import canonical_type
from sanctum_bus.wire.fields import MAX_ENTRY_BYTES

#: Characters of all names of the shapes that are remembered; somebody who makes up names must not fill the memory.
_MAX_CHARACTERS = 4 * MAX_ENTRY_BYTES


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


class _Known:
    """The shapes that are remembered."""

    def __init__(self) -> None:
        self.shapes: dict[tuple[bytes, tuple[str, ...]], Shape] = {}
        self._characters = 0

    def learn(self, raw_type: bytes, names: tuple[str, ...]) -> Shape:
        """Remember a shape; when there are too many, all others are forgotten."""
        new = Shape(raw_type.decode(), names)
        self._characters += len(raw_type) + sum(map(len, names))
        if self._characters > _MAX_CHARACTERS:
            self.shapes.clear()
            self._characters = 0
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
