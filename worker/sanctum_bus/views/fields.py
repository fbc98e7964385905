"""Fields of sections for people: unit, meaning and text of any field, and choosing sections by name."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

from sanctum_bus.errors import InvalidArgument
from sanctum_bus.events import catalog
from sanctum_bus.events.catalog import Declared
from sanctum_bus.fold import derived_fields
from sanctum_bus.fold.derived_fields import HISTORY_SUFFIX
from sanctum_bus.protocol.entry import FieldsView, Value
from sanctum_bus.protocol.section_names import section_kind
from sanctum_bus.protocol.text import encode_value
from sanctum_bus.views.derived import Sections, as_floats
from sanctum_bus.views.format import printable


class Meaning(NamedTuple):
    """Unit and meaning of a field; empty if they are unknown."""

    unit: str = ""
    text: str = ""


def meaning(section: str, field: str) -> Meaning:
    """Return unit and meaning of a field, by the name of its section."""
    kind = section_kind(section)
    declared = _declared_places().get((kind, field))
    if declared is not None:
        return Meaning(declared.unit, declared.meaning)
    derived = derived_fields.lookup(kind, field)
    return Meaning(derived.unit, derived.meaning) if derived is not None else Meaning()


@cache
def _declared_places() -> Mapping[tuple[str, str], Declared]:
    """The declared fields by where they are kept: kind of section, and field."""
    places: dict[tuple[str, str], Declared] = {}
    for declared in catalog.declared().values():
        for place in declared.kept.split("; "):
            section, _, field = place.partition(" ")
            places.setdefault((section.partition(":")[0], field), declared)
    return places


def history(field: str, value: Value) -> tuple[float, ...]:
    """Return the numbers of a history, NaN for a missing one; empty if the field is not a history of numbers."""
    values = as_floats(value) if field.endswith(HISTORY_SUFFIX) else ()
    return values if any(map(math.isfinite, values)) else ()


def text(value: Value, limit: int) -> str:
    """Return a value as the snapshot stores it, shortened to a limit of characters."""
    return printable(encode_value(value), limit)


def choose(sections: Sections, patterns: Sequence[str], names: Iterable[str] | None = None) -> Sections:
    """Return the sections whose names match a pattern; all of them without patterns.

    Args:
        sections: name -> fields.
        patterns: names with the wildcards `*`, `?` and `[...]`.
        names: the names of all sections, if `sections` holds only some.

    Raises:
        InvalidArgument: a pattern matches no name.
    """
    known = list(sections if names is None else names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            found = ", ".join(f"{kind}:*" if amount > 1 else kind for kind, amount in kinds(known).items())
            raise InvalidArgument(f"there is no section {pattern!r}; there are: {found or 'none'}")
    return {
        name: fields
        for name, fields in sections.items()
        if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def kinds(names: Iterable[str]) -> dict[str, int]:
    """Return the kinds of sections, each with the number of its sections."""
    return dict(sorted(Counter(name.partition(":")[0] for name in names).items()))


def ordered(sections: Sections) -> list[tuple[str, FieldsView]]:
    """Return sections in the order of their names."""
    return sorted(sections.items())
