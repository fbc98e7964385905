"""`server`: the embedded server in the foreground."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sanctum_bus.cli.signals import until_signal
from sanctum_bus.errors import CommandFailed
from sanctum_bus.ops.embedded import EmbeddedServer, default_state_dir

#: Examples at the end of the help.
EXAMPLES = ("sanctum server", "sanctum server --port 6379")


def command(
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65_535, help="TCP port on 127.0.0.1; 0 for a Unix socket that only this user can open."
        ),
    ] = 0,
    state_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="SANCTUM_STATE_DIR",
            file_okay=False,
            show_default=False,
            help="Directory of the data. Default: ~/.local/state/sanctum.",
        ),
    ] = None,
) -> None:
    """Run an embedded Redis or Valkey server in the foreground."""
    serve(state_dir, port)


def serve(state_dir: Path | None, port: int) -> None:
    """Run the embedded server until it is interrupted.

    Raises:
        ServerNotFound: no server can be started.
        CommandFailed: the server exited unexpectedly.
    """
    # Imported late: printing takes long to load, and `worker` does not need it.
    from sanctum_bus.cli.output import complain

    home = default_state_dir() if state_dir is None else state_dir
    status: int | None = None
    with until_signal(), EmbeddedServer.start(home, port=port) as server:
        _say_where(server, default=state_dir is None)
        status = server.wait()
    if status is not None:
        raise CommandFailed(f"the server exited with status {status}; see {home / 'server.log'}")
    complain("the server has stopped")


def _say_where(server: EmbeddedServer, *, default: bool) -> None:
    from sanctum_bus.cli.output import console

    out = console()
    out.print(f"serving at {server.url}", soft_wrap=True)
    out.print(f"data in    {server.state_dir}", soft_wrap=True)
    if default:
        out.print("Other sanctum commands of this user find it automatically. For other programs:")
    out.print(f"  export SANCTUM_REDIS_URL='{server.url}'", soft_wrap=True)
    out.print("Stop with Ctrl-C; the data stays.")
    sys.stdout.flush()
