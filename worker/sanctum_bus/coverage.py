"""Coverage: which fields of which event types were seen, how often, and whether they were kept.

Counted by the shape of an event's map (one dictionary hit an event) and spelled out when a commit asks. A count of the
hash `coverage` bears one of these names, in which the dots of a type, and `%`, `=` and `!` of any name are
percent-encoded:

* `<TYPE>`: events of the type;
* `<TYPE>.<field>`: how often the field was seen and kept, under any spelling;
* `<TYPE>.<field>=<EMITTED TYPE>.<emitted field>`: how often under a spelling that is not the canonical one;
* `<TYPE>.<field>!`: how often it was seen in an event that could not be kept: a gap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sanctum_bus.catalog.names import FIELD_ALIASES
from sanctum_bus.wire.values import Value

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

    def take_changes(self) -> dict[str, int]:
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
    base, spelled = _quoted(shape.type, dots=True), _quoted(shape.emitted_type, dots=True)
    names = [base]
    for name in shape.names:
        canonical = aliases.get(name, name)
        count = f"{base}.{_quoted(canonical)}"
        names.append(count + mark)
        if canonical != name or shape.type != shape.emitted_type:
            names.append(f"{count}={spelled}.{_quoted(name)}")
    return tuple(names)


# `%` comes first, so that what the others put in is not quoted again.
_QUOTES = (("%", "%25"), ("=", "%3D"), ("!", "%21"))


def _quoted(name: str, *, dots: bool = False) -> str:
    for character, quoted in _QUOTES:
        name = name.replace(character, quoted)
    return name.replace(".", "%2E") if dots else name


def _unquoted(name: str) -> str:
    for quoted, character in (("%2E", "."), ("%3D", "="), ("%21", "!"), ("%25", "%")):
        name = name.replace(quoted, character)
    return name


@dataclass(slots=True)
class FieldCoverage:
    """One field of one event type, as it was seen.

    Args:
        name: the canonical name.
        seen: events that bore it.
        gap: events that bore it and could not be kept.
        spellings: emitted type and field to the times seen under them, where they are not canonical.
    """

    name: str
    seen: int = 0
    gap: int = 0
    spellings: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(slots=True)
class TypeCoverage:
    """One event type, as it was seen.

    Args:
        type: the canonical type.
        events: how many were seen, those that could not be kept among them.
    """

    type: str
    events: int = 0
    fields: dict[str, FieldCoverage] = field(default_factory=dict)

    @property
    def emitted(self) -> int:
        """Distinct fields that were seen."""
        return len(self.fields)

    @property
    def gap(self) -> int:
        """Distinct fields that were seen and not kept every time."""
        return sum(1 for one in self.fields.values() if one.gap)

    @property
    def captured(self) -> int:
        """Distinct fields that were kept every time they were seen."""
        return self.emitted - self.gap


def report(counts: Mapping[str, Value]) -> list[TypeCoverage]:
    """Return what the counts of a run say, by type and field, in the order of names."""
    types: dict[str, TypeCoverage] = {}
    for name, times in sorted(counts.items()):
        place, _, spelling = name.partition("=")
        quoted_type, dot, rest = place.partition(".")
        found = types.setdefault(_unquoted(quoted_type), TypeCoverage(_unquoted(quoted_type)))
        if not dot:
            found.events += int(times)
            continue
        canonical = _unquoted(rest.removesuffix("!"))
        entry = found.fields.setdefault(canonical, FieldCoverage(canonical))
        if spelling:
            emitted_type, _, emitted = spelling.partition(".")
            entry.spellings[_unquoted(emitted_type), _unquoted(emitted)] = int(times)
            continue
        entry.seen += int(times)
        if rest.endswith("!"):
            entry.gap += int(times)
    return list(types.values())
