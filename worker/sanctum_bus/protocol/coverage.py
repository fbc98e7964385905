"""The counts of the hash `coverage`: how their names are built and read.

In each name the dots of a type, and `%`, `=` and `!` of any part, are percent-encoded:

* `<TYPE>`: events of the type;
* `<TYPE>.<field>`: events that had the field and were kept, under any spelling;
* `<TYPE>.<field>=<EMITTED TYPE>.<emitted field>`: events that had it under a spelling that is not canonical;
* `<TYPE>.<field>!`: events that had the field and could not be kept: a gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sanctum_bus.protocol.entry import Value

# `%` comes first, so that what the others put in is not quoted again.
_QUOTES = (("%", "%25"), ("=", "%3D"), ("!", "%21"))


def quoted(name: str, *, dots: bool = False) -> str:
    """Return a name with its special characters percent-encoded, and with `dots` its dots too."""
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
