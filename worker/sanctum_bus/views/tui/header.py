"""The top and the bottom line: which run, how far, how fresh, and what is wrong with the data."""

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sanctum_bus.protocol.entry import FieldsView
from sanctum_bus.views.format import UNKNOWN, count, decimals, duration, number, printable, text_field
from sanctum_bus.views.tui.style import DIM, clip
from sanctum_bus.views.tui.view import View

#: Seconds without an event after which a run that has not ended is called quiet.
QUIET_S = 60.0

#: Seconds that a worker may be behind without a word: one that is at work always is, by a moment.
BEHIND_S = 1.0


def header(view: View, width: int) -> RenderableType:
    """Return two lines: the run and its state; and how far it is."""
    title = Table.grid(expand=True)
    title.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    title.add_column(no_wrap=True, justify="right")
    state = _state(view)
    title.add_row(clip(_name(view), width - state.cell_len - 2), state)
    whole = Table.grid(expand=True)
    whole.add_row(title)
    whole.add_row(_progress(view, width))
    return whole


def _name(view: View) -> Text:
    run = view.run.section("run", view.arm) or view.run.section("run")
    devices = run.get("devices")
    facts = [text_field(run, "task"), text_field(run, "reward_mode")]
    facts += [printable(device, 20) for device in devices[:3]] if isinstance(devices, list) else []
    text = Text(f" {view.run_id}", style="bold bright_white")
    text.append("  " + " · ".join(fact for fact in facts if fact), style=DIM)
    return text


def _state(view: View) -> Text:
    run = view.run.section("run")
    begun, seen = number(run.get("started_at")), number(run.get("last_event_at"))
    status = text_field(run, "status") or "no events"
    quiet = view.age_s is not None and view.age_s > QUIET_S
    if status == "running" and quiet:
        text = Text(f"◌ quiet for {duration(view.age_s)}", style="yellow")
    else:
        sign, style = ("●", "bright_green") if status == "running" else ("■", "bright_white")
        text = Text(f"{sign} {status}", style=style)
    if begun is not None and seen is not None:
        text.append(f"  after {duration(seen - begun)} ", style=DIM)
    return text


def _progress(view: View, width: int) -> RenderableType:
    run = view.run.section("run", view.arm) or view.run.section("run")
    batch = view.run.section("batch", view.arm)
    bars = [
        ("episode", run.get("episodes_completed"), batch.get("total_episodes", run.get("n_episodes"))),
        ("epoch", run.get("inner_epoch"), run.get("max_epochs")),
    ]
    rates = _rates(batch) if width >= 100 else Text("")  # noqa: PLR2004  # there is no room for them below
    grid = Table.grid(padding=(0, 1, 0, 0))
    cells: list[RenderableType] = [Text("")]
    room = (width - rates.cell_len - 12) // 2
    for name, done, total in bars:
        shown = f"{count(done) if number(done) is not None else 0}/{count(total)}"
        cells += [Text(name, style=DIM), _bar(done, total, room - len(name) - len(shown) - 3), Text(shown)]
    grid.add_row(*cells, rates)
    return grid


def _bar(done: object, total: object, width: int) -> ProgressBar:
    whole, part = number(total), number(done)
    good = whole is not None and part is not None and 0 < whole < float("inf") and 0 <= part <= whole
    return ProgressBar(
        total=whole if good else 1.0,
        completed=part if good and part is not None else 0.0,
        width=max(width, 5),
        complete_style="bright_green",
        finished_style="bright_green",
        style="grey23",
    )


def _rates(batch: FieldsView) -> Text:
    text = Text("")
    for name, unit in (("epochs_per_second", "epochs/s"), ("batches_per_hour", "batches/h")):
        if number(batch.get(name)) is not None:
            text.append(f"  {decimals(batch[name])}").append(f" {unit}", style=DIM)
    return text


def footer(view: View, width: int, keys: str = "") -> Text:
    """Return one line: which prefix of the stream this is, and what of it is missing."""
    text = Text(" version ", style=DIM)
    text.append(printable(view.version) or UNKNOWN)
    text.append("  events ", style=DIM).append(count(view.events))
    for name, amount in (("parked", view.parked), ("lost", view.lost), ("duplicates", view.duplicates)):
        if amount or width >= 100:  # noqa: PLR2004  # what is zero is shown where there is room
            text.append(f"  {name} ", style=DIM).append(count(amount), style="bold red" if amount else "")
    late = (f"{duration(view.behind_s)} behind; is a worker there?",) if view.behind_s > BEHIND_S else ()
    for notice in (*view.notices, *late):
        text.append(f"  ! {notice}", style="bold yellow")
    return clip(_spread(text, Text(keys, style=DIM), width), width)


def _spread(left: Text, right: Text, width: int) -> Text:
    gap = width - left.cell_len - right.cell_len - 1
    return left.append(" " * gap).append_text(right) if gap >= 2 else left  # noqa: PLR2004  # else they would touch
