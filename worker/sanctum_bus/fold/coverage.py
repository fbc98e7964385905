"""Coverage: how often each field of each event type was seen, and whether it was kept.

Events are counted by the shape of their fields (one dictionary lookup an event). A commit turns the shapes into counts.
A count of the hash `coverage` has one of these names. The dots of a type, and `%`, `=` and `!` of any name are
percent-encoded:

* `<TYPE>`: events of the type;
* `<TYPE>.<field>`: how often the field was seen and kept, under any spelling;
* `<TYPE>.<field>=<EMITTED TYPE>.<emitted field>`: how often under a spelling that is not the canonical one;
* `<TYPE>.<field>!`: how often the field was seen in an event that could not be kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sanctum_bus.events.names import FIELD_ALIASES
from sanctum_bus.protocol.coverage import quoted

#: Distinct shapes in memory before their counts are spelled out.
_MAX_SHAPES = 4096


class Shape(Protocol):
    """The shape of an event, as far as coverage needs it. `events.shape.Shape` is one."""

    @property
    def type(self) -> str:
        """The canonical type."""

    @property
    def emitted_type(self) -> str:
        """The emitted type."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields."""

    @property
    def memo(self) -> dict[object, tuple[str, ...]]:
        """Values computed from the shape: here the names of its counts, by mark."""

    def remember(self, key: object, names: tuple[str, ...]) -> tuple[str, ...]:
        """Keep computed names in `memo`, and return them."""


@dataclass(slots=True)
class Coverage:
    """The counts of one run.

    Args:
        counts: name -> count, as in the hash.
    """

    counts: dict[str, int] = field(default_factory=dict)
    _kept: dict[Shape, int] = field(default_factory=dict)
    _gaps: dict[Shape, int] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)

    def see(self, shape: Shape, *, kept: bool = True) -> None:
        """Count one event of a shape, and its fields."""
        self._see([shape], self._kept if kept else self._gaps)

    def see_all(self, shapes: Sequence[Shape]) -> None:
        """Count one kept event of each shape, and its fields."""
        self._see(shapes, self._kept)

    def _see(self, shapes: Sequence[Shape], counts: dict[Shape, int]) -> None:
        for shape in shapes:
            counts[shape] = counts.get(shape, 0) + 1
        if len(counts) > _MAX_SHAPES:
            self._spell_out()

    def drain_changes(self) -> dict[str, int]:
        """Return the current values of the counts that changed since the last call."""
        self._spell_out()
        changed = {name: self.counts[name] for name in self._changed}
        self._changed.clear()
        return changed

    def _spell_out(self) -> None:
        for counts, mark in ((self._kept, ""), (self._gaps, "!")):
            for shape, times in counts.items():
                names = shape.memo.get(mark)
                if names is None:
                    names = shape.remember(mark, _count_names(shape, mark))
                for name in names:
                    self.counts[name] = self.counts.get(name, 0) + times
                    self._changed.add(name)
            counts.clear()


def _count_names(shape: Shape, mark: str) -> tuple[str, ...]:
    aliases = FIELD_ALIASES.get(shape.type, {})
    base, spelled = quoted(shape.type, dots=True), quoted(shape.emitted_type, dots=True)
    names = [base]
    for name in shape.names:
        canonical = aliases.get(name, name)
        count = f"{base}.{quoted(canonical)}"
        names.append(count + mark)
        if canonical != name or shape.type != shape.emitted_type:
            names.append(f"{count}={spelled}.{quoted(name)}")
    return tuple(names)
