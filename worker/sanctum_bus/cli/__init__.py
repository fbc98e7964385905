"""The command line: `sanctum`, or `python -m sanctum_bus.cli`.

Exit status: 0 all is well; 1 what was asked for could not be done, and one line on standard error says why; 2 the
command line is wrong; 130 Ctrl-C before it was done. Commands that run until they are told to stop end with 0 at Ctrl-C:
`server`, `worker`, `watch`, `log --follow`, and `demo` on a terminal. `doctor`, which is asked whether anything is wrong,
says 1 where something is, and 2 where the server cannot be asked.
"""

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from sanctum_bus._version import __version__
from sanctum_bus.cli import stdio
from sanctum_bus.cli.group import LazyGroup
from sanctum_bus.cli.options import GlobalOptions, PrefixOption, RedisOption, examples
from sanctum_bus.errors import SanctumError
from sanctum_bus.protocol.entry import WIRE_VERSION
from sanctum_bus.protocol.schema import SCHEMA_VERSION

#: Exit status where what was asked for could not be done.
FAILED = 1

app = typer.Typer(
    name="sanctum",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    # Help is made without rich, which takes longer to load than all the rest.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "sanctum demo                                    see it at work",
        "sanctum server & sanctum worker &               run it",
        "sanctum publish events.jsonl.gz --run my-run    feed it",
        "sanctum watch my-run                            look at it",
    ),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sanctum {__version__} (protocol {WIRE_VERSION}, schema {SCHEMA_VERSION})")
        raise typer.Exit


@app.callback()
def _global(
    ctx: typer.Context,
    redis: RedisOption = None,
    prefix: PrefixOption = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the versions of package, protocol and schema, and exit.",
        ),
    ] = False,
) -> None:
    """Training telemetry as one shared, exact, crash-proof view in Redis."""
    ctx.obj = GlobalOptions(redis, prefix)


def main() -> None:
    """Run a command and end the process."""
    stdio.prepare()
    status = _status_of(partial(app, prog_name="sanctum"))
    # A last search for garbage, through all that was loaded, takes longer than many a command.
    gc.freeze()
    sys.exit(_status_of(sys.stdout.flush) or status)


def _status_of(act: Callable[[], object]) -> Any:
    """Return the exit status of an action; a reader that went away, as `head` does, is no reason for a complaint."""
    try:
        act()
    except SystemExit as end:
        return end.code
    except SanctumError as error:
        from sanctum_bus.cli.output import complain

        complain(str(error))
        return FAILED
    except BrokenPipeError:
        return FAILED
    return 0
