"""`rebuild`: a new snapshot from the stream."""

from typing import Annotated

import typer

from sanctum_bus.cli import target
from sanctum_bus.cli.confirm import confirm
from sanctum_bus.cli.options import (
    JsonOption,
    RunArgument,
    YesOption,
)
from sanctum_bus.cli.output import console, print_json
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.connection import connect, redacted
from sanctum_bus.ops.rebuild import rebuild_run
from sanctum_bus.ops.runs import require_run
from sanctum_bus.worker.settings import load

#: Examples at the end of the help.
EXAMPLES = ("sanctum rebuild my-run", "sanctum rebuild my-run --partial --yes")


def command(
    ctx: typer.Context,
    run: RunArgument,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Rebuild even if the stream was trimmed or replaced; missing events are counted as lost.",
        ),
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the snapshot of a run from its stream."""
    rebuild(target.of(ctx), run, partial=partial, assume_yes=yes, as_json=as_json)


#: Seconds that the server may take to replace a large snapshot.
_TIMEOUT_S = 60.0


def rebuild(server: ServerTarget, run_id: str, *, partial: bool, assume_yes: bool, as_json: bool) -> None:
    """Rebuild a run after confirmation.

    Raises:
        InvalidArgument: standard input is not a terminal, or the run does not exist.
        CommandFailed: the person declined.
        Unavailable: the state of the run does not allow a rebuild.
    """
    keys = server.keys(run_id)
    settings = load(redis_url=server.url, key_prefix=server.prefix)
    with server.explain_errors(), connect(server.url, timeout_s=_TIMEOUT_S) as client:
        require_run(client, keys)
        confirm(
            f"Rebuild run {run_id} on {redacted(server.url)} from its stream, and replace its snapshot?",
            f"run {run_id} was not rebuilt",
            assume_yes=assume_yes,
        )
        built = rebuild_run(client, keys, settings, partial=partial)
    if as_json:
        print_json({"run_id": run_id, **built._asdict()})
        return
    missing = f"; {built.missing:,} entries were missing" if built.missing else ""
    console().print(
        f"run {run_id} rebuilt up to {built.version}: {built.events:,} events folded, {built.parked:,} dead letters{missing}"
    )
