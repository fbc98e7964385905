"""A snapshot, or what was folded from a file: as JSON, as a picture, or section by section."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from rich.console import RenderableType
from rich.constrain import Constrain
from rich.text import Text

from sanctum_bus.cli.output import console, show, table
from sanctum_bus.errors import InvalidArgument
from sanctum_bus.events import catalog
from sanctum_bus.events.catalog import Declared
from sanctum_bus.protocol import stream_id
from sanctum_bus.protocol.entry import HISTORY, FieldsView
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from sanctum_bus.protocol.text import encode_value
from sanctum_bus.reader import LogLine, Snapshot
from sanctum_bus.views.format import decimals, numbers, printable
from sanctum_bus.views.model import Run, sort_out
from sanctum_bus.views.tui.layout import view
from sanctum_bus.views.tui.spark import sparkline
from sanctum_bus.views.tui.view import Line, View

Sections = Mapping[str, FieldsView]

#: Characters of a value that are shown; all of it is in the JSON.
_MOST_CHARS = 160

#: Columns of a picture at most, and where no terminal says how many.
_WIDEST, _PRINTED = 160, 120

#: What the names of histories end in.
_HISTORY = "_history"


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known of a run, wherever it comes from.

    Args:
        lines: the newest lines of its log.
        notices: what the person should know about the data.
    """

    run_id: str
    version: str
    sections: Sections
    generation: int = 0
    schema: int = SCHEMA_VERSION
    events: int = 0
    parked: int = 0
    duplicates: int = 0
    lost: int = 0
    age_s: float | None = None
    behind_s: float = 0.0
    lines: tuple[Line, ...] = ()
    notices: tuple[str, ...] = ()

    def with_lines(self, lines: Iterable[FieldsView]) -> "Picture":
        """Return it with lines of the log as the fold makes them."""
        return replace(self, lines=tuple(_line(fields) for fields in lines))

    def as_json(self, sections: Sections) -> dict[str, Any]:
        """Return it as tools read it, with these sections."""
        return {
            "run_id": self.run_id,
            "version": self.version,
            "generation": self.generation,
            "schema": self.schema,
            "sections": dict(sections),
        }


def picture_of(snapshot: Snapshot, lines: Sequence[LogLine] = ()) -> Picture:
    """Return what a reader has seen."""
    return Picture(
        snapshot.run_id,
        snapshot.version,
        snapshot.sections,
        snapshot.generation,
        snapshot.schema,
        snapshot.events,
        snapshot.parked,
        snapshot.duplicates,
        sum(snapshot.lost.values()),
        snapshot.age_s,
        behind_s(snapshot),
        tuple(Line(line.type, line.at, line.env_id, line.episode, line.message) for line in lines),
        notices_of(snapshot),
    )


def notices_of(snapshot: Snapshot) -> tuple[str, ...]:
    """Return what a person should know about a snapshot's data."""
    if snapshot.is_torn:
        return ("a commit died half-way; the run is folded anew as soon as a worker is there",)
    if not snapshot.generation:
        return ("nothing is folded yet; start a worker: sanctum worker",)
    return ()


def behind_s(snapshot: Snapshot) -> float:
    """Return for how long at least there have been entries that nobody folded, in seconds."""
    if snapshot.is_current or snapshot.is_torn or not snapshot.generation:
        return 0.0
    arrived, folded = (stream_id.milliseconds(one) / 1000 for one in (snapshot.last_id, snapshot.version))
    return max(snapshot.server_time_s - arrived, arrived - folded)


def view_of(picture: Picture, run: Run | None = None) -> View:
    """Return it for the terminal view.

    Args:
        picture: what is known.
        run: its sections, if they are sorted out already.
    """
    return View(
        printable(picture.run_id),
        run or sort_out(picture.sections),
        picture.version,
        picture.events,
        picture.parked,
        picture.lost,
        picture.duplicates,
        picture.age_s,
        picture.behind_s,
        picture.lines,
        picture.notices,
    )


def chosen(sections: Sections, patterns: Sequence[str], names: Iterable[str] | None = None) -> Sections:
    """Return the sections whose names match a pattern; all where there are no patterns.

    Args:
        sections: name to fields.
        patterns: names, in which `*`, `?` and `[...]` stand for others.
        names: the names that there are, if not all are in `sections`.

    Raises:
        BadInput: a pattern matches nothing.
    """
    known = list(sections if names is None else names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            kinds = ", ".join(f"{kind}:*" if amount > 1 else kind for kind, amount in _kinds(known).items())
            raise InvalidArgument(f"there is no section {pattern!r}; there are: {kinds or 'none'}")
    return {
        name: fields
        for name, fields in sections.items()
        if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def print_picture(picture: Picture, sections: Sections | None) -> None:
    """Print some sections with all their fields, or where None is given a picture of the whole."""
    if sections is not None:
        show(*(part for name in sorted(sections) for part in (_section_table(name, sections[name]), "")))
        return
    kinds = "  ".join(
        f"{kind} x{amount}" if amount > 1 else kind for kind, amount in _kinds(picture.sections).items()
    )
    width = _picture_width()
    # Frames are as wide as what they are printed on, and a file has no width.
    show(Constrain(view(view_of(picture), width), width), Text(f" sections  {kinds}", style="bright_black"))


def _picture_width() -> int:
    width = console().width
    return min(width, _WIDEST) if console().is_terminal or "COLUMNS" in os.environ else _PRINTED


def _kinds(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(name.partition(":")[0] for name in names).items()))


def _section_table(name: str, fields: FieldsView) -> RenderableType:
    rows = [
        (printable(field, 60), value_text(field, value), *_meaning(name, field))
        for field, value in sorted(fields.items())
    ]
    return table(("field", "value", "unit", "meaning"), rows, title=name)


def value_text(field: str, value: object) -> Text:
    """Return a value for people: histories as curves, the rest as it stands in the hash, cut where it is long."""
    known = numbers(value)
    # What is no number is a hole in a curve; a history of words has nothing but holes.
    if field.endswith(_HISTORY) and any(map(math.isfinite, known)):
        last = f"  {len(known)} values, last {decimals(known[-1], 4)}"
        return Text(sparkline(known, 24), style="green").append(last, style="default")
    return Text(printable(encode_value(value), _MOST_CHARS))


def _meaning(section: str, field: str) -> tuple[str, str]:
    kind = section.rpartition("/")[2].partition(":")[0]
    declared = _declared_places().get((kind, field))
    if declared is not None:
        return declared.unit, declared.meaning
    base = _declared_places().get((kind, field.removesuffix(_HISTORY)))
    return (base.unit, f"the last {HISTORY}") if base is not None else ("", "")


@cache
def _declared_places() -> dict[tuple[str, str], Declared]:
    """The declared fields by where they are kept: kind of section, and field."""
    places: dict[tuple[str, str], Declared] = {}
    for declared in catalog.declared().values():
        for place in declared.kept.split("; "):
            section, _, field = place.partition(" ")
            places.setdefault((section.partition(":")[0], field), declared)
    return places


def _line(fields: FieldsView) -> Line:
    return Line(
        str(fields.get("type", "")),
        fields.get("at"),
        fields.get("env_id"),
        fields.get("episode"),
        str(fields.get("message", "")),
    )
