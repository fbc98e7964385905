"""`log`: the seed event log of a run."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from sanctum_bus.cli import target
from sanctum_bus.cli.options import (
    JsonOption,
    RunArgument,
    is_given,
)
from sanctum_bus.cli.output import console, print_json
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.reader import LogLine, Reader
from sanctum_bus.views.format import date
from sanctum_bus.views.tui.panels import log_line
from sanctum_bus.views.tui.style import DIM

#: Examples at the end of the help.
EXAMPLES = ("sanctum log my-run -n 100", "sanctum log my-run --follow --json")


def command(
    ctx: typer.Context,
    run: RunArgument,
    lines: Annotated[
        int,
        typer.Option("--lines", "-n", min=0, metavar="N", help="Number of lines to print, the newest ones."),
    ] = 20,
    after: Annotated[
        str | None,
        typer.Option(metavar="ID", show_default=False, help="Print every line after this ID instead."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the seed event log of a run."""
    if after is not None and is_given(ctx, "lines"):
        raise typer.BadParameter("give either --lines or --after, which prints every line after that one")
    print_log(target.of(ctx), run, lines, after, follow=follow, as_json=as_json)


def print_log(
    server: ServerTarget, run_id: str, newest: int, after: str | None, *, follow: bool, as_json: bool
) -> None:
    """Print lines of the seed event log; with `follow`, also new lines until Ctrl-C."""
    with server.reader() as reader:
        try:
            for line in _lines(reader, run_id, newest, after, follow=follow):
                _print_line(line, as_json=as_json)
        except KeyboardInterrupt:
            if not follow:
                raise


def _lines(reader: Reader, run_id: str, newest: int, after: str | None, *, follow: bool) -> Iterator[LogLine]:
    if after is None:
        tail = reader.log(run_id, newest=newest) if newest else []
        yield from tail
        after = tail[-1].id if tail else ("$" if not newest else "0-0")
    elif not follow:
        while page := reader.log(run_id, after=after):
            yield from page
            after = page[-1].id
    if follow:
        yield from reader.follow_log(run_id, after=after)


def _print_line(line: LogLine, *, as_json: bool) -> None:
    if as_json:
        names = ("id", "type", "at", "env_id", "slot_id", "blueprint_id", "episode", "message", "data")
        missing = {
            name: getattr(line, name) for name in ("lost", "dropped", "trimmed") if getattr(line, name)
        }
        print_json({name: getattr(line, name) for name in names} | missing)
        return
    shown = Text(f"{date(line.at)[:11]}", style=DIM)
    shown.append_text(log_line(line))
    if line.lost:
        shown.append(f"  ({line.lost:,} events lost before this line)", style="bold red")
    if line.trimmed:
        shown.append(
            f"  (at least {line.trimmed:,} entries trimmed unread before this line)", style="bold red"
        )
    console().print(shown, soft_wrap=True)
