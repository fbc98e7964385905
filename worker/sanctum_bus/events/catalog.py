"""What the emitter declares: every known event type and field, with unit, meaning, and where the fold keeps it.

The catalogue adds meaning, never permission: what nobody declared is captured and counted all the same. It is data
(`declared.json`), read when first asked for; `scripts/build-catalog` writes it. Names are those of `names`.
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
    """What a field means in one shape of its event type.

    Args:
        name: the shape (`per_env`, `aggregate`, ...); empty where the event type has only one.
        unit: the unit, or the kind of value.
        meaning: one line.
        when: when it is emitted.
        kept: where the fold keeps it: section and field, several separated by `; `. Groups and ranks aside.
        in_plan: it is one of the 142 fields of the plan.
        today: what today's emitter means by it, where that is something else.
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
    """One field of one event type, under their canonical names.

    Args:
        event_type: the canonical event type.
        field: the canonical field.
        types: its types as declared, in the emitter's notation.
        dialects: which catalogues have it: `plan`, `current`.
        variants: its meanings, one for each shape of the event type that has it, the chief one first.
        nullable: null stands for "not measured".
        aliases: other spellings of the field. Other spellings of the type are in `names.TYPE_ALIASES`.
        in_envelope: some dialect has it in the event's envelope instead of its data.
        nested: what the field holds, where it is a map with known keys: name -> meaning.
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
        """The unit in the chief shape."""
        return self.variants[0].unit

    @property
    def meaning(self) -> str:
        """The meaning in the chief shape."""
        return self.variants[0].meaning

    @property
    def kept(self) -> str:
        """Every place in which the fold keeps it, whatever the shape, separated by `; `."""
        return "; ".join(
            dict.fromkeys(place for variant in self.variants for place in variant.kept.split("; "))
        )

    @property
    def in_plan(self) -> bool:
        """It is one of the plan's 142 fields in some shape."""
        return any(variant.in_plan for variant in self.variants)


@cache
def declared() -> Mapping[tuple[str, str], Declared]:
    """Every declared field, by canonical event type and field, in the catalogue's order."""
    text = (
        resources.files(__package__ or "sanctum_bus.events")
        .joinpath("declared.json")
        .read_text(encoding="utf-8")
    )
    rows = (_row(row) for row in json.loads(text))
    return MappingProxyType({(row.event_type, row.field): row for row in rows})


@cache
def declared_types() -> tuple[str, ...]:
    """The canonical names of the declared event types, in the catalogue's order."""
    return tuple(dict.fromkeys(event_type for event_type, _ in declared()))


def lookup(event_type: str, field_name: str) -> Declared | None:
    """What is declared of a field, by its canonical or any emitted spelling; None where nobody declared it."""
    event_type = canonical_type(event_type)
    return declared().get((event_type, FIELD_ALIASES.get(event_type, {}).get(field_name, field_name)))


def _row(row: dict[str, Any]) -> Declared:
    lists = {name: tuple(row.get(name, ())) for name in ("types", "dialects", "aliases")}
    return Declared(
        **row | lists | {"variants": tuple(Variant(**{"name": ""} | one) for one in row["variants"])}
    )
