"""The command group: the names of all commands, and the module of each. A command is imported when it is used."""

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

from sanctum_bus.cli.options import examples


class CommandEntry(NamedTuple):
    """One command.

    Args:
        module: module of `sanctum_bus.cli`; it defines `command` (whose docstring is the help) and `EXAMPLES`.
        help: the first line of that docstring, so that `sanctum --help` imports no command.
    """

    module: str
    help: str


#: Every command in the order of the help: first the ones to try, then the ones to run, then the ones to look with.
COMMANDS = {
    "demo": CommandEntry("demo", "Play a recording on an embedded server and show the run live."),
    "server": CommandEntry("server", "Run an embedded Redis or Valkey server in the foreground."),
    "worker": CommandEntry("worker", "Process all current and future runs until interrupted."),
    "publish": CommandEntry("publish", "Publish recorded telemetry to a run."),
    "watch": CommandEntry("watch", "Show a run live."),
    "runs": CommandEntry("runs", "List the runs on the server."),
    "workers": CommandEntry("workers", "List the live workers with their runs, lag and last error."),
    "show": CommandEntry("show", "Show the snapshot of a run."),
    "log": CommandEntry("log", "Print the seed event log of a run."),
    "coverage": CommandEntry("coverage", "Show which emitted fields were seen and where they are kept."),
    "dead-letters": CommandEntry("dead_letters", "List, requeue or delete the dead letters of a run."),
    "rebuild": CommandEntry("rebuild", "Rebuild the snapshot of a run from its stream."),
    "fold": CommandEntry("fold", "Fold recorded telemetry without a server and show the result."),
    "doctor": CommandEntry("doctor", "Check the server and its runs, and print what to do."),
    "config": CommandEntry("config", "Print every setting, its value and its source."),
    "rm": CommandEntry("rm", "Remove a run with its stream, snapshot and log."),
}


class LazyGroup(TyperGroup):
    """A group that imports a command when it is used."""

    # Typer has its own copy of click since 0.25, so click's types cannot be named here.
    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is no command of that name."""
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = import_module(f"sanctum_bus.cli.{entry.module}")
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(cmd_name, epilog=examples(*module.EXAMPLES))(module.command)
        return get_command(app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])
