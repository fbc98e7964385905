"""The declared event types and fields: unit, meaning, and where the fold keeps each.

The catalog adds meaning, not permission: undeclared fields are captured and counted too. It is data
(`declared.json`), which is loaded on first use; `scripts/build-catalog` writes it. Names are canonical (see
`names`).
"""

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from sanctum_bus.events.names import FIELD_ALIASES, canonical_type


@dataclasses.dataclass(frozen=True, slots=True)
class Variant:
    """The meaning of a field in one shape of its event type.

    Args:
        name: the shape (`per_env`, `aggregate`, ...); empty if the event type has only one.
        unit: the unit, or the kind of value.
        meaning: one line.
        when: when it is emitted.
        kept: sections and fields in which the fold keeps it, separated by `; `. Groups and ranks are left
            out.
        in_plan: whether it is one of the 142 fields of the plan.
        today: its meaning in today's emitter, if that differs.
    """

    name: str
    unit: str
    meaning: str
    when: str
    kept: str
    in_plan: bool = False
    today: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """One field of one event type, under canonical names.

    Args:
        event_type: the canonical event type.
        field: the canonical field.
        types: its declared types, in the emitter's notation.
        dialects: the catalogs that declare it: `plan`, `current`.
        variants: its meanings, one for each shape of the event type that has it, the main shape first.
        nullable: whether null means "not measured".
        aliases: other spellings of the field. Other spellings of the type are in `names.TYPE_ALIASES`.
        in_envelope: whether a dialect has it in the event's envelope instead of its data.
        nested: if it is a map with known keys: key -> meaning.
        example: a value.
    """

    event_type: str
    field: str
    types: tuple[str, ...]
    dialects: tuple[str, ...]
    variants: tuple[Variant, ...]
    nullable: bool = False
    aliases: tuple[str, ...] = ()
    in_envelope: bool = False
    nested: Mapping[str, str] = dataclasses.field(default_factory=dict)
    example: Any = None

    @property
    def unit(self) -> str:
        """Return the unit in the main shape."""
        return self.variants[0].unit

    @property
    def meaning(self) -> str:
        """Return the meaning in the main shape."""
        return self.variants[0].meaning

    @property
    def kept(self) -> str:
        """Return every place in which the fold keeps it, in any shape, separated by `; `."""
        return "; ".join(
            dict.fromkeys(place for variant in self.variants for place in variant.kept.split("; "))
        )

    @property
    def in_plan(self) -> bool:
        """Return whether it is one of the plan's 142 fields in any shape."""
        return any(variant.in_plan for variant in self.variants)


@cache
def declared() -> Mapping[tuple[str, str], Declared]:
    """Return every declared field by canonical event type and field, in the order of the catalog."""
    text = (
        resources.files(__package__ or "sanctum_bus.events")
        .joinpath("declared.json")
        .read_text(encoding="utf-8")
    )
    rows = (_row(row) for row in json.loads(text))
    return MappingProxyType({(row.event_type, row.field): row for row in rows})


@cache
def declared_types() -> tuple[str, ...]:
    """Return the canonical names of the declared event types, in the order of the catalog."""
    return tuple(dict.fromkeys(event_type for event_type, _ in declared()))


def lookup(event_type: str, field_name: str) -> Declared | None:
    """Return the declaration of a field by its canonical name or any spelling; None if it is undeclared."""
    event_type = canonical_type(event_type)
    return declared().get((event_type, FIELD_ALIASES.get(event_type, {}).get(field_name, field_name)))


def _row(row: dict[str, Any]) -> Declared:
    lists = {name: tuple(row.get(name, ())) for name in ("types", "dialects", "aliases")}
    return Declared(
        **row | lists | {"variants": tuple(Variant(**{"name": ""} | one) for one in row["variants"])}
    )
