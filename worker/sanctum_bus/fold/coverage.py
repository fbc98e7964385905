"""Coverage: which fields of which event types were seen, how often, and whether they were kept.

Counted by the shape of an event's map (one dictionary hit an event) and spelled out when a commit asks. A count of the
hash `coverage` bears one of these names, in which the dots of a type, and `%`, `=` and `!` of any name are
percent-encoded:

* `<TYPE>`: events of the type;
* `<TYPE>.<field>`: how often the field was seen and kept, under any spelling;
* `<TYPE>.<field>=<EMITTED TYPE>.<emitted field>`: how often under a spelling that is not the canonical one;
* `<TYPE>.<field>!`: how often it was seen in an event that could not be kept: a gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sanctum_bus.events.names import FIELD_ALIASES
from sanctum_bus.protocol.coverage import quoted

#: Distinct shapes of which counts are held before they are spelled out.
_MAX_SHAPES = 4096


class Shape(Protocol):
    """What is counted of an event. Not the decoder's own: readers take `report` from here, and need no decoder."""

    @property
    def type(self) -> str:
        """The canonical type."""

    @property
    def emitted_type(self) -> str:
        """The type as it was emitted."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields."""

    @property
    def memo(self) -> dict[object, tuple[str, ...]]:
        """What was worked out of it: here the names of its counts, by their mark."""

    def remember(self, key: object, names: tuple[str, ...]) -> tuple[str, ...]:
        """Keep what was worked out in `memo`, and return it."""


@dataclass(slots=True)
class Coverage:
    """The counts of one run.

    Args:
        counts: name to count, as in the hash.
    """

    counts: dict[str, int] = field(default_factory=dict)
    _kept: dict[Shape, int] = field(default_factory=dict)
    _gaps: dict[Shape, int] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)

    def see(self, shape: Shape, *, kept: bool = True) -> None:
        """Count one event of a shape, and its fields."""
        self._see([shape], self._kept if kept else self._gaps)

    def see_all(self, shapes: Sequence[Shape]) -> None:
        """Count one event of each shape, and its fields; they were kept."""
        self._see(shapes, self._kept)

    def _see(self, shapes: Sequence[Shape], counts: dict[Shape, int]) -> None:
        for shape in shapes:
            counts[shape] = counts.get(shape, 0) + 1
        if len(counts) > _MAX_SHAPES:
            self._spell_out()

    def drain_changes(self) -> dict[str, int]:
        """Return the counts that changed since the last call, each as it is now."""
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
