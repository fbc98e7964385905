"""`watch`: the live view of a run."""

from collections.abc import Sequence
from typing import Annotated

import typer

from sanctum_bus.cli import target
from sanctum_bus.cli.output import console, show
from sanctum_bus.cli.sections import picture_of, view_of
from sanctum_bus.cli.signals import until_told
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.errors import InvalidArgument
from sanctum_bus.reader import LogLine, Reader, Snapshot
from sanctum_bus.views.model import Run
from sanctum_bus.views.tui.app import Looking
from sanctum_bus.views.tui.app import watch as draw
from sanctum_bus.views.tui.layout import view
from sanctum_bus.views.tui.view import View

#: Examples at the end of the help.
EXAMPLES = ("sanctum watch", "sanctum watch my-run")


def command(
    ctx: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]", show_default=False, help="The run; else the one that was active last."
        ),
    ] = None,
) -> None:
    """Show a run live."""
    watch_run(target.of(ctx), run)


def watch_run(server: ServerTarget, run_id: str | None) -> None:
    """Draw a run until the person quits; without a name, the run that was active last.

    Raises:
        BadInput: no run was named and there is none, or this is no terminal.
    """
    if not console().is_terminal:
        raise InvalidArgument("the live view needs a terminal; without one: sanctum show RUN")
    with server.reader() as reader:
        looking = Looking(reader, run_id or _newest(reader), picture)
        with until_told():
            draw(looking, console(), lambda _: False)
    leave(looking)


def picture(snapshot: Snapshot, lines: Sequence[LogLine], run: Run) -> View:
    """Return the view of a snapshot, the log's newest lines, and the sections sorted out."""
    return view_of(picture_of(snapshot, lines), run)


def leave(looking: Looking) -> None:
    """Leave the last picture on the screen."""
    shown = looking.view()
    if shown is not None:
        width, height = console().size
        show(view(shown, width, height - 1))


def _newest(reader: Reader) -> str:
    found = reader.runs()
    if not found:
        raise InvalidArgument("there is no run on this server yet")
    return found[0].run_id
