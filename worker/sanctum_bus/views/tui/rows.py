"""Tables of exact widths: rich's own would shrink columns as it sees fit."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.text import Text

from sanctum_bus.views.tui.style import DIM

#: Blanks between two columns.
GAP = 2


class Column(NamedTuple):
    """One column.

    Args:
        head: what stands above it.
        width: its cells; a column of none is left out.
        right: numbers stand to the right.
    """

    head: str
    width: int
    right: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[Text]], gap: int = GAP) -> Iterator[Text]:
    """Yield a line of heads and a line for each row."""
    yield _line(columns, [Text(column.head, style=DIM) for column in columns], gap)
    for cells in rows:
        yield _line(columns, cells, gap)


def _line(columns: Sequence[Column], cells: Sequence[Text], gap: int) -> Text:
    shown = [
        fitted(cell, column.width, right=column.right)
        for column, cell in zip(columns, cells, strict=True)
        if column.width > 0
    ]
    line = Text(" " * gap).join(shown)
    line.no_wrap = True
    return line


def fitted(text: Text, width: int, *, right: bool = False) -> Text:
    """Return text cut or filled to a width."""
    text.truncate(width, overflow="ellipsis")
    missing = max(0, width - text.cell_len)
    if right:
        text.pad_left(missing)
    else:
        text.pad_right(missing)
    return text
