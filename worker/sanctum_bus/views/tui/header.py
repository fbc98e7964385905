"""The first lines and the last line: the run, its progress, its freshness, and findings about the data."""

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sanctum_bus.views.format import UNKNOWN, count, decimals, duration, printable
from sanctum_bus.views.model import Progress
from sanctum_bus.views.tui.screen import Screen
from sanctum_bus.views.tui.style import DIM, clip

#: Width from which rates and zero counts have room.
_WIDE = 100

#: Kinds of findings whose numbers the last line shows anyway.
_COUNTED = frozenset({"lost", "dead_letters"})

#: Devices that the title names.
_DEVICES = 3


def header(screen: Screen, width: int) -> RenderableType:
    """Return two lines: the run with its status, and its progress."""
    title = Table.grid(expand=True)
    title.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    title.add_column(no_wrap=True, justify="right")
    status = _status(screen)
    title.add_row(clip(_name(screen), width - status.cell_len - 2), status)
    whole = Table.grid(expand=True)
    whole.add_row(title)
    whole.add_row(_progress(screen.selected.progress, width))
    return whole


def _name(screen: Screen) -> Text:
    head = screen.run.header
    facts = [printable(head.task), printable(screen.selected.reward_mode or head.reward_mode)]
    facts += [printable(device, 20) for device in head.devices[:_DEVICES]]
    text = Text(f" {printable(head.run_id)}", style="bold bright_white")
    text.append("  " + " · ".join(fact for fact in facts if fact), style=DIM)
    return text


def _status(screen: Screen) -> Text:
    head = screen.run.header
    status = printable(head.status) or "no events"
    if status == "quiet":
        text = Text(f"◌ quiet for {duration(head.quiet_s)}", style="yellow")
    else:
        sign, style = ("●", "bright_green") if status == "running" else ("■", "bright_white")
        text = Text(f"{sign} {status}", style=style)
    if head.runtime_s is not None:
        text.append(f"  after {duration(head.runtime_s)} ", style=DIM)
    return text


def _progress(progress: Progress, width: int) -> RenderableType:
    bars = (
        ("episode", progress.episodes, progress.episodes_total),
        ("epoch", progress.epoch, progress.epochs_total),
    )
    rates = _rates(progress) if width >= _WIDE else Text("")
    grid = Table.grid(padding=(0, 1, 0, 0))
    cells: list[RenderableType] = [Text("")]
    room = (width - rates.cell_len - 12) // 2
    for name, done, total in bars:
        shown = f"{count(done) if done is not None else 0}/{count(total)}"
        cells += [Text(name, style=DIM), _bar(done, total, room - len(name) - len(shown) - 3), Text(shown)]
    grid.add_row(*cells, rates)
    return grid


def _bar(part: float | None, whole: float | None, width: int) -> ProgressBar:
    good = whole is not None and part is not None and 0 < whole < float("inf") and 0 <= part <= whole
    return ProgressBar(
        total=whole if good else 1.0,
        completed=part if good and part is not None else 0.0,
        width=max(width, 5),
        complete_style="bright_green",
        finished_style="bright_green",
        style="grey23",
    )


def _rates(progress: Progress) -> Text:
    text = Text("")
    for rate, unit in ((progress.epochs_per_second, "epochs/s"), (progress.batches_per_hour, "batches/h")):
        if rate is not None:
            text.append(f"  {decimals(rate)}").append(f" {unit}", style=DIM)
    return text


def footer(screen: Screen, width: int, keys: str = "") -> Text:
    """Return one line: which prefix of the stream the screen shows, and what is missing from it."""
    head = screen.run.header
    text = Text(" version ", style=DIM)
    text.append(printable(head.version) or UNKNOWN)
    text.append("  events ", style=DIM).append(count(head.events))
    for name, amount in (
        ("dead letters", head.parked),
        ("lost", head.lost_total),
        ("duplicates", head.duplicates),
    ):
        if amount or width >= _WIDE:
            text.append(f"  {name} ", style=DIM).append(count(amount), style="bold red" if amount else "")
    findings = [one.text for one in screen.run.findings if one.kind not in _COUNTED]
    for notice in (*findings, *screen.notices):
        text.append(f"  ! {printable(notice)}", style="bold yellow")
    return clip(_spread(text, Text(keys, style=DIM), width), width)


def _spread(left: Text, right: Text, width: int) -> Text:
    gap = width - left.cell_len - right.cell_len - 1
    # With a smaller gap the two would touch.
    return left.append(" " * gap).append_text(right) if gap >= 2 else left  # noqa: PLR2004
