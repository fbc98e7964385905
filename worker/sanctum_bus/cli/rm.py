"""`rm`: removal of a run."""

from typing import Annotated

import typer

from sanctum_bus.cli import target
from sanctum_bus.cli.confirm import confirm
from sanctum_bus.cli.options import (
    RunArgument,
)
from sanctum_bus.cli.output import console
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.connection import redacted
from sanctum_bus.errors import Unavailable
from sanctum_bus.ops import runs
from sanctum_bus.reader import Reader

#: Examples at the end of the help.
EXAMPLES = ("sanctum rm my-run", "sanctum rm my-run --yes")


def command(
    ctx: typer.Context,
    run: RunArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a run with its stream, snapshot and log."""
    remove(target.of(ctx), run, assume_yes=yes)


def remove(server: ServerTarget, run_id: str, *, assume_yes: bool) -> None:
    """Remove a run after confirmation.

    Raises:
        InvalidArgument: standard input is not a terminal, or the run does not exist.
        CommandFailed: the person declined.
    """
    keys = server.keys(run_id)
    with server.reader() as reader:
        what = _content(reader, run_id)
    confirm(
        f"Remove run {run_id} ({what}) from {redacted(server.url)}?",
        f"run {run_id} was not removed",
        assume_yes=assume_yes,
    )
    with server.client() as client:
        removed = runs.remove_run(client, keys)
    console().print(f"run {run_id} removed ({removed:,} keys)")


def _content(reader: Reader, run_id: str) -> str:
    try:
        seen = reader.snapshot(run_id)
    except Unavailable as error:
        # An unreadable run can still be removed.
        return str(error)
    return f"{seen.events:,} events folded into {len(seen.names):,} sections"
