"""Printing a run: as JSON, as a picture, or section by section."""

import os
from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.constrain import Constrain
from rich.text import Text

from sanctum_bus.cli.output import console, show, table
from sanctum_bus.protocol.entry import Value
from sanctum_bus.views import fields
from sanctum_bus.views.derived import Sections
from sanctum_bus.views.format import decimals, printable
from sanctum_bus.views.model import Header, RunView
from sanctum_bus.views.tui.layout import draw
from sanctum_bus.views.tui.screen import Screen
from sanctum_bus.views.tui.spark import sparkline

#: Characters of a value to show; the JSON has all of it.
_MAX_CHARS = 160

#: Columns of a picture at most, and without a terminal.
_WIDEST, _PRINTED = 160, 120

#: Columns of a curve.
_CURVE = 24


def as_json(header: Header, sections: Sections) -> dict[str, Any]:
    """Return sections of a run as tools read them."""
    return {
        "run_id": header.run_id,
        "version": header.version,
        "generation": header.generation,
        "schema": header.schema,
        "sections": dict(sections),
    }


def print_sections(sections: Sections) -> None:
    """Print sections with all their fields."""
    show(
        *(part for name, section in fields.ordered(sections) for part in (_section_table(name, section), ""))
    )


def print_picture(run: RunView) -> None:
    """Print a picture of a whole run."""
    kinds = "  ".join(
        f"{kind} x{amount}" if amount > 1 else kind for kind, amount in fields.kinds(run.sections).items()
    )
    width = _picture_width()
    # A frame is as wide as the page, and a file has no width.
    show(Constrain(draw(Screen(run), width), width), Text(f" sections  {kinds}", style="bright_black"))


def _picture_width() -> int:
    width = console().width
    return min(width, _WIDEST) if console().is_terminal or "COLUMNS" in os.environ else _PRINTED


def _section_table(name: str, section: Mapping[str, Value]) -> RenderableType:
    rows = [
        (printable(field, 60), value_text(field, value), *fields.meaning(name, field))
        for field, value in sorted(section.items())
    ]
    return table(("field", "value", "unit", "meaning"), rows, title=name)


def value_text(field: str, value: Value) -> Text:
    """Return a value for people: a history of numbers as a curve, anything else as the snapshot stores it."""
    history = fields.history(field, value)
    if history:
        last = f"  {len(history)} values, last {decimals(history[-1], 4)}"
        return Text(sparkline(history, _CURVE), style="green").append(last, style="default")
    return Text(fields.text(value, _MAX_CHARS))
