"""`watch`: the live view of a run."""

import asyncio
from typing import Annotated

import typer

from sanctum_bus.cli import target
from sanctum_bus.cli.output import console, show
from sanctum_bus.cli.signals import stop_on_signal
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.errors import InvalidArgument
from sanctum_bus.reader import AsyncReader
from sanctum_bus.views.feed import RunFeed
from sanctum_bus.views.tui import app
from sanctum_bus.views.tui.layout import draw
from sanctum_bus.views.tui.screen import Screen

#: Examples at the end of the help.
EXAMPLES = ("sanctum watch", "sanctum watch my-run")


def command(
    ctx: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            show_default=False,
            help="Name of the run; default: the most recently active run.",
        ),
    ] = None,
) -> None:
    """Show a run live."""
    watch_run(target.of(ctx), run)


def watch_run(server: ServerTarget, run_id: str | None) -> None:
    """Draw a run until the person quits.

    Args:
        server: the server.
        run_id: the run; None: the most recently active one.

    Raises:
        InvalidArgument: the server has no run, or the output is not a terminal.
        CommandFailed: the server cannot be read.
    """
    if not console().is_terminal:
        raise InvalidArgument("sanctum watch requires a terminal; use 'sanctum show RUN'")
    with server.explain_errors():
        asyncio.run(_watch(server, run_id))


async def _watch(server: ServerTarget, run_id: str | None) -> None:
    state = app.ViewState()
    async with AsyncReader(server.url, key_prefix=server.prefix) as reader:
        feed = RunFeed(reader, run_id or await _newest(reader))
        async with feed.running():
            with stop_on_signal(lambda: app.leave(feed, state)):
                await app.watch(feed, console(), lambda _: False, state)
    print_last(feed, state)


def print_last(feed: RunFeed, state: app.ViewState) -> None:
    """Leave the last picture on the screen."""
    if feed.view is not None:
        width, height = console().size
        show(draw(Screen(feed.view, state.arm, state.page), width, height - 1))


async def _newest(reader: AsyncReader) -> str:
    found = await reader.runs()
    if not found:
        raise InvalidArgument("there are no runs on this server yet")
    return found[0].run_id
