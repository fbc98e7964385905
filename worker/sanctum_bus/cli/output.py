"""Output of commands: tables for people, JSON for tools, and errors on standard error."""

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from functools import cache

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from sanctum_bus.protocol.entry import Value
from sanctum_bus.protocol.text import strict as strict_value
from sanctum_bus.views.format import printable

Row = Sequence[str | Text]

#: Columns in files and pipes: enough for any table, so that a row is one line.
_FILE_WIDTH = 1000

#: Characters of JSON text that a terminal would interpret; JSON has escapes for all of them.
_ESCAPED = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)

#: Prefix of the head of a column with numbers.
RIGHT = ">"


@cache
def console(*, stderr: bool = False) -> Console:
    """Return the console to print on: without a terminal it has no colors, and is as wide as the content."""
    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() or "COLUMNS" in os.environ else _FILE_WIDTH
    return Console(stderr=stderr, width=wide, highlight=False, markup=False, emoji=False)


def show(*parts: RenderableType) -> None:
    """Print for people; in files and pipes no line ends with blanks."""
    out = console()
    if out.is_terminal:
        out.print(*parts, sep="\n")
        return
    with out.capture() as printed:
        out.print(*parts, sep="\n")
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in printed.get().splitlines()))
    sys.stdout.flush()


def complain(what: str) -> None:
    """Print one line on standard error."""
    sys.stderr.write(f"sanctum: {printable(what)}\n")
    sys.stderr.flush()


def print_json(value: Value, *, strict: bool = False) -> None:
    """Print a value as one line of JSON with sorted keys. NaN and infinities are tokens, or strings if `strict`."""
    text = json.dumps(
        strict_value(value) if strict else value,
        ensure_ascii=not _is_unicode(),
        allow_nan=not strict,
        sort_keys=True,
    )
    sys.stdout.write(_ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
    sys.stdout.flush()


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def table(heads: Sequence[str], rows: Iterable[Row], *, title: str = "") -> Table:
    """Return a table. Control characters are removed; if the terminal is narrow, columns fold.

    Args:
        heads: heads of the columns; the head of a column with numbers begins with `>`.
        rows: the cells.
        title: the title above the table.
    """
    made = Table(
        box=SIMPLE_HEAD,
        title=Text(printable(title), style="bold") if title else None,
        title_justify="left",
        show_edge=False,
        pad_edge=False,
        header_style="bold",
    )
    for head in heads:
        right = head.startswith(RIGHT)
        made.add_column(
            head.removeprefix(RIGHT), justify="right" if right else "left", overflow="fold", no_wrap=right
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row))
    return made
